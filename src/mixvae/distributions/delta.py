"""The distribution of a constant."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, register_kl


class Delta(Distribution):
    """Point mass: the distribution of a constant. It has samples and a mean, but no density.

    Its KL to any distribution with a density is infinite.

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

    @property
    def variance(self) -> Tensor:
        return torch.zeros_like(self.loc)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.loc.expand(torch.Size(sample_shape) + self.loc.shape)


@register_kl(Delta, Distribution)
def _(p: Delta, q: Distribution) -> Tensor:
    """Infinite: q, which has a density, gives the point no probability."""
    return p.loc.new_full(torch.broadcast_shapes(p.batch_shape, q.batch_shape), torch.inf)
