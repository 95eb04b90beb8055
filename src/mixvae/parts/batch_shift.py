"""Shifts of technical batches: what a batch adds to every component's mean, column by column."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mixvae.errors import at_least


class BatchShift(nn.Module):
    """A shift of each batch and parameter of a column, in the units of the link.

    Shifts are centred, so that they add up to 0 over the batches, none of which is special.

    Parameters
    ----------
    n_batches
        Number of batches.
    n_outputs
        Number P of parameters of the columns, as of factor analysers.

    Examples
    --------
    >>> shift = BatchShift(2, 1)
    >>> shift.start_from(torch.tensor([[0.0], [3.0]]))
    >>> shift(torch.eye(2)).flatten()
    tensor([-1.5000,  1.5000], grad_fn=<ViewBackward0>)
    """

    def __init__(self, n_batches: int, n_outputs: int) -> None:
        super().__init__()
        at_least(1, n_batches=n_batches, n_outputs=n_outputs)
        self.value = nn.Parameter(torch.zeros(n_batches, n_outputs))

    @property
    def n_batches(self) -> int:
        """Number of batches."""
        return len(self.value)

    def forward(self, one_hot: Float[Tensor, "*N n_batches"]) -> Float[Tensor, "*N P"]:
        """The shifts of rows, given their batches."""
        return one_hot @ (self.value - self.value.mean(0))

    @torch.no_grad()
    def start_from(self, shift: Float[Tensor, "n_batches P"]) -> None:
        """Take these shifts, centred.

        Parameters
        ----------
        shift
            Of each batch and parameter.
        """
        self.value.copy_(shift - shift.mean(0))
