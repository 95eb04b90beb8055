"""The trace: the record of one forward pass."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from .distributions import Hierarchical, NormalMixture, kl_to_mixture
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
    """Record of one forward pass: inputs, samples and distributions.

    Objectives are functions of a trace. Shapes are in S samples, B rows, K components, L latent
    dimensions, and X, the shape of one x. Log densities are in nats, summed over the event.
    """

    x: Float[Tensor, "B *X"]
    z: Float[Tensor, "S B K L"]
    w: Float[Tensor, "S B K"]  # rows sum to one
    b: Float[Tensor, "S B K"]  # the weights that decode: w, after component dropout if there is any
    q_z: Distribution  # q(z | x, k), batch (B, K)
    p_z: Distribution  # p(z | k),    batch (K,) or ()
    q_w: Distribution  # q(w | x),    batch (B,), event (K,)
    p_w: Distribution | None  # p(w), None where w is not random
    p_x: Distribution  # p(x | z, w), batch (S, B, K), or (S, B, 1) after blending
    family: "Family"
    kept: Bool[Tensor, " K"] | None = None  # which components are not dropped, in evaluation
    lik_name: str = "log_lik"  # the name of log_lik in an objective
    kl_mask: Float[Tensor, ""] | None = None  # cost of component dropout's rates, nats
    decode: Callable[[Tensor, Tensor], Distribution] | None = None  # p(x | z, w) of other codes
    q_all: Distribution | None = None  # q(z | x) of all components, where K are a subset
    log_gate: Float[Tensor, "B K"] | None = None  # log q(k | x), where a gate chose K of more
    log_q_drawn: Float[Tensor, "S B K"] | None = None  # log q of z, where q_z gave it with z

    @property
    def blended(self) -> bool:
        """Whether the decoder merged the components into one output."""
        return self.p_x.batch_shape[-1] < self.z.shape[2]

    @cached_term
    def log_lik(self) -> Float[Tensor, "S B _K"]:
        """log p(x | z, w) of every output of the decoder: K outputs, or 1 after merging."""
        return self.p_x.log_prob(self.x.unsqueeze(1))

    @cached_term
    def log_prior(self) -> Float[Tensor, "S B K"]:
        """log p(z_k | k)."""
        return self.p_z.log_prob(self.z)

    @cached_term
    def log_q(self) -> Float[Tensor, "S B K"]:
        """log q(z_k | x, k), each code under its own component."""
        return self.q_z.log_prob(self.z) if self.log_q_drawn is None else self.log_q_drawn

    @property
    def log_w(self) -> Float[Tensor, "S B K"]:
        """log w, finite for a sample that underflowed to 0."""
        return self.w.clamp_min(torch.finfo(self.w.dtype).tiny).log()

    @property
    def log_b(self) -> Float[Tensor, "S B K"]:
        """log b; -inf, without a gradient, for dropped components."""
        log_b = self.b.clamp_min(torch.finfo(self.b.dtype).tiny).log()
        return log_b.masked_fill(self.b == 0, -torch.inf)

    @property
    def kl(self) -> Float[Tensor, "B K"]:
        """KL(q(z | x, k) || p(z | k)), nats: in closed form where there is one.

        For a prior that is a mixture of normals it is a closed-form upper bound. For two levels of
        codes the second level's is in closed form given samples of the first, and averaged over
        them. Otherwise it is a mean of log q - log p over samples.
        """
        kl = _kl(self.q_z, self.p_z, self.z, self.log_q_drawn)  # (B, K), or (S, B, K)
        return kl if kl.dim() == 2 else kl.flatten(0, -3).mean(0)

    def of_kept(self, costs: Float[Tensor, "*b K"]) -> Float[Tensor, "*b K"]:
        """The same costs of codes, with 0 for the codes of dropped components."""
        return costs if self.kept is None else costs.masked_fill(~self.kept, 0)

    @property
    def log_weight(self) -> Float[Tensor, "S B"]:
        """The family's log importance weight, nats: the mean of its exponential is p(x)."""
        return self.family.log_weight(self)


def _kl(
    q: Distribution,
    p: Distribution,
    z: Float[Tensor, "S B K L"],
    log_q: Float[Tensor, "S B K"] | None = None,
) -> Float[Tensor, "*S B K"]:
    """KL(q || p), or its estimates for codes z from q, whose log density is ``log_q`` if given."""
    if isinstance(q, Hierarchical) and isinstance(p, Hierarchical):
        above, below = q.split(z)
        first = _kl(q.first, p.first, above)
        return first + _kl(q.second(above), p.second(above), below)
    if isinstance(p, NormalMixture) and is_diagonal_normal(q):
        return kl_to_mixture(q, p)
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return (q.log_prob(z) if log_q is None else log_q) - p.log_prob(z)
