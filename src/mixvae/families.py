"""The families: K codes at once; one code of one component; one code that a mixture infers."""

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
    """Is there one code or K codes? It decides what the latent is, and so every density of it.

    ``advice`` and ``advice_if_collapsed`` say what to try where one of several components is dead,
    or its code says nothing of x.
    """

    advice = (
        "beta_w 20 (it kept every component alive in our trials), fewer components, a KL warm-up, "
        "or a lower beta_kl"
    )
    advice_if_collapsed = "a KL warm-up (warmup_epochs), a smaller beta_kl, or more epochs"

    @abstractmethod
    def log_weight(self, t: Trace, kl_scale: Scale = 1.0) -> Float[Tensor, "S B"]:
        """log p(x, latent) - log q(latent | x), its prior part times ``kl_scale``."""

    def elbo(self, t: Trace, kl_scale: Scale = 1.0) -> Terms:
        """The evidence lower bound on log p(x) as named terms (B,), nats, that add up to it.

        It is a bound if p(x | z) is a density and ``kl_scale`` is 1. By default it is one term, the
        mean of the log importance weight over the samples.
        """
        return {"elbo": self.log_weight(t, kl_scale).mean(0)}

    @abstractmethod
    def responsibilities(self, t: Trace) -> Float[Tensor, "B K"]:
        """How far each component answers for x. Rows sum to one."""

    @abstractmethod
    def kl_weights(self, t: Trace) -> Float[Tensor, "B K"]:
        """How far x is charged each component's KL: the weights of its mean over the data."""

    @abstractmethod
    def mean(self, t: Trace) -> Float[Tensor, "S B *X"]:
        """The mean of x given the codes, the components brought together."""

    def n_draws(self, n_samples: int, n_components: int) -> int:
        """How many draws have so many samples of the latent."""
        return n_samples

    def n_codes(self, n_components: int) -> int:
        """How many codes an x has: 1, or K."""
        return 1

    def codes(self, t: Trace) -> Float[Tensor, "B D"]:
        """The codes of x, for whoever takes features: by default all components', side by side."""
        return t.q_z.mean.flatten(1)

    def posterior(self, t: Trace) -> Distribution:
        """q(z | x), the components' together, where there is one code: batch (B,), event (L,)."""
        return mixture(t.q_w.mean, t.q_z)

    def owns(self, r: Float[Tensor, "N K"]) -> Bool[Tensor, "N K"]:
        """Whether each component has a part in x, whose responsibilities are r: by default all."""
        return torch.ones_like(r, dtype=torch.bool)


class Joint(Family):
    r"""K codes at once, decoded together: the latent is (z_1 ... z_K, w). M-VAE, MVAE, and the VAE.

    .. math:: \log p(x | z, w) + \sum_k \log\frac{p(z_k)}{q(z_k|x)} + \log\frac{p(w)}{q(w|x)}

    Components that dropout took out for good are no part of it: k runs over those that are left.
    """

    def log_lik(self, t: Trace) -> Float[Tensor, "S B"]:
        r"""log p(x | z, w); where outputs are kept apart, :math:`\log\sum_k b_k p(x|z_k)`."""
        if t.log_lik.shape[-1] == 1:  # blended, or there is but one, whose weight is 1
            return t.log_lik.squeeze(-1)
        return (t.log_lik + _log(t.b)).logsumexp(-1)

    def log_weight(self, t: Trace, kl_scale: Scale = 1.0) -> Float[Tensor, "S B"]:
        log_ratio = t.of_kept(t.log_prior - t.log_q).sum(-1)
        if t.p_w is not None:
            log_ratio = log_ratio + _log_weights_ratio(t)
        return self.log_lik(t) + kl_scale * log_ratio

    def elbo(self, t: Trace, kl_scale: Scale = 1.0) -> Terms:
        r"""The bound with its KLs in closed form where there is one.

        .. math:: E \log p(x|z,w) - \sum_k KL(q(z_k|x) \| p(z_k)) - KL(q(w|x) \| p(w))
        """
        t = _exact(t)
        terms = {t.lik_name: self.log_lik(t).mean(0), "kl_z": -kl_scale * t.of_kept(t.kl).sum(-1)}
        if t.p_w is not None:
            terms["kl_w"] = -kl_scale * kl_divergence(t.q_w, t.p_w)
        return terms

    def responsibilities(self, t: Trace) -> Float[Tensor, "B K"]:
        return t.q_w.mean if t.b is t.w else t.b.mean(0)

    def kl_weights(self, t: Trace) -> Float[Tensor, "B K"]:
        """All of it: every code is decoded."""
        return torch.ones_like(t.w[0])

    def n_codes(self, n_components: int) -> int:
        return n_components

    def mean(self, t: Trace) -> Float[Tensor, "S B *X"]:
        return _weigh(t, t.b) if not t.blended else t.p_x.mean.squeeze(2)


