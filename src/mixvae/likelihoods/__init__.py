"""Likelihoods: parameters (*, D) in, p(x | z) out, with the event shape of x.

The parameters are what a decoder makes: logits of the mean, or means in (0, 1) with ``from_mean``
(a decoder that blends means needs that). Pixels are in [0, 1].
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import sqrt
from typing import Literal

from mixvae.errors import one_of

from .bernoulli import BernoulliLikelihood, ContinuousBernoulliLikelihood, CrossEntropy
from .gaussian import GaussianLikelihood
from .likelihood import Likelihood, bits_per_dim
from .logistic import LogisticLikelihood, LogisticMixtureLikelihood

LikelihoodName = Literal[
    "bernoulli",
    "gaussian",
    "squared-error",
    "cross-entropy",
    "continuous-bernoulli",
    "logistic",
    "logistic-mixture",
]
LIKELIHOODS: Mapping[LikelihoodName, Callable[..., Likelihood]] = {
    "bernoulli": BernoulliLikelihood,
    "gaussian": GaussianLikelihood,
    "squared-error": partial(GaussianLikelihood, scale=sqrt(0.5)),
    "cross-entropy": CrossEntropy,
    "continuous-bernoulli": ContinuousBernoulliLikelihood,
    "logistic": LogisticLikelihood,
    "logistic-mixture": LogisticMixtureLikelihood,
}

__all__ = [
    "LIKELIHOODS",
    "BernoulliLikelihood",
    "ContinuousBernoulliLikelihood",
    "CrossEntropy",
    "GaussianLikelihood",
    "Likelihood",
    "LikelihoodName",
    "LogisticLikelihood",
    "LogisticMixtureLikelihood",
    "bits_per_dim",
    "likelihood",
]


def likelihood(
    name: LikelihoodName, x_shape: Sequence[int], *, from_mean: bool = False
) -> Likelihood:
    """The likelihood that a recipe names by a plain value.

    Raises:
        MixvaeError: for an unknown name, or one that has no form from means.
    """
    one_of("likelihood", name, LIKELIHOODS)
    return LIKELIHOODS[name](x_shape, from_mean=from_mean)
