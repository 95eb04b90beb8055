"""How much components overlap, and what it would cost to make two of them one."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor


def overlaps(r: Float[Tensor, "N K"]) -> Float64[Tensor, "K K"]:
    r"""Shares of a component's responsibility on examples that each component is assigned.

    .. math:: o_{kj} = \frac{\sum_i r_{ik}\, 1[j = \arg\max_l r_{il}]}{\sum_i r_{ik}}

    Off the diagonal these are the directly estimated misclassification probabilities of Hennig
    (Methods for merging Gaussian mixture components, Advances in Data Analysis and Classification
    2010): the probability that an example of component k is assigned to j.

    Parameters
    ----------
    r
        (N, K), responsibilities.

    Returns
    -------
    overlaps
        (K, K), [k, j]; rows sum to one, and are 0 of a component without responsibility.
    """
    r = r.double()
    assigned = torch.nn.functional.one_hot(r.argmax(1), r.shape[1]).double()
    return (r.T @ assigned) / r.sum(0).clamp_min(1e-12).unsqueeze(1)


def merging_costs(
    log_joint: Float[Tensor, "N K"], log_weights: Float[Tensor, "N K"]
) -> Float64[Tensor, "K K"]:
    r"""Fall of the bound on log p(x) where one component takes the place of two; nats an example.

    [k, j] is the cost of leaving component j out and giving its weight to k:

    .. math:: \frac1N \sum_i \log\sum_l \pi_l e^{b_{il}} -
              \log\Big(\sum_{l \ne j, k} \pi_l e^{b_{il}} + (\pi_k + \pi_j)\, e^{b_{ik}}\Big)

    where :math:`b_{il}` is the ELBO of x_i under component l. Nothing is trained again, so that a
    merged component that is trained costs no more. A negative cost is a gain.

    Parameters
    ----------
    log_joint
        (N, K), :math:`\log\pi_l + b_{il}`, nats.
    log_weights
        (N, K), :math:`\log\pi_l`, of each example.

    Returns
    -------
    costs
        (K, K); 0 on the diagonal, NaN where a component has no weight.
    """
    joint, log_pi = log_joint.double(), log_weights.double()
    whole, k = joint.logsumexp(1), joint.shape[1]
    costs = joint.new_zeros(k, k)
    for kept in range(k):
        for lost in set(range(k)) - {kept}:
            gain = torch.logaddexp(log_pi[:, kept], log_pi[:, lost]) - log_pi[:, kept]
            merged = joint.clone()
            merged[:, kept] = joint[:, kept] + gain
            merged[:, lost] = -torch.inf
            costs[kept, lost] = (whole - merged.logsumexp(1)).mean()
    return costs.masked_fill(~costs.isfinite(), torch.nan)


def merging_entropy(r: Float[Tensor, "N K"]) -> Float64[Tensor, "K K"]:
    r"""Fall of the entropy of the responsibilities if two components are one; nats an example.

    .. math:: \frac1N \sum_i (r_{ik} + r_{ij}) \log(r_{ik} + r_{ij}) - r_{ik} \log r_{ik} -
              r_{ij} \log r_{ij}

    The criterion of Baudry, Raftery, Celeux, Lo & Gottardo (Combining mixture components for
    clustering, JCGS 2010): a large value says that the two describe one cluster.

    Parameters
    ----------
    r
        (N, K), responsibilities.

    Returns
    -------
    falls
        (K, K), symmetric, at least 0; the diagonal is 0.
    """
    r = r.double()
    own = torch.xlogy(r, r).sum(0)
    k = r.shape[1]
    falls = r.new_zeros(k, k)
    for i in range(k):
        both = r[:, i : i + 1] + r
        falls[i] = torch.xlogy(both, both).sum(0) - own[i] - own
        falls[i, i] = 0.0
    return falls / len(r)
