"""Data sets: by name, from a folder of images, from .npy or .npz files, or from arrays.

A data set is a module that says what it is in its first line and has ``read(home) -> Parts``;
to add one, write that file and name it in ``DATASETS``.
"""

from pathlib import Path
from types import ModuleType

import torch

from mixvae.errors import MixvaeError, is_a, seeds, unknown

from .dataset import Binarize, Dataset, Split, SplitName, check_binarize, draw_rows
from .download import data_home
from .formats import arrays, image_folder
from .formats.arrays import from_arrays
from .sets import (
    binarized_mnist,
    cifar10,
    cifar100,
    digits,
    fashion_mnist,
    frey_faces,
    mnist,
    omniglot,
)
from .splits import Parts, assemble
from .transform import Transform

DATASETS: dict[str, ModuleType] = {
    "binarized-mnist": binarized_mnist,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "digits": digits,
    "fashion-mnist": fashion_mnist,
    "frey-faces": frey_faces,
    "mnist": mnist,
    "omniglot": omniglot,
}

__all__ = [
    "DATASETS",
    "Binarize",
    "Dataset",
    "Split",
    "SplitName",
    "Transform",
    "descriptions",
    "all_of",
    "from_arrays",
    "load",
    "names",
    "read_source",
]


def names() -> list[str]:
    """The data sets that `load` knows by name."""
    return list(DATASETS)


def descriptions() -> dict[str, str]:
    """Each data set's name and what it is, in a line."""
    return {name: (module.__doc__ or "").splitlines()[0] for name, module in DATASETS.items()}


def load(
    name_or_path: str | Path,
    *,
    data_dir: str | Path | None = None,
    binarize: Binarize = "none",
    n_val: int | None = None,
    seed: int = 0,
    image_size: tuple[int, int] | None = None,
    transform: Transform | None = None,
) -> Dataset:
    """A data set by name, or from a folder of images or a .npy or .npz file.

    A named set's files are looked for in ``data_dir``, else in the folder that the environment
    variable MIXVAE_DATA names, else in the user's cache, and are fetched if missing. A name goes
    before a path; write ``./mnist`` for a folder of that name. ``n_val`` images are held out of
    the training images for validation (by default a tenth, at most 5,000), drawn with ``seed``,
    as is a test split of a fifth where the source has none; a source's own splits are kept.
    ``binarize`` is explained at `Dataset`; ``image_size`` (H, W) resizes a folder's images.
    `image_folder.read` says how a folder is laid out, ``arrays.KEYS`` how arrays are named.
    ``transform`` is that of a trained model, for new data of a user's own; by default the training
    data decide, as in `from_arrays`. A named set has its own.
    Raises `MixvaeError` where the data are unknown, missing, damaged or out of range.
    """
    name, parts = read_source(
        name_or_path,
        data_dir=data_dir,
        binarize=binarize,
        seed=seed,
        image_size=image_size,
        transform=transform,
    )
    return assemble(name, parts, binarize=binarize, n_val=n_val, seed=seed)


def all_of(parts: Parts, *, binarize: Binarize = "none", seed: int = 0) -> Split:
    """All examples of a source, in its own order.

    A source's own training, validation and test images follow each other, and ``index`` counts
    through all of them.

    Parameters
    ----------
    parts : Parts
        The source, from :func:`read_source`.
    binarize : {"none", "threshold", "dynamic"}
        How pixels are made 0 or 1; ``"dynamic"`` samples them once.
    seed : int
        Seed of the dynamic binarisation.

    Returns
    -------
    Split
        The examples; labels are left out where a part has none.
    """
    own = [split for split in (parts.train, parts.val, parts.test) if split is not None]
    x = torch.cat([split.x for split in own])
    ys = [split.y for split in own if split.y is not None]
    if binarize == "threshold":
        x = (x > 0.5).float()
    elif binarize == "dynamic":
        x = draw_rows(x, seed)
    y = torch.cat(ys) if len(ys) == len(own) else None
    return Split(x, y, torch.arange(len(x)))


def read_source(
    name_or_path: str | Path,
    *,
    data_dir: str | Path | None = None,
    binarize: Binarize = "none",
    seed: int = 0,
    image_size: tuple[int, int] | None = None,
    transform: Transform | None = None,
) -> tuple[str, Parts]:
    """The name and the content of what :func:`load` takes, before splits are held out.

    Parameters
    ----------
    name_or_path, data_dir
        As in :func:`load`.
    binarize, seed
        As in :func:`load`; only checked here, before what may be a long download.
    image_size, transform
        As in :func:`load`.

    Returns
    -------
    name : str
        The data set's name, or the file's or folder's.
    parts : Parts
        The splits that the source has.

    Raises
    ------
    MixvaeError
        As :func:`load`.
    """
    is_a((str, Path), "a data set's name, or a path", name_or_path=name_or_path)
    name, home = str(name_or_path), data_home(data_dir)
    path = Path(name).expanduser()
    check_binarize(binarize)  # before minutes of download
    seeds(seed=seed)
    if image_size is not None and (name in DATASETS or path.is_file()):
        raise MixvaeError(f"image_size resizes folders of images, not {name}; leave it out.")
    if name in DATASETS:
        return name, DATASETS[name].read(home)
    return path.resolve().name, _read_path(path, image_size, transform)


def _read_path(
    path: Path, image_size: tuple[int, int] | None, transform: Transform | None
) -> Parts:
    if path.is_dir():
        return image_folder.read(path, image_size, transform)
    if path.is_file() and path.suffix in (".npy", ".npz"):
        return arrays.read(path, transform)
    if path.is_file():
        raise MixvaeError(f"{path}: expected a folder of images or a .npy or .npz file.")
    if path.suffix or path.name != str(path):
        raise MixvaeError(f"{path}: no such file or folder; it was looked for in {Path.cwd()}.")
    raise unknown("data set", str(path), DATASETS)
