"""Tables in .csv, .tsv and .parquet files, read by pandas."""

import re
import warnings
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from mixvae.data.columns import listed
from mixvae.errors import MixvaeError, MixvaeWarning

# A number as a name; of equal ones pandas names the second 0.2.1.
_NUMBER = re.compile(r"[+-]?\d*\.?\d+(e[+-]?\d+)?(\.\d+)?", re.IGNORECASE)
_SEPARATORS = {".csv": ",", ".tsv": "\t"}


def is_table(path: Path) -> bool:
    """Whether a file's name is that of a table: .csv and .tsv, also .gz, and .parquet."""
    return path.suffix == ".parquet" or _kind(path) in _SEPARATORS


def read(
    path: Path, label_column: str | None = None, batch_column: str | None = None
) -> tuple[Any, np.ndarray | None, Any]:
    """The columns of a table, the classes in ``label_column`` and the names in ``batch_column``.

    Raises `MixvaeError` where pandas is missing, for a damaged file, and for a column that is not
    there or of labels that are missing.
    """
    frame, batch = _read(path), None
    _check_names(path, [str(name) for name in frame.columns])
    if batch_column is not None:
        if batch_column == label_column:
            raise MixvaeError(f"{path}: {batch_column!r} cannot be both labels and batches.")
        batch = _column(frame, path, batch_column, "batch", "batches")
        frame = frame.drop(columns=batch_column)
    if label_column is None:
        return frame, None, batch
    labels = _column(frame, path, label_column, "label", "labels")
    if labels.isna().any():
        raise MixvaeError(
            f"{path}: {int(labels.isna().sum())} of {len(labels)} labels in the column "
            f"{label_column} are missing; drop those rows, or give them a class of their own."
        )
    return frame.drop(columns=label_column), np.asarray(labels), batch


def _column(frame: Any, path: Path, column: str, option: str, what: str) -> Any:
    """A column that an option names."""
    if column not in frame.columns:
        known = [str(name) for name in frame.columns]
        near = get_close_matches(column, known, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise MixvaeError(
            f"{path}: no column {column!r} of {what}.{hint} Its columns: {listed(known)}. "
            f"Leave {option}_column out (--{option}-column null) where there are no {what}."
        )
    return frame[column]


def _check_names(path: Path, names: list[str]) -> None:
    """Warn of a first line of numbers, which may be data: it is read as the names of columns."""
    counted = all(name == str(i) for i, name in enumerate(names))
    if names and not counted and all(map(_NUMBER.fullmatch, names)):
        warnings.warn(
            f"{path}: the first line is read as the names of columns, and holds numbers "
            f"({listed(names)}). If it is a row of data, put a line of names before it.",
            MixvaeWarning,
            stacklevel=2,
        )


def _kind(path: Path) -> str:
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix


def _read(path: Path) -> Any:
    try:
        import pandas

        if path.suffix == ".parquet":
            return pandas.read_parquet(path, engine="pyarrow")
        more_fields_than_names = pandas.errors.ParserWarning
        with warnings.catch_warnings(action="error", category=more_fields_than_names):
            return pandas.read_csv(
                path, sep=_SEPARATORS[_kind(path)], index_col=False, low_memory=False
            )
    except ImportError as error:
        raise MixvaeError(
            f"{path}: tables are read by pandas and pyarrow ({error}): "
            "pip install 'mixvae[tables]'."
        ) from error
    except Exception as error:  # a damaged file can raise almost any
        raise MixvaeError(
            f"{path}: expected a table with the names of its columns in the first line, but it "
            f"cannot be read: {' '.join(str(error).split())}."
        ) from error
