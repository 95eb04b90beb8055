"""Logarithms of numbers near 0 and 1, precise and with finite gradients."""

from math import log

import torch
from torch import Tensor


def inside(v: Tensor) -> Tensor:
    """Clamp to the open interval (0, 1)."""
    return v.clamp(floor(v), 1 - torch.finfo(v.dtype).eps / 2)


def floor(v: Tensor) -> float:
    """A number so small that it stands for 0, whose reciprocal is still far from overflow."""
    info = torch.finfo(v.dtype)
    return info.tiny / info.eps


def log1mexp(x: Tensor) -> Tensor:
    """log(1 - exp(x)) for x < 0, precise for x near 0 and for large negative x."""
    near = x > -log(2)
    far = torch.where(near, -1.0, x)  # where it is not used, its gradient must still be finite
    return torch.where(near, (-torch.expm1(x)).log(), (-far.exp()).log1p())


def log_chord(log_p: Tensor, log1m_p: Tensor, c: Tensor) -> Tensor:
    """log((1 - p^c) / (1 - p)), the log slope of the chord of p^c from p to 1.

    It is 0 at p = 0 and log c at p = 1. A Kumaraswamy variable and the uniform number that it is
    computed from are such powers of each other.
    """
    near_one = log1m_p < 2 * log(torch.finfo(log1m_p.dtype).eps)  # log p soon underflows there
    power = c * torch.where(near_one, -1.0, log_p)
    return torch.where(near_one, c.log(), log1mexp(power) - torch.where(near_one, 0.0, log1m_p))


def log_gamma_ratio(x: Tensor, c: Tensor) -> Tensor:
    r"""log(Gamma(x + c) / Gamma(x)) for x, c > 0, without the cancellation of two ``lgamma``.

    By Stirling's series at x + 8: in float32, lgamma(1000) is precise to 0.0005 only.
    """
    steps = (c.unsqueeze(-1) / (x.unsqueeze(-1) + torch.arange(8, device=x.device))).log1p()
    y = x + 8
    stirling = (y - 0.5) * (c / y).log1p() + c * (y + c).log() - c
    return stirling + _stirling_rest(y + c) - _stirling_rest(y) - steps.sum(-1)


def _stirling_rest(y: Tensor) -> Tensor:
    """The terms of Stirling's series in 1/y."""
    r = 1 / (y * y)
    return (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r / 1680))) / y


def log_beta(alpha: Tensor, beta: Tensor) -> Tensor:
    """The logarithm of the beta function."""
    less, more = torch.minimum(alpha, beta), torch.maximum(alpha, beta)
    return torch.lgamma(less) - log_gamma_ratio(more, less)
