"""From whatever array someone has to a `Split`: one layout, one type, one range."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mixvae.data.dataset import Split
from mixvae.errors import MixvaeError


def make_split(x: Any, y: Any = None, *, where: str) -> Split:
    """Images and labels of any usual layout as a `Split`; ``where`` names them in errors.

    ``x`` is (N, D), (N, H, W), (N, H, W, C) with C 1 or 3, or (N, C, H, W): floats in [0, 1],
    bool, or uint8, which is divided by 255 unless it holds only 0 and 1. ``y`` holds N integers.
    Raises `MixvaeError` for any other shape, type or value.
    """
    images = _channels_first(_in_unit_range(_to_numpy(x, where), where), where)
    return Split(images, None if y is None else _class_numbers(y, len(images), where))


def _to_numpy(x: Any, where: str) -> np.ndarray:
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        x = x.float() if x.is_floating_point() else x  # NumPy has no bfloat16
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise MixvaeError(
            f"{where}: expected one array of numbers, got rows that differ in length; "
            "make all examples the same shape."
        ) from error
    if array.dtype.kind not in "buif":
        raise MixvaeError(
            f"{where}: expected an array of numbers, got dtype {array.dtype}; "
            "give float values in [0, 1], bool or uint8."
        )
    return array


def _in_unit_range(array: np.ndarray, where: str) -> Float[Tensor, " N *X"]:
    """A float32 copy in [0, 1], or the error that says which values are not."""
    if array.size == 0 or array.ndim == 0:
        raise MixvaeError(f"{where}: expected at least one image, got shape {array.shape}.")
    with np.errstate(over="ignore"):  # what overflows is infinite, and is refused below
        x = torch.from_numpy(array.astype(np.float32, order="C"))  # so that .view is possible
    # 8-bit images whose brightest pixel is 1 of 255 do not occur; 0/1 data kept as uint8 do.
    if array.dtype == np.uint8 and array.max() > 1:
        return x.div_(255)
    low, high = (value.item() for value in torch.aminmax(x))
    if low >= 0 and high <= 1:  # false for NaN too
        return x
    raise MixvaeError(f"{where}: {_what_is_wrong(x)}")


def _what_is_wrong(x: Tensor) -> str:
    bad, kind, advice = ~x.isfinite(), "NaN or infinite", "remove or repair those examples."
    if not bad.any():
        bad = (x < 0) | (x > 1)
        kind = f"outside (min {x.min().item():g}, max {x.max().item():g})"
        advice = "scale them, for instance divide 8-bit values by 255."
    first = tuple(bad.nonzero()[0].tolist())
    return (
        f"values must lie in [0, 1], but {int(bad.sum())} of {x.numel()} are {kind}, "
        f"the first at index {first}; {advice}"
    )


def _channels_first(x: Float[Tensor, " N *X"], where: str) -> Float[Tensor, " N *Y"]:
    if x.ndim == 2:
        return x
    if x.ndim == 3:
        return x.unsqueeze(1)
    if x.ndim == 4:
        last = x.shape[1] not in (1, 3) and x.shape[3] in (1, 3)
        return x.permute(0, 3, 1, 2).contiguous() if last else x
    raise MixvaeError(
        f"{where}: expected shape (N, D), (N, H, W), (N, H, W, C) or (N, C, H, W), got "
        f"{tuple(x.shape)}; reshape to one of these, one example per row."
    )


def _class_numbers(y: Any, n: int, where: str) -> Int64[Tensor, " N"]:
    array = np.asarray(y.detach().cpu() if isinstance(y, Tensor) else y)
    if array.shape != (n,):
        raise MixvaeError(
            f"{where}: expected one label for each of the {n} images, shape ({n},), "
            f"got shape {array.shape}; images and labels must come in the same order."
        )
    with np.errstate(invalid="ignore"):
        whole = array.dtype.kind in "buif" and bool((array % 1 == 0).all())  # not NaN, not infinite
    if not whole:
        raise MixvaeError(
            f"{where}: labels must be whole numbers, got dtype {array.dtype}; number the classes "
            "with np.unique(y, return_inverse=True)[1]."
        )
    return torch.from_numpy(array.astype(np.int64))
