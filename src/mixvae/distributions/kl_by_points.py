"""KL from normals to distributions without a closed form, by fixed points."""

from functools import cache
from math import e, log, pi, sqrt
from random import Random

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from .pairs import loc_and_scale

N_POINTS = 16  # and their negatives


def kl_by_points(q: Distribution, p: Distribution) -> Float[Tensor, "*n"]:
    r"""Estimate of KL(q || p) with the entropy of q in closed form.

    The mean of :math:`-\log p(\mu + \sigma \epsilon)` is over 16 fixed standard normal
    :math:`\epsilon` and their negatives, of variance 1 in each dimension: the same for every q, so
    that nothing is random and rows do not interact. It is exact for a p that is diagonal normal.

    Parameters
    ----------
    q
        Diagonal normals, batch (*n), event (L,).
    p
        Any distribution whose batch broadcasts with q's.

    Returns
    -------
    kl
        Nats, (*n).

    Examples
    --------
    >>> from mixvae.distributions import diagonal_normal
    >>> q, p = (diagonal_normal(torch.zeros(1), torch.full((1,), s)) for s in (0.5, 1.0))
    >>> kl_by_points(q, p)
    tensor(0.3181)
    """
    loc, scale = loc_and_scale(q)
    points = torch.tensor(_points(loc.shape[-1]), dtype=loc.dtype, device=loc.device)
    z = loc + scale * points.reshape(-1, *(1,) * (loc.dim() - 1), loc.shape[-1])
    entropy = (scale.log() + 0.5 * log(2 * pi * e)).sum(-1)
    return -p.log_prob(z).mean(0) - entropy


@cache
def _points(n_latent: int) -> list[list[float]]:
    """Standard normal numbers and their negatives, (2 N, L); lists, as a graph may hold them."""
    random = Random(0)
    columns = []
    for _ in range(n_latent):
        column = [random.gauss(0, 1) for _ in range(N_POINTS)]
        size = sqrt(sum(value**2 for value in column) / N_POINTS)
        columns.append([sign * value / size for sign in (1, -1) for value in column])
    return [list(row) for row in zip(*columns, strict=True)]
