"""Operations that ONNX lacks or computes less well, in terms of those that it has.

Sizes of matrices are known when a program is made, so that loops over them are unrolled.
"""

from collections.abc import Callable
from math import log, pi
from typing import Any

import torch
from torch import Tensor

SHIFT = 8  # terms by which an argument of the gamma function is raised


def log_gamma(x: Tensor) -> Tensor:
    """The logarithm of the gamma function of positive numbers, by Stirling's series.

    In double precision, with an error below 1e-11 beside rounding.
    """
    y = x.double()
    product = y
    for i in range(1, SHIFT):
        product = product * (y + i)
    z = y + SHIFT
    square = z * z
    series = (1 / 12 - (1 / 360 - (1 / 1260 - 1 / 1680 / square) / square) / square) / z
    value = (z - 0.5) * z.log() - z + 0.5 * log(2 * pi) + series - product.log()
    return value.to(x.dtype)


def log_sigmoid(x: Tensor) -> Tensor:
    """log 1 / (1 + exp(-x)); ONNX takes the logarithm of a sigmoid, which is 0 from about -18."""
    return x.clamp_max(0) - x.abs().neg().exp().log1p()


def cholesky(a: Tensor) -> Tensor:
    """The lower Cholesky factors of matrices, a column at a time."""
    rows = torch.arange(a.shape[-1], device=a.device)
    columns = []
    for j in range(a.shape[-1]):
        column = a[..., j] / a[..., j, j].sqrt().unsqueeze(-1)
        column = torch.where(rows >= j, column, 0.0)
        columns.append(column)
        a = a - column.unsqueeze(-1) * column.unsqueeze(-2)
    return torch.stack(columns, -1)


def solve_triangular(a: Tensor, b: Tensor, upper: bool) -> Tensor:
    """The solution of a x = b for triangular matrices, a row at a time."""
    n = a.shape[-1]
    found: dict[int, Tensor] = {}
    for j in reversed(range(n)) if upper else range(n):
        found[j] = b[..., j, :] / a[..., j, j].unsqueeze(-1)
        b = b - a[..., j].unsqueeze(-1) * found[j].unsqueeze(-2)
    return torch.stack([found[j] for j in range(n)], -2)


def _log_sigmoid_forward(x: Tensor) -> tuple[Tensor, Tensor]:
    return log_sigmoid(x), x.new_empty(0)  # the second is for gradients


def _cholesky(a: Tensor, *, upper: bool = False) -> Tensor:
    assert not upper
    return cholesky(a)


def _cholesky_solve(b: Tensor, a: Tensor, upper: bool = False) -> Tensor:
    assert not upper
    return solve_triangular(a.mT, solve_triangular(a, b, False), True)


def _solve_triangular(
    a: Tensor, b: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    assert left
    assert not unitriangular
    return solve_triangular(a, b, upper)


def table() -> dict[Any, Callable[..., Any]]:
    """The operations of PyTorch, and the functions in their place."""
    aten = torch.ops.aten
    return {
        aten.lgamma.default: log_gamma,
        aten.log_sigmoid.default: log_sigmoid,
        aten.log_sigmoid_forward.default: _log_sigmoid_forward,
        aten.linalg_cholesky.default: _cholesky,
        aten.cholesky_solve.default: _cholesky_solve,
        aten.linalg_solve_triangular.default: _solve_triangular,
    }