class ExactMixture(Family):
    r"""One component makes x, and which one is summed out exactly: ``mixture-vae``.

    .. math:: p(x) = \sum_k \pi_k \int p_k(x | z)\, p(z)\, dz, \qquad
              \log\sum_k \pi_k \frac{p_k(x | z_k)\, p(z_k)}{q_k(z_k | x)}

    After component dropout the proportions are b, in the place of :math:`\pi`.
    """

    advice = "start split (the default), more start_epochs, fewer components, or another seed"
    advice_if_collapsed = (
        "more start_epochs, over which the KL's weight rises, a KL warm-up (warmup_epochs), or "
        "more epochs"
    )

    def log_weights(self, t: Trace, kl_scale: Scale = 1.0) -> Float[Tensor, "S B K"]:
        """Each component's log pi_k + log w_k, before the sum over components."""
        return t.log_lik + kl_scale * (t.log_prior - t.log_q) + t.log_b

    def log_weight(self, t: Trace, kl_scale: Scale = 1.0) -> Float[Tensor, "S B"]:
        return self.log_weights(t, kl_scale).logsumexp(-1)

    def elbo(self, t: Trace, kl_scale: Scale = 1.0) -> Terms:
        r"""The bound :math:`E \log\sum_k \pi_k w_k`.

        One sampled weight :math:`w_k = p_k(x, z_k) / q_k(z_k|x)` per component (with the
        closed-form KL inside the logarithm it would be no bound). Split into terms by the
        responsibilities r_k proportional to pi_k w_k: likelihood, codes' KL and the index's
        KL(r || pi), which add up to it.
        """
        log_weights = self.log_weights(t, kl_scale)
        # The sum is stationary in r, so a detached r leaves the value and the gradient right.
        r = log_weights.detach().softmax(-1)
        log_lik = (r * t.log_lik).sum(-1).mean(0)
        kl_z = kl_scale * (r * (t.log_prior - t.log_q)).sum(-1).mean(0)
        return {
            t.lik_name: log_lik,
            "kl_z": kl_z,
            "kl_index": log_weights.logsumexp(-1).mean(0) - log_lik - kl_z,
        }

    def responsibilities(self, t: Trace) -> Float[Tensor, "B K"]:
        r"""The best variational q(k | x), proportional to :math:`\pi_k \exp \mathrm{ELBO}_k(x)`."""
        elbo = t.log_lik.mean(0) - t.kl
        return (elbo + t.log_b[0]).softmax(-1)

    def kl_weights(self, t: Trace) -> Float[Tensor, "B K"]:
        """What the component answers for: elsewhere its code may be anything, at no cost."""
        return self.responsibilities(t)

    def codes(self, t: Trace) -> Float[Tensor, "B D"]:
        """The code of the component with the largest responsibility; axes are each component's."""
        owner = self.responsibilities(t).argmax(-1)
        return t.q_z.mean[torch.arange(len(owner), device=owner.device), owner]

    def posterior(self, t: Trace) -> Distribution:
        """By their responsibilities, which are q(k | x)."""
        return mixture(self.responsibilities(t), t.q_z)

    def owns(self, r: Float[Tensor, "N K"]) -> Bool[Tensor, "N K"]:
        """The one with the largest responsibility."""
        return F.one_hot(r.argmax(-1), r.shape[-1]).bool()

    def mean(self, t: Trace) -> Float[Tensor, "S B *X"]:
        return _weigh(t, self.responsibilities(t).expand_as(t.w))


