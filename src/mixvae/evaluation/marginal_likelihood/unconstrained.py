"""The latent as a vector of R^D, for samplers that move by gradients."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor
from torch.distributions import Categorical, Distribution, constraints

from mixvae.distributions import Face, NormalMixture, OuterProduct, diagonal_normal
from mixvae.distributions.pairs import is_diagonal_normal, loc_and_scale, to_float64
from mixvae.distributions.stick_breaking import break_off
from mixvae.errors import MixvaeError

from .latent_space import JointCodes, Latents, LatentSpace, OneCode, support_of

Real = Float[Tensor, "S B D"]  # float64, but on devices that have none
PerChain = Float[Tensor, "S B"]


@dataclass(frozen=True)
class Point:
    """Where S chains of each of B rows are, with the log densities there and their gradients."""

    u: Real
    log_prior: PerChain  # log p(u), the change of variables included
    log_lik: PerChain  # log p(x | u)
    prior_gradient: Real
    lik_gradient: Real

    def log_density(self, beta: float) -> PerChain:
        """log p(u) p(x | u)^beta."""
        return self.log_prior + beta * self.log_lik

    def gradient(self, beta: float) -> Real:
        """The gradient of :meth:`log_density`."""
        return self.prior_gradient + beta * self.lik_gradient

    def moved(self, accepted: Tensor, to: "Point") -> "Point":
        """The other point where a move was accepted, (S, B), and this one elsewhere."""
        each = {
            name: torch.where(accepted.unsqueeze(-1) if old.dim() == 3 else accepted, new, old)
            for (name, old), new in zip(vars(self).items(), vars(to).values(), strict=True)
        }
        return Point(**each)


class UnconstrainedLatent:
    """The latent of B rows as vectors u of R^D; the component of an exact mixture's code is fixed.

    Codes over the reals are themselves. Codes and weights on a simplex are broken off a stick, and
    u has the logits of the pieces: unlike ``biject_to(simplex)`` in logarithms throughout, as under
    a sparse Dirichlet one weight is often 1 to the last digit. Where component dropout removed
    components, the weights and codes of the others alone vary.

    Parameters
    ----------
    space : LatentSpace
        Made with ``p_z``.
    p_z : Distribution
        The prior, from :func:`continuous_prior`.
    component : Tensor or None
        (S, B), the component of each chain's code, in an exact mixture.
    """

    def __init__(
        self, space: LatentSpace, p_z: Distribution, component: Int64[Tensor, "S B"] | None
    ) -> None:
        self.space, self.p_z, self.component = space, p_z, component
        self.kept: Any = slice(None) if (kept := _kept(space)) is None else kept
        self.n_components = space.model.n_components
        self.n_latent = p_z.event_shape[0]
        self.n_codes = 1
        if isinstance(space, JointCodes):
            self.n_codes = len(torch.ones(self.n_components)[self.kept])
        self.on_simplex = is_simplex(p_z)
        self.width = self.n_latent - self.on_simplex  # of a code in u
        self.dtype, self.device = space.x.dtype, space.x.device
        simple = self.on_simplex or is_diagonal_normal(p_z) or isinstance(p_z, NormalMixture)
        self.prior_dtype = None if simple else self.dtype  # networks take no float64

    def to_vector(self, latents: Latents) -> Real:
        """The u of values of the latent."""
        z = to_float64(latents.z)
        if not isinstance(self.space, JointCodes):
            return logits_of_sticks(z) if self.on_simplex else z
        z = z[..., self.kept, :]
        z = (logits_of_sticks(z) if self.on_simplex else z).flatten(-2)
        if self.space.p_w is None:
            return z
        assert latents.w is not None
        return torch.cat([z, logits_of_sticks(to_float64(latents.w[..., self.kept]))], -1)

    def to_latents(self, u: Real) -> tuple[Latents, PerChain]:
        """The values of the latent at u, and the log determinant of the map's derivative."""
        log_det = torch.zeros_like(u[..., 0])
        codes, sticks = u.split(
            [self.n_codes * self.width, u.shape[-1] - self.n_codes * self.width], -1
        )
        z = codes.unflatten(-1, (self.n_codes, self.width))
        if self.on_simplex:
            z, each = broken_off(z)
            log_det = log_det + each.sum(-1)
        if not isinstance(self.space, JointCodes):
            return Latents(z.squeeze(-2), self.component), log_det
        z = self._among_zeros(z, -2)
        if self.space.p_w is None:
            w = to_float64(self.space.q_w.mean).expand(len(u), -1, -1)
            return Latents(z, w=w), log_det
        w, each = broken_off(sticks)
        return Latents(z, w=self._among_zeros(w, -1)), log_det + each

    def sample_prior(self, row: int, n: int) -> Float[Tensor, "n 1 D"]:
        """n values of a row's latent from its prior, as vectors."""
        p_z, space = self.p_z, self.space
        if isinstance(space, JointCodes):
            z = p_z.expand((self.n_components,)).sample((n,))
            w = space.q_w.mean[row].expand(n, -1) if space.p_w is None else space.p_w.sample((n,))
            return self.to_vector(Latents(z.unsqueeze(1), w=w.unsqueeze(1)))
        assert isinstance(space, OneCode)
        if self.component is None or not p_z.batch_shape:
            z = space.whole_prior.sample((n,))
        else:
            z = p_z.sample((n,))[torch.arange(n, device=self.device), self.component[:, row]]
        return self.to_vector(Latents(z.unsqueeze(1)))

    def point(self, u: Real) -> Point:
        """The log densities at u, and their gradients; of a u that is not finite, density 0."""
        lost = ~u.isfinite().all(-1)
        u = u.detach().masked_fill(lost.unsqueeze(-1), 0.0).requires_grad_()
        with torch.enable_grad():
            latents, log_det = self.to_latents(u)
            z, k, w = latents.z, latents.component, latents.w
            log_prior = self.space.log_prior(Latents(z.to(self.prior_dtype or z.dtype), k, w))
            log_prior = to_float64(log_prior) + log_det
            read = Latents(z.to(self.dtype), k, None if w is None else w.to(self.dtype))
            log_lik = to_float64(self.space.log_lik(read))
            (of_prior,) = torch.autograd.grad(log_prior.sum(), u, retain_graph=True)
            (of_lik,) = torch.autograd.grad(log_lik.sum(), u)
        log_prior = log_prior.detach().masked_fill(lost, -torch.inf)
        return Point(u.detach(), log_prior, log_lik.detach(), of_prior, of_lik)

    def _among_zeros(self, kept: Tensor, axis: int) -> Tensor:
        """All components' codes or weights, zeros for those that were removed."""
        if isinstance(self.kept, slice):
            return kept
        index = self.kept.nonzero().squeeze(1)
        shape = list(kept.shape)
        shape[axis] = self.n_components
        return kept.new_zeros(shape).index_copy(axis, index, kept)


