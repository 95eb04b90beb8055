"""Equally spaced grey levels k / n, found in data."""

from jaxtyping import Float
from torch import Tensor

from mixvae.distributions import on_levels

MOST = 32  # more levels are close to continuous values
FEWEST = 3  # that occur: of two, such as 0.2 and 0.7, the spacing says nothing
ROWS = 100  # looked at together; most grey images are told by the first of them


def number_of_steps(x: Float[Tensor, " N *X"]) -> int | None:
    """The smallest n from 2 to 32 such that all values are levels k / n, or None.

    None also where fewer than three levels occur, or fewer than half of the n + 1.

    Parameters
    ----------
    x
        Values in [0, 1].

    Examples
    --------
    >>> import torch
    >>> number_of_steps(torch.tensor([[0.0, 0.25], [0.5, 1.0]]))
    4
    """
    fitting = list(range(2, MOST + 1))
    for rows in x.split(ROWS):
        fitting = [n for n in fitting if bool(on_levels(rows, n).all())]
        if not fitting:
            return None
    n = fitting[0]
    return n if len(x.unique()) >= max(FEWEST, (n + 1) / 2) else None
