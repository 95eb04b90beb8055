"""Families: what the latent variables of a model are, and so all of its densities."""

from abc import ABC, abstractmethod
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from .distributions import by_quadrature, log_prob_each, mixture
from .trace import Scale, Terms, Trace


class Family(ABC):
    """What the latent variables of a model are, and so their densities under p and q.

    A family answers all that depends on whether an x has one code or K codes: importance weights,
    the ELBO, responsibilities, and how the components' outputs become one mean of x. Its methods
    are functions of a :class:`~mixvae.trace.Trace`, of S samples, B rows and K components.

    ``advice`` and ``advice_if_collapsed`` are suggestions for a component that is dead, and for one
    whose code says nothing about x.
    """

    advice = (
        "beta_w 20 (it kept every component alive in our trials), fewer components, a KL warm-up, "
        "or a lower beta_kl"
    )
    advice_if_collapsed = "a KL warm-up (warmup_epochs), a smaller beta_kl, or more epochs"

    @abstractmethod
    def log_weight(self, t: Trace, kl_scale: Scale = 1.0) -> Float[Tensor, "S B"]:
        """Log importance weight, log p(x, latent) - log q(latent | x), of every sample, nats.

        Parameters
        ----------
        t
            A trace.
        kl_scale
            Weight of log p(latent) - log q(latent | x); 1 for the weight itself, whose
            exponential has the mean p(x).
        """

    def elbo(self, t: Trace, kl_scale: Scale = 1.0) -> Terms:
        """Evidence lower bound on log p(x), as named terms that add up to it.

        It is a bound if p(x | z) is normalised and ``kl_scale`` is 1. The default is one term,
        the mean of the log importance weights.

        Parameters
        ----------
        t
            A trace.
        kl_scale
            Weight of the KL terms.

        Returns
        -------
        terms
            Each (B,), nats.
        """
        return {"elbo": self.log_weight(t, kl_scale).mean(0)}

    @abstractmethod
    def responsibilities(self, t: Trace) -> Float[Tensor, "B K"]:
        """Each component's responsibility for x. Rows sum to one."""

    @abstractmethod
    def kl_weights(self, t: Trace) -> Float[Tensor, "B K"]:
        """Weights of each component's KL in its mean over the data."""

    @abstractmethod
    def mean(self, t: Trace) -> Float[Tensor, "S B *X"]:
        """Mean of x given the codes, over the components."""

    def n_codes(self, n_components: int) -> int:
        """Number of codes of an x: 1, or K."""
        return 1

    def codes(self, t: Trace) -> Float[Tensor, "B D"]:
        """Mean codes of x as features; by default those of all components, concatenated."""
        return t.q_z.mean.flatten(1)

    def posterior(self, t: Trace) -> Distribution:
        """q(z | x) over all components, for families of one code: batch (B,), event (L,)."""
        return mixture(t.q_w.mean, t.q_z)

    def owns(self, r: Float[Tensor, "N K"]) -> Bool[Tensor, "N K"]:
        """Which components are used for x, whose responsibilities are r; by default all are."""
        return torch.ones_like(r, dtype=torch.bool)


class Joint(Family):
    r"""Joint mixture: K codes for each x, decoded together; M-VAE, MVAE, and the VAE as K = 1.

    The latent variables are (z_1 ... z_K, w), and the log importance weight is

    .. math:: \log p(x | z, w) + \sum_k \log\frac{p(z_k)}{q(z_k|x)} + \log\frac{p(w)}{q(w|x)}

    In evaluation k runs over the components that component dropout keeps.

    Examples
    --------
    >>> import mixvae
    >>> model = mixvae.build("m-vae", (4,), n_components=2, n_latent=3).model
    >>> trace = model(torch.zeros(5, 4), n_samples=10)
    >>> trace.family.log_weight(trace).shape
    torch.Size([10, 5])
    """

    def log_lik(self, t: Trace) -> Float[Tensor, "S B"]:
        r"""log p(x | z, w); where outputs are not merged, :math:`\log\sum_k b_k p(x|z_k)`."""
        if t.log_lik.shape[-1] == 1:  # merged, or a single component, whose weight is 1
            return t.log_lik.squeeze(-1)
        return (t.log_lik + _log(t.b)).logsumexp(-1)

    def log_weight(self, t: Trace, kl_scale: Scale = 1.0) -> Float[Tensor, "S B"]:
        log_ratio = t.of_kept(t.log_prior - t.log_q).sum(-1)
        if t.p_w is not None:
            log_ratio = log_ratio + _log_weights_ratio(t)
        return self.log_lik(t) + kl_scale * log_ratio

    def elbo(self, t: Trace, kl_scale: Scale = 1.0) -> Terms:
        r"""The bound, with KLs in closed form where there is one.

        .. math:: E \log p(x|z,w) - \sum_k KL(q(z_k|x) \| p(z_k)) - KL(q(w|x) \| p(w))

        Under a prior that is a mixture of normals they are means over samples.
        """
        t = _exact(t)
        kl_z = -kl_scale * t.of_kept(t.bound_kl).sum(-1)
        terms = {t.lik_name: self.log_lik(t).mean(0), "kl_z": kl_z}
        if t.p_w is not None:
            terms["kl_w"] = -kl_scale * kl_divergence(t.q_w, t.p_w)
        return terms

    def responsibilities(self, t: Trace) -> Float[Tensor, "B K"]:
        return t.q_w.mean if t.b is t.w else t.b.mean(0)

    def kl_weights(self, t: Trace) -> Float[Tensor, "B K"]:
        """All 1, as every code is decoded."""
        return torch.ones_like(t.w[0])

    def n_codes(self, n_components: int) -> int:
        return n_components

    def mean(self, t: Trace) -> Float[Tensor, "S B *X"]:
        return _weigh(t, t.b) if not t.blended else t.p_x.mean.squeeze(2)


