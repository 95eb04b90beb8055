"""A folder of pictures (png, jpg, bmp, gif), its subfolders the classes; needs Pillow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixvae.data.dataset import Split
from mixvae.data.pixels import make_split
from mixvae.data.splits import Parts
from mixvae.errors import MixvaeError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_GREY = ("1", "L", "LA")  # Pillow's modes
_TRANSPARENT = ("LA", "PA", "RGBA")
_DEEP = ("I", "F")  # those of more than 8 bits begin so


def read(root: Path, image_size: tuple[int, int] | None = None) -> Parts:
    """The images below ``root``, (N, 1, H, W) if all are grey and else (N, 3, H, W).

    Where there is a folder ``train``, it and ``val`` and ``test`` beside it are the splits. In
    each, images lie side by side, or in a subfolder a class; the classes are numbered by name.
    What is transparent is white, as in most viewers. ``image_size`` (H, W) in pixels resizes all.
    Raises `MixvaeError` for images that differ in size or cannot be read, and for none at all.
    """
    if image_size is not None and min(image_size) < 1:
        raise MixvaeError(
            f"image_size must be a height and a width of at least 1 pixel; got {image_size}."
        )
    folders = _split_folders(root)
    files = {part: _images_below(folder) for part, folder in folders.items()}
    classes = {part: _classes(folders[part], paths) for part, paths in files.items()}
    numbers = {c: i for i, c in enumerate(sorted({c for cs in classes.values() for c in cs or ()}))}
    paths = [path for part in files.values() for path in part]
    arrays = iter(_one_shape(paths, [_pixels(path, image_size) for path in paths]))
    splits: dict[str, Split] = {}
    for part, names in classes.items():
        # np.stack would leave the colours last in memory, where no .view is possible
        x = np.array([next(arrays) for _ in files[part]])
        y = None if names is None else [numbers[name] for name in names]
        splits[part] = make_split(x, y, where=str(folders[part]))
    return Parts(**splits)


def _split_folders(root: Path) -> dict[str, Path]:
    found = {
        part: root / name
        for part, names in SPLITS.items()
        for name in names
        if (root / name).is_dir()
    }
    return found if "train" in found else {"train": root}


def _images_below(folder: Path) -> list[Path]:
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    if not paths:
        raise MixvaeError(
            f"{folder}: expected images ({', '.join(SUFFIXES)}) there or in its subfolders, "
            "found none."
        )
    return paths


def _classes(folder: Path, paths: Sequence[Path]) -> list[str] | None:
    """The class of each image, the subfolder it is in; None where there are no subfolders."""
    inside = [path.relative_to(folder).parts for path in paths]
    loose = [path for path, parts in zip(paths, inside, strict=True) if len(parts) == 1]
    if loose and len(loose) < len(paths):
        raise MixvaeError(
            f"{folder}: expected all images in subfolders (the classes) or none, but {loose[0]} "
            "is outside; move it, or put all images side by side."
        )
    return None if loose else [parts[0] for parts in inside]


def _pixels(path: Path, image_size: tuple[int, int] | None) -> np.ndarray:
    """One image as uint8, (H, W) if it is grey and else (H, W, 3)."""
    pillow = _pillow()
    try:
        with pillow.open(path) as image:
            deep = image.mode.startswith(_DEEP)  # converting would clip the values
            mode = "L" if image.mode in _GREY else "RGB"
            picture = image if deep else _on_white(image).convert(mode)
            if image_size is not None and not deep:
                picture = picture.resize(image_size[::-1], pillow.Resampling.BOX)
            array = np.asarray(picture)
            if image.mode == "P" and (array == array[..., :1]).all():
                array = array[..., 0]  # a palette, as in .gif, may hold nothing but greys
    except (OSError, SyntaxError, ValueError, pillow.DecompressionBombError) as error:
        raise MixvaeError(
            f"{path}: cannot be read as an image ({error}); remove or replace it."
        ) from error
    if deep:
        raise MixvaeError(
            f"{path}: expected 8 bits a channel, got {array.dtype}; convert the image first."
        )
    return array


def _on_white(image: Any) -> Any:
    """The picture as it is seen; what is transparent may have any colour, often black, beneath."""
    if image.mode not in _TRANSPARENT and "transparency" not in image.info:
        return image
    white = _pillow().new("RGBA", image.size, "white")
    return _pillow().alpha_composite(white, image.convert("RGBA"))


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MixvaeError(
            "reading images needs Pillow, which is not installed: pip install 'mixvae[data]'"
        ) from error
    return Image


def _one_shape(paths: Sequence[Path], arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """All as (C, H, W) with one C; grey ones are repeated where some have colours."""
    for path, array in zip(paths, arrays, strict=True):
        if array.shape[:2] != arrays[0].shape[:2]:
            (h0, w0), (h, w) = arrays[0].shape[:2], array.shape[:2]
            raise MixvaeError(
                f"images must be of one size, but {paths[0]} has {h0} by {w0} pixels and {path} "
                f"{h} by {w}; give image_size, a height and a width, to resize all."
            )
    n_channels = 3 if any(array.ndim == 3 for array in arrays) else 1
    return [
        array.transpose(2, 0, 1) if array.ndim == 3 else np.repeat(array[None], n_channels, axis=0)
        for array in arrays
    ]
