r"""The continuous Bernoulli distribution, from logits of any size.

.. math:: p(x) = C \lambda^x (1 - \lambda)^{1 - x} = e^{\eta x} \frac{\eta}{e^\eta - 1},
    \qquad \eta = \operatorname{logit} \lambda, \quad x \in [0, 1]

PyTorch's own class clamps lambda to numbers that its type distinguishes from 0 and 1. In float32
its density is then not normalised beyond logits of about 15, which the dark pixels of an image soon
have: at -50 it is 1.1 nats a pixel too small, and its gradient has the wrong sign.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

SMALL = 0.5  # below this size of a logit, series replace differences of nearly equal numbers


class ContinuousBernoulli(Distribution):
    """Continuous Bernoulli distribution on [0, 1], event ().

    Parameters
    ----------
    logits
        The logit of lambda, any shape. The mean grows with it, and is not lambda.
    validate_args
        As in PyTorch's distributions.

    References
    ----------
    Loaiza-Ganem & Cunningham (NeurIPS 2019).

    Examples
    --------
    >>> p = ContinuousBernoulli(torch.tensor([1.0, 100.0]))
    >>> p.log_prob(torch.tensor([0.5, 1.0])), p.mean
    (tensor([-0.0413,  4.6052]), tensor([0.5820, 0.9900]))
    """

    arg_constraints = {"logits": constraints.real}  # noqa: RUF012
    support = constraints.unit_interval
    has_rsample = False

    def __init__(self, logits: Tensor, *, validate_args: bool | None = None) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        small, square = self._small(), self._where_small().square()
        series = square / 24 * (1 - square / 120 * (1 - square / 63 * (1 - 3 * square / 160)))
        slope = self._steepness(small)
        distance = torch.where(self.logits > 0, 1 - value, value)  # to the likelier end
        steep = -slope * distance - (-torch.expm1(-slope) / slope).log()
        return torch.where(small, (value - 0.5) * self.logits - series, steep)

    @property
    def mean(self) -> Tensor:
        small, eta = self._small(), self._where_small()
        square = eta.square()
        series = eta / 12 * (1 - square / 60 * (1 - square / 42 * (1 - square / 40)))
        slope = self._steepness(small)
        low = 1 / slope + (-slope).exp() / torch.expm1(-slope)  # 1 / expm1(slope) overflows
        return torch.where(small, 0.5 + series, torch.where(self.logits > 0, 1 - low, low))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Samples, by inverting the cumulative distribution function; without a gradient."""
        with torch.no_grad():
            u = self.logits.new_empty(self._extended_shape(torch.Size(sample_shape))).uniform_()
            slope = self.logits.abs().clamp_min(1e-6)  # uniform, in any type
            low = (-(u * torch.expm1(-slope)).log1p() / slope).clamp(0, 1)
            return torch.where(self.logits > 0, 1 - low, low)

    def _small(self) -> Tensor:
        return self.logits.abs() < SMALL

    def _where_small(self) -> Tensor:
        """The logits where a series is used, else 0: a power that overflows has a NaN gradient."""
        return self.logits.masked_fill(~self._small(), 0)

    def _steepness(self, small: Tensor) -> Tensor:
        """The logits' size; ``SMALL`` where a series is used, as 0 / 0 has NaN gradients."""
        return torch.where(small, SMALL, self.logits.abs())
