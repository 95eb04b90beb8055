"""GMVAE's objective: the ELBO under a prior of clusters, with a floor on the clusters' KL."""

from torch.distributions import kl_divergence

from mixvae.distributions import Hierarchical, NormalMixture, independent_levels
from mixvae.trace import Scale, Trace

from .objective import Terms


def cluster_elbo(t: Trace, kl_scale: Scale = 1.0, *, free_bits: float = 0.0) -> Terms:
    r"""Evidence lower bound under a prior of two levels whose lower one is a mixture of C normals.

    With :math:`r_c = p(c | z_2, z_1)` of sampled codes it is

    .. math:: E \Big[\log p(x|z_1) - \sum_c r_c \log\frac{q(z_1|x)}{p(z_1|z_2, c)}\Big]
              - KL(q(z_2|x) \| p(z_2)) - \max\big(\lambda, E\, KL(r \| 1/C)\big)

    The two sums over c add up to :math:`\log q(z_1|x) - \log p(z_1|z_2)` with c summed out.

    Parameters
    ----------
    t
        A trace of one component whose posterior is a diagonal normal of both levels, under a
        :class:`~mixvae.parts.HierarchicalMixturePrior`.
    kl_scale
        Weight of the KL terms; 1 for the bound itself.
    free_bits
        :math:`\lambda`, nats. Above 0 the clusters' KL has no gradient where it is smaller, and the
        bound is looser.

    Returns
    -------
    terms
        The likelihood, ``kl_z`` (the conditional prior's), ``kl_top`` and ``kl_cluster``, each
        (B,), nats.

    References
    ----------
    GMVAE: Dilokthanakul et al. (2016), whose w is z2 and whose latent x is z1.
    """
    assert isinstance(t.p_z, Hierarchical)
    q, p = independent_levels(t.q_z, t.p_z.n_second), t.p_z
    above, below = p.split(t.z)  # each (S, B, 1, L)
    clusters = p.second(above)
    assert isinstance(clusters, NormalMixture)
    log_each = clusters.component_distribution.log_prob(below.unsqueeze(-2))  # (S, B, 1, C)
    log_pi = clusters.mixture_distribution.logits
    log_r = (log_each + log_pi).log_softmax(-1)
    r = log_r.exp()
    kl_z = q.second(above).log_prob(below) - (r * log_each).sum(-1)
    kl_cluster = (r * (log_r - log_pi)).sum(-1).mean((0, 2)).clamp_min(free_bits)
    return {
        t.lik_name: t.log_lik.mean((0, 2)),
        "kl_z": -kl_scale * kl_z.mean((0, 2)),
        "kl_top": -kl_scale * kl_divergence(q.first, p.first).squeeze(-1),
        "kl_cluster": -kl_scale * kl_cluster,
    }
