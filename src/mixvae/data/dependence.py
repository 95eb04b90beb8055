"""Columns by which the density of a table of real values has no upper limit."""

from typing import Any

import numpy as np

TOLERANCE = 1e-6  # of a column's standard deviation: values are float32, of seven digits
MOST_COLUMNS = 2000  # of more, the decomposition takes minutes
MOST_VALUES, LEAST_ROWS = 20, 50  # of a discrete column, and rows for each value
_BLOCK = 4096  # rows at once


def dependent_columns(x: np.ndarray) -> np.ndarray:
    """The columns that are linear combinations of the others, by QR with column pivoting.

    Of columns that depend on each other, as two copies of one, all but as many as are independent
    are given. A column counts as dependent where the others predict it with a root mean squared
    error of at most 1e-6 of its standard deviation. Where there are not more rows than columns,
    the columns of any table depend on each other, and none is given; nor is one of more than 2,000
    columns, for which it would take long.

    Parameters
    ----------
    x
        float64, shape (N, D): standardised columns.

    Returns
    -------
    numpy.ndarray
        Indices of columns, in ascending order.

    References
    ----------
    P. Businger and G. H. Golub, "Linear least squares solutions by Householder transformations",
    Numerische Mathematik 7, 1965.

    Examples
    --------
    >>> import numpy as np
    >>> a, b = np.array([[-1.0, 1.0, -1.0, 1.0], [-1.0, -1.0, 1.0, 1.0]])
    >>> dependent_columns(np.column_stack([a, b, -a])).size
    1
    """
    from scipy.linalg import qr

    n, d = x.shape
    if n <= d or d > MOST_COLUMNS:
        return np.empty(0, int)
    r = np.empty((0, d))  # x = QR; pivoting needs no more than R, which is found block by block
    for start in range(0, n, _BLOCK):
        r = np.asarray(np.linalg.qr(np.concatenate([r, x[start : start + _BLOCK]]), mode="r"))
    found: Any = qr(r, mode="r", pivoting=True)
    triangle, order = found
    return np.sort(order[np.abs(triangle.diagonal()) <= TOLERANCE * np.sqrt(n)])


def discrete_columns(x: np.ndarray) -> np.ndarray:
    """The columns of at most 20 distinct values, of which each has 50 rows or more on average.

    A density that is narrow about these values has no upper limit, and says nothing of how likely a
    row is.

    Parameters
    ----------
    x
        Shape (N, D), NaN where values are missing.

    Returns
    -------
    numpy.ndarray
        Indices of columns, in ascending order. A constant column is one of them.

    Examples
    --------
    >>> import numpy as np
    >>> discrete_columns(np.column_stack([np.arange(100.0), np.arange(100) % 2])).tolist()
    [1]
    """
    values = [column[~np.isnan(column)] for column in x.T]
    most = [min(MOST_VALUES, len(own) // LEAST_ROWS) for own in values]
    each = [
        len(np.unique(own[: 2 * MOST_VALUES])) <= n and len(np.unique(own)) <= n
        for own, n in zip(values, most, strict=True)
    ]
    return np.flatnonzero(each)
