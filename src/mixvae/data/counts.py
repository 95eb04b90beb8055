"""Tables whose columns are all counts of one likelihood, in memory or not."""

from typing import Any

import numpy as np

from mixvae.errors import MixvaeError
from mixvae.likelihoods.columns import COUNTS

from .columns import named
from .raw_columns import Kinds


def are_counts(kinds: Any) -> bool:
    """Whether the likelihoods of a table's columns are one of counts, for all of them."""
    return isinstance(kinds, str) and kinds in COUNTS


def counts_of(kinds: Kinds, where: str) -> str:
    """The likelihood of counts of rows that are read when they are needed.

    Raises `MixvaeError` for likelihoods of single columns, and of categories.
    """
    if are_counts(kinds):
        return str(kinds)
    raise MixvaeError(
        f"{where}: of rows that are read when they are needed, all columns have one likelihood: "
        f"one of {', '.join(COUNTS)}, or none for real values. For others give an array or a frame."
    )


def check_counts(array: np.ndarray, columns: tuple[str, ...] | None, kind: str, where: str) -> None:
    """Raise `MixvaeError` unless the values of a table (N, D) are whole and not negative."""
    right = array >= 0  # written so that a NaN is refused
    if array.dtype.kind == "f":
        right &= np.isfinite(array) & (array == np.floor(array))
    if right.all():
        return
    wrong = np.flatnonzero(~right.all(0))
    row, column = (int(i) for i in np.argwhere(~right)[0])
    raise MixvaeError(
        f"{where}: likelihood {kind} needs whole numbers from 0, and {int((~right).sum())} of "
        f"{right.size} values are not, in {named(columns, wrong)}, such as {array[row, column]:g}. "
        "Repair or round them, or use a likelihood of real values, such as normal."
    )
