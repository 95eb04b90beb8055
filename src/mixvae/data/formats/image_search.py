"""The image files below a folder: links followed, hidden files and folders left out."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mixvae.data.folder_limit import FolderLimit
from mixvae.data.splits import SPLIT_WORDS
from mixvae.errors import MixvaeError

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff")
# Images too, so to leave them out in silence would lose examples.
_NOT_READ = re.compile(
    r"\.(apng|arw|avifs?|cr[23]|dcm|dds|dib|dng|eps|exr|fits?|hdr|hei[cf]s?|ico|j2[ck]|jp[2fx]|jx[lr]"
    r"|mpo|nef|orf|p[bfgnp]m|pcx|psd|qoi|raf|ras|raw|rw2|sgi|svgz?|tga|xbm|xcf|xpm)"
)
# Folders of copies that macOS, Synology and Windows make, besides those whose name has a dot.
_HIDDEN = ("__macosx", "@eadir", "$recycle.bin")


def find_images(root: Path) -> tuple[list[Path], list[Path]]:
    """The images below ``root``, and the folders there, each sorted by path.

    Raises `MixvaeError` for images in a format that is not read, for links that lead nowhere or
    in a loop, for folders that cannot be opened, and where images are few among much else.
    """
    images: list[Path] = []
    folders: list[Path] = []
    not_read: list[Path] = []
    paths_to: Counter[Path] = Counter()
    limit = FolderLimit(root, SUFFIXES)
    pending: list[tuple[Path, tuple[Path, ...]]] = [(root, ())]
    while pending:
        folder, above = pending.pop()
        real = folder.resolve()
        paths_to[real] += 1
        _refuse_loop(folder, real, above, paths_to[real])
        folders.append(folder)
        for path, is_folder in _entries(folder):
            limit.count(path)
            if is_folder:
                pending.append((path, (*above, real)))
            elif path.suffix.lower() in SUFFIXES:
                images.append(path)
            elif _NOT_READ.fullmatch(path.suffix.lower()):
                not_read.append(path)
    if not_read:
        raise MixvaeError(
            f"{min(not_read)}: images of this kind are not read ({len(not_read)} such in {root}); "
            f"convert them to one of {', '.join(SUFFIXES)}, or move them out of the folder."
        )
    return sorted(images), sorted(folders)


def _entries(folder: Path) -> Iterator[tuple[Path, bool]]:
    """The visible files and folders in ``folder``, and whether each is a folder."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.casefold() in _HIDDEN:
                    continue
                if entry.is_dir() or entry.is_file():
                    yield folder / entry.name, entry.is_dir()
                elif entry.is_symlink():
                    os.stat(entry.path)  # raises, unless it leads to a device or the like
    except OSError as error:
        raise MixvaeError(
            f"{error.filename or folder}: cannot be opened ({error.strerror}); give the right to "
            "read it, mend the link, or remove it."
        ) from error


def _refuse_loop(folder: Path, real: Path, above: tuple[Path, ...], n_paths: int) -> None:
    if any(one.is_relative_to(real) for one in above):
        raise MixvaeError(
            f"{folder}: a loop, as it links to {real}, in which it lies itself; remove the link."
        )
    if n_paths > len(SPLIT_WORDS):  # links to links to links can be more than one can count
        raise MixvaeError(
            f"{folder}: one of {n_paths} or more paths to {real}; link to a folder once in a split."
        )
