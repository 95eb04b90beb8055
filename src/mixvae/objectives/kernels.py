"""Kernels, and kernel statistics of independence, in float32 or better, under autocast too."""

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
    r"""Gram matrix of the Gaussian kernel :math:`\exp(-\gamma \|x_i - x_j\|^2)`.

    Parameters
    ----------
    x
        N points in L dimensions, (*b, N, L).
    gamma
        Bandwidth parameter, positive.
    """
    with torch.autocast(x.device.type, enabled=False):  # differences of means need all digits
        return torch.exp(-gamma * _squared_distances(full_precision(x)))


def imq(x: Float[Tensor, "*b N L"], widths: Sequence[float]) -> Float[Tensor, "*b N N"]:
    r"""Gram matrix of a sum of inverse multiquadratic kernels :math:`C / (C + \|x_i - x_j\|^2)`.

    Parameters
    ----------
    x
        N points in L dimensions, (*b, N, L).
    widths
        The C of each kernel, positive.

    Examples
    --------
    >>> imq(torch.tensor([[0.0], [2.0]]), [4.0])
    tensor([[1.0000, 0.5000],
            [0.5000, 1.0000]])
    """
    with torch.autocast(x.device.type, enabled=False):
        d2 = _squared_distances(full_precision(x))
        return torch.stack([c / (c + d2) for c in widths]).sum(0)


def dhsic(
    z: Float[Tensor, "B K L"] | Sequence[Tensor], gamma: Bandwidth = None
) -> Float[Tensor, ""]:
    r"""d-variable HSIC of K codes over a batch: zero in population iff they are independent.

    It is the V-statistic (M-VAE (13) with its misprints repaired), where :math:`G^k` is the Gram
    matrix of the k-th codes and a bar a mean over the indices above it:

    .. math:: \overline{\textstyle\prod_k G^k_{ij}}^{ij} + \prod_k \overline{G^k_{ij}}^{ij}
              - 2\, \overline{\textstyle\prod_k \overline{G^k_{ij}}^{j}}^{i}.

    Parameters
    ----------
    z
        Codes (B, K, L), or a list of K tensors (B, L_k).
    gamma
        The kernel is :math:`\exp(-\gamma d^2)`. None is the median heuristic, 1/(2 median²) over
        pairs of different rows, without gradient; a float is used as it is; "gaussian" is the
        closed form 1/(2 g²) with g = 2 Γ((L+1)/2) / Γ(L/2), the expected distance of two standard
        normal codes in L dimensions.

    Returns
    -------
    statistic
        A scalar without a unit, biased upward by a term in 1/B.

    Raises
    ------
    MixvaeError
        For fewer than two rows, or another ``gamma``.

    References
    ----------
    Pfister, Bühlmann, Schölkopf & Peters (JRSS-B 2018), eq. 5.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    >>> y = torch.tensor([[0.0], [1.0], [0.0], [1.0]])
    >>> round(dhsic([x, y], gamma=1.0).item(), 4), round(dhsic([x, x], gamma=1.0).item(), 4)
    (0.0, 0.0999)
    """
    codes = z.unbind(1) if isinstance(z, Tensor) else z
    check_rows(len(codes[0]))
    with torch.autocast(codes[0].device.type, enabled=False):
        if isinstance(z, Tensor):  # one batched call
            gram = _gram(full_precision(z).transpose(0, 1), gamma)
        else:
            gram = torch.stack([_gram(full_precision(c), gamma) for c in z])
        return dhsic_of(gram)


def hsic(
    x: Float[Tensor, "B L"], y: Float[Tensor, "B M"], gamma: Bandwidth = None
) -> Float[Tensor, ""]:
    """HSIC of two variables over a batch (V-statistic): :func:`dhsic` of the pair.

    Parameters
    ----------
    x, y
        The variables, (B, L) and (B, M).
    gamma
        As in :func:`dhsic`.

    Raises
    ------
    MixvaeError
        As :func:`dhsic`.
    """
    return dhsic([x, y], gamma)


