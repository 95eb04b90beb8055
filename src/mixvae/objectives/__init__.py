"""Objectives: pure functions of a :class:`~mixvae.trace.Trace`.

A *bound* returns named terms of shape (B,), in nats, whose sum is the bound for each x. A *penalty*
returns a scalar, negative where it lowers the objective. The terms that are logged add up to the
objective, and the loss is its negative. ``kl_scale`` is the weight of the KL terms, which rises
from 0 to 1 during a warm-up; at 1 a bound is itself. Only a true lower bound on log p(x) is called
an ELBO.
"""

from .aggregated import Kernel, mmd, mmd_penalty, reconstruction, squared_w2, w2_penalty
from .clusters import cluster_elbo
from .importance import iwae, log_mean_exp
from .joint import Reduction, check_weights, dhsic, elbo, elbo_of_levels, masked, weighted_elbo
from .matched import Matching, averaged, matched
from .mixtures import Form, expert_elbos, miselbo, mixture_bound, mixture_elbo, routed, shared
from .mutual import diversity, mean_mutual_kl, smoothness, std_mutual_kl
from .objective import Bound, Objective, Penalty, Terms

__all__ = [
    "Bound",
    "Form",
    "Kernel",
    "Matching",
    "Objective",
    "Penalty",
    "Reduction",
    "Terms",
    "averaged",
    "check_weights",
    "cluster_elbo",
    "dhsic",
    "diversity",
    "elbo",
    "elbo_of_levels",
    "expert_elbos",
    "iwae",
    "log_mean_exp",
    "masked",
    "matched",
    "mean_mutual_kl",
    "miselbo",
    "mixture_bound",
    "mixture_elbo",
    "mmd",
    "mmd_penalty",
    "reconstruction",
    "routed",
    "shared",
    "smoothness",
    "squared_w2",
    "std_mutual_kl",
    "w2_penalty",
    "weighted_elbo",
]
