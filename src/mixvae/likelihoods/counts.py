"""Likelihoods of counts: Poisson and negative binomial, and both with additional zeros."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Poisson

from mixvae.distributions import NegativeBinomialOfMean, ZeroInflated

from .likelihood import Likelihood, refuse

LARGEST_LOG_RATE = 20.0  # of a mean between 2e-9 and 5e8
LOG_DISPERSION = (-9.0, 6.0)  # its limits; at the lower one, a Poisson up to means of some hundreds


class LogCounts(nn.Module):
    """log(1 + x), in which networks read counts; it has no parameters."""

    def forward(self, x: Tensor) -> Tensor:
        return x.log1p()


class PoissonLikelihood(Likelihood):
    """Independent Poisson counts, of which a decoder's output is the logarithms of the means.

    Parameters
    ----------
    x_shape
        Shape of one x.
    from_mean
        Whether a decoder's output is the means themselves.

    Examples
    --------
    >>> p = PoissonLikelihood((2,))(torch.zeros(5, 2))
    >>> p.mean[0], p.log_prob(torch.zeros(2))[0]
    (tensor([1., 1.]), tensor(-2.))
    """

    is_discrete = True
    has_levels = False
    link = nn.Softplus

    def pixels(self, params: Tensor) -> Distribution:
        return self.counts(self._log_rate(params))

    def counts(self, log_rate: Tensor) -> Distribution:
        """The distribution of each count.

        Parameters
        ----------
        log_rate
            Logarithms of the means.
        """
        return Poisson(log_rate.exp(), validate_args=False)

    def reading(self, encoder: nn.Module) -> nn.Module:
        return nn.Sequential(LogCounts(), encoder)

    def check(self, x: Tensor) -> None:
        needs = "a likelihood of counts needs whole numbers from 0 on"
        bad = ~((x >= 0) & (x == x.floor()) & x.isfinite())  # written so that a NaN is refused
        remedy = "Repair or round them, or use a likelihood of real values, such as normal."
        refuse(x, bad, needs, remedy)

    def _log_rate(self, params: Tensor) -> Tensor:
        if self.from_mean:
            params = params.clamp_min(torch.finfo(params.dtype).tiny).log()
        return params.clamp(-LARGEST_LOG_RATE, LARGEST_LOG_RATE)


class NegativeBinomialLikelihood(PoissonLikelihood):
    r"""Independent negative binomial counts, otherwise as :class:`PoissonLikelihood`.

    The variance is :math:`\mu + \alpha \mu^2` for a mean :math:`\mu`. Each entry of x has a
    dispersion :math:`\alpha` of its own, which is learned and starts at 1.

    Parameters
    ----------
    x_shape, from_mean
        As of :class:`PoissonLikelihood`.
    """

    def __init__(self, x_shape: Sequence[int], *, from_mean: bool = False) -> None:
        super().__init__(x_shape, from_mean=from_mean)
        self.log_dispersion = nn.Parameter(torch.zeros(self.x_shape))

    def counts(self, log_rate: Tensor) -> Distribution:
        return NegativeBinomialOfMean(log_rate, self.log_dispersion.clamp(*LOG_DISPERSION))


class _Inflated(PoissonLikelihood):
    """Counts with additional zeros.

    Parameters
    ----------
    x_shape, from_mean
        As of :class:`PoissonLikelihood`.
    """

    def __init__(self, x_shape: Sequence[int], *, from_mean: bool = False) -> None:
        super().__init__(x_shape, from_mean=from_mean)
        if from_mean:
            self.zero_logits = nn.Parameter(torch.zeros(self.x_shape))

    @property
    def param_shape(self) -> tuple[int, ...]:
        return self.x_shape if self.from_mean else (2, *self.x_shape)

    def pixels(self, params: Tensor) -> Distribution:
        if self.from_mean:
            rates, logits = params, self.zero_logits.expand_as(params)
        else:
            rates, logits = params.unbind(-1 - len(self.x_shape))
        return ZeroInflated(self.counts(self._log_rate(rates)), logits)


class ZeroInflatedPoissonLikelihood(_Inflated, PoissonLikelihood):
    """Independent zero-inflated Poisson counts.

    A decoder's output is the logarithms of the means without the additional zeros, and then the
    logits of an additional zero, which so depend on the code, as in scVI.

    Parameters
    ----------
    x_shape
        Shape of one x.
    from_mean
        Whether a decoder's output is means alone; each entry's logit is then learned.

    References
    ----------
    Lopez et al., Deep generative modeling for single-cell transcriptomics, Nature Methods 2018.
    """


class ZeroInflatedNegativeBinomialLikelihood(_Inflated, NegativeBinomialLikelihood):
    """Independent zero-inflated negative binomial counts, a dispersion for each entry of x.

    Otherwise as :class:`ZeroInflatedPoissonLikelihood`.

    Parameters
    ----------
    x_shape, from_mean
        As of :class:`ZeroInflatedPoissonLikelihood`.
    """
