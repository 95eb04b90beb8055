"""A point."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution


class Delta(Distribution):
    """All mass on one point, event (n,). Has samples and a mean, but no density."""

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
