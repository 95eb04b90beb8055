"""Objectives: pure functions of a :class:`~mixvae.trace.Trace`.

A *bound* returns named terms of shape (B,) whose sum is the bound; a *penalty* returns a signed
scalar. Their logged values add up to the objective: nothing is hidden in the loss. ``kl_scale`` is
the warm-up's weight of the KL terms; 1 is the bound itself. Only a true bound on log p(x) is
called an ELBO.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import log
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import kl_divergence

from . import kernels
from .errors import at_least, one_of
from .families import ExactMixture, Joint
from .trace import Trace

Terms = dict[str, Tensor]
Bound = Callable[..., Terms]  # (trace, kl_scale) -> terms of shape (B,)
Penalty = Callable[[Trace], Tensor]
Reduction = Literal["mean", "sum"]


def elbo(t: Trace, kl_scale: float = 1.0) -> Terms:
    r"""The evidence lower bound of a joint model, its KLs in closed form.

    .. math:: E \log p(x|z,w) - \sum_k KL(q(z_k|x) \| p(z_k)) - KL(q(w|x) \| p(w))
    """
    return paper_objective(t, kl_scale, kl_reduction="sum")


def paper_objective(
    t: Trace,
    kl_scale: float = 1.0,
    *,
    kl_reduction: Reduction = "mean",
    beta_kl: float = 1.0,
    beta_w: float = 1.0,
    expected: bool = False,
) -> Terms:
    r"""What M-VAE (8) and MVAE (18) maximise, before their penalties.

    With ``kl_reduction="mean"`` the codes' KLs are averaged over components, as printed: no bound
    on log p(x). ``"sum"`` with every beta at 1 is the ELBO; beta_kl > 1 is beta-VAE (Higgins et
    al. 2017, eq. 4). ``expected`` reads M-VAE (8)'s first term as :math:`\sum_k w_k \log p(x|z_k)`.
    """
    joint = Joint()
    log_lik = (t.b * t.log_lik).sum(-1) if expected else joint.log_lik(t)
    kl_z = kl_divergence(t.q_z, t.p_z)  # (B, K)
    kl_z = kl_z.sum(-1) if kl_reduction == "sum" else kl_z.mean(-1)
    terms = {t.lik_name: log_lik.mean(0), "kl_z": -kl_scale * beta_kl * kl_z}
    if t.p_w is not None:
        terms["kl_w"] = -kl_scale * beta_w * kl_divergence(t.q_w, t.p_w)
    return terms


def mixture_bound(t: Trace, kl_scale: float = 1.0) -> Terms:
    r"""The exact mixture's evidence lower bound, :math:`E \log\sum_k \pi_k w_k`.

    One sampled weight :math:`w_k = p_k(x, z_k) / q_k(z_k|x)` per component (with the closed-form
    KL inside the logarithm it would be no bound). Split into terms by the responsibilities r_k
    proportional to pi_k w_k: likelihood, codes' KL and the index's KL(r || pi), which add up to it.
    """
    log_weights = ExactMixture().log_weights(t, kl_scale)
    # The sum is stationary in r, so a detached r leaves the value and the gradient right.
    r = log_weights.detach().softmax(-1)
    log_lik = (r * t.log_lik).sum(-1).mean(0)
    kl_z = kl_scale * (r * (t.log_prior - t.log_q)).sum(-1).mean(0)
    return {
        t.lik_name: log_lik,
        "kl_z": kl_z,
        "kl_index": log_weights.logsumexp(-1).mean(0) - log_lik - kl_z,
    }


def masked(t: Trace, kl_scale: float = 1.0, *, bound: Bound, weight: float = 1.0) -> Terms:
    """Another bound's terms, less ``weight`` times what component dropout's rates cost.

    That is the last term of MVAE (18), or in (24) the entropy that is paid out. Masks are drawn
    for each x, so that it is a KL among the others, and the warm-up scales it too.
    """
    assert t.kl_mask is not None, "the model has no component dropout"
    cost = (-kl_scale * weight * t.kl_mask).expand(len(t.x))
    return bound(t, kl_scale) | {"dropout": cost}


def iwae(t: Trace, kl_scale: float = 1.0) -> Terms:
    """The importance-weighted bound over the S samples (Burda et al. 2016, eq. 8), any family."""
    return {"iwae": log_mean_exp(t.family.log_weight(t, kl_scale), 0)}


def dhsic(
    t: Trace,
    *,
    weight: float = 1.0,
    gamma: kernels.Bandwidth = "gaussian",
    root: bool = False,
) -> Float[Tensor, ""]:
    """Minus ``weight`` times the dependence between the K codes over the batch, M-VAE (13).

    Taken per sample and averaged. ``root`` is the square root that the authors' code adds.
    """
    each = [kernels.dhsic(z, gamma) for z in t.z]
    if root:
        each = [(statistic.clamp_min(0) + 1e-12).sqrt() for statistic in each]
    return -weight * sum(each[1:], each[0]) / len(each)


@dataclass(frozen=True)
class Objective:
    """To be maximised: the mean of a bound over the batch, and penalties."""

    bound: Bound
    penalties: Mapping[str, Penalty] = field(default_factory=dict)
    n_samples: int = 1

    def __post_init__(self) -> None:
        at_least(1, n_samples=self.n_samples)

    def __call__(
        self, model: nn.Module, x: Tensor, kl_scale: float = 1.0, y: Tensor | None = None
    ) -> Terms:
        """The terms of a fresh pass over x, with its labels if the model is conditional."""
        return self.terms(model(x, self.n_samples, y), kl_scale)

    def terms(self, trace: Trace, kl_scale: float = 1.0) -> Terms:
        """Scalars by name; the objective is their sum, and the loss minus that."""
        terms = {name: term.mean() for name, term in self.bound(trace, kl_scale).items()}
        return terms | {name: penalty(trace) for name, penalty in self.penalties.items()}


def check_weights(kl_reduction: str, **weights: float) -> None:
    """Raise a MixvaeError for an unknown reduction or a negative weight of a term."""
    one_of("kl_reduction", kl_reduction, get_args(Reduction))
    at_least(0, **weights)


def log_mean_exp(a: Tensor, dim: int) -> Tensor:
    """The logarithm of the mean of exp(a) along ``dim``."""
    return a.logsumexp(dim) - log(a.shape[dim])