class MixturePosterior(Family):
    r"""One code, whose posterior is a mixture: :math:`q(z|x) = \sum_k w_k q(z|x, k)`.

    A draw is a code z_k of every component (strata), each decoded by itself; all of them are
    weighed against the whole mixture, as in the balance heuristic of multiple importance sampling.
    The prior is p(z), or where components have priors of their own
    :math:`p(z|w) = \sum_k w_k p(z|k)`. Random weights w are a latent beside z.

    .. math:: \log\frac{p(w)}{q(w|x)} + \log\sum_k w_k \frac{p(x|z_k)\, p(z_k|w)}{q(z_k|x, w)}
    """

    advice = "a KL warm-up, fewer components, or (dlgmm) priors with means of their own"
    advice_if_collapsed = "a KL warm-up (warmup_epochs), or more epochs"

    def log_prior(self, t: Trace) -> Float[Tensor, "S B K"]:
        """log p(z_k | w) of each code."""
        if not t.p_z.batch_shape:
            return t.log_prior
        return (log_prob_each(t.p_z, t.z) + t.log_w.unsqueeze(2)).logsumexp(-1)

    def log_q(self, t: Trace) -> Float[Tensor, "S B K"]:
        """log q(z_k | x, w) of each code, under the whole mixture."""
        codes = t.z.transpose(1, 2)  # (S, K, B, L)
        if t.q_all is not None:
            return t.q_all.log_prob(codes).transpose(1, 2)
        pairs = log_prob_each(t.q_z, codes).transpose(1, 2)
        return (pairs + t.log_w.unsqueeze(2)).logsumexp(-1)

    def log_weights(self, t: Trace, kl_scale: Scale = 1.0) -> Float[Tensor, "S B K"]:
        """log p(x, z_k | w) - log q(z_k | x, w), each stratum's."""
        return t.log_lik + kl_scale * (self.log_prior(t) - self.log_q(t))

    def log_weight(self, t: Trace, kl_scale: Scale = 1.0) -> Float[Tensor, "S B"]:
        log_weight = (self.log_weights(t, kl_scale) + t.log_w).logsumexp(-1)
        if t.p_w is not None:
            log_weight = log_weight + kl_scale * _log_weights_ratio(t)
        return log_weight

    def elbo(self, t: Trace, kl_scale: Scale = 1.0) -> Terms:
        """The bound with E[w] in front of the likelihoods, and the KL of the weights by itself."""
        t = _exact(t)
        return self.terms(t, self.log_ratio(t), kl_scale)

    def log_ratio(self, t: Trace) -> Float[Tensor, "S B"]:
        """The mean over components of log p(z_k | w) - log q(z_k | x, w)."""
        return (t.w * (self.log_prior(t) - self.log_q(t))).sum(-1)

    def terms(self, t: Trace, log_ratio: Float[Tensor, "S B"], kl_scale: Scale) -> Terms:
        """A bound's terms, whose codes cost minus ``log_ratio``."""
        log_lik = (t.q_w.mean.unsqueeze(1) * t.log_lik.transpose(0, 1)).sum(-1).mean(1)
        terms = {t.lik_name: log_lik, "kl_z": kl_scale * log_ratio.mean(0)}
        if t.p_w is not None:
            terms["kl_w"] = -kl_scale * kl_divergence(t.q_w, t.p_w)
        return terms

    def responsibilities(self, t: Trace) -> Float[Tensor, "B K"]:
        """E_q[w], the share of the posterior's mass."""
        return t.q_w.mean

    def kl_weights(self, t: Trace) -> Float[Tensor, "B K"]:
        return self.responsibilities(t)

    def n_draws(self, n_samples: int, n_components: int) -> int:
        """Each has one of every component."""
        return -(-n_samples // n_components)

    def mean(self, t: Trace) -> Float[Tensor, "S B *X"]:
        if t.blended:
            return t.p_x.mean.squeeze(2)
        return _weigh(t, self.responsibilities(t).expand_as(t.w))


def _exact(t: Trace) -> Trace:
    """The trace with its sticks' KL by quadrature: by a series it may be nats too low."""
    q_z, q_w = by_quadrature(t.q_z), by_quadrature(t.q_w)
    return t if q_z is t.q_z and q_w is t.q_w else replace(t, q_z=q_z, q_w=q_w)


def _log_weights_ratio(t: Trace) -> Float[Tensor, "S B"]:
    """log p(w) - log q(w | x)."""
    assert t.p_w is not None
    w = t.w.clamp_min(torch.finfo(t.w.dtype).tiny)  # a draw can underflow to 0
    return t.p_w.log_prob(w) - t.q_w.log_prob(w)


def _weigh(t: Trace, w: Float[Tensor, "S B K"]) -> Float[Tensor, "S B *X"]:
    """The weighted mean of the components' means."""
    event = (1,) * (t.x.dim() - 1)
    return (w.reshape(*w.shape, *event) * t.p_x.mean).sum(2)


def _log(w: Tensor) -> Tensor:
    return w.clamp_min(torch.finfo(w.dtype).tiny).log()
