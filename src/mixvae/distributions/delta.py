"""The distribution of a constant."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution


class Delta(Distribution):
    """Point mass: the distribution of a constant. It has samples and a mean, but no density.

    Parameters
    ----------
    loc
        The constant, batch (*B), event (n,).
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own protocol
    has_rsample = True

    def __init__(self, loc: Tensor) -> None:
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)
        self.loc = loc

    @property
    def mean(self) -> Tensor:
        return self.loc

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.loc.expand(torch.Size(sample_shape) + self.loc.shape)
