"""Importance-weighted bounds for every family."""

from math import log

from torch import Tensor

from mixvae.trace import Scale, Trace

from .objective import Terms


def iwae(t: Trace, kl_scale: Scale = 1.0) -> Terms:
    r"""Importance-weighted bound over the S samples of a trace, for every family.

    .. math:: \log \frac1S \sum_s \frac{p(x, z_s)}{q(z_s | x)}

    Parameters
    ----------
    t
        A trace of S samples and B rows. With S = 1 the bound is a one-sample estimate of the ELBO.
    kl_scale
        Weight of log p(z) - log q(z | x); 1 for the bound itself.

    Returns
    -------
    terms
        ``iwae`` (B,), nats.

    References
    ----------
    Burda, Grosse & Salakhutdinov (ICLR 2016), eq. 8.

    Examples
    --------
    >>> import mixvae, torch
    >>> model = mixvae.build("vae", (4,), n_latent=2).model
    >>> trace = model(torch.zeros(3, 4), n_samples=5)
    >>> iwae(trace)["iwae"].shape
    torch.Size([3])
    """
    return {"iwae": log_mean_exp(t.family.log_weight(t, kl_scale), 0)}


def log_mean_exp(a: Tensor, dim: int) -> Tensor:
    """Logarithm of the mean of exp(a) along one axis, without overflow.

    Parameters
    ----------
    a
        Any tensor, such as log importance weights.
    dim
        The axis of the mean, which the result does not have.

    Examples
    --------
    >>> import torch
    >>> log_mean_exp(torch.tensor([1000.0, 1000.0]), 0)
    tensor(1000.)
    """
    return a.logsumexp(dim) - log(a.shape[dim])
