"""The columns of a table as it is given: numbers, truth values, or categories, by their types."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool

from mixvae.errors import MixvaeError, shown, unknown
from mixvae.likelihoods.columns import KINDS, OF_CATEGORIES

from .columns import listed
from .frames import is_frame, refuse_types, series_of, type_of
from .numbers import to_numpy

Kinds = str | Mapping[Any, str]  # "auto", the name of a likelihood, or names by column
_CATEGORIES = "categor|dictionary|enum|str(?!uct)|large_str|utf8|object"
FEW = 10  # categories that any column may have, whatever the number of rows


@dataclass(frozen=True, eq=False)
class RawColumn:
    """One column: its values, and what its type says of it.

    Attributes
    ----------
    name
        As messages call it.
    values
        N numbers, truth values, or objects: categories in types that JSON has. What they hold where
        they are missing has no meaning.
    missing
        Which of them are missing.
    kind
        The likelihood that its type suggests.
    declared
        The categories that its type declares, in order; None where it declares none.
    """

    name: str
    values: np.ndarray
    missing: Bool[np.ndarray, " N"]
    kind: str
    declared: list[Any] | None = None

    @property
    def is_text(self) -> bool:
        """Whether some values are neither numbers nor truth values."""
        return self.values.dtype == object

    @property
    def found(self) -> list[Any]:
        """The values that occur, numbers before text, each in order."""
        observed = self.values[~self.missing]
        if not self.is_text:
            return list(np.unique(observed).tolist())
        return sorted(set(observed.tolist()), key=lambda v: (isinstance(v, str), v))


def is_categorical(type_name: str) -> bool:
    """Whether a column's type, by its name, is one of categories or text.

    Parameters
    ----------
    type_name
        As the library of the frame writes it.
    """
    return re.match(_CATEGORIES, type_name, re.I) is not None


def raw_columns(x: Any, where: str) -> list[RawColumn]:
    """Read the columns of a frame, or of an array of numbers or objects (N, D).

    Parameters
    ----------
    x
        The table.
    where
        Its name in messages.

    Returns
    -------
    list of RawColumn
        D of them.

    Raises
    ------
    MixvaeError
        For another shape, and types that no likelihood is for.
    """
    if is_frame(x):
        return [_of_series(name, column, where) for name, column in series_of(x)]
    array = x if getattr(x, "dtype", None) == np.dtype(object) else to_numpy(x, where)
    if array.ndim != 2 or not array.size:
        raise MixvaeError(f"{where}: expected a table (N, D), got shape {array.shape}.")
    return [_of_values(str(i), column, where) for i, column in enumerate(array.T)]


def _of_series(name: str, column: Any, where: str) -> RawColumn:
    dtype = type_of(column)
    text, values = str(dtype), _array_of(column)
    if not is_categorical(text):
        refuse_types({name: text}, where)
    found = _of_values(name, values, where)
    declared = getattr(dtype, "categories", None)
    if declared is None or not hasattr(declared, "__len__"):
        numbers = is_categorical(text) and "object" not in text and found.kind == "normal"
        return replace(found, kind="categorical") if numbers else found
    kind = "ordinal" if getattr(dtype, "ordered", False) else "categorical"
    own = [_plain(v, name, where) for v in declared]
    return replace(found, kind=kind, declared=own)


def _array_of(column: Any) -> np.ndarray:
    if hasattr(column, "to_pylist") and column.null_count:  # np.asarray fills Arrow's categories
        found = np.empty(len(column), dtype=object)
        found[:] = column.to_pylist()
        return found
    return np.asarray(column)


def _of_values(name: str, column: np.ndarray, where: str) -> RawColumn:
    if column.dtype.kind in "OSU":
        given = column.tolist()
        missing = np.array([_is_missing(value) for value in given], dtype=bool)
        column = _narrowed(name, given, missing, where)
    else:
        missing = column != column  # NaN
    kind = {"b": "bernoulli", "O": "categorical"}.get(column.dtype.kind, "normal")
    return RawColumn(name, column, missing, kind)


def _is_missing(value: Any) -> bool:
    """Whether it is None, NaN, NaT or pandas' NA."""
    return value is None or str(value) == "<NA>" or bool(value != value)


def _narrowed(name: str, values: list[Any], missing: np.ndarray, where: str) -> np.ndarray:
    """Objects as an array of truth values, of numbers, or of categories; 0 where missing."""
    observed = [_plain(v, name, where) for v, m in zip(values, missing, strict=True) if not m]
    types = {type(value) for value in observed}
    is_number = types <= {int, float}
    is_plain = is_number or types <= {bool}
    found = np.zeros(len(values), dtype=np.array(observed).dtype if is_plain else object)
    found[~missing] = observed
    return found


def _plain(value: Any, name: str, where: str) -> Any:
    """A value in one of the types that JSON has."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool | int | float | str):
        return value
    raise MixvaeError(
        f"{where}: column {name} holds {shown(value)} of type {type(value).__name__}; make its "
        "values numbers, truth values or text."
    )


def kinds_by_name(raw: list[RawColumn], asked: Kinds, where: str) -> dict[str, str]:
    """The likelihoods that were asked for, by the names of columns.

    Raises `MixvaeError` for unknown likelihoods and columns.
    """
    if isinstance(asked, str):
        by_name = {} if asked == "auto" else dict.fromkeys((c.name for c in raw), asked)
    else:
        by_name = {str(name): kind for name, kind in asked.items()}
    names = [column.name for column in raw]
    for name, kind in by_name.items():
        if kind not in KINDS:
            raise unknown(f"likelihood of column {name}", str(kind), KINDS)
        if name not in names:
            raise MixvaeError(f"{where}: no column {name!r}. Its columns: {listed(names)}.")
    return by_name


def categories_of(raw: RawColumn, kind: str, where: str, *, asked: bool) -> tuple[Any, ...]:
    """The categories of a column in the order of their codes; () for a column of numbers.

    Raises `MixvaeError` for text where numbers are needed, text that has no order, and nearly as
    many categories as rows in a column whose likelihood was not ``asked`` for.
    """
    is_bool = raw.values.dtype == bool
    if not raw.is_text and not (is_bool and kind == "bernoulli") and kind not in OF_CATEGORIES:
        return ()
    if kind not in (*OF_CATEGORIES, "bernoulli"):
        raise MixvaeError(
            f"{where}: column {raw.name} holds text, such as {shown(raw.found[-1])}, and its "
            f"likelihood {kind} needs numbers; make it numbers, or its likelihood categorical."
        )
    found = [False, True] if is_bool else raw.declared or raw.found
    if kind == "ordinal" and raw.is_text and raw.declared is None:
        raise MixvaeError(
            f"{where}: the categories of column {raw.name} are text, of which no order is known; "
            "give it a type with an order, as pandas.Categorical(x, categories, ordered=True)."
        )
    if kind == "bernoulli" and len(found) > 2:
        raise MixvaeError(
            f"{where}: likelihood bernoulli is for two categories, and column {raw.name} has "
            f"{len(found)}; take categorical."
        )
    if not asked and len(found) > max(FEW, (~raw.missing).sum() / 2):
        raise MixvaeError(
            f"{where}: column {raw.name} has {len(found)} categories in {len(raw.values)} rows, as "
            "names or numbers of rows have; leave it out, or ask for it as categorical by name."
        )
    return tuple(found)
