r"""Mixtures, and the densities of many codes under many diagonal normals as one matrix product.

.. math:: \log N(z; \mu, \sigma^2) = (z^2, z) \cdot (-\tfrac12 \sigma^{-2}, \mu \sigma^{-2}) + c

In float32 the product cancels where scales are small (9 nats off at a scale of 0.001), so it is
taken in float64, which costs little beside the networks; its result has the type that came.
"""

from math import log, pi

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
)


def mixture(weights: Float[Tensor, "*batch K"], components: Distribution) -> MixtureSameFamily:
    """The mixture whose components are the last batch axis of ``components``."""
    index = Categorical(weights, validate_args=False)
    made = NormalMixture if is_diagonal_normal(components) else MixtureSameFamily
    return made(index, components, validate_args=False)


class NormalMixture(MixtureSameFamily):
    """A mixture of diagonal normals: batch (*batch), event (L,), components batch (*batch, K)."""

    pooled_from: "NormalMixture | None" = None  # what :meth:`pool` was called on

    def log_prob(self, z: Float[Tensor, "*n L"]) -> Float[Tensor, "*n"]:
        each = log_prob_each(self.component_distribution, z)
        return (each + self.mixture_distribution.logits).logsumexp(-1)

    def pool(self) -> "NormalMixture":
        """One mixture of all that the batch (C,) holds, each of them with the same weight."""
        weights = self.mixture_distribution.probs.flatten() / len(self.mixture_distribution.probs)
        components = in_a_row(self.component_distribution)
        pooled = NormalMixture(Categorical(weights, validate_args=False), components)
        pooled.pooled_from = self
        return pooled


def is_diagonal_normal(p: Distribution) -> bool:
    """Whether p is a normal of independent dimensions, event (L,)."""
    return (
        isinstance(p, Independent)
        and isinstance(p.base_dist, Normal)
        and p.reinterpreted_batch_ndims == 1
    )


def loc_and_scale(p: Distribution) -> tuple[Tensor, Tensor]:
    """Of a diagonal normal."""
    assert is_diagonal_normal(p)
    return p.base_dist.loc, p.base_dist.scale  # type: ignore[attr-defined]


def in_a_row(p: Distribution) -> Independent:
    """A diagonal normal with all its batch axes as one."""
    loc, scale = (t.flatten(0, -2) for t in loc_and_scale(p))
    return Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)


def log_prob_each(components: Distribution, z: Float[Tensor, "*n L"]) -> Float[Tensor, "*n K"]:
    """Log densities of codes under every component that there is for them, nats.

    ``components`` has batch (*batch, K), and z is (*sample, *batch, L).
    """
    if not is_diagonal_normal(components):
        return components.log_prob(z.unsqueeze(-1 - len(components.event_shape)))
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
) -> Float[Tensor, "*batch N K"]:
    """log N(z_n; loc_k, scale_k^2), summed over L, of all pairs."""
    precise = torch.float32 if z.device.type == "mps" else torch.float64
    x, mu, sigma = (t.to(precise) for t in (z, loc, scale))
    precision = sigma.square().reciprocal()
    constant = -(sigma.log() + 0.5 * mu.square() * precision).sum(-1)
    constant = constant - 0.5 * log(2 * pi) * z.shape[-1]
    powers = torch.cat([x.square(), x], -1)
    coefficients = torch.cat([-0.5 * precision, mu * precision], -1)
    return (powers @ coefficients.mT + constant.unsqueeze(-2)).to(z.dtype)


def kl_to_mixture(q: Distribution, p: NormalMixture) -> Float[Tensor, "*n"]:
    r"""An upper bound of KL(q || p), in closed form: :math:`-\log\sum_k \pi_k e^{-KL(q \| p_k)}`.

    q is a diagonal normal of any batch and p has batch (). By Jensen's inequality, and exact where
    p's components lie far apart (Hershey & Olsen 2007, Section 7).
    """
    kl = kl_pairs(in_a_row(q), p.component_distribution)
    bound = -(p.mixture_distribution.logits - kl).logsumexp(-1)
    return bound.reshape(q.batch_shape)


def kl_pairs(q: Distribution, p: Distribution) -> Float[Tensor, "*batch N K"]:
    """KL(q_n || p_k) of all pairs of diagonal normals, batch (*batch, N) and (*batch, K), nats."""
    (m, s), (loc, scale) = loc_and_scale(q), loc_and_scale(p)
    precise = torch.float32 if m.device.type == "mps" else torch.float64
    mu, sigma = loc.to(precise), scale.to(precise)
    precision = sigma.square().reciprocal()
    powers = torch.cat([m.to(precise).square() + s.to(precise).square(), m.to(precise)], -1)
    coefficients = torch.cat([0.5 * precision, -mu * precision], -1)
    constant = (sigma.log() + 0.5 * mu.square() * precision).sum(-1).unsqueeze(-2)
    entropy = (s.to(precise).log() + 0.5).sum(-1).unsqueeze(-1)
    return (powers @ coefficients.mT + constant - entropy).to(m.dtype)