class ExactMixture(Family):
    r"""Exact mixture: one component generates x, and its index is summed out: ``mixture-vae``.

    The model and its log importance weight are

    .. math:: p(x) = \sum_k \pi_k \int p_k(x | z)\, p(z)\, dz, \qquad
              \log\sum_k \pi_k \frac{p_k(x | z_k)\, p(z_k)}{q_k(z_k | x)}

    With component dropout, b takes the place of the proportions :math:`\pi`.
    """

    advice = "start split (the default), more start_epochs, fewer components, or another seed"
    advice_if_collapsed = (
        "more start_epochs, over which the KL's weight rises, a KL warm-up (warmup_epochs), or "
        "more epochs"
    )

    def log_weights(self, t: Trace, kl_scale: Scale = 1.0) -> Float[Tensor, "S B K"]:
        """Each component's log pi_k w_k, whose log-sum-exp is the log importance weight; nats."""
        return t.log_lik + kl_scale * (t.log_prior - t.log_q) + t.log_b

    def log_weight(self, t: Trace, kl_scale: Scale = 1.0) -> Float[Tensor, "S B"]:
        return self.log_weights(t, kl_scale).logsumexp(-1)

    def elbo(self, t: Trace, kl_scale: Scale = 1.0) -> Terms:
        r"""The bound :math:`E \log\sum_k \pi_k w_k`.

        It has one sampled weight :math:`w_k = p_k(x, z_k) / q_k(z_k|x)` per component; with the
        closed-form KL inside the logarithm it would not be a bound. The responsibilities
        :math:`r_k \propto \pi_k w_k` split it into terms: the likelihood, the codes' KL, and the
        index's KL(r || pi).
        """
        log_weights = self.log_weights(t, kl_scale)
        # The sum is stationary in r, so that detaching r changes neither value nor gradient.
        r = log_weights.detach().softmax(-1)
        log_lik = (r * t.log_lik).sum(-1).mean(0)
        kl_z = kl_scale * (r * (t.log_prior - t.log_q)).sum(-1).mean(0)
        return {
            t.lik_name: log_lik,
            "kl_z": kl_z,
            "kl_index": log_weights.logsumexp(-1).mean(0) - log_lik - kl_z,
        }

    def responsibilities(self, t: Trace) -> Float[Tensor, "B K"]:
        r"""Optimal variational q(k | x), proportional to :math:`\pi_k \exp \mathrm{ELBO}_k(x)`."""
        elbo = t.log_lik.mean(0) - t.kl
        return (elbo + t.log_b[0]).softmax(-1)

    def kl_weights(self, t: Trace) -> Float[Tensor, "B K"]:
        """The responsibilities: where a component has none, its code's KL costs nothing."""
        return self.responsibilities(t)

    def codes(self, t: Trace) -> Float[Tensor, "B D"]:
        """Mean code of the component with the largest responsibility, in that component's axes."""
        k = self.responsibilities(t).argmax(-1)
        return t.q_z.mean[torch.arange(len(k), device=k.device), k]

    def posterior(self, t: Trace) -> Distribution:
        """q(z | x), with the responsibilities as q(k | x)."""
        return mixture(self.responsibilities(t), t.q_z)

    def owns(self, r: Float[Tensor, "N K"]) -> Bool[Tensor, "N K"]:
        """True for the component with the largest responsibility alone."""
        return F.one_hot(r.argmax(-1), r.shape[-1]).bool()

    def mean(self, t: Trace) -> Float[Tensor, "S B *X"]:
        return _weigh(t, self.responsibilities(t).expand_as(t.w))


