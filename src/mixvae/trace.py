"""What one forward pass leaves behind."""

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
        owner.__dict__[self.compute.__name__] = value  # found before this, from now on
        return value


@dataclass(frozen=True)
class Trace:
    """One Monte Carlo pass: all that an objective may look at.

    S samples, B rows, K components, L latent dimensions, X the shape of one x. Log densities are
    in nats, summed over the event.
    """

    x: Float[Tensor, "B *X"]
    z: Float[Tensor, "S B K L"]
    w: Float[Tensor, "S B K"]  # rows sum to one
    b: Float[Tensor, "S B K"]  # what decodes: w, after component dropout where there is any
    q_z: Distribution  # q(z | x, k), batch (B, K)
    p_z: Distribution  # p(z | k),    batch (K,) or ()
    q_w: Distribution  # q(w | x),    batch (B,), event (K,)
    p_w: Distribution | None  # p(w), None where w is not random
    p_x: Distribution  # p(x | z, w), batch (S, B, K), or (S, B, 1) after blending
    family: "Family"
    kept: Bool[Tensor, " K"] | None = None  # whose codes count, where dropout took some out
    lik_name: str = "log_lik"  # what log_lik is called: a density, or a score that is none
    kl_mask: Float[Tensor, ""] | None = None  # what component dropout's rates cost
    decode: Callable[[Tensor, Tensor], Distribution] | None = None  # p(x | z, w) of other codes
    q_all: Distribution | None = None  # q(z | x) of all components, where K are some of them
    log_gate: Float[Tensor, "B K"] | None = None  # log q(k | x), where a gate chose K of more
    log_q_drawn: Float[Tensor, "S B K"] | None = None  # of z, where q_z gave it with the sample

    @property
    def blended(self) -> bool:
        """Whether the decoder merged the components into one output."""
        return self.p_x.batch_shape[-1] < self.z.shape[2]

    @cached_term
    def log_lik(self) -> Float[Tensor, "S B _K"]:
        """log p(x | z, w) of every output of the decoder: K of them, or 1 after blending."""
        return self.p_x.log_prob(self.x.unsqueeze(1))

    @cached_term
    def log_prior(self) -> Float[Tensor, "S B K"]:
        """log p(z_k | k)."""
        return self.p_z.log_prob(self.z)

    @cached_term
    def log_q(self) -> Float[Tensor, "S B K"]:
        """log q(z_k | x, k): each code under the component that drew it."""
        return self.q_z.log_prob(self.z) if self.log_q_drawn is None else self.log_q_drawn

    @property
    def log_w(self) -> Float[Tensor, "S B K"]:
        """log w, of a draw that underflowed to 0 too."""
        return self.w.clamp_min(torch.finfo(self.w.dtype).tiny).log()

    @property
    def log_b(self) -> Float[Tensor, "S B K"]:
        """log b; -inf, without a gradient, for what component dropout took out."""
        log_b = self.b.clamp_min(torch.finfo(self.b.dtype).tiny).log()
        return log_b.masked_fill(self.b == 0, -torch.inf)

    @property
    def kl(self) -> Float[Tensor, "B K"]:
        """KL(q(z | x, k) || p(z | k)), nats: in closed form where there is one.

        Under a mixture of normals it is a closed-form upper bound. A chain's second level is in
        closed form given the first one's codes. Else, and over these, it is a mean over samples.
        """
        each = _kl(self.q_z, self.p_z, self.z, self.log_q_drawn)  # (B, K), or (S, B, K)
        return each if each.dim() == 2 else each.flatten(0, -3).mean(0)

    def of_kept(self, each: Float[Tensor, "*b K"]) -> Float[Tensor, "*b K"]:
        """What every code costs; 0 for those of components that dropout took out for good."""
        return each if self.kept is None else each.masked_fill(~self.kept, 0)

    @property
    def log_weight(self) -> Float[Tensor, "S B"]:
        """The family's whole log importance weight: its exponential's mean is p(x)."""
        return self.family.log_weight(self)


def _kl(
    q: Distribution,
    p: Distribution,
    z: Float[Tensor, "S B K L"],
    log_q: Float[Tensor, "S B K"] | None = None,
) -> Float[Tensor, "*S B K"]:
    """KL(q || p), or what is one in the mean over codes z drawn from q, log density ``log_q``."""
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
