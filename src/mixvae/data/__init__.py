"""Data sets: by name, from a folder of images, from files of arrays or tables, or in memory.

A named data set is a module with a function ``read(home) -> SourceSplits``; the first line of its
docstring describes it, and its file's name is its own. To add one, write it and list it in
``DATASETS``.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import torch

from mixvae.errors import MixvaeError, is_a, seeds, unknown

from .batch_labels import BatchName
from .choice import Standardize
from .classes import ClassName
from .dataset import Binarize, Dataset, Split, SplitName, check_binarize, draw_rows
from .download import data_home
from .formats import arrays, image_folder, row_sources, table_file
from .formats.anndata import from_anndata, to_anndata
from .formats.arrays import from_arrays
from .mixed_columns import MixedColumns
from .raw_columns import Kinds
from .rows import Rows
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
from .splits import HoldOut, SourceSplits, assemble
from .standardization import Standardization
from .transform import Transform
from .transform_record import AnyTransform

_TABLES = ".csv, .tsv, .csv.gz, .tsv.gz, .parquet"

# By name, which is that of the module's file with dashes.
DATASETS: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2].replace("_", "-"): module
    for module in (
        *(binarized_mnist, cifar10, cifar100, digits),
        *(fashion_mnist, frey_faces, mnist, omniglot),
    )
}

__all__ = [
    "DATASETS",
    "Binarize",
    "Dataset",
    "Kinds",
    "MixedColumns",
    "Rows",
    "Split",
    "SplitName",
    "Standardization",
    "Standardize",
    "Transform",
    "all_of",
    "descriptions",
    "from_anndata",
    "from_arrays",
    "load",
    "names",
    "read_source",
    "to_anndata",
]


def names() -> list[str]:
    """List the data sets that `load` knows by name.

    Returns
    -------
    list[str]
        Their names, in alphabetical order.
    """
    return list(DATASETS)


def descriptions() -> dict[str, str]:
    """Describe each named data set in a line.

    Returns
    -------
    dict[str, str]
        The descriptions, by name.
    """
    return {name: (module.__doc__ or "").splitlines()[0] for name, module in DATASETS.items()}


def load(
    name_or_path: str | Path,
    *,
    data_dir: str | Path | None = None,
    binarize: Binarize = "none",
    n_val: int | None = None,
    seed: int = 0,
    image_size: tuple[int, int] | None = None,
    subset: int | None = None,
    standardize: Standardize = "auto",
    kinds: Kinds | None = None,
    label_column: str | None = None,
    transform: AnyTransform | None = None,
    batch_column: str | None = None,
    batch_names: Sequence[BatchName] | None = None,
    class_names: Sequence[ClassName] | None = None,
) -> Dataset:
    """Load a data set by name, or from a folder of images or a file of arrays or of a table.

    Arrays are in .npy or .npz files, tables in .csv, .tsv or .parquet files with the names of the
    columns in the first line (``pip install 'mixvae[tables]'``).

    A folder with .parquet files is one table, of which some rows are read at a time (`Rows`); they
    are copied once to a temporary file.

    A split that the source has is kept as it is. Without one, a fifth of the images is held out
    for test, and ``n_val`` for validation.

    Parameters
    ----------
    name_or_path
        One of `names`, or a path. A name goes before a path: write ``./mnist`` for a folder of
        that name. `image_folder.read` describes the layout of folders, ``arrays.KEYS`` the names
        of arrays.
    data_dir
        The folder of a named set's files, which are downloaded if missing; by default that of the
        environment variable MIXVAE_DATA, else the user's cache.
    binarize
        Whether and how pixels become 0 or 1: see `Dataset`.
    n_val
        The number of images held out of the training images for validation; by default a tenth,
        at most 5,000.
    seed
        The seed of the splits and of sampled pixels, 0 to 2**64 - 1.
    image_size
        Height and width in pixels that a folder's images are resized to.
    subset
        For quick trials, the number of training images to keep: see `Dataset.subset`.
    standardize
        Whether a table is standardised by its training rows: see `from_arrays`.
    kinds
        The likelihoods of a table's columns: see `from_arrays`.
    label_column
        The column of a table's file that is the class. Classes, of any type, are numbered in sorted
        order.
    transform
        That of a trained model, for new data of a user's own; by default the training data decide,
        as in `from_arrays`. A named set has its own.
    batch_column
        The column of a table's file that names the technical batch of each row.
    batch_names, class_names
        Those of a trained model, for new data: see `from_arrays`.

    Returns
    -------
    Dataset
        With training, validation and test split.

    Raises
    ------
    MixvaeError
        Where the data are unknown, missing, damaged or out of range, or an option does not fit.

    Examples
    --------
    >>> import mixvae
    >>> mixvae.data.load("digits", subset=500)
    Dataset('digits', x of shape (1, 8, 8), train 500, val 100, test 359)
    """
    name, parts = read_source(
        name_or_path,
        data_dir=data_dir,
        binarize=binarize,
        n_val=n_val,
        seed=seed,
        image_size=image_size,
        standardize=standardize,
        kinds=kinds,
        label_column=label_column,
        transform=transform,
        batch_column=batch_column,
        batch_names=batch_names,
        class_names=class_names,
    )
    data = assemble(name, parts, binarize=binarize, n_val=n_val, seed=seed)
    return data if subset is None else data.subset(subset)


def all_of(parts: SourceSplits, *, binarize: Binarize = "none", seed: int = 0) -> Split:
    """All examples of a source, in its own order.

    A source's own training, validation and test images follow each other, and ``index`` counts
    through all of them.

    Parameters
    ----------
    parts : SourceSplits
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
    if any(isinstance(split.x, Rows) for split in own):
        raise MixvaeError(
            "a folder of Parquet files is for training and evaluation; give one file of it."
        )
    x = torch.cat([split.x for split in own])
    ys = [split.y for split in own if split.y is not None]
    weights = [torch.ones(len(s)) if s.weight is None else s.weight for s in own]
    if binarize == "threshold":
        x = (x > 0.5).float()
    elif binarize == "dynamic":
        x = draw_rows(x, seed)
    y = torch.cat(ys) if len(ys) == len(own) else None
    places = [split.index for split in own if split.index is not None]
    weight = torch.cat(weights) if any(s.weight is not None for s in own) else None
    batches = [split.batch_label for split in own if split.batch_label is not None]
    label = torch.cat(batches) if len(batches) == len(own) else None
    in_order = Split(x, y, weight=weight, batch_label=label)
    if len(places) == len(own):  # the source's rows were mixed
        in_order = in_order.take(torch.cat(places).argsort())
    return replace(in_order, index=torch.arange(len(x)))


