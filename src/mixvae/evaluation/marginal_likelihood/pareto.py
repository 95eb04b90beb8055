"""Pareto k-hat: how heavy the tail of importance weights is."""

from math import inf, isqrt, nan, sqrt

import torch
from jaxtyping import Float, Float64
from torch import Tensor

MAX_K = 0.7  # above it, an estimate is not to be relied on
MAX_SHARE = 0.05  # of the examples above MAX_K, beyond which their mean is not either
MIN_TAIL = 25  # weights; the estimate from fewer is too uncertain
TIED = 0.01  # weights that agree to this part have no tail but rounding
TINY = 1e-150  # of the largest weight; less has underflowed


def pareto_k(log_weights: Float[Tensor, " S"]) -> float:
    r"""Shape k of a generalised Pareto distribution that is fitted to the largest weights.

    Weights of shape k have moments up to 1/k: above 1/2 their variance is infinite, and above 0.7
    the mean of any practical number of them is no longer reliable. The tail is the largest
    min(S/5, 3 sqrt(S)) weights; the distribution is fitted to their excess over the next one.

    Parameters
    ----------
    log_weights
        (S,), logarithms of importance weights.

    Returns
    -------
    k
        NaN for a tail of fewer than 25 (S < 125) or weights that are not finite; -inf where the
        tail's weights differ by less than 1 %, as with an exact posterior; inf where fewer than
        five weights have a positive excess.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao & Gabry (JMLR 2024).

    Examples
    --------
    >>> import torch
    >>> uniform = (torch.arange(10_000) + 0.5) / 10_000
    >>> round(pareto_k(-0.8 * uniform.log()), 1)  # u ** -0.8 has the shape 0.8
    0.8
    """
    n_tail = int(min(len(log_weights) / 5, 3 * sqrt(len(log_weights))))
    if n_tail < MIN_TAIL:
        return nan
    top = log_weights.double().topk(n_tail + 1).values
    if not top[0].isfinite():
        return nan
    weights = (top - top[0]).exp()
    excess = weights[:-1] - weights[-1]
    if excess[0] < TIED:
        return -inf
    excess = excess[excess > TINY]
    return fit_pareto(excess) if len(excess) >= 5 else inf


def unreliable(share: float) -> str:
    """Text beside a mean over examples, of which a fraction ``share`` has a k-hat above 0.7."""
    return (
        f"UNRELIABLE: k-hat above {MAX_K} for {share:.0%} of examples; likely too low, error "
        "larger than ±"
    )


def fit_pareto(excess: Float64[Tensor, " n"]) -> float:
    r"""Shape k of a generalised Pareto distribution, estimated from positive values.

    With :math:`b = k/σ` the likelihood is greatest at :math:`k(b) = \frac1n\sum_i \log(1 + b y_i)`,
    where its logarithm is :math:`n(\log\frac{b}{k(b)} - k(b) - 1)`. The estimate is k at the mean
    of b over a grid, weighted by that likelihood (Zhang & Stephens 2009), then shrunk towards 1/2
    with the weight of ten values, which lowers the variance for small tails (Vehtari et al. 2024,
    Appendix).
    """
    y = excess.sort().values
    n = len(y)
    size = 30 + isqrt(n)
    spread = (size / (torch.arange(size).double() + 0.5)).sqrt() - 1
    b = spread / (3 * y[int(n / 4 + 0.5) - 1]) - 1 / y[-1]
    b = b[b != 0]  # the exponential distribution, where b/k has no value but a limit
    k = torch.log1p(b.unsqueeze(1) * y).mean(1)
    likelihood = (n * ((b / k).log() - k)).softmax(0)
    mean = (likelihood * b).sum()
    return float((n * torch.log1p(mean * y).mean() + 10 * 0.5) / (n + 10))
