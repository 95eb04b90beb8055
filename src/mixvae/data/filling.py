"""Tables with values in place of those that are missing."""

from typing import Any

import numpy as np
from jaxtyping import Bool

from .frames import is_frame, series_of
from .numbers import to_numpy
from .raw_columns import raw_columns


def filled(X: Any, values: np.ndarray) -> Any:
    """A table with values where its own are missing, of its own kind and types.

    Parameters
    ----------
    X
        A frame of pandas, Polars or PyArrow, or an array, (N, D).
    values
        Values of the whole table, (N, D), which is of objects where a column has categories; or
        m such tables, (m, N, D).

    Returns
    -------
    frame or ndarray
        The table, which has the column names, index and types of a frame; values become whole
        numbers where a column's type is. Of m tables a list of frames, or an array (m, N, D).
    """
    if not is_frame(X):
        array = X if getattr(X, "dtype", None) == np.dtype(object) else to_numpy(X, "X")
        missing = _missing(array) if array.dtype == object else np.isnan(array)
        return np.where(missing, values, array)
    missing = _missing(X)
    if values.ndim == 3:
        return [_frame(X, missing, own) for own in values]
    return _frame(X, missing, values)


def _missing(X: Any) -> Bool[np.ndarray, "N D"]:
    return np.column_stack([column.missing for column in raw_columns(X, "X")])


def _frame(X: Any, missing: np.ndarray, values: np.ndarray) -> Any:
    if hasattr(X, "iloc"):
        found = X.copy()
        for i in np.flatnonzero(missing.any(0)).tolist():
            column, own = X.iloc[:, i].copy(), missing[:, i]
            column[own] = _of_type(values[own, i], str(column.dtype))
            found.isetitem(i, column)
        return found
    columns = dict[str, list[Any]]()
    for i, (name, column) in enumerate(series_of(X)):
        own, type_name = missing[:, i], str(getattr(column, "dtype", getattr(column, "type", "")))
        filling = dict(
            zip(np.flatnonzero(own).tolist(), _of_type(values[own, i], type_name), strict=True)
        )
        plain = column.to_list() if hasattr(column, "to_list") else column.to_pylist()
        columns[name] = [filling.get(j, value) for j, value in enumerate(plain)]
    if hasattr(X, "get_columns"):  # Polars
        return type(X)(columns, schema=X.schema)
    return type(X).from_pydict(columns, schema=X.schema)


def _of_type(values: np.ndarray, type_name: str) -> list[Any]:
    """Values as those of a column of this type."""
    name = type_name.lower()
    if name.startswith(("int", "uint")):
        return [round(float(v)) for v in values]
    if name.startswith("bool"):
        return [bool(v) for v in values]
    if name.startswith("float32"):
        return np.asarray(values, np.float32).tolist()
    return values.tolist()
