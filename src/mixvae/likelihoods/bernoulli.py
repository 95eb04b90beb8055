"""Likelihoods of Bernoulli form: of binary pixels, and of grey levels in [0, 1]."""

from torch import Tensor
from torch.distributions import Distribution

from mixvae.distributions import Bernoulli, ContinuousBernoulli

from .likelihood import Likelihood, refuse, refuse_outside

MIN_MEAN = 1e-6


class BernoulliLikelihood(Likelihood):
    """Independent Bernoulli pixels, for binary images. Its constructor is :class:`Likelihood`'s."""

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
    """Negative cross-entropy of grey levels, which many papers report for MNIST.

    It is not a normalised density of pixels in [0, 1], so that no objective with it is a bound on
    log p(x).
    """

    term = "cross_entropy"
    is_density = is_discrete = False

    def check(self, x: Tensor) -> None:
        refuse_outside(x, "cross-entropy")


class ContinuousBernoulliLikelihood(Likelihood):
    """Continuous Bernoulli pixels, for grey levels: the normalised form of the cross-entropy.

    With ``from_mean`` the parameters are the paper's lambda in (0, 1), which the mean grows with.

    References
    ----------
    Loaiza-Ganem & Cunningham (NeurIPS 2019).
    """

    def pixels(self, params: Tensor) -> Distribution:
        return ContinuousBernoulli(_logits(params, self.from_mean), validate_args=False)

    def check(self, x: Tensor) -> None:
        refuse_outside(x, "continuous-bernoulli")


def _logits(params: Tensor, from_mean: bool) -> Tensor:
    """Logits, from logits or from means."""
    return params.clamp(MIN_MEAN, 1 - MIN_MEAN).logit() if from_mean else params
