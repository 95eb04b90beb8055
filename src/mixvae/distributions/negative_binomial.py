"""The negative binomial distribution by its mean, of which many may share a dispersion."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution


class NegativeBinomialOfMean(Distribution):
    r"""Counts of mean :math:`\mu` and variance :math:`\mu + \alpha \mu^2`; event ().

    As torch's NegativeBinomial of :math:`1/\alpha` failures, but that the log-gamma functions,
    which take most of the time, are computed for each count and dispersion, not for each mean.

    Parameters
    ----------
    log_mean
        :math:`\log \mu`, the batch.
    log_dispersion
        :math:`\log \alpha`, which is expanded to it.

    Examples
    --------
    >>> p = NegativeBinomialOfMean(torch.zeros(2), torch.tensor(0.0))
    >>> p.variance, p.log_prob(torch.tensor(0.0)).exp()
    (tensor([2., 2.]), tensor([0.5000, 0.5000]))
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own protocol
    has_rsample = False

    def __init__(self, log_mean: Tensor, log_dispersion: Tensor) -> None:
        self.log_mean, self.log_dispersion = log_mean, log_dispersion
        shape = torch.broadcast_shapes(log_mean.shape, log_dispersion.shape)
        super().__init__(shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        size = (-self.log_dispersion).exp()
        logits = self.log_mean + self.log_dispersion
        of_counts = (value + size).lgamma() - size.lgamma() - (value + 1).lgamma()
        found = torch.addcmul(of_counts, value, logits)
        return torch.addcmul(found, value + size, F.softplus(logits), value=-1)

    @property
    def mean(self) -> Tensor:
        return self.log_mean.exp().expand(self.batch_shape)

    @property
    def variance(self) -> Tensor:
        mean = self.mean
        return mean + self.log_dispersion.exp() * mean.square()

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with torch.no_grad():
            size = (
                (-self.log_dispersion).exp().expand(self._extended_shape(torch.Size(sample_shape)))
            )
            scale = self.mean * self.log_dispersion.exp()
            return torch.poisson(torch._standard_gamma(size.contiguous()) * scale)
