"""Bounds of models with one code for each x: exact mixtures and mixture posteriors."""

from typing import Literal

from mixvae.families import ExactMixture, MixturePosterior
from mixvae.trace import Scale, Trace

from .importance import log_mean_exp
from .objective import Bound, Terms

Form = Literal["mixture", "index", "paper"]


def mixture_bound(t: Trace, kl_scale: Scale = 1.0) -> Terms:
    """Evidence lower bound of an exact mixture, :meth:`mixvae.families.ExactMixture.elbo`.

    Parameters
    ----------
    t
        A trace of an exact mixture.
    kl_scale
        Weight of the codes' KL; 1 for the bound itself.

    Returns
    -------
    terms
        The likelihood, ``kl_z`` and ``kl_index``, each (B,), nats.
    """
    return ExactMixture().elbo(t, kl_scale)


def routed(t: Trace, kl_scale: Scale = 1.0, *, bound: Bound = mixture_bound) -> Terms:
    r"""An exact mixture's bound over the components that a gate chose, less KL(r || q(k | x)).

    r are the responsibilities of the chosen components, without a gradient, so that the KL trains
    the gate q(k | x) and nothing else. It is a bound, as :math:`\log\sum` over some components is
    at most that over all. In evaluation, which uses all components, it is ``bound`` alone.

    Parameters
    ----------
    t
        A trace of an exact mixture, with ``log_gate`` where a gate chose its components.
    kl_scale
        Weight of the codes' KL; 1 for the bound itself.
    bound
        ``(trace, kl_scale) -> terms`` over the components in the trace.

    Returns
    -------
    terms
        Those of ``bound``, and in training ``gate``, each (B,), nats.
    """
    terms = bound(t, kl_scale)
    if t.log_gate is None:
        return terms
    log_r = ExactMixture().log_weights(t, kl_scale).detach().log_softmax(-1)
    kl = (log_r.exp() * (log_r - t.log_gate.log_softmax(-1))).sum(-1)
    return terms | {"gate": -kl.mean(0)}


def shared(
    t: Trace, kl_scale: Scale = 1.0, *, bound: Bound = mixture_bound, n_train: int = 1
) -> Terms:
    r"""Another bound's terms, less 1/N of the KL of mixing weights w that N examples share.

    .. math:: E_{q(w)} \mathcal L(x | w) - \tfrac1N KL(q(w) \| p(w))

    Summed over the N training examples it is a bound on their joint :math:`\log p(x_1 \dots x_N)`,
    w included. For each x it is a bound on log p(x) with the weights at their posterior mean, as
    p(x | w) is linear in w.

    Parameters
    ----------
    t
        A trace whose weights are samples of q(w), with ``kl_shared``.
    kl_scale
        Weight of the KL terms; 1 for the bound itself.
    bound
        ``(trace, kl_scale) -> terms``, given the weights.
    n_train
        Number N of training examples.

    Returns
    -------
    terms
        Those of ``bound``, and ``kl_w``, each (B,), nats.

    References
    ----------
    Blei & Jordan, Variational inference for Dirichlet process mixtures, Bayesian Analysis 2006.
    """
    assert t.kl_shared is not None
    kl_w = (-kl_scale / n_train * t.kl_shared).expand(len(t.x))
    return bound(t, kl_scale) | {"kl_w": kl_w}


def mixture_elbo(t: Trace, kl_scale: Scale = 1.0, *, form: Form = "mixture") -> Terms:
    r"""Evidence lower bound of a mixture posterior, with one code z_k of each component.

    .. math:: \sum_k E[w_k] \log p(x|z_k)
              + E \sum_k w_k \log\frac{p(z_k|w)}{\sum_j w_j q(z_k|x, j)} - KL(q(w|x) \| p(w))

    Where the weights w are not random, E[w] is w and the last KL is 0.

    Parameters
    ----------
    t
        A trace of a mixture posterior.
    kl_scale
        Weight of the KL terms; 1 for the bound itself.
    form
        Which of three bounds. "mixture", above, has every code's density under the whole posterior
        and the whole prior. "index" has it under the code's own component,
        :math:`\log p(z_k|k) - \log q(z_k|x, k)`, as if the component's index were a latent
        variable; it is looser. "paper" has priors of the components' own and one logarithm of the
        sum, :math:`-\log\sum_k w_k q(z_k|x, k)`; it is looser, by Jensen's inequality.

    Returns
    -------
    terms
        The likelihood, ``kl_z`` and, where the weights are random, ``kl_w``, each (B,), nats.

    References
    ----------
    DLGMM: Nalisnick, Hertel & Smyth (2016), eq. 1.
    """
    family = MixturePosterior()
    if form == "mixture":
        log_ratio = family.log_ratio(t)
    elif form == "index":
        log_ratio = (t.q_w.mean * (t.log_prior - t.log_q)).sum(-1)
    else:
        entropy = -(t.log_q + t.log_w).logsumexp(-1)
        log_ratio = (t.q_w.mean * t.log_prior).sum(-1) + entropy
    return family.terms(t, log_ratio, kl_scale)


def expert_elbos(t: Trace, kl_scale: Scale = 1.0) -> Terms:
    r"""Weighted mean of the components' own ELBOs, of a mixture posterior with one prior p(z).

    .. math:: \sum_k w_k \big[E \log p(x|z_k) - KL(q(z|x, k) \| p(z))\big]

    Each ELBO is a bound, and so is their mean with weights w that are not random. It is
    :func:`mixture_elbo` less the Jensen-Shannon divergence of the components; with one component it
    is the VAE's ELBO.

    Parameters
    ----------
    t
        A trace of a mixture posterior.
    kl_scale
        Weight of the KL terms; 1 for the bound itself.

    Returns
    -------
    terms
        The likelihood and ``kl_z``, each (B,), nats.
    """
    w = t.w[0]
    log_lik = (w * t.log_lik.mean(0)).sum(-1)
    return {t.lik_name: log_lik, "kl_z": -kl_scale * (w * t.kl).sum(-1)}


def miselbo(t: Trace, kl_scale: Scale = 1.0) -> Terms:
    r"""Multiple-importance-sampling ELBO of a mixture posterior with weights w that are not random.

    .. math:: \sum_k w_k E \log\frac1S\sum_s \frac{p(x, z_{sk})}{\sum_j w_j q(z_{sk}|x, j)}

    With S = 1 it is :func:`mixture_elbo`; with one component, or equal ones, it is :func:`iwae`.
    With the sum over components inside the logarithm too, which is tighter, it is :func:`iwae` of
    the family (SIWAE).

    Parameters
    ----------
    t
        A trace of a mixture posterior, S samples of each component.
    kl_scale
        Weight of log p(z) - log q(z | x); 1 for the bound itself.

    Returns
    -------
    terms
        ``miselbo`` (B,), nats.

    References
    ----------
    Kviman et al. (AISTATS 2022). SIWAE: Morningstar et al. (AISTATS 2021).
    """
    log_means = log_mean_exp(MixturePosterior().log_weights(t, kl_scale), 0)
    return {"miselbo": (t.w[0] * log_means).sum(-1)}
