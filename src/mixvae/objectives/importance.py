"""Importance-weighted bounds, of any family."""

from math import log

from torch import Tensor

from mixvae.trace import Scale, Trace

from .objective import Terms


def iwae(t: Trace, kl_scale: Scale = 1.0) -> Terms:
    """The importance-weighted bound over the S samples (Burda et al. 2016, eq. 8), any family."""
    return {"iwae": log_mean_exp(t.family.log_weight(t, kl_scale), 0)}


def log_mean_exp(a: Tensor, dim: int) -> Tensor:
    """The logarithm of the mean of exp(a) along ``dim``."""
    return a.logsumexp(dim) - log(a.shape[dim])
