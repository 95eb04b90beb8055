"""Statistics of the columns of a source, in one pass over its rows."""

from dataclasses import dataclass

import numpy as np

from .columns import check_finite
from .counts import check_counts
from .sources import Source


@dataclass
class Survey:
    """Statistics of a table.

    Attributes
    ----------
    mean, scale
        Mean and standard deviation of each column over training rows, (D,).
    low, high
        Least and greatest value of each column over training rows, (D,).
    n
        Number of training rows.
    least, greatest
        Least and greatest value of all rows.
    is_binary
        Whether all values of all rows are 0 or 1.
    """

    mean: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: int
    least: float
    greatest: float
    is_binary: bool

    @property
    def constant(self) -> np.ndarray:
        """Which columns have one value in the training rows, (D,)."""
        return np.asarray(self.low == self.high)


def survey(
    source: Source,
    train: np.ndarray,
    *,
    where: str,
    weight: np.ndarray | None = None,
    counts: str | None = None,
) -> Survey:
    """Statistics of a source, chunk by chunk.

    Means and squared deviations of chunks are combined (Chan, Golub & LeVeque 1983).

    Parameters
    ----------
    source
        The rows.
    train
        Numbers of the training rows.
    where
        The name of the table in messages.
    weight
        Weights of all rows of the source, (N,).
    counts
        The likelihood of counts that the values are for, if they are.

    Raises
    ------
    MixvaeError
        For missing and infinite values, and values that are no counts where they should be.
    """
    weights = np.zeros(len(source))
    weights[train] = 1 if weight is None else weight[train]
    n_columns = source.shape[1]
    total, mean, squares = 0.0, np.zeros(n_columns), np.zeros(n_columns)
    low, high = np.full(n_columns, np.inf), np.full(n_columns, -np.inf)
    least, greatest, is_binary = np.inf, -np.inf, True
    for rows, values in source.chunks():
        at = f"{where}, rows {rows[0]} to {rows[-1]}"
        check_finite(values, source.columns, at)
        if counts is not None:
            check_counts(values, source.columns, counts, at)
        least, greatest = min(least, values.min()), max(greatest, values.max())
        is_binary = is_binary and bool(((values == 0) | (values == 1)).all())
        own = weights[rows] > 0
        if not own.any():
            continue
        x, w = values[own].astype(np.float64), weights[rows][own]
        low, high = np.minimum(low, x.min(0)), np.maximum(high, x.max(0))
        with np.errstate(over="ignore", invalid="ignore"):  # refused by Standardization
            own_mean, own_total = w @ x / w.sum(), w.sum()
            difference = own_mean - mean
            total += own_total
            mean += difference * (own_total / total)
            squares += w @ np.square(x - own_mean)
            squares += np.square(difference) * (own_total * (total - own_total) / total)
    scale = np.sqrt(squares / total)
    return Survey(mean, scale, low, high, len(train), float(least), float(greatest), is_binary)
