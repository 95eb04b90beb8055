"""Arrays and tables in memory, or in .npy and .npz files."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mixvae.data.batch_labels import BatchName, batch_numbers
from mixvae.data.choice import (
    Standardize,
    mixed_columns_of,
    needs_standardization,
    standardization_of,
)
from mixvae.data.classes import ClassName, are_text, numbered, sorted_classes
from mixvae.data.conversion import choose_transform, make_split
from mixvae.data.dataset import Binarize, Dataset
from mixvae.data.raw_columns import Kinds
from mixvae.data.sources import source_of
from mixvae.data.splits import SPLIT_OF, HoldOut, SourceSplits, assemble
from mixvae.data.transform_record import AnyTransform
from mixvae.errors import MixvaeError, seeds

from . import row_sources, table_file
from .numpy_file import NumpyFile

DEFAULT = HoldOut()

# Names of arrays in an .npz file: one of these words, a word for a split (SPLIT_OF), or both in
# either order, in any case and with any separator: X, y_train, testLabels, val. Without a word for
# a split the array belongs to train; a word for a split alone means its images.
KEYS = {
    **dict.fromkeys(("x", "image", "images", "img", "imgs", "data"), "x"),
    **dict.fromkeys(("y", "label", "labels", "target", "targets"), "y"),
}
_KEY, _SPLIT = "|".join(KEYS), "|".join(SPLIT_OF)
LABELS = ("y", "y_val", "y_test")
_NAME = re.compile(rf"({_SPLIT})?({_KEY})?|({_KEY})({_SPLIT})")


def from_arrays(
    x: Any,
    y: Any = None,
    *,
    val: Any = None,
    test: Any = None,
    name: str = "arrays",
    binarize: Binarize = "none",
    n_val: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    standardize: Standardize = "auto",
    kinds: Kinds | None = None,
    transform: AnyTransform | None = None,
    weight: Any = None,
    batch: Any = None,
    batch_names: Sequence[BatchName] | None = None,
    class_names: Sequence[ClassName] | None = None,
) -> Dataset:
    """Make a `Dataset` of arrays, tables or lists of numbers, which are copied, or of a source.

    Sources are tables that are left where they are, of which some rows are read at a time: sparse
    matrices of SciPy, memory-mapped arrays (N, D), and a Dataset or DataLoader of PyTorch.

    Arrays are NumPy's or PyTorch's, tables those of pandas, Polars or PyArrow, whose names of
    columns are kept where they are of type str.

    What is done to values is decided once, on ``x``. A table of other values than [0, 1] is
    standardised by mean and standard deviation of its training rows (`Standardization`). Else
    integers are divided by 255 where x is uint8 and not only 0 and 1; a `MixvaeWarning` says so
    where all values are then close to black.

    Parameters
    ----------
    x
        (N, D), (N, H, W), (N, H, W, C) or (N, C, H, W): floats in [0, 1], bool or uint8; or (N, D)
        of any real numbers; or a source. A Dataset has rows (D,) as items, or tuples that begin
        with one.
    y
        N classes, shape (N,) or (N, 1): integers from 0, or text, which is numbered in sorted
        order.
    val, test
        Arrays like ``x``, or tuples (x, y), (x, y, weight) or (x, y, weight, batch), which are
        these splits.
    name
        The name of the data in run folders and messages.
    binarize
        Whether and how pixels become 0 or 1: see `Dataset`.
    n_val
        Without ``val``, the number of images held out for validation; by default a tenth of what
        test leaves, at most 5,000.
    n_test
        Without ``test``, the number of images held out for test; by default a fifth.
    seed
        The seed of the splits and of sampled pixels, 0 to 2**64 - 1.
    standardize
        ``"auto"``: a table (N, D) of floats or of integers other than uint8, some of them outside
        [0, 1], is standardised. True: any table is. False: none is.
    kinds
        For a table with counts or categories: the likelihood of each column by name (in arrays by
        number), such as ``{"visits": "poisson"}``; one for all columns; or ``"auto"``. Types decide
        those not named: see `MixedColumns`. By default, all columns are real numbers or pixels.
    transform
        A trained model's ``Dataset.transform``, for data given to that model.
    weight
        How much each row of ``x`` counts, N finite numbers of at least 0: a row of weight 2 counts
        as two rows, in standardisation, start, training and figures. Weights that are all equal are
        left out.
    batch
        The name of the technical batch (donor, site) of each row of ``x``, N of text or whole
        numbers, which `mfa-vae` reads and components do not explain.
    batch_names
        A trained model's ``Dataset.batch_names``, for data given to that model; by default those of
        ``batch``, sorted.
    class_names
        A trained model's ``Dataset.class_names``, for data given to that model.

    Returns
    -------
    Dataset
        With training, validation and test split.

    Raises
    ------
    MixvaeError
        For whatever cannot be used.

    Examples
    --------
    >>> import mixvae, numpy as np
    >>> x = np.random.default_rng(0).random((100, 28, 28))
    >>> mixvae.data.from_arrays(x, name="noise")
    Dataset('noise', x of shape (1, 28, 28), train 72, val 8, test 20)
    >>> mixvae.data.from_arrays(100 * x[:, 0], name="table").transform.log_scale > 0
    True
    """
    source = source_of(x, f"{name}, train")
    given = {"x": x if source is None else source, "y": y, "weight": weight, "batch": batch}
    for part, value in (("val", val), ("test", test)):
        own = value if isinstance(value, tuple) and len(value) in (2, 3, 4) else (value,)
        roles = (f"{role}_{part}" for role in ("x", "y", "weight", "batch"))
        given |= dict(zip(roles, own, strict=False))
    seeds(seed=seed)
    if class_names is not None or any(are_text(given.get(key)) for key in LABELS):
        given, class_names = _with_classes(given, name, class_names)
    make = _splits if source is None else row_sources.splits_of
    parts = make(given, name, transform, standardize, HoldOut(n_val, n_test, seed), kinds)
    parts = replace(with_batches(parts, given, name, batch_names), class_names=class_names)
    return assemble(name, parts, binarize=binarize, n_val=n_val, n_test=n_test, seed=seed)


def _with_classes(
    given: Mapping[str, Any], where: str, names: Sequence[ClassName] | None
) -> tuple[dict[str, Any], tuple[ClassName, ...]]:
    """What was given with y, y_val and y_test as class numbers, and the names of the classes."""
    ys = {key: given[key] for key in LABELS if given.get(key) is not None}
    if names is None:
        names = sorted_classes(*ys.values(), where=where)
    numbers = {key: numbered(own, names, where) for key, own in ys.items()}
    return dict(given) | numbers, tuple(names)


def with_batches(
    parts: SourceSplits,
    given: Mapping[str, Any],
    where: str,
    names: Sequence[BatchName] | None = None,
) -> SourceSplits:
    """The splits with the batch labels among batch, batch_val and batch_test, if there are any."""
    own = {part: getattr(parts, part) for part in ("train", "val", "test")}
    for part, split in own.items():
        labels = given.get("batch" if part == "train" else f"batch_{part}")
        if split is not None and labels is not None:
            numbers, names = batch_numbers(labels, len(split), f"{where}, {part}", names)
            own[part] = replace(split, batch_label=numbers)
    return replace(parts, **own, batch_names=None if names is None else tuple(names))


def read(
    path: Path,
    transform: AnyTransform | None = None,
    standardize: Standardize = "auto",
    held_out: HoldOut = DEFAULT,
    kinds: Kinds | None = None,
) -> SourceSplits:
    """The arrays in a .npy file (x alone) or a .npz file (see ``KEYS`` for their names).

    Where ``test`` has one truth value for each row of x, it marks the test rows. ``transform``,
    ``standardize`` and ``kinds`` are as in `from_arrays`; a table is standardised by the rows that
    ``held_out`` leaves. Raises `MixvaeError` for pickled objects, which are never loaded, for
    unknown names, and for two names of the same meaning.
    """
    arrays = NumpyFile(path)
    given = {role: arrays[name] for role, name in _roles(arrays, path).items()}
    test = given.get("x_test")
    if test is None or test.dtype != bool or test.ndim != 1:
        return _splits(given, path.name, transform, standardize, held_out, kinds)
    parts = _splits(_masked(given, test, path), path.name, transform, standardize, held_out, kinds)
    train, rest = (torch.from_numpy(np.flatnonzero(mask)) for mask in (~test, test))
    assert parts.test is not None
    return replace(
        parts, train=replace(parts.train, index=train), test=replace(parts.test, index=rest)
    )


def read_table(
    path: Path,
    label_column: str | None = None,
    transform: AnyTransform | None = None,
    standardize: Standardize = "auto",
    held_out: HoldOut = DEFAULT,
    kinds: Kinds | None = None,
    batch_column: str | None = None,
    batch_names: Sequence[BatchName] | None = None,
    classes: Sequence[ClassName] | None = None,
) -> SourceSplits:
    """The rows of a .csv, .tsv or .parquet file; one column may be the class, one the batch.

    ``batch_names`` and ``classes`` are those of a trained model. The other arguments are as in
    :func:`read`. Raises `MixvaeError` where pandas is missing, and for a file or column that cannot
    be used.
    """
    x, y, batch = table_file.read(path, label_column, batch_column)
    given = {"x": x, "y": y, "batch": batch}
    if y is None:
        classes = None
    else:
        given, classes = _with_classes(given, f"{path}, column {label_column}", classes)
    parts = _splits(given, path.name, transform, standardize, held_out, kinds)
    parts = with_batches(parts, given, path.name, None if batch is None else batch_names)
    return replace(parts, class_names=classes)


def _roles(arrays: Iterable[str], path: Path) -> dict[str, str]:
    """The names of the arrays that are x, y, x_val, y_val, x_test and y_test, those that exist."""
    found, unknown = dict[str, str](), list[str]()
    for name in arrays:
        match = _NAME.fullmatch(re.sub(r"[\W_]", "", name.casefold()))
        if match is None or not any(match.groups()):
            unknown.append(name)
            continue
        split, key, key_before, split_after = match.groups()
        part = SPLIT_OF[split or split_after or "train"]
        role = KEYS[key or key_before or "x"] + ("" if part == "train" else f"_{part}")
        if role in found:
            raise MixvaeError(
                f"{path}: {found[role]} and {name} mean the same thing; keep only one."
            )
        found[role] = name
    if unknown or "x" not in found:
        x, y = (" or ".join(k for k in KEYS if KEYS[k] == key) for key in "xy")
        raise MixvaeError(
            f"{path}: expected an array named {x}, one named {y} where there are labels, and "
            "x_val, y_val, x_test, y_test where there are such splits, got "
            f"{', '.join(unknown or found.values()) or 'none'}; rename or remove what is not used: "
            "np.savez(path, x=..., y=...)."
        )
    return found


def _masked(given: Mapping[str, Any], test: np.ndarray, path: Path) -> dict[str, Any]:
    """The arrays with x and y divided into training and test rows."""
    sizes = {len(given[name]) for name in ("x", "y", "x_test") if name in given}
    if len(sizes) > 1 or "y_test" in given:
        raise MixvaeError(
            f"{path}: test as a mask of test rows must have an entry for each row of x and of y, "
            f"and no y_test beside it; got {len(given['x'])} rows and {len(test)} entries."
        )
    parts = {name: given[name][~test] for name in ("x", "y") if name in given}
    parts |= {f"{name}_test": given[name][test] for name in ("x", "y") if name in given}
    return dict(given) | parts


def _splits(
    given: Mapping[str, Any],
    where: str,
    transform: AnyTransform | None,
    standardize: Standardize,
    held_out: HoldOut,
    kinds: Kinds | None,
) -> SourceSplits:
    """The splits among x, y, x_val, y_val, x_test, y_test; those without an x are left out."""
    if transform is None and kinds is not None:
        transform = mixed_columns_of(given, where, held_out, kinds)
    elif transform is None and needs_standardization(
        given["x"], standardize, where=f"{where}, train"
    ):
        transform = standardization_of(given, where, held_out)
    transform = choose_transform(given["x"], transform, where=f"{where}, train")
    splits: dict[str, Any] = {}
    for part, ending in (("train", ""), ("val", "_val"), ("test", "_test")):
        x, y, weight = (given.get(f"{name}{ending}") for name in ("x", "y", "weight"))
        if x is not None:
            at = f"{where}, {part}"
            splits[part] = make_split(x, y, where=at, transform=transform, weight=weight)
        elif y is not None:
            raise MixvaeError(f"{where}: labels y{ending} without images x{ending}; give both.")
    return SourceSplits(**splits, transform=transform)
