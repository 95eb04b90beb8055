"""Objectives: pure functions of a :class:`~mixvae.trace.Trace`.

A *bound* returns named terms of shape (B,) whose sum is the bound; a *penalty* returns a signed
scalar. Their logged values add up to the objective: nothing is hidden in the loss. ``kl_scale`` is
the warm-up's weight of the KL terms; 1 is the bound itself. Only a true bound on log p(x) is
called an ELBO.
"""

from .importance import iwae, log_mean_exp
from .joint import Reduction, check_weights, dhsic, elbo, masked, weighted_elbo
from .matched import Matching, averaged, matched
from .mixtures import Form, miselbo, mixture_bound, mixture_elbo, routed
from .objective import Bound, Objective, Penalty, Terms

__all__ = [
    "Bound",
    "Form",
    "Matching",
    "Objective",
    "Penalty",
    "Reduction",
    "Terms",
    "averaged",
    "check_weights",
    "dhsic",
    "elbo",
    "iwae",
    "log_mean_exp",
    "masked",
    "matched",
    "miselbo",
    "mixture_bound",
    "mixture_elbo",
    "routed",
    "weighted_elbo",
]
