r"""Discretised logistic distributions on the 256 grey levels of 8-bit images, k / 255.

A level has the probability of all that is rounded to it; the first and the last have the tails:

.. math:: P(k/255) = \sigma\Big(\frac{k + 1/2 - 255\mu}{255 s}\Big) -
    \sigma\Big(\frac{k - 1/2 - 255\mu}{255 s}\Big), \qquad
    \text{the first } \sigma = 1 \text{ at } k = 255, \text{ the second } 0 \text{ at } k = 0

The terms telescope, so that the 256 probabilities sum to one exactly. (PixelCNN++: Salimans et al.,
ICLR 2017, eq. 2.)
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions.utils import broadcast_all

WHITE = 255  # the highest level
LEVEL = 1 / WHITE  # distance of two neighbouring levels


class DiscretizedLogistic(Distribution):
    """Logistic distribution rounded to the nearest of 256 grey levels, event ().

    Parameters
    ----------
    loc, scale
        Of the logistic distribution, where pixels are in [0, 1]; shapes that broadcast.

    References
    ----------
    Salimans, Karpathy, Chen & Kingma (ICLR 2017), eq. 2.

    Examples
    --------
    >>> p = DiscretizedLogistic(torch.tensor(0.5), torch.tensor(0.1))
    >>> levels = torch.arange(256) / 255
    >>> round(p.log_prob(levels).exp().sum().item(), 4)
    1.0
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own protocol
    has_rsample = False

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        r"""Log probability of a grey level, nats.

        From :math:`\sigma(a) - \sigma(b) = \sigma(a) \sigma(-b) (1 - e^{b - a})`, as none of the
        factors' logarithms is a difference of nearly equal numbers.
        """
        first, last = value < LEVEL / 2, value > 1 - LEVEL / 2
        above, below = value - self.loc + LEVEL / 2, value - self.loc - LEVEL / 2
        under = torch.where(last, 0.0, F.logsigmoid(above / self.scale))
        over = torch.where(first, 0.0, F.logsigmoid(-below / self.scale))
        width = (-torch.expm1(-LEVEL / self.scale)).log()
        return under + over + torch.where(first | last, 0.0, width)

    @property
    def mean(self) -> Tensor:
        r"""The mean before rounding, :math:`\int_0^1 P(X > t) dt`, in closed form.

        Rounding moves it by at most half a level, and by a fortieth of a level (1e-4) where the
        scale is at least half a level.
        """
        high, low = F.softplus(self.loc / self.scale), F.softplus((self.loc - 1) / self.scale)
        return (self.scale * (high - low)).clamp(0, 1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with torch.no_grad():
            u = self.loc.new_empty(self._extended_shape(torch.Size(sample_shape))).uniform_()
            x = self.loc + self.scale * (u.log() - (-u).log1p())
            return (x.clamp(0, 1) * WHITE).round() / WHITE


class LogisticMixture(Distribution):
    r"""Mixture of M discretised logistics at each of N pixels, of C channels each.

    A channel's location depends linearly on the channels before it, and a pixel has one component
    for all of its channels:

    .. math:: p(x) = \prod_n \sum_m \pi_m \prod_c P(x_c | \mu_c + \sum_{d<c} a_{cd}(x_d - 1/2), s_c)

    Parameters
    ----------
    logits
        Of the components, (*B, M, N).
    loc
        Locations, (*B, C, M, N), where pixels are in [0, 1].
    scale
        Scales, of the same shape.
    slopes
        The coefficients a, (*B, C (C - 1) / 2, M, N): the rows below the diagonal, one by one.
    event_shape
        Shape of x, whose C N values come channel by channel.

    References
    ----------
    PixelCNN++: Salimans et al. (ICLR 2017), Section 2.2.
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own protocol
    has_rsample = False

    def __init__(
        self,
        logits: Float[Tensor, "*B M N"],
        loc: Float[Tensor, "*B C M N"],
        scale: Float[Tensor, "*B C M N"],
        slopes: Float[Tensor, "*B P M N"],
        event_shape: Sequence[int],
    ) -> None:
        self.log_weights = logits.log_softmax(-2)
        self.loc, self.scale, self.slopes = loc, scale, slopes
        super().__init__(logits.shape[:-2], torch.Size(event_shape), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        batch = value.shape[: value.dim() - len(self.event_shape)]
        channels = value.reshape(*batch, self.loc.shape[-3], 1, -1).unbind(-3)
        log_prob = self.log_weights
        for i, x in enumerate(channels):
            log_prob = log_prob + self._channel(i, channels).log_prob(x)
        return log_prob.logsumexp(-2).sum(-1)

    @property
    def mean(self) -> Tensor:
        """The mixture's mean, each channel with the channels before it at their means.

        It is exact for the first channel. For the others it is an approximation, since values
        outside [0, 1] are rounded to 0 or 1, which is not linear in the channels before.
        """
        means: list[Tensor] = []
        for i in range(self.loc.shape[-3]):
            means.append(self._channel(i, means).mean)
        mixed = (self.log_weights.exp().unsqueeze(-3) * torch.stack(means, -3)).sum(-2)
        return mixed.reshape(self.batch_shape + self.event_shape)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with torch.no_grad():
            shape = torch.Size(sample_shape) + self.log_weights.shape
            gumbel = -torch.empty_like(self.log_weights.expand(shape)).exponential_().log()
            chosen = (self.log_weights + gumbel).argmax(-2, keepdim=True)
            sampled: list[Tensor] = []
            for i in range(self.loc.shape[-3]):
                p = self._channel(i, sampled)
                loc, scale = (t.expand(shape).gather(-2, chosen) for t in (p.loc, p.scale))
                sampled.append(DiscretizedLogistic(loc, scale).sample())
        return torch.cat(sampled, -2).reshape(self._extended_shape(torch.Size(sample_shape)))

    def _channel(self, i: int, before: Sequence[Tensor]) -> DiscretizedLogistic:
        """Components of channel i, given the channels before it, each (*, 1 or M, N)."""
        loc, row = self.loc[..., i, :, :], i * (i - 1) // 2
        for j, x in enumerate(before[:i]):
            loc = loc + self.slopes[..., row + j, :, :] * (x - 0.5)
        return DiscretizedLogistic(loc, self.scale[..., i, :, :])
