"""Likelihoods of 8-bit images, k / 255: probabilities, so that bits per dimension are comparable.

A probability is at most 1. Unlike a density it does not grow without limit as a scale vanishes, so
the network can safely predict a scale for each pixel.
"""

from collections.abc import Sequence
from math import expm1, log, prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution

from mixvae.distributions.discretized import LEVEL, WHITE, DiscretizedLogistic, LogisticMixture
from mixvae.errors import MixvaeError, at_least

from .likelihood import Likelihood, refuse_off_levels

START = 0.1  # the scale for a network output of 0: a standard deviation of 0.18, as in grey images
MIN_SCALE = LEVEL / 8  # with which one level already has 96% of the mass


class LogisticLikelihood(Likelihood):
    """Independent discretised logistic pixels, for 8-bit images.

    Each pixel has a logistic distribution with a mean in (0, 1), rounded to the nearest of the 256
    levels k / 255. Values beyond the first and the last level count for these, so that the
    probabilities sum to one, unlike Tomczak & Welling's.

    Parameters
    ----------
    x_shape
        Shape of one x.
    from_mean
        Whether the network gives the means alone, and each pixel's scale is a learned parameter.
        Otherwise the network gives both, as in the paper.

    References
    ----------
    Tomczak & Welling (AISTATS 2018); Salimans et al. (ICLR 2017), eq. 2.
    """

    is_discrete = True

    def __init__(self, x_shape: Sequence[int], *, from_mean: bool = False) -> None:
        super().__init__(x_shape, from_mean=from_mean)
        self.raw_scale = nn.Parameter(torch.zeros(self.x_shape)) if from_mean else None

    @property
    def param_shape(self) -> tuple[int, ...]:
        return self.x_shape if self.from_mean else (2, *self.x_shape)

    def pixels(self, params: Tensor) -> Distribution:
        if self.raw_scale is not None:
            return DiscretizedLogistic(params, _scale(self.raw_scale))
        logits, raw_scale = params.unbind(-1 - len(self.x_shape))
        return DiscretizedLogistic(logits.sigmoid(), _scale(raw_scale))

    def check(self, x: Tensor) -> None:
        _check_levels(x, "logistic")


class LogisticMixtureLikelihood(Likelihood):
    """Mixture of discretised logistics for each pixel of 8-bit images, as in PixelCNN++.

    The C channels of a pixel of an image (C, H, W) depend on each other linearly; x of other shapes
    have one channel.

    Parameters
    ----------
    x_shape
        Shape of one x.
    n_logistics
        Components of each mixture (10 in the paper). For each, a pixel needs
        1 + 2 C + C (C - 1) / 2 outputs of the network.
    from_mean
        Must be false, since means alone do not determine a mixture.

    Raises
    ------
    MixvaeError
        For ``from_mean``, or fewer than one component.

    References
    ----------
    Salimans, Karpathy, Chen & Kingma (ICLR 2017), Section 2.
    """

    is_discrete = True

    def __init__(
        self, x_shape: Sequence[int], *, n_logistics: int = 5, from_mean: bool = False
    ) -> None:
        super().__init__(x_shape)
        at_least(1, n_logistics=n_logistics)
        if from_mean:
            raise MixvaeError(
                "likelihood logistic-mixture needs a decoder that returns all of its parameters, "
                "and got one that blends means. Use likelihood logistic, or do not blend "
                "(m-vae: combine mixture or expected)."
            )
        self.n_logistics = n_logistics

    @property
    def n_channels(self) -> int:
        """Channels C of x."""
        return self.x_shape[0] if len(self.x_shape) == 3 else 1

    @property
    def param_shape(self) -> tuple[int, ...]:
        n_maps = sum(self._groups) * self.n_logistics
        return n_maps, prod(self.x_shape) // self.n_channels

    def pixels(self, params: Tensor) -> Distribution:
        maps = params.unflatten(-2, (-1, self.n_logistics))
        logits, loc, raw_scale, slopes = maps.split(self._groups, -3)
        # The network's loc is in units where grey levels span [-1, 1]: 0 is the middle one.
        pixel_loc = 0.5 + 0.5 * loc
        return LogisticMixture(
            logits.squeeze(-3), pixel_loc, _scale(raw_scale), slopes.tanh(), self.x_shape
        )

    def check(self, x: Tensor) -> None:
        _check_levels(x, "logistic-mixture")

    @property
    def _groups(self) -> list[int]:
        """Numbers of outputs for one component: its logit, locations, scales and slopes."""
        n = self.n_channels
        return [1, n, n, n * (n - 1) // 2]


def _scale(raw: Tensor) -> Tensor:
    """Positive scale with a nonzero gradient everywhere, which a clamp would not have."""
    return F.softplus(raw + log(expm1(START))) + MIN_SCALE


def _check_levels(x: Tensor, name: str) -> None:
    """Raise a MixvaeError unless x has grey levels k / 255."""
    remedy = (
        "Give 8-bit images, or round to the levels ((255 * x).round() / 255); for other grey "
        "levels there is likelihood binomial, continuous-bernoulli or gaussian."
    )
    refuse_off_levels(x, WHITE, name, remedy)
