"""Likelihoods of real values, such as the columns of a standardised table."""

from collections.abc import Sequence
from math import log
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, StudentT

from .gaussian import MIN_SCALE
from .likelihood import Likelihood, refuse

LARGEST_LOG_SCALE = 10.0
START_DF = 30.0  # a t distribution of so many degrees of freedom is close to a normal
LEAST_DF = 2.0  # below, it has no variance

_ADVICE = "Remove or repair those rows; the recipe mfa-vae takes missing values, as NaN."
ScaleOf = Literal["decoder", "column", "all"]


class NormalLikelihood(Likelihood):
    r"""Independent normals of real values, whose means are not bounded.

    Standard deviations stay above 0.001: without a floor the density of a column could grow without
    end. Where the decoder makes them, its output has the means and then the logarithms of the
    standard deviations; otherwise it has the means alone, and scales are learned, from 1 on.

    Parameters
    ----------
    x_shape
        Shape of one x.
    from_mean
        Whether a decoder's output is means alone; the scales are then at most those of columns.
    scale
        What has a standard deviation of its own: each value, made by the decoder; each column; or
        all columns one.

    Examples
    --------
    >>> p = NormalLikelihood((3,))(torch.zeros(5, 6))
    >>> p.batch_shape, p.event_shape, p.stddev[0]
    (torch.Size([5]), torch.Size([3]), tensor([1., 1., 1.]))
    """

    link = nn.Identity
    has_levels = False

    def __init__(
        self, x_shape: Sequence[int], *, from_mean: bool = False, scale: ScaleOf = "decoder"
    ) -> None:
        super().__init__(x_shape, from_mean=from_mean)
        self.makes_scales = scale == "decoder" and not from_mean
        if not self.makes_scales:
            self.log_scale = nn.Parameter(torch.zeros(() if scale == "all" else self.x_shape))

    @property
    def param_shape(self) -> tuple[int, ...]:
        return (2, *self.x_shape) if self.makes_scales else self.x_shape

    def pixels(self, params: Tensor) -> Distribution:
        loc, log_scale = params, getattr(self, "log_scale", None)
        if log_scale is None:
            loc, log_scale = params.unbind(-1 - len(self.x_shape))
        scale = log_scale.clamp(log(MIN_SCALE), LARGEST_LOG_SCALE).exp()
        return self.values(loc, scale.expand_as(loc))

    def values(self, loc: Tensor, scale: Tensor) -> Distribution:
        """The distribution of each value.

        Parameters
        ----------
        loc, scale
            Of one shape.
        """
        return Normal(loc, scale, validate_args=False)

    def check(self, x: Tensor) -> None:
        x, needs = self.given(x), "a likelihood of real values needs values that are finite"
        refuse(x, ~x.isfinite(), needs, _ADVICE)


class StudentTLikelihood(NormalLikelihood):
    """Independent t distributions of real values, otherwise as :class:`NormalLikelihood`.

    Rows that lie far out count less than under a normal. Each column has degrees of freedom of its
    own, which are learned, start at 30 and stay above 2.

    Parameters
    ----------
    x_shape, from_mean, scale
        As of :class:`NormalLikelihood`.
    """

    def __init__(
        self, x_shape: Sequence[int], *, from_mean: bool = False, scale: ScaleOf = "decoder"
    ) -> None:
        super().__init__(x_shape, from_mean=from_mean, scale=scale)
        self.log_df = nn.Parameter(torch.full(self.x_shape, log(START_DF - LEAST_DF)))

    def values(self, loc: Tensor, scale: Tensor) -> Distribution:
        return StudentT(LEAST_DF + self.log_df.exp(), loc, scale, validate_args=False)
