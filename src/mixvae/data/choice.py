"""The choice whether a table is standardised, and the training rows that decide how."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Int64

from mixvae.errors import MixvaeError, shown

from .columns import check_finite, check_observed
from .conversion import class_numbers
from .frames import columns_of
from .mixed_columns import MixedColumns
from .numbers import to_numpy
from .raw_columns import Kinds
from .row_weights import row_weights
from .splits import HoldOut
from .standardization import Standardization

Standardize = bool | Literal["auto"]


def needs_standardization(x: Any, standardize: Standardize, *, where: str) -> bool:
    """Whether the training data are a table that is to be standardised.

    Parameters
    ----------
    x
        The training data, of any shape.
    standardize
        ``"auto"``: where x is a table (N, D) of floats or of integers other than uint8, some of
        them outside [0, 1]. True: any table. False: none.
    where
        The name of the data in errors.

    Returns
    -------
    bool
        Whether they are.

    Raises
    ------
    MixvaeError
        For True and images, and for a table with infinite values or rows without any.
    """
    check_standardize(standardize)
    array = to_numpy(x, where)
    if array.ndim != 2 and standardize is True:
        raise MixvaeError(
            f"{where}: only tables (N, D) can be standardised, got shape {array.shape}; leave "
            "standardize out."
        )
    if array.ndim != 2 or array.size == 0 or standardize is False:
        return False
    check_finite(array, columns_of(x), where, missing=True)
    check_observed(array, where)
    outside = not is_unit_type(array.dtype) and bool((array < 0).any() or (array > 1).any())
    return standardize is True or outside


def check_standardize(standardize: Standardize) -> None:
    """Raise `MixvaeError` for anything but True, False and "auto"."""
    if standardize not in (True, False, "auto"):
        raise MixvaeError(f"standardize must be True, False or 'auto'; got {shown(standardize)}.")


def is_unit_type(dtype: np.dtype[Any]) -> bool:
    """Whether values of a type, bool and uint8, are brought to [0, 1] by a rule of their own."""
    return dtype.kind == "b" or dtype == np.uint8


def standardization_of(given: Mapping[str, Any], where: str, held_out: HoldOut) -> Standardization:
    """The standardisation by those rows of x that are not held out.

    Parameters
    ----------
    given
        x and, where they are given, y, weight, x_val and x_test.
    where
        The name of the data in messages.
    held_out
        What is held out where there is no x_val or no x_test.

    Returns
    -------
    Standardization
        For all splits.
    """
    at = f"{where}, train"
    x = to_numpy(given["x"], at)
    rows = _training_rows(given, where, held_out, len(x))
    weight = row_weights(given.get("weight"), len(x), at)
    own_weight = None if weight is None else weight.double().numpy()[rows]
    return Standardization.of(x[rows], columns_of(given["x"]), where=at, weight=own_weight)


def mixed_columns_of(
    given: Mapping[str, Any], where: str, held_out: HoldOut, kinds: Kinds
) -> MixedColumns:
    """The conversion of a table of several kinds of columns, as :func:`standardization_of`.

    Parameters
    ----------
    given, where, held_out
        As there.
    kinds
        As of :meth:`MixedColumns.of`.

    Returns
    -------
    MixedColumns
        For all splits.
    """
    n, at = len(given["x"]), f"{where}, train"
    rows = _training_rows(given, where, held_out, n)
    weight = row_weights(given.get("weight"), n, at)
    own_weight = None if weight is None else weight.double().numpy()[rows]
    return MixedColumns.of(given["x"], rows, kinds, where=at, weight=own_weight)


def _training_rows(
    given: Mapping[str, Any], where: str, held_out: HoldOut, n: int
) -> Int64[np.ndarray, " M"]:
    """The rows of x that are not held out."""
    y = given.get("y")
    labels = None if y is None else class_numbers(y, n, f"{where}, train")
    own = [part for part in ("val", "test") if given.get(f"x_{part}") is not None]
    rows: Any = held_out.rows(where, labels, n, own)["train"].sort().values
    return np.asarray(rows)
