"""Binary codes smoothed to real ones, so that samples have gradients (Rolfe, ICLR 2017)."""

from collections.abc import Sequence
from math import expm1, log

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints

LEAST_LOGIT = -30.0  # in samples, so that 1 / q is finite in float32


class SpikeAndExponential(Distribution):
    r"""Independent binary variables z, smoothed to :math:`\zeta`: 0 where z is 0, event (L,).

    .. math::
        r(\zeta | z = 0) = \delta(\zeta), \qquad
        r(\zeta | z = 1) = \frac{\beta e^{\beta\zeta}}{e^\beta - 1}, \quad 0 \le \zeta \le 1

    A sample is the inverse of :math:`F(\zeta) = 1 - q + q (e^{\beta\zeta} - 1) / (e^\beta - 1)` at
    a uniform number. It is continuous in q, whose gradient it has; z is 1 where it is above 0. The
    density is one with respect to a point mass at 0 and to length.

    Parameters
    ----------
    logits
        Of the probabilities q that z is 1, (\*batch, L).
    beta
        Slope of the exponential, positive.

    References
    ----------
    Rolfe, Discrete variational autoencoders, ICLR 2017, Section 2.

    Examples
    --------
    >>> q = SpikeAndExponential(torch.tensor([-50.0, 50.0]), beta=3.0)
    >>> zeta = q.rsample()
    >>> bool(zeta[0] == 0), bool(zeta[1] > 0)
    (True, True)
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own protocol
    has_rsample = True

    def __init__(self, logits: Float[Tensor, "*n L"], beta: float) -> None:
        self.logits, self.beta = logits, beta
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=False)

    @constraints.dependent_property(is_discrete=False, event_dim=1)
    def support(self) -> constraints.Constraint:
        return constraints.independent(constraints.unit_interval, 1)

    @property
    def probs(self) -> Tensor:
        """The probabilities q."""
        return self.logits.sigmoid()

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        u = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        inverse_q = 1 + (-self.logits.clamp_min(LEAST_LOGIT)).exp()
        return inverse_cdf((1 - (1 - u) * inverse_q).clamp_min(0), self.beta)

    def log_prob(self, value: Float[Tensor, "*n L"]) -> Float[Tensor, "*m"]:
        on = value > 0
        log_q = torch.where(on, F.logsigmoid(self.logits), F.logsigmoid(-self.logits))
        return log_q.sum(-1) + log_smoothing(value, self.beta)

    def entropy(self) -> Tensor:
        """Entropy of the binary variables z, nats, (*batch,)."""
        return (F.softplus(self.logits) - self.probs * self.logits).sum(-1)

    @property
    def mean(self) -> Tensor:
        return self.probs * moments(self.beta)[0]

    @property
    def variance(self) -> Tensor:
        return self.probs * moments(self.beta)[1] - self.mean.square()


def inverse_cdf(u: Tensor, beta: float) -> Tensor:
    """The exponential density's inverse cumulative distribution function on [0, 1]."""
    return (u * expm1(beta)).log1p() / beta


def log_smoothing(zeta: Float[Tensor, "*n L"], beta: float) -> Float[Tensor, "*n"]:
    """log r(zeta | z), summed over the variables that are on."""
    constant = log(beta) - log(expm1(beta))
    return ((zeta > 0) * (beta * zeta + constant)).sum(-1)


def moments(beta: float) -> tuple[float, float]:
    """The means of zeta and of its square where z is 1."""
    top = 1 / -expm1(-beta)  # e^beta / (e^beta - 1)
    mean = top - 1 / beta
    return mean, top - 2 * mean / beta
