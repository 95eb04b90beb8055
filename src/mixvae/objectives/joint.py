"""The joint mixtures' objectives: M-VAE's and MVAE's, the ELBO and the dHSIC penalty."""

from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor
from torch.distributions import kl_divergence

from mixvae.errors import at_least, one_of
from mixvae.families import Joint
from mixvae.trace import Scale, Trace

from . import kernels
from .objective import Bound, Terms

Reduction = Literal["mean", "sum"]


def elbo(t: Trace, kl_scale: Scale = 1.0) -> Terms:
    """The evidence lower bound of the trace's own family: :meth:`mixvae.families.Family.elbo`."""
    return t.family.elbo(t, kl_scale)


def weighted_elbo(
    t: Trace,
    kl_scale: Scale = 1.0,
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
    kl = t.of_kept(t.kl)
    kl_z = kl.sum(-1) if kl_reduction == "sum" else kl.mean(-1)
    terms = {t.lik_name: log_lik.mean(0), "kl_z": -kl_scale * beta_kl * kl_z}
    if t.p_w is not None:
        terms["kl_w"] = -kl_scale * beta_w * kl_divergence(t.q_w, t.p_w)
    return terms


def masked(t: Trace, kl_scale: Scale = 1.0, *, bound: Bound, weight: float = 1.0) -> Terms:
    """Another bound's terms, less ``weight`` times what component dropout's rates cost.

    That is the last term of MVAE (18), or in (24) the entropy that is paid out. Masks are drawn
    for each x, so that it is a KL among the others, and the warm-up scales it too.
    """
    assert t.kl_mask is not None, "the model has no component dropout"
    cost = (-kl_scale * weight * t.kl_mask).expand(len(t.x))
    return bound(t, kl_scale) | {"dropout": cost}


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


def check_weights(kl_reduction: str, **weights: float) -> None:
    """Raise a MixvaeError for an unknown reduction or a negative weight of a term."""
    one_of("kl_reduction", kl_reduction, get_args(Reduction))
    at_least(0, **weights)
