"""Bounds of models with one code: made by one of K components, or inferred by a mixture of K."""

from typing import Literal

from mixvae.families import ExactMixture, MixturePosterior
from mixvae.trace import Scale, Trace

from .importance import log_mean_exp
from .objective import Bound, Terms

Form = Literal["mixture", "index", "paper"]


def mixture_bound(t: Trace, kl_scale: Scale = 1.0) -> Terms:
    """The evidence lower bound of :class:`mixvae.families.ExactMixture`."""
    return ExactMixture().elbo(t, kl_scale)


def routed(t: Trace, kl_scale: Scale = 1.0, *, bound: Bound = mixture_bound) -> Terms:
    r"""An exact mixture's bound over the components that a gate chose, less KL(r || q(k | x)).

    r are the responsibilities among them: the KL is what the gate is trained by, and nothing else
    is. All components or some, it is a bound, as :math:`\log\sum` over some of them is no more
    than over all. In evaluation, where none are left out, it is ``bound`` alone.
    """
    terms = bound(t, kl_scale)
    if t.log_gate is None:
        return terms
    log_r = ExactMixture().log_weights(t, kl_scale).detach().log_softmax(-1)
    kl = (log_r.exp() * (log_r - t.log_gate.log_softmax(-1))).sum(-1)
    return terms | {"gate": -kl.mean(0)}


def mixture_elbo(t: Trace, kl_scale: Scale = 1.0, *, form: Form = "mixture") -> Terms:
    r"""The evidence lower bound of a mixture posterior, one code z_k a component.

    .. math:: \sum_k E[w_k] \log p(x|z_k)
              + E \sum_k w_k \log\frac{p(z_k|w)}{\sum_j w_j q(z_k|x, j)} - KL(q(w|x) \| p(w))

    Where w is known, E[w] is w and the last KL nothing. All three forms are bounds:

    - ``mixture``, above: every code against the whole posterior, and the whole prior;
    - ``index``: every code against its own component, :math:`\log p(z_k|k) - \log q(z_k|x, k)`, as
      if the component's index were a latent; looser;
    - ``paper``: DLGMM (1), own priors and one logarithm of the sum,
      :math:`-\log\sum_k w_k q(z_k|x, k)`; looser, by Jensen's inequality.
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


def miselbo(t: Trace, kl_scale: Scale = 1.0) -> Terms:
    r"""The multiple-importance-sampling ELBO, known weights w (Kviman et al. 2022).

    .. math:: \sum_k w_k E \log\frac1S\sum_s \frac{p(x, z_{sk})}{\sum_j w_j q(z_{sk}|x, j)}

    With S = 1 it is :func:`mixture_elbo`; with one component, or equal ones, it is :func:`iwae`.
    With the sum over components inside the logarithm too (SIWAE, Morningstar et al. 2021), it is
    :func:`iwae` of the family, and tighter.
    """
    each = log_mean_exp(MixturePosterior().log_weights(t, kl_scale), 0)
    return {"miselbo": (t.w[0] * each).sum(-1)}