def read_source(
    name_or_path: str | Path,
    *,
    data_dir: str | Path | None = None,
    binarize: Binarize = "none",
    n_val: int | None = None,
    seed: int = 0,
    image_size: tuple[int, int] | None = None,
    standardize: Standardize = "auto",
    kinds: Kinds | None = None,
    label_column: str | None = None,
    transform: AnyTransform | None = None,
    batch_column: str | None = None,
    batch_names: Sequence[BatchName] | None = None,
    class_names: Sequence[ClassName] | None = None,
) -> tuple[str, SourceSplits]:
    """The name and the content of what :func:`load` takes, before splits are held out.

    Parameters
    ----------
    name_or_path, data_dir
        As in :func:`load`.
    binarize
        As in :func:`load`; only checked here, before what may be a long download.
    n_val, seed
        As in :func:`load`: a table is standardised by the rows that will not be held out.
    image_size, standardize, kinds, label_column, transform
        As in :func:`load`.
    batch_column, batch_names, class_names
        As in :func:`load`.

    Returns
    -------
    name : str
        The data set's name, or the file's or folder's.
    parts : SourceSplits
        The splits that the source has.

    Raises
    ------
    MixvaeError
        As :func:`load`.
    """
    is_a((str, Path), "a data set's name, or a path", name_or_path=name_or_path)
    name, path = str(name_or_path), Path(name_or_path).expanduser()
    check_binarize(binarize)
    seeds(seed=seed)
    if image_size is not None and (name in DATASETS or path.is_file()):
        raise MixvaeError(f"image_size resizes folders of images, not {name}; leave it out.")
    is_folder = row_sources.is_folder(path) and name not in DATASETS
    is_table = is_folder or (path.is_file() and table_file.is_table(path))
    if label_column is not None and not is_table and (name in DATASETS or path.exists()):
        raise MixvaeError(f"label_column is of tables ({_TABLES}), not of {name}; leave it out.")
    is_one = is_table and not is_folder
    if batch_column is not None and not is_one and (name in DATASETS or path.exists()):
        raise MixvaeError(f"batch_column is of one table ({_TABLES}), not of {name}; leave it out.")
    if kinds is not None and (name in DATASETS or path.is_dir()) and not is_folder:
        raise MixvaeError(f"kinds are of the columns of tables, not of {name}; leave them out.")
    if standardize is True and (name in DATASETS or path.is_dir()) and not is_folder:
        raise MixvaeError(f"standardize=True is for tables, not for {name}; leave it out.")
    if name in DATASETS:
        return name, DATASETS[name].read(data_home(data_dir))
    options = transform, standardize, HoldOut(n_val, seed=seed), kinds
    if is_folder:
        rows, labels = row_sources.parquet_folder(path, label_column)
        given = {"x": rows, "y": labels}
        return path.resolve().name, row_sources.splits_of(given, str(path), *options)
    if path.is_dir():
        if isinstance(transform, Standardization):
            raise MixvaeError(f"{path}: expected a table, as in training, got a folder of images.")
        return path.resolve().name, image_folder.read(path, image_size, transform)
    if path.is_file() and path.suffix in (".npy", ".npz"):
        return path.resolve().name, arrays.read(path, *options)
    if is_table:
        return path.resolve().name, arrays.read_table(
            path, label_column, *options, batch_column, batch_names, class_names
        )
    if path.is_file():
        raise MixvaeError(
            f"{path}: expected a folder of images, a .npy or .npz file, or a table ({_TABLES})."
        )
    if path.suffix or path.name != str(path):
        raise MixvaeError(f"{path}: no such file or folder; it was looked for in {Path.cwd()}.")
    raise unknown("data set", name, DATASETS)
