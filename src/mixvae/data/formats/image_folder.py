"""A folder of images (png, jpg, bmp, gif, webp, tif), its subfolders the classes; needs Pillow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixvae.data.conversion import choose_transform, make_split
from mixvae.data.splits import SourceSplits
from mixvae.data.transform import Transform
from mixvae.errors import MixvaeError

from .image_file import read_image
from .image_search import SUFFIXES, find_images
from .image_splits import split_folders


def read(
    root: Path, image_size: tuple[int, int] | None = None, transform: Transform | None = None
) -> SourceSplits:
    """Read a folder of images, its splits and its classes.

    Where there is a folder ``train``, it and ``val`` and ``test`` beside it are the splits. They
    may also be called training, trn, tr, valid, validation, dev, va, testing, tst or te, in
    capitals, with ``_set``, ``_data`` or ``_images`` after it, and may lie in one folder more. In a
    split, images lie side by side, or in a subfolder for each class; the classes are numbered by
    name. Hidden files and folders and files that are not images are ignored, links are followed.

    Images are turned as their EXIF data require, and what is transparent becomes white, as in
    most viewers.

    Parameters
    ----------
    root
        The folder.
    image_size
        Height and width in pixels that all images are resized to.
    transform
        How levels are scaled; where that leaves integers alone, or by default, the training images
        decide, since image files hold 8 bits.

    Returns
    -------
    SourceSplits
        Images (N, 1, H, W) if all are grey and else (N, 3, H, W).

    Raises
    ------
    MixvaeError
        For images that differ in size, cannot be read, have more than 8 bits a channel or several
        frames or pages, or are of a format that is not read; for folders that may be splits or
        classes; for links in a loop or to nothing; and where there are no images.
    """
    if image_size is not None and min(image_size) < 1:
        raise MixvaeError(
            f"image_size must be a height and a width of at least 1 pixel; got {image_size}."
        )
    images, all_folders = find_images(root)
    folders = split_folders(root, images, all_folders)
    files = {part: _images_in(folder, images) for part, folder in folders.items()}
    classes = {part: _classes(folders[part], paths) for part, paths in files.items()}
    numbers = {c: i for i, c in enumerate(sorted({c for cs in classes.values() for c in cs or ()}))}
    paths = [path for part in files.values() for path in part]
    arrays = iter(_one_shape(paths, [read_image(path, image_size) for path in paths]))
    # np.stack would leave the colours last in memory, where no .view is possible
    x = {part: np.array([next(arrays) for _ in files[part]]) for part in classes}
    given = None if transform is None or transform.scale == 1 else transform
    chosen = choose_transform(x["train"], given, where=str(folders["train"]))
    splits: dict[str, Any] = {}
    for part, names in classes.items():
        y = None if names is None else [numbers[name] for name in names]
        splits[part] = make_split(x[part], y, where=str(folders[part]), transform=chosen)
    return SourceSplits(**splits, transform=chosen)


def _images_in(folder: Path, images: Sequence[Path]) -> list[Path]:
    paths = [path for path in images if path.parts[: len(folder.parts)] == folder.parts]
    if not paths:
        raise MixvaeError(
            f"{folder}: expected images ({', '.join(SUFFIXES)}) there or in its subfolders, "
            "found none that is not hidden."
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


def _one_shape(paths: Sequence[Path], arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The images as (C, H, W) with the same C: grey ones are repeated where some have colours."""
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
