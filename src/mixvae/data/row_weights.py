"""Weights of rows: checked, and relative to their mean."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from mixvae.errors import MixvaeError

from .numbers import to_numpy


def row_weights(weight: Any, n: int, where: str) -> Float32[Tensor, " N"] | None:
    """Weights of n rows in float32; None where there are none, or all are equal.

    Raises `MixvaeError` unless there is one for each row, finite, at least 0 and not all 0.
    """
    if weight is None:
        return None
    array = to_numpy(weight, f"{where}, weights")
    if array.shape != (n,):
        raise MixvaeError(
            f"{where}: expected one weight for each of the {n} rows, shape ({n},); got shape "
            f"{array.shape}."
        )
    with np.errstate(over="ignore"):
        weights = torch.from_numpy(array.astype(np.float32))
    check_weights(weights, where)
    return None if bool((weights == weights[0]).all()) else weights


def check_weights(weight: Float[Tensor, " N"], where: str) -> None:
    """Raise `MixvaeError` unless weights are finite, at least 0 and not all 0."""
    bad = ~(weight.isfinite() & (weight >= 0))
    if bad.any():
        first = int(bad.nonzero()[0])
        raise MixvaeError(
            f"{where}: weights must be finite and at least 0; got {weight[first]:g} at index "
            f"{first}."
        )
    if not weight.any():
        raise MixvaeError(f"{where}: all {len(weight)} weights are 0; one must be above.")


def relative(weight: Float[Tensor, " N"] | None) -> Float[Tensor, " N"] | None:
    """Weights divided by their mean; None where there are none."""
    return None if weight is None else (weight.double() / weight.double().mean()).to(weight)
