"""The folders of images that are splits: train, val and test, in any usual spelling."""

import re
from collections.abc import Sequence
from pathlib import Path

from mixvae.data.splits import SPLIT_OF
from mixvae.errors import MixvaeError

_NAME = re.compile(rf"({'|'.join(SPLIT_OF)})[ ._-]?(set|split|data|images?|imgs?)?")
LAYOUT = (
    "lay images out as train/CLASS/IMAGE, and val and test beside train likewise where there are "
    "such splits, or as CLASS/IMAGE without splits"
)


def split_folders(root: Path, images: Sequence[Path], folders: Sequence[Path]) -> dict[str, Path]:
    """The folder of each split; without folders named like splits, ``root`` is train.

    ``folders`` are all folders below ``root``, and ``images`` all images. The splits, or the
    classes, may lie deeper (``set/train``), in folders that hold nothing else. Raises `MixvaeError`
    where names of splits are mixed with others, so that their meaning is not clear.
    """
    top = _first_with_several(root, images, folders)
    named = [f for f in folders if f.parent == top and _split(f.name)]
    if not named:
        _refuse_splits_elsewhere(top, images)
        return {"train": top}
    others = [path for path in _directly_in(top, images) if path not in named]
    if others:
        raise MixvaeError(
            f"{top}: {_names(named)} would be splits, but {_names(others)} beside not; {LAYOUT} "
            f"(if {named[0].name} is a class, as {top / 'train' / named[0].name}/IMAGE)."
        )
    found: dict[str, Path] = {}
    for folder in named:
        split = _split(folder.name)
        if split in found:
            raise MixvaeError(
                f"{top}: {_names([found[split], folder])} are both the {split} split; join them."
            )
        found[split] = folder
    if "train" not in found:
        raise MixvaeError(f"{top}: found {_names(named)}, but no train beside it; {LAYOUT}.")
    return {split: _repeated(folder, split, images) for split, folder in found.items()}


def _split(name: str) -> str:
    """The split that a folder's name stands for, or an empty string."""
    found = _NAME.fullmatch(name.casefold())
    return SPLIT_OF[found[1]] if found else ""


def _directly_in(folder: Path, images: Sequence[Path]) -> list[Path]:
    """The images in ``folder``, and the folders in it that contain images."""
    depth = len(folder.parts)
    inside = {path.parts[depth] for path in images if path.parts[:depth] == folder.parts}
    return sorted(folder / name for name in inside)


def _first_with_several(root: Path, images: Sequence[Path], folders: Sequence[Path]) -> Path:
    """The first folder from ``root`` down that holds splits, images, or several folders."""
    named = {folder.parent for folder in folders if _split(folder.name)}
    while root not in named:
        inside = _directly_in(root, images)
        if len(inside) != 1 or any(path.parent in (root, inside[0]) for path in images):
            break
        root = inside[0]
    return root


def _refuse_splits_elsewhere(top: Path, images: Sequence[Path]) -> None:
    """Refuse names like ``seg_train`` beside ``seg_test``, and splits in each class."""
    parts = _directly_in(top, images)
    words = {SPLIT_OF.get(word, "") for p in parts for word in re.findall("[a-z]+", p.name.lower())}
    if len(words - {""}) > 1:
        raise MixvaeError(f"{top}: {_names(parts)} may be splits or classes; {LAYOUT}.")
    depth = len(top.parts) + 1
    for path in images:
        if any(map(_split, path.parts[depth:-1])):
            raise MixvaeError(f"{path.parent}: a split would be inside another folder; {LAYOUT}.")


def _repeated(folder: Path, split: str, images: Sequence[Path]) -> Path:
    """The split's folder, or ``train/train`` in it, as some archives unpack, if it is alone."""
    inside = _directly_in(folder, images)
    splits = {_split(path.name) for path in inside}
    if not splits or "" in splits:  # one class may be called train beside others
        return folder
    if splits == {split} and len(inside) == 1:
        return _repeated(inside[0], split, images)
    raise MixvaeError(f"{folder}: the {split} split has {_names(inside)} inside; {LAYOUT}.")


def _names(paths: Sequence[Path]) -> str:
    names = [path.name for path in paths]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
