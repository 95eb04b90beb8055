r"""GMMpVAE's objective: the KL between mixtures bounded by matching their components.

.. math:: U = \frac1C\sum_c \sum_m \pi_m\Big[\log\frac{\pi_m}{\pi_{\beta(m)}}
          + KL(q_m(\cdot|x) \| q_{\beta(m)}(\cdot|a_c))\Big]

U is an upper bound of KL(q(z|x) || p(z)), where the prior is the mean of the pseudo-inputs'
posteriors. It is loose, since it averages over the pseudo-inputs a_c what the prior sums inside a
logarithm. GMMpVAE: Guo et al. (IEEE Access 2020), eqs. 12, 13, 22 and 23.
"""

from dataclasses import replace
from itertools import permutations
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.distributions import NormalMixture, kl_pairs
from mixvae.distributions.pairs import flatten_batch
from mixvae.errors import MixvaeError
from mixvae.trace import Scale, Trace

from .objective import Bound, Terms

Matching = Literal["greedy", "optimal", "variational"]
MAX_COMPONENTS = 6  # with "optimal", which tries all K! permutations


def matched(t: Trace, kl_scale: Scale = 1.0, *, matching: Matching = "greedy") -> Terms:
    """Likelihood less the matched KL, averaged over pseudo-inputs: GMMpVAE's objective.

    Parameters
    ----------
    t
        A trace of a mixture posterior whose prior has pseudo-inputs.
    kl_scale
        Weight of the KL; 1 for the bound itself.
    matching
        How a posterior's components are matched with those of a pseudo-input's. "greedy", as in
        the paper, takes them by decreasing weight (ties by index), each to the nearest that is
        left. "optimal" is the best of all K! permutations. Both give bounds on log p(x).
        "variational" is Hershey & Olsen's approximation of the KL, and not a bound.

    Returns
    -------
    terms
        The likelihood and ``kl_z``, each (B,), nats.

    Raises
    ------
    MixvaeError
        For a prior without pseudo-inputs.

    References
    ----------
    GMMpVAE: Guo et al. (IEEE Access 2020), eqs. 13 and 23.
    Hershey & Olsen (ICASSP 2007), Section 7.
    """
    weights = t.q_w.mean
    kl = matched_kl(t, matching).mean(-1)
    log_lik = t.log_lik.squeeze(-1) if t.blended else (weights * t.log_lik).sum(-1)
    return {t.lik_name: log_lik.mean(0), "kl_z": -kl_scale * kl}


def averaged(t: Trace, kl_scale: Scale = 1.0, *, bound: Bound) -> Terms:
    """Another bound's terms, with the mean of the components' codes decoded in place of each code.

    The result is not a bound, since the mean's noise has 1/K of the variance that enters the KL. It
    reproduces the figures of GMMpVAE, which no valid bound reaches.

    Parameters
    ----------
    t
        A trace of a mixture posterior.
    kl_scale
        Weight of the KL terms.
    bound
        ``(trace, kl_scale) -> terms`` for the trace of the mean code's output.

    Returns
    -------
    terms
        Those of ``bound``, each (B,), nats.

    References
    ----------
    GMMpVAE: Guo et al. (IEEE Access 2020).
    """
    assert t.decode is not None
    z = (t.w.unsqueeze(-1) * t.z).sum(2, keepdim=True)
    return bound(replace(t, p_x=t.decode(z, torch.ones_like(t.w[..., :1]))), kl_scale)


def matched_kl(t: Trace, matching: Matching) -> Float[Tensor, "B C"]:
    """Upper bound of KL(q(z|x) || q(z|a_c)) by the matching, for every pseudo-input, nats.

    With "variational" it is an approximation. :func:`matched` names the parameters.
    """
    if not isinstance(t.p_z, NormalMixture) or t.p_z.pooled_from is None:
        raise MixvaeError(
            f"matched needs a prior of pseudo-inputs (VampPrior); got {type(t.p_z).__name__}. "
            "Use objectives.elbo."
        )
    log_w = t.q_w.mean.log()
    log_v = t.p_z.pooled_from.mixture_distribution.logits  # (C, K)
    kl = _kl(t, t.p_z, len(log_v))
    if matching == "variational":
        kl_within = kl_pairs(t.q_z, t.q_z)  # (B, K, K)
        log_q = (log_w.unsqueeze(1) - kl_within).logsumexp(-1).unsqueeze(1)
        log_p = (log_v.unsqueeze(1) - kl).logsumexp(-1)
        return (log_w.exp().unsqueeze(1) * (log_q - log_p)).sum(-1)
    cost = kl + log_w[:, None, :, None] - log_v[:, None]
    order = greedy(cost.detach(), log_w) if matching == "greedy" else best(cost.detach(), log_w)
    matched_cost = cost.gather(-1, order.unsqueeze(-1)).squeeze(-1)
    return (log_w.exp().unsqueeze(1) * matched_cost).sum(-1)


def greedy(cost: Float[Tensor, "B C K K"], log_w: Float[Tensor, "B K"]) -> Tensor:
    """Greedy matching: by decreasing weight, each component's cheapest that is left, (B, C, K)."""
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
    """Optimal matching: the permutation of least total cost, (B, C, K)."""
    n_components = cost.shape[-1]
    orders = torch.tensor(list(permutations(range(n_components))), device=cost.device)  # (P, K)
    costs = cost[:, :, torch.arange(n_components), orders]  # (B, C, P, K)
    total = (log_w.exp()[:, None, None] * costs).sum(-1)
    return orders[total.argmin(-1)]


def _kl(t: Trace, pooled: NormalMixture, n_pseudo: int) -> Float[Tensor, "B C K K"]:
    """KL(q_m(.|x) || q_n(.|a_c)) of all pairs, nats."""
    pairs = kl_pairs(flatten_batch(t.q_z), pooled.component_distribution)  # (B K, C K)
    n_rows, n_components = t.q_z.batch_shape
    return pairs.view(n_rows, n_components, n_pseudo, -1).transpose(1, 2)
