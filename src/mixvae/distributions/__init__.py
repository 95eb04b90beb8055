"""Distributions that :mod:`torch.distributions` lacks."""

from .delta import Delta
from .kumaraswamy import Kumaraswamy, kl_series
from .normal_mixture import NormalMixture, kl_to_mixture, mixture
from .pairs import kl_pairs, log_prob_each
from .sticks import StickBreaking, dirichlet_sticks, process_sticks

__all__ = [
    "Delta",
    "Kumaraswamy",
    "NormalMixture",
    "StickBreaking",
    "dirichlet_sticks",
    "kl_pairs",
    "kl_series",
    "kl_to_mixture",
    "log_prob_each",
    "mixture",
    "process_sticks",
]
