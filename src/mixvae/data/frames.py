"""Tables of pandas, Polars and PyArrow, read by their methods, so that no library is imported."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from mixvae.errors import MixvaeError

from .columns import listed

# What a column cannot hold, by how the name of its type begins, and what to do.
_REFUSED = {
    "sparse": ("sparse values", "make them dense: x.sparse.to_dense()."),
    "categor|dictionary|enum": (
        "categories",
        "give their codes, such as x[column].cat.codes, or a column of 0 and 1 for each category; "
        "or take them as categories for the recipe mfa-vae: kinds='auto' (--kinds auto).",
    ),
    "date|time|duration|period": ("dates or times", "give numbers, as the days since the first."),
    "complex": ("complex numbers", "give real numbers, as the real and the imaginary parts."),
    "str(?!uct)|large_str|utf8|object|binary": (
        "text or objects",
        "leave them out, or make them numbers: x.astype(float), or codes of what they name; or "
        "take them as categories for the recipe mfa-vae: kinds='auto' (--kinds auto).",
    ),
}
_NUMBERS = "bool|u?int|float|half|double|null"


def is_frame(x: Any) -> bool:
    """Whether x is a table with columns of different types."""
    own = ("iloc", "get_columns", "column_names")  # of pandas, Polars, PyArrow
    return any(hasattr(x, name) for name in own) and hasattr(x, "columns")


def columns_of(x: Any) -> tuple[str, ...] | None:
    """The names of the columns of a table; None where it has none, or not all are of type str."""
    names = getattr(x, "column_names", getattr(x, "columns", None))
    names = () if names is None else tuple(names)
    return tuple(map(str, names)) if names and all(isinstance(n, str) for n in names) else None


def read_frame(x: Any, where: str) -> np.ndarray:
    """The numbers in a table, shape (N, D), in the smallest type that holds those of all columns.

    Missing values are NaN. Raises `MixvaeError` with the names of the columns that hold anything
    else than numbers.
    """
    columns = series_of(x)
    if not columns or not len(x):
        return np.empty((len(x), len(columns)))
    refuse_types({name: str(type_of(column)) for name, column in columns}, where)
    arrays = [_array(column) for _, column in columns]
    refuse_types({name: str(a.dtype) for (name, _), a in zip(columns, arrays, strict=True)}, where)
    return np.column_stack(arrays)


def series_of(x: Any) -> list[tuple[str, Any]]:
    """The columns of a table, and their names as text."""
    if hasattr(x, "iloc"):  # pandas, where two columns may share a name
        return [(str(name), x.iloc[:, i]) for i, name in enumerate(x.columns)]
    if hasattr(x, "get_columns"):  # Polars
        return [(column.name, column) for column in x.get_columns()]
    return list(zip(x.column_names, x.columns, strict=True))  # PyArrow


def type_of(column: Any) -> Any:
    """The type of a column."""
    return column.dtype if hasattr(column, "dtype") else column.type


def _array(column: Any) -> np.ndarray:
    """The values of a column, float64 with NaN where some are missing."""
    if not _has_missing(column):
        return np.asarray(column)
    if hasattr(column, "isna"):  # pandas, whose NA NumPy does not know
        return np.asarray(column.to_numpy(np.float64, na_value=np.nan))
    return np.asarray(column).astype(np.float64)  # None is NaN


def _has_missing(column: Any) -> bool:
    if hasattr(column, "isna"):
        return bool(column.isna().any())
    n = column.null_count  # a property in PyArrow, a method in Polars
    return (n() if callable(n) else n) > 0


def refuse_types(types: Mapping[str, str], where: str) -> None:
    """Raise `MixvaeError` for types, by column, that do not hold numbers."""
    for pattern, (kind, advice) in _REFUSED.items():
        if wrong := [name for name, type in types.items() if re.match(pattern, type, re.I)]:
            raise MixvaeError(f"{where}: {kind} in {_all(wrong)} cannot be used; {advice}")
    for name, type in types.items():
        if not re.match(_NUMBERS, type, re.I):
            raise MixvaeError(
                f"{where}: type {type} of column {name} cannot be used; make it floats or integers."
            )


def _all(names: list[str]) -> str:
    return f"column{'s' if len(names) > 1 else ''} {listed(names)}"
