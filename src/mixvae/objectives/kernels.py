"""Kernel statistics of independence, in float32 or better whatever the autocast."""

from collections.abc import Sequence
from math import exp, lgamma
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.errors import MixvaeError
from mixvae.nn import full_precision, relu

Bandwidth = float | Literal["gaussian"] | None


def rbf(x: Float[Tensor, "*b N L"], gamma: float | Tensor) -> Float[Tensor, "*b N N"]:
    r"""The Gram matrix of the Gaussian kernel :math:`\exp(-\gamma \|x_i - x_j\|^2)`."""
    with torch.autocast(x.device.type, enabled=False):  # differences of means need all digits
        return torch.exp(-gamma * _squared_distances(full_precision(x)))


def dhsic(
    z: Float[Tensor, "B K L"] | Sequence[Tensor], gamma: Bandwidth = None
) -> Float[Tensor, ""]:
    r"""d-variable HSIC of K codes over a batch: zero in population iff they are independent.

    The V-statistic (Pfister et al. 2018, eq. 5; M-VAE (13) with its misprints repaired),

    .. math:: \overline{\textstyle\prod_k K^k_{ij}}^{ij} + \prod_k \overline{K^k_{ij}}^{ij}
              - 2\, \overline{\textstyle\prod_k \overline{K^k_{ij}}^{j}}^{i}.

    Args:
        z: (B, K, L), or a list of K tensors (B, L_k).
        gamma: the kernel is :math:`\exp(-\gamma d^2)`. None is the median heuristic, 1/(2 median²)
            over pairs of different rows, without gradient; a float is used as it is;
            "gaussian" is the closed form 1/(2 g²) with g = 2 Γ((L+1)/2) / Γ(L/2), the expected
            distance of two standard normal codes in L dimensions.

    Raises:
        MixvaeError: for fewer than two rows, or another ``gamma``.
    """
    codes = z.unbind(1) if isinstance(z, Tensor) else z
    _check_rows(len(codes[0]))
    with torch.autocast(codes[0].device.type, enabled=False):
        if isinstance(z, Tensor):  # one batched call
            gram = _gram(full_precision(z).transpose(0, 1), gamma)
        else:
            gram = torch.stack([_gram(full_precision(c), gamma) for c in z])
        rows = gram.mean(2)
        return gram.prod(0).mean() + rows.mean(1).prod() - 2 * rows.prod(0).mean()


def hsic(
    x: Float[Tensor, "B L"], y: Float[Tensor, "B M"], gamma: Bandwidth = None
) -> Float[Tensor, ""]:
    """HSIC of two variables over a batch (V-statistic): :func:`dhsic` of the pair."""
    return dhsic([x, y], gamma)


def pairwise_hsic(z: Float[Tensor, "B K L"], gamma: Bandwidth = None) -> Float[Tensor, "K K"]:
    """HSIC of every pair of codes (V-statistic); the diagonal has each code with itself.

    Raises:
        MixvaeError: as :func:`dhsic`.
    """
    _check_rows(len(z))
    with torch.autocast(z.device.type, enabled=False):
        gram = _gram(full_precision(z).transpose(0, 1), gamma)  # (K, B, B)
        centred = gram - gram.mean(-1, keepdim=True) - gram.mean(-2, keepdim=True)
        centred = (centred + gram.mean((-1, -2), keepdim=True)).flatten(1)
        return centred @ gram.flatten(1).mT / len(z) ** 2


def check_bandwidth(gamma: Bandwidth, name: str = "gamma") -> None:
    """Raise a MixvaeError for what :func:`dhsic` cannot take as ``gamma``."""
    known = gamma is None or gamma == "gaussian"
    if not known and not (isinstance(gamma, (int, float)) and gamma > 0):
        raise MixvaeError(f"{name} must be None, 'gaussian' or a positive number; got {gamma!r}.")


def _check_rows(n: int) -> None:
    if n < 2:
        raise MixvaeError(f"dhsic needs at least two rows; got {n}.")


def _gram(x: Float[Tensor, "*b N L"], gamma: Bandwidth) -> Float[Tensor, "*b N N"]:
    check_bandwidth(gamma)
    d2 = _squared_distances(x)
    if gamma is None:
        rate: float | Tensor = _median_rate(d2.detach())
    else:
        rate = _gaussian_rate(x.shape[-1]) if gamma == "gaussian" else gamma
    return torch.exp(-rate * d2)


def _squared_distances(x: Float[Tensor, "*b N L"]) -> Float[Tensor, "*b N N"]:
    x = x - x.mean(-2, keepdim=True)  # the same distances, and less to cancel
    each = x.reshape(-1, *x.shape[-2:])
    norm = each.square().sum(-1, keepdim=True)
    d2 = torch.baddbmm(norm + norm.mT, each, each.mT, alpha=-2)
    d2 = relu(d2)  # rounding leaves tiny negative distances
    return d2.view(*x.shape[:-1], x.shape[-2])


def _median_rate(d2: Float[Tensor, "*b N N"]) -> Float[Tensor, "*b 1 1"]:
    n = d2.shape[-1]
    i, j = torch.triu_indices(n, n, offset=1, device=d2.device)
    median2 = d2[..., i, j].median(-1).values  # squaring keeps the order
    return (0.5 / median2.clamp_min(1e-12))[..., None, None]


def _gaussian_rate(n_latent: int) -> float:
    log_ratio = lgamma((n_latent + 1) / 2) - lgamma(n_latent / 2)  # Γ itself overflows
    return 1 / (2 * (2 * exp(log_ratio)) ** 2)
