"""Wider versions of posteriors, as proposals of importance sampling."""

from collections.abc import Sequence
from functools import singledispatch
from math import log, pi

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Beta, Dirichlet, Distribution, Independent

from .correlated import CorrelatedNormal
from .face import Face
from .hierarchical import Hierarchical
from .kumaraswamy import Kumaraswamy
from .outer import OuterProduct
from .pairs import diagonal_normal, is_diagonal_normal, loc_and_scale
from .spike_exponential import SpikeAndExponential
from .stick_breaking import StickBreaking

LARGEST = 1e4  # of a Kumaraswamy's parameters: beyond, float32 has none of its digits


@singledispatch
def widened(q: Distribution, factor: float) -> Distribution:
    """A distribution about as q, with heavier tails: a proposal for a q that is too narrow.

    A normal's scale is multiplied by ``factor``. A Dirichlet or Beta, and the probabilities of
    bits, are raised to the power 1 / factor^2 and normalised, which is the same operation. A
    Kumaraswamy keeps its median and has its first parameter divided by ``factor``. Levels, sticks
    and weights of pairs are widened one by one.

    Parameters
    ----------
    q : Distribution
        Any; one of a kind that is not named above is returned as it is. A kind of one's own is
        added by ``widened.register``.
    factor : float
        At least 1, which changes nothing.

    Returns
    -------
    Distribution
        Of q's batch and event shapes.

    Examples
    --------
    >>> import torch
    >>> from mixvae.distributions import diagonal_normal
    >>> widened(diagonal_normal(torch.zeros(2), torch.ones(2)), 1.5).stddev
    tensor([1.5000, 1.5000])
    """
    return q


@widened.register
def _(q: Independent, factor: float) -> Distribution:
    if not is_diagonal_normal(q):
        return q
    loc, scale = loc_and_scale(q)
    return diagonal_normal(loc, factor * scale)


@widened.register
def _(q: CorrelatedNormal, factor: float) -> Distribution:
    return q.wider(factor)


@widened.register
def _(q: Hierarchical, factor: float) -> Distribution:
    def second(above: Tensor) -> Distribution:
        return widened(q.second(above), factor)

    return Hierarchical(widened(q.first, factor), second, q.n_second)


@widened.register
def _(q: StickBreaking, factor: float) -> Distribution:
    sticks = widened(q.sticks, factor)
    assert isinstance(sticks, Kumaraswamy | Beta)
    return StickBreaking(sticks)


@widened.register
def _(q: Kumaraswamy, factor: float) -> Distribution:
    log_median_to_a = (-torch.expm1(-log(2) / q.b)).log() / factor  # of the wider one, too
    b = -log(2) / (-log_median_to_a.exp()).log1p()
    return Kumaraswamy(q.a / factor, b.clamp(max=LARGEST), series=q.series, validate_args=False)


@widened.register
def _(q: Beta, factor: float) -> Distribution:
    a, b = (1 + (c - 1) / factor**2 for c in (q.concentration1, q.concentration0))
    return Beta(a, b, validate_args=False)


@widened.register
def _(q: Dirichlet, factor: float) -> Distribution:
    return Dirichlet(1 + (q.concentration - 1) / factor**2, validate_args=False)


@widened.register
def _(q: SpikeAndExponential, factor: float) -> Distribution:
    return SpikeAndExponential(q.logits / factor**2, q.beta)


@widened.register
def _(q: OuterProduct, factor: float) -> Distribution:
    return OuterProduct(widened(q.rows, factor), widened(q.columns, factor))


@widened.register
def _(q: Face, factor: float) -> Distribution:
    return Face(widened(q.inner, factor), q.kept)


@singledispatch
def log_prob_widened(
    q: Distribution, factors: Sequence[float], z: Float[Tensor, "*n L"]
) -> Float[Tensor, "*m J"]:
    """Log densities of z under q widened by each of J factors, nats.

    What a network or a flow computes of z is computed once.

    Parameters
    ----------
    q : Distribution
        Any; see :func:`widened`.
    factors : sequence of float
        At least 1 each.
    z : Tensor
        (*sample, *batch, L), or anything that broadcasts with q's batch.

    Returns
    -------
    Tensor
        (*sample, *batch, J).

    Examples
    --------
    >>> import torch
    >>> from mixvae.distributions import diagonal_normal
    >>> q = diagonal_normal(torch.zeros(1), torch.ones(1))
    >>> log_prob_widened(q, (1.0, 2.0), torch.zeros(1)).exp()
    tensor([0.3989, 0.1995])
    """
    return torch.stack([widened(q, factor).log_prob(z) for factor in factors], -1)


@log_prob_widened.register
def _(q: Independent, factors: Sequence[float], z: Tensor) -> Tensor:
    if not is_diagonal_normal(q):
        return torch.stack([q.log_prob(z)] * len(factors), -1)
    loc, scale = loc_and_scale(q)
    distance = ((z - loc) / scale).square().sum(-1, keepdim=True)
    width = torch.tensor(factors, dtype=z.dtype, device=z.device)
    constant = z.shape[-1] * (width.log() + 0.5 * log(2 * pi))
    return -0.5 * distance / width.square() - scale.log().sum(-1, keepdim=True) - constant


@log_prob_widened.register
def _(q: CorrelatedNormal, factors: Sequence[float], z: Tensor) -> Tensor:
    return torch.stack([q.wider(factor).log_prob(z) for factor in factors], -1)


@log_prob_widened.register
def _(q: Hierarchical, factors: Sequence[float], z: Tensor) -> Tensor:
    above, below = q.split(z)
    first = log_prob_widened(q.first, factors, above)
    return first + log_prob_widened(q.second(above), factors, below)