def _kept(space: LatentSpace) -> Tensor | None:
    """Which components are part of the latent; None for all."""
    return space.q_w.kept if isinstance(space.q_w, Face) else None


def logits_of_sticks(w: Float[Tensor, "*n K"]) -> Float[Tensor, "*n J"]:
    """The logit of each piece of the stick against what it leaves, K - 1 of them."""
    w = w.clamp_min(torch.finfo(w.dtype).tiny)
    left = w.flip(-1).cumsum(-1).flip(-1)
    return w[..., :-1].log() - left[..., 1:].log()


def broken_off(
    logits: Float[Tensor, "*n J"],
) -> tuple[Float[Tensor, "*n K"], Float[Tensor, "*n"]]:
    """Weights of sticks' logits, and the log determinant of the first K - 1 weights' derivative."""
    log1m_v = F.logsigmoid(-logits)
    log_w = break_off(F.logsigmoid(logits), log1m_v)
    return log_w.exp(), (log_w[..., :-1] + log1m_v).sum(-1)  # dw_k/du_k = w_k (1 - v_k)


def is_simplex(p: Distribution) -> bool:
    """Whether values are weights that add up to one."""
    return support_of(p) is constraints.simplex


def check_continuous(p: Distribution, of: str) -> None:
    """Raise a MixvaeError unless p, the prior of the codes or weights, has a density to climb."""
    support, kind = support_of(p), type(p).__name__
    advice = "use importance sampling, log_likelihood(model, x)"
    if getattr(support, "is_discrete", False):
        raise MixvaeError(
            "annealed importance sampling needs a continuous latent, and the prior of the "
            f"{of}, a {kind}, is discrete; {advice}."
        )
    if type(p).log_prob is Distribution.log_prob:
        raise MixvaeError(
            f"annealed importance sampling needs the density of the prior, and that of the {of}, a "
            f"{kind}, has no log_prob; use a prior that has one."
        )
    if support not in (constraints.real, constraints.simplex) or isinstance(p, OuterProduct):
        stated = "states no support" if support is None else f"has the support {support}"
        raise MixvaeError(
            "annealed importance sampling needs a prior over the reals or a simplex, and that of "
            f"the {of}, a {kind}, {stated}; if it is over the reals, give its class `support = "
            f"constraints.real_vector`, else {advice}."
        )


def in_float64(p: Distribution) -> Distribution:
    """A normal, or a mixture of them, with float64 parameters; what else there is as it is."""
    if isinstance(p, NormalMixture):
        index = Categorical(logits=to_float64(p.mixture_distribution.logits), validate_args=False)
        return NormalMixture(index, in_float64(p.component_distribution), validate_args=False)
    if is_diagonal_normal(p):
        return diagonal_normal(*(to_float64(t) for t in loc_and_scale(p)))
    return p