class MixturePosterior(Family):
    r"""Mixture posterior: one code, with the posterior :math:`q(z|x) = \sum_k w_k q(z|x, k)`.

    A sample is a code z_k of every component (stratified sampling), each decoded by itself. Every
    code's density is that of the whole mixture, as in the balance heuristic of multiple importance
    sampling. The prior is p(z), or :math:`p(z|w) = \sum_k w_k p(z|k)` where components have priors
    of their own. Random weights w are a latent variable beside z. The log importance weight is

    .. math:: \log\frac{p(w)}{q(w|x)} + \log\sum_k w_k \frac{p(x|z_k)\, p(z_k|w)}{q(z_k|x, w)}
    """

    advice = "a KL warm-up, fewer components, or (dlgmm) priors with means of their own"
    advice_if_collapsed = "a KL warm-up (warmup_epochs), or more epochs"

    def log_prior(self, t: Trace) -> Float[Tensor, "S B K"]:
        """log p(z_k | w) of every code, nats."""
        if not t.p_z.batch_shape:
            return t.log_prior
        return (log_prob_each(t.p_z, t.z) + t.log_w.unsqueeze(2)).logsumexp(-1)

    def log_q(self, t: Trace) -> Float[Tensor, "S B K"]:
        """log q(z_k | x, w) of every code, under the whole mixture; nats."""
        codes = t.z.transpose(1, 2)  # (S, K, B, L)
        if t.q_all is not None:
            return t.q_all.log_prob(codes).transpose(1, 2)
        pairs = log_prob_each(t.q_z, codes).transpose(1, 2)
        return (pairs + t.log_w.unsqueeze(2)).logsumexp(-1)

    def log_weights(self, t: Trace, kl_scale: Scale = 1.0) -> Float[Tensor, "S B K"]:
        """log p(x, z_k | w) - log q(z_k | x, w) of every component's code, nats."""
        return t.log_lik + kl_scale * (self.log_prior(t) - self.log_q(t))

    def log_weight(self, t: Trace, kl_scale: Scale = 1.0) -> Float[Tensor, "S B"]:
        log_weight = (self.log_weights(t, kl_scale) + t.log_w).logsumexp(-1)
        if t.p_w is not None:
            log_weight = log_weight + kl_scale * _log_weights_ratio(t)
        return log_weight

    def elbo(self, t: Trace, kl_scale: Scale = 1.0) -> Terms:
        """The bound, with the likelihoods weighted by E[w] and the KL of w in closed form."""
        t = _exact(t)
        return self.terms(t, self.log_ratio(t), kl_scale)

    def log_ratio(self, t: Trace) -> Float[Tensor, "S B"]:
        """Mean of log p(z_k | w) - log q(z_k | x, w), with the weights w of the components."""
        return (t.w * (self.log_prior(t) - self.log_q(t))).sum(-1)

    def terms(self, t: Trace, log_ratio: Float[Tensor, "S B"], kl_scale: Scale) -> Terms:
        """A bound's terms, with ``log_ratio`` as its estimate of minus the codes' KL."""
        log_lik = (t.q_w.mean.unsqueeze(1) * t.log_lik.transpose(0, 1)).sum(-1).mean(1)
        terms = {t.lik_name: log_lik, "kl_z": kl_scale * log_ratio.mean(0)}
        if t.p_w is not None:
            terms["kl_w"] = -kl_scale * kl_divergence(t.q_w, t.p_w)
        return terms

    def responsibilities(self, t: Trace) -> Float[Tensor, "B K"]:
        """The mean weights E_q[w]."""
        return t.q_w.mean

    def kl_weights(self, t: Trace) -> Float[Tensor, "B K"]:
        return self.responsibilities(t)

    def mean(self, t: Trace) -> Float[Tensor, "S B *X"]:
        if t.blended:
            return t.p_x.mean.squeeze(2)
        return _weigh(t, self.responsibilities(t).expand_as(t.w))


def _exact(t: Trace) -> Trace:
    """The trace with the KL of stick-breaking weights by quadrature, not by a truncated series."""
    q_z, q_w = by_quadrature(t.q_z), by_quadrature(t.q_w)
    return t if q_z is t.q_z and q_w is t.q_w else replace(t, q_z=q_z, q_w=q_w)


def _log_weights_ratio(t: Trace) -> Float[Tensor, "S B"]:
    """log p(w) - log q(w | x), nats."""
    assert t.p_w is not None
    w = t.w.clamp_min(torch.finfo(t.w.dtype).tiny)  # a sample can underflow to 0
    return t.p_w.log_prob(w) - t.q_w.log_prob(w)


def _weigh(t: Trace, w: Float[Tensor, "S B K"]) -> Float[Tensor, "S B *X"]:
    """The weighted mean of the components' means."""
    event = (1,) * (t.x.dim() - 1)
    return (w.reshape(*w.shape, *event) * t.p_x.mean).sum(2)


def _log(w: Tensor) -> Tensor:
    """log w, finite for weights that underflowed."""
    return w.clamp_min(torch.finfo(w.dtype).tiny).log()
