"""Splits of data that stay where they are: memory-mapped, sparse, Datasets, folders of Parquet."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mixvae.data.choice import Standardize, check_standardize, is_unit_type
from mixvae.data.columns import check_columns
from mixvae.data.conversion import class_numbers, make_split
from mixvae.data.counts import counts_of
from mixvae.data.dataset import Split
from mixvae.data.frames import read_frame
from mixvae.data.mixed_columns import MixedColumns
from mixvae.data.numbers import to_numpy
from mixvae.data.raw_columns import Kinds
from mixvae.data.row_weights import row_weights
from mixvae.data.rows import Rows
from mixvae.data.sources import CHUNK, ArraySource, Source, source_of, spooled
from mixvae.data.splits import HoldOut, SourceSplits
from mixvae.data.standardization import Standardization
from mixvae.data.survey import Survey, survey
from mixvae.data.transform import AS_STORED, BYTES
from mixvae.data.transform_record import AnyTransform
from mixvae.errors import MixvaeError


def splits_of(
    given: Mapping[str, Any],
    where: str,
    transform: AnyTransform | None,
    standardize: Standardize,
    held_out: HoldOut,
    kinds: Kinds | None = None,
) -> SourceSplits:
    """The splits among x, y, weight, x_val and so on, where x is a `Source`.

    One pass over x finds the statistics by which it is standardised, or checks that it holds
    counts. Others may be sources or arrays.
    """
    check_standardize(standardize)
    source, at = given["x"], f"{where}, train"
    counts = None if kinds is None else counts_of(kinds, where)
    y = None if given.get("y") is None else class_numbers(given["y"], len(source), at)
    weight = row_weights(given.get("weight"), len(source), at)
    own = [part for part in ("val", "test") if given.get(f"x_{part}") is not None]
    train = held_out.rows(where, y, len(source), own)["train"].sort().values.numpy()
    weights = None if weight is None else weight.double().numpy()
    found = survey(source, train, where=at, weight=weights, counts=counts)
    if transform is None and counts is not None:
        transform = MixedColumns.of_counts(found, counts, source.columns, where=at)
    elif transform is None:
        transform = transform_of(source, found, standardize, train, at)
    check(source, found, transform, at)
    splits: dict[str, Any] = {"train": Split(Rows(source, transform), y, weight=weight)}
    for part in own:
        values = [given.get(f"{name}_{part}") for name in ("x", "y", "weight")]
        splits[part] = _split(values, transform, f"{where}, {part}")
    return SourceSplits(**splits, transform=transform)


def transform_of(
    source: Source, found: Survey, standardize: Standardize, train: np.ndarray, where: str
) -> AnyTransform:
    """The transform of a source by its statistics, as of arrays."""
    outside = not is_unit_type(source.dtype) and not 0 <= found.least <= found.greatest <= 1
    if standardize is True or (standardize == "auto" and outside):
        return Standardization.of_survey(source, found, train, where=where)
    is_bytes = source.dtype == np.uint8 and found.greatest > 1
    return replace(BYTES if is_bytes else AS_STORED, columns=source.columns)


def check(source: Source, found: Survey, transform: AnyTransform, where: str) -> None:
    """Refuse other columns than the transform's, and values that it does not bring to [0, 1]."""
    check_columns(transform.columns, source.columns, where)
    if isinstance(transform, Standardization):
        return
    scale = transform.scale if source.dtype.kind in "ui" else 1.0
    if found.least < 0 or found.greatest > scale:
        raise MixvaeError(
            f"{where}: values must lie in [0, {scale:g}], but go from {found.least:g} to "
            f"{found.greatest:g}; scale them, or train with standardize=True."
        )


def _split(values: list[Any], transform: AnyTransform, where: str) -> Split:
    """A split of a source, or of an array in memory."""
    x, y, weight = values
    source = source_of(x, where)
    if source is None:
        return make_split(x, y, where=where, transform=transform, weight=weight)
    counts = transform.counts if isinstance(transform, MixedColumns) else None
    found = survey(source, np.arange(len(source)), where=where, counts=counts)
    check(source, found, transform, where)
    y = None if y is None else class_numbers(y, len(source), where)
    return Split(Rows(source, transform), y, weight=row_weights(weight, len(source), where))


def is_folder(path: Path) -> bool:
    """Whether a path is a folder with Parquet files in it."""
    return path.is_dir() and next(path.glob("*.parquet"), None) is not None


def parquet_folder(path: Path, label_column: str | None = None) -> tuple[Source, Any]:
    """The rows of all .parquet files in a folder, in the order of their names, and class numbers.

    They are copied once, some rows at a time, to a temporary file that can be memory-mapped.
    Classes, of any type, are numbered in sorted order from 0.
    """
    labels: list[np.ndarray] = []
    names: list[str] = []

    def parts() -> Iterator[np.ndarray]:
        for table, file in _tables(sorted(path.glob("*.parquet"))):
            if label_column is not None:
                if label_column not in table.column_names:
                    raise MixvaeError(f"{file}: no column {label_column!r} of labels.")
                labels.append(np.asarray(table.column(label_column).to_pandas()))
                table = table.drop_columns([label_column])
            if not names:
                names.extend(table.column_names)
            check_columns(tuple(names), tuple(table.column_names), str(file))
            yield to_numpy(read_frame(table, str(file)), str(file))

    source = ArraySource(spooled(parts(), str(path)), tuple(names))
    y = np.unique(np.concatenate(labels), return_inverse=True)[1] if labels else None
    return source, y


def _tables(files: list[Path]) -> Iterator[tuple[Any, Path]]:
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet as parquet  # type: ignore[import-untyped]
    except ImportError as error:
        raise MixvaeError(
            f"{files[0]}: Parquet is read by pyarrow ({error}): pip install 'mixvae[tables]'."
        ) from error
    for file in files:
        try:
            opened = parquet.ParquetFile(file)
            n = max(1, CHUNK // max(1, opened.metadata.num_columns))
            for batch in opened.iter_batches(batch_size=n):
                yield pyarrow.Table.from_batches([batch]), file
        except (pyarrow.ArrowException, OSError) as error:
            raise MixvaeError(
                f"{file}: expected a Parquet file, but it cannot be read: "
                f"{' '.join(str(error).split())}."
            ) from error
