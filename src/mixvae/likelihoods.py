"""Likelihoods: parameters (*, D) in, p(x | z) out, with the event shape of x.

The parameters are logits of the mean, or means in (0, 1) with ``from_mean`` (a decoder that
blends means needs that). Pixels are in [0, 1].
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import log, prod, sqrt
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent, Normal

from .errors import MixvaeError, one_of
from .nn import Means, full_precision

LikelihoodName = Literal["bernoulli", "gaussian", "squared-error", "cross-entropy"]
MIN_MEAN = 1e-6
MIN_SCALE = 1e-3


class Likelihood(nn.Module, ABC):
    """What x is, given the decoder's output."""

    term = "log_lik"  # the name in the objective
    is_density = True  # False: no bound on log p(x) can be made of it

    def __init__(self, x_shape: Sequence[int], *, from_mean: bool = False) -> None:
        super().__init__()
        self.x_shape, self.n_params, self.from_mean = tuple(x_shape), prod(x_shape), from_mean

    def forward(self, params: Tensor) -> Distribution:
        params = full_precision(params).unflatten(-1, self.x_shape)
        return Independent(self.pixels(params), len(self.x_shape), validate_args=False)

    @abstractmethod
    def pixels(self, params: Tensor) -> Distribution:
        """The distribution of single pixels."""

    def check(self, x: Tensor) -> None:
        """Raise a MixvaeError where x is not data that this likelihood has a density for."""


class BernoulliLikelihood(Likelihood):
    """Binary pixels."""

    def pixels(self, params: Tensor) -> Distribution:
        if self.from_mean:
            params = params.clamp(MIN_MEAN, 1 - MIN_MEAN).logit()
        return Bernoulli(logits=params, validate_args=False)

    def check(self, x: Tensor) -> None:
        if not ((x == 0) | (x == 1)).all():
            raise MixvaeError(
                "the bernoulli likelihood needs pixels that are 0 or 1, and got grey levels. "
                "Binarise the data (binarize='dynamic'), or use likelihood='gaussian', or "
                "'cross-entropy' to reproduce the papers' MNIST figures."
            )


class CrossEntropy(BernoulliLikelihood):
    """Bernoulli's formula on grey levels, which the papers' MNIST figures rest on.

    It does not integrate to one over [0, 1], so nothing made of it is a bound on log p(x).
    """

    term = "cross_entropy"
    is_density = False

    def check(self, x: Tensor) -> None:
        pass  # any level in [0, 1] has a cross-entropy


class GaussianLikelihood(Likelihood):
    r"""Pixels normal about the mean, with one scale for all: learned, or fixed by ``scale``.

    The scale :math:`1/\sqrt 2` makes -log p the squared error plus (D/2) log pi.
    """

    log_scale: Tensor

    def __init__(
        self, x_shape: Sequence[int], *, from_mean: bool = False, scale: float | None = None
    ) -> None:
        super().__init__(x_shape, from_mean=from_mean)
        self.means = nn.Identity() if from_mean else Means()
        start = torch.tensor(log(0.2 if scale is None else scale))
        if scale is None:
            self.log_scale = nn.Parameter(start)
        else:
            self.register_buffer("log_scale", start)

    def pixels(self, params: Tensor) -> Distribution:
        scale = self.log_scale.exp().clamp_min(MIN_SCALE)
        return Normal(self.means(params), scale, validate_args=False)


def likelihood(
    name: LikelihoodName, x_shape: Sequence[int], *, from_mean: bool = False
) -> Likelihood:
    """The likelihood that a recipe names by a plain value."""
    one_of("likelihood", name, get_args(LikelihoodName))
    if name == "gaussian":
        return GaussianLikelihood(x_shape, from_mean=from_mean)
    if name == "squared-error":
        return GaussianLikelihood(x_shape, from_mean=from_mean, scale=sqrt(0.5))
    made = BernoulliLikelihood if name == "bernoulli" else CrossEntropy
    return made(x_shape, from_mean=from_mean)
