"""Data sets: by name, from a folder of images, from .npy or .npz files, or from arrays.

A data set is a module that says what it is in its first line and has ``read(home) -> Parts``;
to add one, write that file and name it in ``DATASETS``.
"""

from pathlib import Path
from types import ModuleType

from mixvae.data import (
    arrays,
    binarized_mnist,
    cifar10,
    cifar100,
    digits,
    fashion_mnist,
    frey_faces,
    image_folder,
    mnist,
    omniglot,
)
from mixvae.data.arrays import from_arrays
from mixvae.data.dataset import Binarize, Dataset, Split, SplitName, check_binarize
from mixvae.data.download import data_home
from mixvae.data.splits import Parts, assemble
from mixvae.data.transform import Transform
from mixvae.errors import MixvaeError, unknown

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
    "from_arrays",
    "load",
    "names",
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
    name, home = str(name_or_path), data_home(data_dir)
    path = Path(name).expanduser()
    check_binarize(binarize)  # before minutes of download
    if image_size is not None and (name in DATASETS or path.is_file()):
        raise MixvaeError(f"image_size resizes folders of images, not {name}; leave it out.")
    if name in DATASETS:
        parts = DATASETS[name].read(home)
    else:
        parts, name = _read_path(path, image_size, transform), path.resolve().name
    return assemble(name, parts, binarize=binarize, n_val=n_val, seed=seed)


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
