"""Columns of a table that are linear combinations of its other columns."""

from typing import Any

import numpy as np

TOLERANCE = 1e-6  # of a column's standard deviation: values are float32, of seven digits
MOST_COLUMNS = 2000  # of more, the decomposition takes minutes
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
