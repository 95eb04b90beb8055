"""Objectives of joint mixtures: the ELBO, those of M-VAE and MVAE, and the dHSIC penalty."""

from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor
from torch.distributions import kl_divergence

from mixvae.errors import MixvaeError, at_least, one_of
from mixvae.families import Joint
from mixvae.trace import Scale, Trace, kl_of_levels

from . import kernels
from .objective import Bound, Terms

Reduction = Literal["mean", "sum"]


def elbo(t: Trace, kl_scale: Scale = 1.0) -> Terms:
    """Evidence lower bound of the trace's own family, :meth:`mixvae.families.Family.elbo`.

    Parameters
    ----------
    t
        A trace of B rows.
    kl_scale
        Weight of the KL terms; 1 for the bound itself.

    Returns
    -------
    terms
        Terms by name, each (B,), nats; their sum is the bound.

    References
    ----------
    Kingma & Welling (ICLR 2014), eq. 3.

    Examples
    --------
    >>> import mixvae, torch
    >>> model = mixvae.build("m-vae", (4,), n_components=2, n_latent=2).model
    >>> terms = elbo(model(torch.zeros(3, 4)))
    >>> list(terms), terms["kl_z"].shape
    (['log_lik', 'kl_z', 'kl_w'], torch.Size([3]))
    """
    return t.family.elbo(t, kl_scale)


def elbo_of_levels(t: Trace, kl_scale: Scale = 1.0) -> Terms:
    """Evidence lower bound of a model of one hierarchical code, with a term for each level's KL.

    The KL of a level is in closed form given the sampled code of the level above.

    Parameters
    ----------
    t
        A trace of one component.
    kl_scale
        Weight of the KL terms.

    Returns
    -------
    terms
        The likelihood, and ``kl_z1`` to ``kl_zL``, of the lowest to the top level; each (B,), nats.

    References
    ----------
    Sonderby et al. (NeurIPS 2016), Section 2.
    """
    kls = kl_of_levels(t.q_z, t.p_z, t.z)[::-1]
    means = [kl.expand_as(t.log_lik).mean((0, 2)) for kl in kls]
    terms = {f"kl_z{i + 1}": -kl_scale * kl for i, kl in enumerate(means)}
    return {t.lik_name: t.log_lik.mean((0, 2))} | terms


def weighted_elbo(
    t: Trace,
    kl_scale: Scale = 1.0,
    *,
    kl_reduction: Reduction = "mean",
    beta_kl: float = 1.0,
    beta_w: float = 1.0,
    expected: bool = False,
) -> Terms:
    r"""A joint mixture's ELBO with weighted KLs: the objective of M-VAE and MVAE, less penalties.

    With ``kl_reduction="sum"`` and both weights at 1 it is the ELBO; with ``beta_kl`` above 1 it is
    that of the beta-VAE. With ``kl_reduction="mean"``, as M-VAE and MVAE print it, it is not a
    bound on log p(x).

    Parameters
    ----------
    t
        A trace of a joint mixture.
    kl_scale
        Weight of all KL terms, on top of the next ones.
    kl_reduction
        Whether the KLs of the K codes are averaged over components, or summed.
    beta_kl
        Weight of the codes' KL.
    beta_w
        Weight of the mixing weights' KL.
    expected
        Read M-VAE's first term as :math:`\sum_k w_k \log p(x|z_k)`, in place of log p(x | z, w).

    Returns
    -------
    terms
        The likelihood, ``kl_z`` and, where the weights have a prior, ``kl_w``, each (B,), nats.

    References
    ----------
    M-VAE: Ye & Bors (IPTA 2020), eq. 8. MVAE: Ye & Bors (TNNLS 2021), eq. 18.
    beta-VAE: Higgins et al. (ICLR 2017), eq. 4.
    """
    joint = Joint()
    log_lik = (t.b * t.log_lik).sum(-1) if expected else joint.log_lik(t)
    kl = t.of_kept(t.bound_kl)
    kl_z = kl.sum(-1) if kl_reduction == "sum" else kl.mean(-1)
    terms = {t.lik_name: log_lik.mean(0), "kl_z": -kl_scale * beta_kl * kl_z}
    if t.p_w is not None:
        terms["kl_w"] = -kl_scale * beta_w * kl_divergence(t.q_w, t.p_w)
    return terms


def masked(t: Trace, kl_scale: Scale = 1.0, *, bound: Bound, weight: float = 1.0) -> Terms:
    """Another bound's terms, less ``weight`` times the cost of component dropout's rates.

    The cost is the last term of MVAE (18), or the negative entropy in (24). Masks are sampled for
    each x, so that the cost is one KL among the others, and a warm-up scales it too.

    Parameters
    ----------
    t
        A trace of a model with component dropout.
    kl_scale
        Weight of all KL terms, this one included.
    bound
        ``(trace, kl_scale) -> terms``, the bound that the cost is subtracted from.
    weight
        Weight of the cost; 1 for a bound.

    Returns
    -------
    terms
        Those of ``bound``, and ``dropout``, each (B,), nats.

    Raises
    ------
    MixvaeError
        For a model without component dropout.

    References
    ----------
    MVAE: Ye & Bors (TNNLS 2021), eqs. 18 and 24.
    """
    if t.kl_mask is None:
        raise MixvaeError(
            "masked needs a model with component dropout; got one without. Use its bound by itself."
        )
    cost = (-kl_scale * weight * t.kl_mask).expand(len(t.x))
    return bound(t, kl_scale) | {"dropout": cost}


def dhsic(
    t: Trace,
    *,
    weight: float = 1.0,
    gamma: kernels.Bandwidth = "gaussian",
    root: bool = False,
) -> Float[Tensor, ""]:
    """Penalty on the dependence between the K codes over the batch: minus weighted dHSIC.

    dHSIC is computed for each of the S samples and averaged over them.

    Parameters
    ----------
    t
        A trace of at least two rows.
    weight
        The factor beta of M-VAE (13).
    gamma
        Bandwidth of the kernel, as in :func:`mixvae.objectives.kernels.dhsic`.
    root
        Take the square root of dHSIC, as the authors' code does.

    Returns
    -------
    penalty
        A scalar, at most 0 up to rounding.

    Raises
    ------
    MixvaeError
        For fewer than two rows, or a ``gamma`` that is no bandwidth.

    References
    ----------
    M-VAE: Ye & Bors (IPTA 2020), eq. 13. dHSIC: Pfister et al. (JRSS-B 2018), eq. 5.
    """
    statistics = [kernels.dhsic(z, gamma) for z in t.z]
    if root:
        statistics = [(statistic.clamp_min(0) + 1e-12).sqrt() for statistic in statistics]
    return -weight * sum(statistics[1:], statistics[0]) / len(statistics)


def check_weights(kl_reduction: str, **weights: float) -> None:
    """Check an objective's settings.

    Parameters
    ----------
    kl_reduction
        "mean" or "sum".
    **weights
        Weights of terms by name, each at least 0.

    Raises
    ------
    MixvaeError
        For an unknown reduction, or a negative weight.

    Examples
    --------
    >>> check_weights("sum", beta_kl=-1.0)
    Traceback (most recent call last):
    mixvae.errors.MixvaeError: beta_kl must be at least 0; got -1.0.
    """
    one_of("kl_reduction", kl_reduction, get_args(Reduction))
    at_least(0, **weights)
