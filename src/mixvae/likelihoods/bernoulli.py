"""Likelihoods of Bernoulli form: of binary pixels, and of grey levels in [0, 1]."""

from collections.abc import Sequence

from torch import Tensor
from torch.distributions import Distribution

from mixvae.distributions import Bernoulli, BinomialLevels, ContinuousBernoulli
from mixvae.errors import at_least

from .likelihood import Likelihood, refuse, refuse_off_levels, refuse_outside

MIN_MEAN = 1e-6


class BernoulliLikelihood(Likelihood):
    """Independent Bernoulli pixels, for binary images. Its constructor is :class:`Likelihood`'s."""

    is_discrete = True

    def pixels(self, params: Tensor) -> Distribution:
        return Bernoulli(logits=_logits(params, self.from_mean), validate_args=False)

    def check(self, x: Tensor) -> None:
        x = self.given(x)
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


class BinomialLikelihood(Likelihood):
    """Independent binomial pixels, for few equally spaced grey levels k / n, such as counts of n.

    Its variance is at most 1 / (4 n), and no scale is learned, so that unlike a density it does not
    grow without limit where the data are fitted exactly.

    Parameters
    ----------
    x_shape
        Shape of one x.
    n_trials
        Number n of trials; x has n + 1 levels.
    from_mean
        Whether the parameters are the means, or logits of them.

    Raises
    ------
    MixvaeError
        For fewer than one trial.

    Examples
    --------
    >>> import torch
    >>> p = BinomialLikelihood((1,), n_trials=2)(torch.zeros(1, 1))
    >>> p.log_prob(torch.tensor([[0.5]])).exp()
    tensor([0.5000])
    """

    is_discrete = True

    def __init__(self, x_shape: Sequence[int], *, n_trials: int, from_mean: bool = False) -> None:
        super().__init__(x_shape, from_mean=from_mean)
        at_least(1, n_trials=n_trials)
        self.n_trials = n_trials

    def pixels(self, params: Tensor) -> Distribution:
        return BinomialLevels(self.n_trials, _logits(params, self.from_mean))

    def check(self, x: Tensor) -> None:
        remedy = (
            "Round to the levels, give n_trials for other ones, or use likelihood gaussian "
            "(logistic for 8-bit images)."
        )
        refuse_off_levels(x, self.n_trials, "binomial", remedy)


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
