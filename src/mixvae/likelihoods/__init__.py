"""Likelihoods: modules from a decoder's output, parameters (*, D), to p(x | z).

The parameters are logits of the mean, or with ``from_mean`` the means in (0, 1), which a decoder
that averages the components' means needs. Pixels are in [0, 1], and the event shape is that of x.
Those of ``real.py`` are for values outside [0, 1], whose means are not bounded; those of
``counts.py`` and ``categories.py`` for counts and for codes of categories.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import sqrt
from typing import Literal

from mixvae.errors import MixvaeError, one_of

from .bernoulli import (
    BernoulliLikelihood,
    BinomialLikelihood,
    ContinuousBernoulliLikelihood,
    CrossEntropy,
)
from .categories import CategoricalLikelihood, OrdinalLikelihood
from .columns import ColumnKinds, ColumnLikelihood
from .counts import (
    NegativeBinomialLikelihood,
    PoissonLikelihood,
    ZeroInflatedNegativeBinomialLikelihood,
    ZeroInflatedPoissonLikelihood,
)
from .gaussian import GaussianLikelihood
from .likelihood import Likelihood, bits_per_dim
from .logistic import LogisticLikelihood, LogisticMixtureLikelihood
from .real import NormalLikelihood, StudentTLikelihood

LikelihoodName = Literal[
    "bernoulli",
    "binomial",
    "gaussian",
    "squared-error",
    "cross-entropy",
    "continuous-bernoulli",
    "logistic",
    "logistic-mixture",
    "normal",
    "normal-columns",
    "normal-shared",
    "student-t",
    "poisson",
    "negative-binomial",
    "zero-inflated-poisson",
    "zero-inflated-negative-binomial",
]
LIKELIHOODS: Mapping[LikelihoodName, Callable[..., Likelihood]] = {
    "bernoulli": BernoulliLikelihood,
    "binomial": BinomialLikelihood,
    "gaussian": GaussianLikelihood,
    "squared-error": partial(GaussianLikelihood, scale=sqrt(0.5)),
    "cross-entropy": CrossEntropy,
    "continuous-bernoulli": ContinuousBernoulliLikelihood,
    "logistic": LogisticLikelihood,
    "logistic-mixture": LogisticMixtureLikelihood,
    "normal": NormalLikelihood,
    "normal-columns": partial(NormalLikelihood, scale="column"),
    "normal-shared": partial(NormalLikelihood, scale="all"),
    "student-t": StudentTLikelihood,
    "poisson": PoissonLikelihood,
    "negative-binomial": NegativeBinomialLikelihood,
    "zero-inflated-poisson": ZeroInflatedPoissonLikelihood,
    "zero-inflated-negative-binomial": ZeroInflatedNegativeBinomialLikelihood,
}

WITH_MISSING = ("normal", "normal-columns", "normal-shared", "student-t", "bernoulli")

__all__ = [
    "LIKELIHOODS",
    "BernoulliLikelihood",
    "BinomialLikelihood",
    "CategoricalLikelihood",
    "ColumnKinds",
    "ColumnLikelihood",
    "ContinuousBernoulliLikelihood",
    "CrossEntropy",
    "GaussianLikelihood",
    "Likelihood",
    "LikelihoodName",
    "LogisticLikelihood",
    "LogisticMixtureLikelihood",
    "NegativeBinomialLikelihood",
    "NormalLikelihood",
    "OrdinalLikelihood",
    "PoissonLikelihood",
    "StudentTLikelihood",
    "ZeroInflatedNegativeBinomialLikelihood",
    "ZeroInflatedPoissonLikelihood",
    "bits_per_dim",
    "likelihood",
]


def likelihood(
    name: LikelihoodName,
    x_shape: Sequence[int],
    *,
    from_mean: bool = False,
    n_trials: int | None = None,
    missing: bool = False,
) -> Likelihood:
    """Likelihood by its name, as recipes do.

    Parameters
    ----------
    name
        A key of ``LIKELIHOODS``.
    x_shape
        Shape of one x.
    from_mean
        Whether a decoder's output is the means, not logits or logarithms of them.
    n_trials
        Number n of trials of "binomial", whose levels are k / n; the others do not use it.
    missing
        Whether entries of a table may be missing, as NaN: densities are then those of the others.

    Raises
    ------
    MixvaeError
        For an unknown name, "binomial" without ``n_trials``, ``from_mean`` with
        "logistic-mixture", which needs more than means, or ``missing`` for images and likelihoods
        not in ``WITH_MISSING``.

    Examples
    --------
    >>> import torch
    >>> p = likelihood("bernoulli", (1, 2, 2))(torch.zeros(3, 4))  # logits of three images
    >>> p.batch_shape, p.event_shape
    (torch.Size([3]), torch.Size([1, 2, 2]))
    """
    one_of("likelihood", name, LIKELIHOODS)
    if name == "binomial":
        if n_trials is None:
            raise MixvaeError(
                "likelihood binomial needs n_trials, the number n of levels k / n above 0, such as "
                "16; give it, or build the recipe for data of at most 33 equally spaced levels."
            )
        return BinomialLikelihood(x_shape, n_trials=n_trials, from_mean=from_mean)
    found = LIKELIHOODS[name](x_shape, from_mean=from_mean)
    if missing and (len(found.x_shape) != 1 or name not in WITH_MISSING):
        raise MixvaeError(
            f"missing values are for tables, with likelihood {', '.join(WITH_MISSING)}; got {name} "
            f"for x of shape {found.x_shape}."
        )
    found.missing = missing
    return found
