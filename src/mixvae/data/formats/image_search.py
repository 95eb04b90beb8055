"""The image files below a folder: links followed, hidden files and folders left out."""

import os
import re
import stat
from collections import Counter
from pathlib import Path
from typing import NoReturn

from mixvae.errors import MixvaeError

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff")
# Formats of images that are not read. To pass over such files would lose examples unnoticed.
_NOT_READ = re.compile(
    r"\.(apng|arw|avifs?|cr[23]|dcm|dds|dib|dng|eps|exr|fits?|hdr|hei[cf]s?|ico|j2[ck]|jp[2fx]|jx[lr]"
    r"|mpo|nef|orf|p[bfgnp]m|pcx|psd|qoi|raf|ras|raw|rw2|sgi|svgz?|tga|xbm|xcf|xpm)"
)
# Folders of copies that macOS, Synology and Windows make, besides those whose name has a dot.
_HIDDEN = ("__macosx", "@eadir", "$recycle.bin")
MAX_PATHS = 3  # to one folder through links: one in each split
MAX_OTHERS = 100_000  # files and folders that are not images, besides ten for each image


def find_images(root: Path) -> tuple[list[Path], list[Path]]:
    """The images below ``root``, and the folders there, each sorted by path.

    Raises `MixvaeError` for images in a format that is not read, for links that lead nowhere or
    in a loop, for folders that cannot be opened, and where images are few among much else.
    """
    if root.resolve() == Path(root.resolve().anchor):
        raise MixvaeError(f"{root} holds all files there are; name the folder of the images.")
    images: list[Path] = []
    folders: list[Path] = []
    not_read: list[Path] = []
    n_paths: Counter[Path] = Counter()
    others_left = MAX_OTHERS
    for place, subfolders, names in os.walk(root, onerror=_refuse, followlinks=True):
        folder = Path(place)
        _refuse_loop(root, folder, n_paths)
        subfolders[:] = filter(_is_visible, subfolders)  # the walk goes on with these
        paths = [folder / name for name in names if _is_visible(name)]
        n_images = sum(path.suffix.lower() in SUFFIXES for path in paths)
        others_left += 11 * n_images - len(paths) - len(subfolders)
        if others_left < 0:
            raise MixvaeError(
                f"{root}: expected a folder of images ({', '.join(SUFFIXES)}), but {MAX_OTHERS:,} "
                "files and folders in it are none; name the folder that holds them."
            )
        files = [path for path in paths if _is_file(path)]
        folders.append(folder)
        images += [path for path in files if path.suffix.lower() in SUFFIXES]
        not_read += [path for path in files if _NOT_READ.fullmatch(path.suffix.lower())]
    if not_read:
        raise MixvaeError(
            f"{min(not_read)}: images of this kind are not read ({len(not_read)} such in {root}); "
            f"convert them to one of {', '.join(SUFFIXES)}, or move them out of the folder."
        )
    return sorted(images), sorted(folders)


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name.casefold() not in _HIDDEN


def _is_file(path: Path) -> bool:
    """Whether it is a file and not a device; a link that leads nowhere is refused."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        return _refuse(error)


def _refuse(error: OSError) -> NoReturn:
    raise MixvaeError(
        f"{error.filename}: cannot be opened ({error.strerror}); give the right to read it, mend "
        "the link, or remove it."
    ) from error


def _refuse_loop(root: Path, folder: Path, n_paths: Counter[Path]) -> None:
    """Refuse a link to a folder around it, and links to links that multiply without bound."""
    real = folder.resolve()
    around = folder.parents[: len(folder.relative_to(root).parts)]
    if any(other.resolve().is_relative_to(real) for other in around):
        raise MixvaeError(
            f"{folder}: a loop, as it links to {real}, in which it lies itself; remove the link."
        )
    n_paths[real] += 1
    if n_paths[real] > MAX_PATHS:
        raise MixvaeError(
            f"{folder}: one of {n_paths[real]} or more paths to {real}; link to a folder once in a "
            "split."
        )
