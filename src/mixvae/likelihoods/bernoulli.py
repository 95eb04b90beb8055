"""Pixels that are 0 or 1, and the Bernoulli's formula on grey levels: with and without its mass."""

from torch import Tensor
from torch.distributions import Distribution

from mixvae.distributions import Bernoulli, ContinuousBernoulli

from .likelihood import Likelihood, refuse, refuse_outside

MIN_MEAN = 1e-6


class BernoulliLikelihood(Likelihood):
    """Binary pixels."""

    is_discrete = True

    def pixels(self, params: Tensor) -> Distribution:
        return Bernoulli(logits=_logits(params, self.from_mean), validate_args=False)

    def check(self, x: Tensor) -> None:
        refuse(
            x,
            ~((x == 0) | (x == 1)),
            "the bernoulli likelihood needs pixels that are 0 or 1",
            "Binarise grey levels (binarize dynamic), or use likelihood gaussian, or "
            "'cross-entropy' to reproduce the papers' MNIST figures.",
        )


class CrossEntropy(BernoulliLikelihood):
    """Bernoulli's formula on grey levels, which the papers' MNIST figures rest on.

    It does not integrate to one over [0, 1], so nothing made of it is a bound on log p(x).
    """

    term = "cross_entropy"
    is_density = is_discrete = False

    def check(self, x: Tensor) -> None:
        refuse_outside(x, "cross-entropy")


class ContinuousBernoulliLikelihood(Likelihood):
    """Grey levels: the cross-entropy, normalised (Loaiza-Ganem & Cunningham 2019).

    With ``from_mean`` the parameters are the paper's lambda, which the mean grows with.
    """

    def pixels(self, params: Tensor) -> Distribution:
        return ContinuousBernoulli(_logits(params, self.from_mean), validate_args=False)

    def check(self, x: Tensor) -> None:
        refuse_outside(x, "continuous-bernoulli")


def _logits(params: Tensor, from_mean: bool) -> Tensor:
    return params.clamp(MIN_MEAN, 1 - MIN_MEAN).logit() if from_mean else params