def pairwise_hsic(z: Float[Tensor, "B K L"], gamma: Bandwidth = None) -> Float[Tensor, "K K"]:
    """HSIC of every pair of codes (V-statistic); the diagonal has each code with itself.

    Parameters
    ----------
    z
        Codes (B, K, L).
    gamma
        As in :func:`dhsic`.

    Returns
    -------
    statistics
        A symmetric matrix (K, K).

    Raises
    ------
    MixvaeError
        As :func:`dhsic`.
    """
    check_rows(len(z))
    with torch.autocast(z.device.type, enabled=False):
        return pairwise_hsic_of(gram_matrices(z, gamma))


def gram_matrices(z: Float[Tensor, "B K L"], gamma: Bandwidth = None) -> Float[Tensor, "K B B"]:
    """Gram matrix of every code, in float32 or better; arguments as of :func:`dhsic`."""
    with torch.autocast(z.device.type, enabled=False):
        return _gram(full_precision(z).transpose(0, 1), gamma)


def dhsic_of(gram: Float[Tensor, "K B B"]) -> Float[Tensor, ""]:
    """Statistic :func:`dhsic` from Gram matrices."""
    rows = gram.mean(2)
    return gram.prod(0).mean() + rows.mean(1).prod() - 2 * rows.prod(0).mean()


def pairwise_hsic_of(gram: Float[Tensor, "K B B"]) -> Float[Tensor, "K K"]:
    """Statistics :func:`pairwise_hsic` from Gram matrices."""
    centred = gram - gram.mean(-1, keepdim=True) - gram.mean(-2, keepdim=True)
    centred = (centred + gram.mean((-1, -2), keepdim=True)).flatten(1)
    return centred @ gram.flatten(1).mT / gram.shape[-1] ** 2


def check_bandwidth(gamma: Bandwidth, name: str = "gamma") -> None:
    """Check a bandwidth.

    Parameters
    ----------
    gamma
        As in :func:`dhsic`.
    name
        The option's name, for the message.

    Raises
    ------
    MixvaeError
        For anything but None, "gaussian" or a positive number.
    """
    known = gamma is None or gamma == "gaussian"
    if not known and not (isinstance(gamma, (int, float)) and gamma > 0):
        raise MixvaeError(f"{name} must be None, 'gaussian' or a positive number; got {gamma!r}.")


def check_rows(n: int, statistic: str = "dhsic") -> None:
    """Raise a MixvaeError unless a statistic of several rows exists for n of them."""
    if n < 2:
        raise MixvaeError(f"{statistic} needs at least two rows; got {n}.")


def _gram(x: Float[Tensor, "*b N L"], gamma: Bandwidth) -> Float[Tensor, "*b N N"]:
    """Gram matrices, with the bandwidth that ``gamma`` names."""
    check_bandwidth(gamma)
    d2 = _squared_distances(x)
    if gamma is None:
        rate: float | Tensor = _median_rate(d2.detach())
    else:
        rate = _gaussian_rate(x.shape[-1]) if gamma == "gaussian" else gamma
    return torch.exp(-rate * d2)


def _squared_distances(x: Float[Tensor, "*b N L"]) -> Float[Tensor, "*b N N"]:
    """Squared Euclidean distances of all pairs of rows."""
    x = x - x.mean(-2, keepdim=True)  # the same distances, and less to cancel
    flat = x.reshape(-1, *x.shape[-2:])
    norm = flat.square().sum(-1, keepdim=True)
    d2 = torch.baddbmm(norm + norm.mT, flat, flat.mT, alpha=-2)
    d2 = relu(d2)  # rounding leaves tiny negative distances
    return d2.view(*x.shape[:-1], x.shape[-2])


def _median_rate(d2: Float[Tensor, "*b N N"]) -> Float[Tensor, "*b 1 1"]:
    """The median heuristic's gamma."""
    n = d2.shape[-1]
    i, j = torch.triu_indices(n, n, offset=1, device=d2.device)
    median2 = d2[..., i, j].median(-1).values  # squaring keeps the order
    return (0.5 / median2.clamp_min(1e-12))[..., None, None]


def _gaussian_rate(n_latent: int) -> float:
    """Gamma from the expected distance of two standard normal points."""
    log_ratio = lgamma((n_latent + 1) / 2) - lgamma(n_latent / 2)  # Γ itself overflows
    return 1 / (2 * (2 * exp(log_ratio)) ** 2)
