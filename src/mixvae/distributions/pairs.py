r"""Densities and KLs of all pairs of codes and diagonal normals, as one matrix product.

.. math:: \log N(z; \mu, \sigma^2) = (-\tfrac12 z^2, z) \cdot (\sigma^{-2}, \mu \sigma^{-2}) + c

In float32 the product suffers from cancellation where scales are small (9 nats off at a scale of
0.001), so it is computed in float64 on devices that have it. The result has the input's type.
"""

from math import log, pi

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal


def diagonal_normal(loc: Float[Tensor, "*n L"], scale: Float[Tensor, "*n L"]) -> Independent:
    """Normal distribution of L independent dimensions, N(loc, scale^2); arguments are not checked.

    Parameters
    ----------
    loc, scale
        Means and standard deviations, (*n, L).

    Returns
    -------
    normal
        Batch (*n), event (L,).

    Examples
    --------
    >>> diagonal_normal(torch.zeros(3, 2), torch.ones(3, 2)).log_prob(torch.zeros(2))
    tensor([-1.8379, -1.8379, -1.8379])
    """
    return Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)


def is_diagonal_normal(p: Distribution) -> bool:
    """Whether p is a normal of independent dimensions, event (L,)."""
    return (
        isinstance(p, Independent)
        and isinstance(p.base_dist, Normal)
        and p.reinterpreted_batch_ndims == 1
    )


def loc_and_scale(p: Distribution) -> tuple[Tensor, Tensor]:
    """Means and standard deviations of a diagonal normal, each (*n, L)."""
    assert is_diagonal_normal(p)
    return p.base_dist.loc, p.base_dist.scale  # type: ignore[attr-defined]


def flatten_batch(p: Distribution) -> Independent:
    """A diagonal normal with all its batch axes as one."""
    return diagonal_normal(*(t.flatten(0, -2) for t in loc_and_scale(p)))


def log_prob_each(components: Distribution, z: Float[Tensor, "*n L"]) -> Float[Tensor, "*n K"]:
    """Log density of every code under every component of its batch entry.

    Parameters
    ----------
    components
        Distributions, batch (*batch, K), event (L,).
    z
        Codes, (*sample, *batch, L).

    Returns
    -------
    log_prob
        Nats, (*sample, *batch, K).

    Examples
    --------
    >>> normals = diagonal_normal(torch.tensor([[0.0], [1.0]]), torch.ones(2, 1))  # K = 2, L = 1
    >>> log_prob_each(normals, torch.zeros(5, 1)).shape
    torch.Size([5, 2])
    """
    if not is_diagonal_normal(components):
        shape = (*z.shape[:-1], components.batch_shape[-1], z.shape[-1])
        return components.log_prob(z.unsqueeze(-2).expand(shape))
    loc, scale = loc_and_scale(components)
    n_batch = loc.dim() - 2
    sample = z.shape[: z.dim() - 1 - n_batch]
    rows = z.reshape(-1, *z.shape[len(sample) :]).movedim(0, -2)  # (*batch, N, L)
    pairs = log_prob_pairs(rows, loc, scale).movedim(-2, 0)
    return pairs.reshape(*sample, *pairs.shape[1:])


def log_prob_pairs(
    z: Float[Tensor, "*batch N L"],
    loc: Float[Tensor, "*batch K L"],
    scale: Float[Tensor, "*batch K L"],
    log_w: Float[Tensor, "*batch K"] | float = 0.0,
) -> Float[Tensor, "*batch N K"]:
    """log_w_k + log N(z_n; loc_k, scale_k^2), summed over L, of all pairs."""
    x, mu, sigma = to_float64(z), to_float64(loc), to_float64(scale)
    powers, coefficients, constant = product_form(x, mu, sigma, log_w)
    with_one = torch.cat([powers, torch.ones_like(powers[..., :1])], -1)  # saves an addition
    with_constant = torch.cat([coefficients, constant.unsqueeze(-1)], -1)
    return (with_one @ with_constant.mT).to(z.dtype)


def product_form(
    z: Tensor, loc: Tensor, scale: Tensor, log_w: Tensor | float
) -> tuple[Tensor, Tensor, Tensor]:
    """Powers of z (*batch, N, 2 L), coefficients (*batch, K, 2 L) and constants (*batch, K)."""
    precision = scale.square().reciprocal_()
    shift = loc * precision
    energy = scale.log().addcmul_(loc, shift, value=0.5)
    constant = log_w - energy.sum(-1) - 0.5 * log(2 * pi) * z.shape[-1]
    powers = torch.cat([z.square().mul_(-0.5), z], -1)
    return powers, torch.cat([precision, shift], -1), constant


def kl_pairs(q: Distribution, p: Distribution) -> Float[Tensor, "*batch N K"]:
    """KL(q_n || p_k) of all pairs of diagonal normals.

    Parameters
    ----------
    q
        Batch (*batch, N), event (L,).
    p
        Batch (*batch, K), event (L,).

    Returns
    -------
    kl
        Nats, (*batch, N, K).

    Examples
    --------
    >>> q = diagonal_normal(torch.tensor([[0.0], [1.0]]), torch.ones(2, 1))
    >>> kl_pairs(q, q)
    tensor([[0.0000, 0.5000],
            [0.5000, 0.0000]])
    """
    (m, s), (loc, scale) = loc_and_scale(q), loc_and_scale(p)
    mean, stddev, mu, sigma = (to_float64(t) for t in (m, s, loc, scale))
    precision = sigma.square().reciprocal()
    powers = torch.cat([mean.square() + stddev.square(), mean], -1)
    coefficients = torch.cat([0.5 * precision, -mu * precision], -1)
    constant = (sigma.log() + 0.5 * mu.square() * precision).sum(-1).unsqueeze(-2)
    entropy = (stddev.log() + 0.5).sum(-1).unsqueeze(-1)
    return (powers @ coefficients.mT + constant - entropy).to(m.dtype)


def to_float64(t: Tensor) -> Tensor:
    """The tensor in float64, or in float32 on devices without float64 (MPS)."""
    return t.to(torch.float32 if t.device.type == "mps" else torch.float64)
