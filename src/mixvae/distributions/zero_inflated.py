r"""Counts with more zeros than their distribution has: a mixture with the constant 0.

.. math:: P(0) = \pi + (1 - \pi) P_0(0), \qquad P(x) = (1 - \pi) P_0(x) \text{ for } x > 0
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution


class ZeroInflated(Distribution):
    """A distribution of counts, or with some probability 0; event ().

    Parameters
    ----------
    counts
        The distribution without the additional zeros, event ().
    logits
        Logits of the probability of an additional zero, of the shape of its batch.

    References
    ----------
    Lambert, Zero-inflated Poisson regression, Technometrics 1992.

    Examples
    --------
    >>> from torch.distributions import Poisson
    >>> p = ZeroInflated(Poisson(torch.tensor(3.0)), torch.tensor(0.0))
    >>> p.mean, p.log_prob(torch.tensor(0.0)).exp()
    (tensor(1.5000), tensor(0.5249))
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own protocol
    has_rsample = False

    def __init__(self, counts: Distribution, logits: Tensor) -> None:
        self.counts, self.logits = counts, logits
        super().__init__(counts.batch_shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        own = F.logsigmoid(-self.logits) + self.counts.log_prob(value)
        return torch.where(value == 0, torch.logaddexp(F.logsigmoid(self.logits), own), own)

    @property
    def mean(self) -> Tensor:
        return torch.sigmoid(-self.logits) * self.counts.mean

    @property
    def variance(self) -> Tensor:
        zero, mean = self.logits.sigmoid(), self.counts.mean
        return (1 - zero) * (self.counts.variance + zero * mean.square())

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with torch.no_grad():
            counts = self.counts.sample(torch.Size(sample_shape))
            return counts * torch.bernoulli(torch.sigmoid(-self.logits).expand(counts.shape))
