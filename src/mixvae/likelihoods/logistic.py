"""Images of 256 grey levels, k / 255: probabilities, so that bits per dimension can be compared.

A probability is at most 1, and so, unlike a density, gains nothing from a scale that vanishes: the
network may make one for each pixel.
"""

from collections.abc import Sequence
from math import expm1, log, prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution

from mixvae.distributions.discretized import LEVEL, WHITE, DiscretizedLogistic, LogisticMixture
from mixvae.errors import MixvaeError, at_least

from .likelihood import Likelihood, refuse

START = 0.1  # the scale where a network says 0: a standard deviation of 0.18, as of grey images
MIN_SCALE = LEVEL / 8  # with which one level already has 96% of the mass
OFF_GRID = 1e-3  # of a level: what is taken for rounding


class LogisticLikelihood(Likelihood):
    """Every pixel a logistic about a mean in (0, 1), rounded to the nearest of 256 levels.

    The network makes each pixel's scale beside its mean, as Tomczak & Welling (2018) have it; where
    means are blended (``from_mean``), which scales are not, each pixel's scale is a parameter.
    Unlike theirs, the probabilities sum to one: 256 levels k / 255, each what rounds to it, the
    ends with their tails.
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
    """Every place a mixture of discretised logistics, its channels in turn (PixelCNN++).

    Of images (C, H, W) the C channels of a place depend on each other, linearly; other x have one.

    Args:
        x_shape: shape of one x.
        n_logistics: in each mixture (10 in the paper); a place has 1 + 2 C + C (C - 1) / 2 outputs
            for each.
        from_mean: refused.

    Raises:
        MixvaeError: for ``from_mean``, as means alone make no mixture, or no logistics.
    """

    is_discrete = True

    def __init__(
        self, x_shape: Sequence[int], *, n_logistics: int = 5, from_mean: bool = False
    ) -> None:
        super().__init__(x_shape)
        at_least(1, n_logistics=n_logistics)
        if from_mean:
            raise MixvaeError(
                "likelihood logistic-mixture needs a decoder that makes all of its parameters, "
                "and got one that blends means. Use likelihood logistic, or do not blend "
                "(m-vae: combine mixture or expected)."
            )
        self.n_logistics = n_logistics

    @property
    def n_channels(self) -> int:
        """C."""
        return self.x_shape[0] if len(self.x_shape) == 3 else 1

    @property
    def param_shape(self) -> tuple[int, ...]:
        n_maps = sum(self._groups) * self.n_logistics
        return n_maps, prod(self.x_shape) // self.n_channels

    def pixels(self, params: Tensor) -> Distribution:
        maps = params.unflatten(-2, (-1, self.n_logistics))
        logits, loc, raw_scale, slopes = maps.split(self._groups, -3)
        # In units where the grey levels span [-1, 1], the network says loc: 0 is the middle one.
        middle = 0.5 + 0.5 * loc
        return LogisticMixture(
            logits.squeeze(-3), middle, _scale(raw_scale), slopes.tanh(), self.x_shape
        )

    def check(self, x: Tensor) -> None:
        _check_levels(x, "logistic-mixture")

    @property
    def _groups(self) -> list[int]:
        """Outputs for each logistic: its logit, locs, scales and slopes."""
        n = self.n_channels
        return [1, n, n, n * (n - 1) // 2]


def _scale(raw: Tensor) -> Tensor:
    """Positive, with a gradient everywhere: a clamp would leave a scale that reached it there."""
    return F.softplus(raw + log(expm1(START))) + MIN_SCALE


def _check_levels(x: Tensor, name: str) -> None:
    level = x * WHITE
    on_grid = (x >= 0) & (x <= 1) & ((level - level.round()).abs() <= OFF_GRID)
    needs = f"the {name} likelihood needs pixels that are k / 255 for k = 0 ... 255"
    remedy = (
        "Give 8-bit images, or round to the levels ((255 * x).round() / 255); for other grey "
        "levels there is likelihood continuous-bernoulli or gaussian."
    )
    refuse(x, ~on_grid, needs, remedy)
