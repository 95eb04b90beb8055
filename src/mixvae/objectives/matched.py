r"""GMMpVAE's objective: the KL between mixtures bounded by matching their components.

.. math:: U = \frac1C\sum_c \sum_m \pi_m\Big[\log\frac{\pi_m}{\pi_{\beta(m)}}
          + KL(q_m(\cdot|x) \| q_{\beta(m)}(\cdot|a_c))\Big]

averages over the pseudo-inputs a_c what the prior sums inside its logarithm: an upper bound of the
KL, and a loose one. (GMMpVAE (12), (13), (22), (23).)
"""

from dataclasses import replace
from itertools import permutations
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.distributions import NormalMixture, kl_pairs
from mixvae.distributions.pairs import flatten_batch
from mixvae.trace import Scale, Trace

from .objective import Bound, Terms

Matching = Literal["greedy", "optimal", "variational"]
MAX_COMPONENTS = 6  # optimal: all K! orders are tried


def matched(t: Trace, kl_scale: Scale = 1.0, *, matching: Matching = "greedy") -> Terms:
    """Reconstruction less the matched KL, the mean over pseudo-inputs.

    ``greedy`` (13) takes components by falling weight, ties by index, each to the nearest that is
    left; ``optimal`` is the best of all orders. Both are bounds on log p(x). ``variational`` is
    Hershey & Olsen's approximation (2007, Section 7) for each pseudo-input, and no bound.
    """
    share = t.q_w.mean
    kl = matched_kl(t, matching).mean(-1)
    log_lik = t.log_lik.squeeze(-1) if t.blended else (share * t.log_lik).sum(-1)
    return {t.lik_name: log_lik.mean(0), "kl_z": -kl_scale * kl}


def averaged(t: Trace, kl_scale: Scale = 1.0, *, bound: Bound) -> Terms:
    """Another bound, had the mean of the components' codes been decoded in place of each.

    It makes no bound: the mean's noise has 1/K of the variance that the KL pays for. To reproduce
    GMMpVAE's claims, which no valid bound reaches.
    """
    assert t.decode is not None
    z = (t.w.unsqueeze(-1) * t.z).sum(2, keepdim=True)
    return bound(replace(t, p_x=t.decode(z, torch.ones_like(t.w[..., :1]))), kl_scale)


def matched_kl(t: Trace, matching: Matching) -> Float[Tensor, "B C"]:
    """What the matching says KL(q(z|x) || q(z|a_c)) is at most, of every pseudo-input, nats."""
    assert isinstance(t.p_z, NormalMixture)
    prior = t.p_z.pooled_from
    assert prior is not None, "the prior has no pseudo-inputs"
    log_w = t.q_w.mean.log()
    log_v = prior.mixture_distribution.logits  # (C, K)
    kl = _kl(t, t.p_z, len(log_v))
    if matching == "variational":
        own = kl_pairs(t.q_z, t.q_z)  # (B, K, K)
        above = (log_w.unsqueeze(1) - own).logsumexp(-1).unsqueeze(1)
        below = (log_v.unsqueeze(1) - kl).logsumexp(-1)
        return (log_w.exp().unsqueeze(1) * (above - below)).sum(-1)
    cost = kl + log_w[:, None, :, None] - log_v[:, None]
    order = greedy(cost.detach(), log_w) if matching == "greedy" else best(cost.detach(), log_w)
    taken = cost.gather(-1, order.unsqueeze(-1)).squeeze(-1)
    return (log_w.exp().unsqueeze(1) * taken).sum(-1)


def greedy(cost: Float[Tensor, "B C K K"], log_w: Float[Tensor, "B K"]) -> Tensor:
    """For every component, by falling weight, the cheapest that no heavier one took: (B, C, K)."""
    left = cost.clone()
    beta = torch.empty(cost.shape[:-1], dtype=torch.long, device=cost.device)
    for m in log_w.argsort(dim=-1, descending=True, stable=True).unbind(-1):  # m (B,)
        m = m[:, None, None].expand(-1, cost.shape[1], 1)  # (B, C, 1)
        row = left.gather(2, m.unsqueeze(-1).expand(-1, -1, -1, cost.shape[-1])).squeeze(2)
        n = row.argmin(-1, keepdim=True)
        beta.scatter_(2, m, n)
        left.scatter_(3, n.unsqueeze(2).expand(-1, -1, cost.shape[2], -1), torch.inf)
    return beta


def best(cost: Float[Tensor, "B C K K"], log_w: Float[Tensor, "B K"]) -> Tensor:
    """The order of least total cost, of all that there are: (B, C, K)."""
    n_components = cost.shape[-1]
    orders = torch.tensor(list(permutations(range(n_components))), device=cost.device)  # (P, K)
    each = cost[:, :, torch.arange(n_components), orders]  # (B, C, P, K)
    total = (log_w.exp()[:, None, None] * each).sum(-1)
    return orders[total.argmin(-1)]


def _kl(t: Trace, pooled: NormalMixture, n_pseudo: int) -> Float[Tensor, "B C K K"]:
    """KL(q_m(.|x) || q_n(.|a_c)) of all pairs."""
    pairs = kl_pairs(flatten_batch(t.q_z), pooled.component_distribution)  # (B K, C K)
    n_rows, n_components = t.q_z.batch_shape
    return pairs.view(n_rows, n_components, n_pseudo, -1).transpose(1, 2)
