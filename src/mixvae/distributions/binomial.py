r"""The binomial distribution on equally spaced levels in [0, 1].

From logits l, with the cross-entropy of a level and its mean,

.. math:: \log P(k/n) = \log \binom{n}{k} + n\, \Big(\frac{k}{n}\, l - \log(1 + e^l)\Big)
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.distributions import Distribution

from .bernoulli import Bernoulli

OFF_LEVEL = 1e-3  # of a level's distance: smaller deviations are taken for rounding


def on_levels(x: Float[Tensor, "*n"], n: int) -> Bool[Tensor, "*n"]:
    """Whether each value is a level k / n, for k = 0 ... n; false for NaN.

    Parameters
    ----------
    x
        Values.
    n
        Number of levels above 0.
    """
    level = n * x
    return (x >= 0) & (x <= 1) & ((level - level.round()).abs() <= OFF_LEVEL)


class BinomialLevels(Distribution):
    """Distribution of k / n, where k is binomial with n trials; event ().

    Parameters
    ----------
    n_trials
        Number n of trials; there are n + 1 levels.
    logits
        Logits of the mean.

    Examples
    --------
    >>> p = BinomialLevels(2, torch.tensor(0.0))
    >>> p.log_prob(torch.tensor([0.0, 0.5, 1.0])).exp()
    tensor([0.2500, 0.5000, 0.2500])
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own protocol
    has_rsample = False

    def __init__(self, n_trials: int, logits: Tensor) -> None:
        self.n_trials, self._coin = n_trials, Bernoulli(logits=logits, validate_args=False)
        super().__init__(logits.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of a level k / n, nats."""
        n, k = self.n_trials, self.n_trials * value
        log_factorials = torch.lgamma(k + 1) + torch.lgamma(n - k + 1)
        log_choices = torch.lgamma(value.new_tensor(n + 1.0)) - log_factorials
        return log_choices + n * self._coin.log_prob(value)

    @property
    def mean(self) -> Tensor:
        return self._coin.mean

    @property
    def variance(self) -> Tensor:
        return self._coin.variance / self.n_trials

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with torch.no_grad():
            p = self.mean.expand(self._extended_shape(torch.Size(sample_shape)))
            return torch.binomial(torch.full_like(p, self.n_trials), p) / self.n_trials
