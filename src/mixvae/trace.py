"""The trace: the record of one forward pass."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from .distributions import (
    Hierarchical,
    NormalMixture,
    SequentialNormal,
    independent_levels,
    kl_by_points,
    kl_to_mixture,
)
from .distributions.pairs import is_diagonal_normal

if TYPE_CHECKING:
    from .families import Family

Scale = float | Tensor  # a number, or a tensor of one
Terms = dict[str, Tensor]


class cached_term:  # noqa: N801 - used as a decorator, as functools.cached_property is
    """``functools.cached_property`` without the lock of Python 3.11, which stops torch.compile."""

    def __init__(self, compute: Callable[[Any], Tensor]) -> None:
        self.compute = compute
        self.__doc__ = compute.__doc__

    def __get__(self, owner: Any, kind: type) -> Any:
        if owner is None:
            return self
        value = self.compute(owner)
        owner.__dict__[self.compute.__name__] = value  # later look-ups find this first
        return value


@dataclass(frozen=True)
class Trace:
    """Record of one forward pass, from which objectives are computed.

    S samples, B rows, K components, L latent dimensions, X the shape of one x. Log densities are
    in nats, summed over the event.

    Attributes
    ----------
    x
        The inputs.
    z
        Codes: samples of the latent variables.
    w
        Mixing weights; rows sum to one.
    b
        The weights that decode: ``w`` after component dropout, if there is any.
    q_z
        Posterior q(z | x, k), batch shape (B, K).
    p_z
        Prior p(z | k), batch shape (K,) or ().
    q_w
        Posterior of the weights q(w | x), batch shape (B,), event shape (K,).
    p_w
        Prior of the weights p(w); None where they are not random.
    p_x
        Likelihood p(x | z, w), batch shape (S, B, K), or (S, B, 1) after blending.
    family
        The kind of latent variable, which decides the bounds.
    kept
        The components that component dropout has not removed for good; None is all of them.
    lik_name
        The name of ``log_lik`` among the terms of an objective: ``log_lik`` for a density, another
        for a score that is not a normalised density.
    kl_mask
        The objective's cost of component dropout's rates, nats; None without dropout.
    kl_shared
        KL of mixing weights that all x share, nats; None where there are none.
    decode
        Computes p(x | z, w) of other codes and weights.
    q_all
        Posterior q(z | x) of all components, where K are a subset of them.
    log_gate
        log q(k | x), where a component gate chose K of more components.
    log_q_drawn
        log q(z | x, k) of the codes, where ``q_z`` computed it with the sample.
    at_means
        Whether the codes are the posteriors' means, not samples.
    """

    x: Float[Tensor, "B *X"]
    z: Float[Tensor, "S B K L"]
    w: Float[Tensor, "S B K"]
    b: Float[Tensor, "S B K"]
    q_z: Distribution
    p_z: Distribution
    q_w: Distribution
    p_w: Distribution | None
    p_x: Distribution
    family: "Family"
    kept: Bool[Tensor, " K"] | None = None
    lik_name: str = "log_lik"
    kl_mask: Float[Tensor, ""] | None = None
    kl_shared: Float[Tensor, ""] | None = None
    decode: Callable[[Tensor, Tensor], Distribution] | None = None
    q_all: Distribution | None = None
    log_gate: Float[Tensor, "B K"] | None = None
    log_q_drawn: Float[Tensor, "S B K"] | None = None
    at_means: bool = False

    @property
    def blended(self) -> bool:
        """Whether the decoder blends the components into one output."""
        return self.p_x.batch_shape[-1] < self.z.shape[2]

    @cached_term
    def log_lik(self) -> Float[Tensor, "S B _K"]:
        """log p(x | z, w) of each output of the decoder: K of them, or 1 after blending."""
        return self.p_x.log_prob(self.x.unsqueeze(1))

    @cached_term
    def log_prior(self) -> Float[Tensor, "S B K"]:
        """log p(z_k | k)."""
        return self.p_z.log_prob(self.z)

    @cached_term
    def log_q(self) -> Float[Tensor, "S B K"]:
        """log q(z_k | x, k): each code under the component it is a sample of."""
        return self.q_z.log_prob(self.z) if self.log_q_drawn is None else self.log_q_drawn

    @property
    def log_w(self) -> Float[Tensor, "S B K"]:
        """log w; finite also where a sample of w underflowed to 0."""
        return self.w.clamp_min(torch.finfo(self.w.dtype).tiny).log()

    @property
    def log_b(self) -> Float[Tensor, "S B K"]:
        """log b; -inf, without a gradient, where component dropout masks a component."""
        log_b = self.b.clamp_min(torch.finfo(self.b.dtype).tiny).log()
        return log_b.masked_fill(self.b == 0, -torch.inf)

    @cached_term
    def kl(self) -> Float[Tensor, "B K"]:
        """KL(q(z | x, k) || p(z | k)), nats: in closed form where there is one.

        Under a prior that is a mixture of normals it is a closed-form upper bound. The second
        level of a hierarchical code, and a step of a sequential one, is in closed form given codes
        of those before it. Otherwise, and over these, it is a mean over samples, or where the codes
        are means of normals, over fixed points; so it is then also under a component's own mixture
        of normals.
        """
        z, log_q = self.z, self.log_q_drawn
        kl = _kl(self.q_z, self.p_z, z, log_q, self.at_means)  # (B, K), or (S, B, K)
        return kl if kl.dim() == 2 else kl.flatten(0, -3).mean(0)

    @property
    def bound_kl(self) -> Float[Tensor, "B K"]:
        """KL in a bound: as ``kl``, but a mean over samples under a prior that is a mixture."""
        if isinstance(self.p_z, NormalMixture) and not self.at_means:
            return (self.log_q - self.log_prior).mean(0)
        return self.kl

    def of_kept(self, terms: Float[Tensor, "*b K"]) -> Float[Tensor, "*b K"]:
        """Set the terms of removed components to 0.

        Parameters
        ----------
        terms
            A term for each component, such as its KL.

        Returns
        -------
        Tensor
            The same, with 0 for components that component dropout has removed for good.
        """
        return terms if self.kept is None else terms.masked_fill(~self.kept, 0)

    @property
    def log_weight(self) -> Float[Tensor, "S B"]:
        """Log importance weight of the whole family, nats; the mean of its exponential is p(x)."""
        return self.family.log_weight(self)


def kl_of_levels(
    q: Distribution, p: Distribution, z: Float[Tensor, "S B K L"]
) -> list[Float[Tensor, "*S B K"]]:
    """KL(q || p) of every level, each given the codes z of the level above; the top one first.

    Parameters
    ----------
    q, p
        Hierarchical distributions of the same levels; others are one level.
    z
        Codes, sampled from q.

    Returns
    -------
    kl
        Nats; of the top level (B, K), of the others (S, B, K).
    """
    if not (isinstance(q, Hierarchical) and isinstance(p, Hierarchical)):
        return [_kl(q, p, z)]
    above, below = q.split(z)
    return [*kl_of_levels(q.first, p.first, above), _kl(q.second(above), p.second(above), below)]


def _kl(
    q: Distribution,
    p: Distribution,
    z: Float[Tensor, "S B K L"],
    log_q: Float[Tensor, "S B K"] | None = None,
    at_means: bool = False,
) -> Float[Tensor, "*S B K"]:
    """KL(q || p), or an estimate of it for each z sampled from q, with log density ``log_q``.

    Where z are means, the KL of normals is estimated by fixed points, under components' own
    mixtures too.
    """
    if isinstance(p, Hierarchical) and is_diagonal_normal(q):
        q = independent_levels(q, p.n_second)
    if isinstance(q, Hierarchical) and isinstance(p, Hierarchical):
        above, *below = kl_of_levels(q, p, z)
        return sum(below, above)
    by_points = at_means and is_diagonal_normal(q)
    if isinstance(p, NormalMixture) and is_diagonal_normal(q) and not (by_points and p.batch_shape):
        return kl_to_mixture(q, p)
    if isinstance(q, SequentialNormal) and is_diagonal_normal(p):
        return q.kl(p, z)
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        if by_points:
            return kl_by_points(q, p)
        return (q.log_prob(z) if log_q is None else log_q) - p.log_prob(z)
