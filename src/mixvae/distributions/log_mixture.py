r"""The log density of many codes under one mixture of normals, with a backward pass of its own.

.. math:: \log\sum_k w_k N(z; \mu_k, \sigma_k^2)

Its gradients are sums over components of responsibilities, which are two matrix products more:
a third of the time of differentiating through the densities of all pairs.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..products import linear
from .pairs import product_form

SMALLEST = -60.0  # of log responsibilities: below it is nothing, and denormals are slow


class LogMixture(torch.autograd.Function):
    """``LogMixture.apply(z, loc, scale, log_w)``, once differentiable."""

    @staticmethod
    def forward(
        ctx: Any,
        z: Float[Tensor, "*batch N L"],
        loc: Float[Tensor, "*batch K L"],
        scale: Float[Tensor, "*batch K L"],
        log_w: Float[Tensor, "*batch K"],
    ) -> Float[Tensor, "*batch N"]:
        powers, coefficients, constant = product_form(z, loc, scale)
        constant = (constant + log_w).unsqueeze(-1)  # within the product, at no pass
        with_one = torch.cat([powers, torch.ones_like(powers[..., :1])], -1)
        log_each = (with_one @ torch.cat([coefficients, constant], -1).mT).to(z.dtype)
        top = log_each.amax(-1, keepdim=True)
        r = log_each.clamp_min_(top + SMALLEST).softmax(-1)
        ctx.save_for_backward(z, loc, scale, r)
        return (top - r.amax(-1, keepdim=True).log()).squeeze(-1)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Float[Tensor, "*batch N"]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        z, loc, scale, r = ctx.saved_tensors
        r = r * gradient.unsqueeze(-1)
        precision = scale.square().reciprocal()
        drawn, away = _product(r, torch.cat([precision * loc, precision], -1).mT).chunk(2, -1)
        moments = _product(torch.cat([z, z.square()], -1).mT, r.mT)  # oneDNN copies no weight
        first, second = moments.mT.contiguous().chunk(2, -1)
        mass = r.sum(-2).unsqueeze(-1)
        apart = torch.addcmul(first, loc, mass, value=-1)  # of z - loc, and its square
        squares = torch.addcmul(second, loc, first + apart, value=-1)
        return (
            drawn - z * away,
            precision * apart,
            torch.addcmul(-mass, precision, squares) / scale,
            mass.squeeze(-1),
        )


def _product(a: Float[Tensor, "*batch N M"], b: Float[Tensor, "*batch K M"]) -> Tensor:
    """a b^T."""
    return linear(a, b) if a.dim() == 2 else a @ b.mT
