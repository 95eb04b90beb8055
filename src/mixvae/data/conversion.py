"""Arrays of any usual layout, type and range, converted to a `Split`."""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mixvae.errors import MixvaeError, MixvaeWarning

from .columns import check_columns, check_finite
from .dataset import Split
from .frames import columns_of
from .mixed_columns import MixedColumns
from .numbers import to_numpy
from .row_weights import row_weights
from .standardization import Standardization
from .transform import AS_STORED, BYTES, Transform
from .transform_record import AnyTransform

DARK = 0.2  # of the range: integers that stay below it may be of another range, as 0 to 16


def make_split(
    x: Any,
    y: Any = None,
    *,
    where: str,
    transform: AnyTransform | None = None,
    weight: Any = None,
) -> Split:
    """Convert images and labels of any usual layout to a `Split`.

    Parameters
    ----------
    x
        (N, D), (N, H, W), (N, H, W, C) with C 1 or 3, or (N, C, H, W): floats in [0, 1], bool, or
        integers, which ``transform`` brings there; or a table of real values where ``transform``
        is a `Standardization`, NaN where values are missing. Where an image's first and last axis
        could both be channels, the first one is.
    y
        N integers from 0, in shape (N,) or (N, 1).
    where
        The name of the images in errors.
    transform
        By default what `choose_transform` chooses.
    weight
        N numbers of at least 0, how much each row counts.

    Returns
    -------
    Split
        A copy, channels first.

    Raises
    ------
    MixvaeError
        For any other shape, type or value.
    """
    columns = columns_of(x)
    if isinstance(transform, MixedColumns):
        check_columns(transform.columns, columns, where)
        mixed = _in_float32(transform.to_float64(x, where), where)
        labels = None if y is None else class_numbers(y, len(mixed), where)
        return Split(mixed, labels, weight=row_weights(weight, len(mixed), where))
    array = to_numpy(x, where)
    transform = _default_transform(array, columns) if transform is None else transform
    check_columns(transform.columns, columns, where)
    if array.size == 0 or array.ndim == 0:
        raise MixvaeError(f"{where}: expected at least one example, got shape {array.shape}.")
    if array.ndim == 2:
        check_finite(array, columns, where, missing=isinstance(transform, Standardization))
    if isinstance(transform, Standardization):
        images: Tensor = _standardized(array, transform, where)
    else:
        images = _channels_first(_in_unit_range(array, transform, where), where)
    classes = None if y is None else class_numbers(y, len(images), where)
    return Split(images, classes, weight=row_weights(weight, len(images), where))


def choose_transform(x: Any, given: AnyTransform | None = None, *, where: str) -> AnyTransform:
    """Choose the transform of images, or of a table that is not standardised, by training data.

    uint8 is divided by 255, unless it holds only 0 and 1; all else stays as it is. Warns
    (`MixvaeWarning`) of integers whose quotients all lie far below 1.

    Parameters
    ----------
    x
        The training images, of any shape.
    given
        A trained model's transform, which is then the one.
    where
        The name of the images in the warning.

    Returns
    -------
    Transform or Standardization
        For all splits, and for new data.
    """
    if isinstance(given, Standardization):
        return given
    array = to_numpy(x, where)
    transform = _default_transform(array, columns_of(x)) if given is None else given
    if array.dtype.kind in "ui" and array.size and transform.scale != 1:
        largest = array.max()
        if 0 < largest < DARK * transform.scale:
            warnings.warn(
                f"{where}: integers were divided by {transform.scale:g}, but the largest is "
                f"{largest}, so that no value is above {largest / transform.scale:.2g}; if they go "
                f"from 0 to {largest}, give an array of floats instead: x / {largest}.",
                MixvaeWarning,
                stacklevel=3,
            )
    return transform


def _default_transform(array: np.ndarray, columns: tuple[str, ...] | None) -> Transform:
    # 8-bit images whose brightest pixel is 1 of 255 do not occur; 0/1 data kept as uint8 do.
    is_bytes = array.dtype == np.uint8 and array.max(initial=0) > 1
    return replace(BYTES if is_bytes else AS_STORED, columns=columns)


def _standardized(
    array: np.ndarray, transform: Standardization, where: str
) -> Float[Tensor, "N D"]:
    try:
        return _in_float32(transform.to_float64(array), where)
    except MixvaeError as error:
        raise MixvaeError(f"{where}: {error}") from error


def _in_float32(values: Float[Tensor, "N D"], where: str) -> Float[Tensor, "N D"]:
    x = values.float()
    if x.isinf().any():
        raise MixvaeError(
            f"{where}: some values are too far from those of the training data to be standardised "
            "in float32; repair or leave out those rows."
        )
    return x


def _in_unit_range(array: np.ndarray, transform: Transform, where: str) -> Float[Tensor, " N *X"]:
    """A float32 copy in [0, 1]; raises `MixvaeError` with the number of other values."""
    x = transform.apply(array)
    low, high = (value.item() for value in torch.aminmax(x))
    if low >= 0 and high <= 1:  # false for NaN too
        return x
    bad, kind, advice = ~x.isfinite(), "NaN or infinite", "remove or repair those examples."
    if not bad.any():
        bad, kind = (x < 0) | (x > 1), f"outside (min {low:g}, max {high:g})"
        advice = "scale them, for instance divide 8-bit values by 255 and 16-bit ones by 65535."
        if array.ndim == 2:
            advice = f"{advice[:-1]}, or train with standardize=True."
    scaling = ""
    if array.dtype.kind in "ui" and transform.scale != 1:
        scaling, advice = f" with {transform}", "give values as those of the training data."
    first = tuple(bad.nonzero()[0].tolist())
    raise MixvaeError(
        f"{where}: values must lie in [0, 1]{scaling}, but {int(bad.sum())} of {x.numel()} are "
        f"{kind}, the first at index {first}; {advice}"
    )


def _channels_first(x: Float[Tensor, " N *X"], where: str) -> Float[Tensor, " N *Y"]:
    if x.ndim not in (2, 3, 4):
        raise MixvaeError(
            f"{where}: expected shape (N, D), (N, H, W), (N, H, W, C) or (N, C, H, W), got "
            f"{tuple(x.shape)}; reshape to one of these, one example per row."
        )
    if x.ndim == 3:
        return x.unsqueeze(1)
    if x.ndim == 2 or x.shape[1] in (1, 3):
        return x
    if x.shape[3] in (1, 3):
        return x.permute(0, 3, 1, 2).contiguous()
    if x.shape[3] < min(x.shape[1:3]):
        raise MixvaeError(f"{where}: {_channels_last(tuple(x.shape))}")
    return x


def _channels_last(shape: tuple[int, ...]) -> str:
    """The advice for images whose last axis seems to be channels, but neither 1 nor 3."""
    alpha = {2: "grey and alpha", 4: "RGB and alpha"}.get(shape[3])
    drop = f"if they are {alpha}, drop alpha: x[..., :{shape[3] - 1}]; else " if alpha else ""
    return (
        f"the last axis of shape {shape} seems to hold {shape[3]} channels; {drop}put "
        "channels first: x.transpose(0, 3, 1, 2). If it is the width, swap height and width."
    )


def class_numbers(y: Any, n: int, where: str) -> Int64[Tensor, " N"]:
    """Labels as class numbers; raises `MixvaeError` unless there is one for each of n examples."""
    array = to_numpy(y, f"{where}, labels", _NUMBER_CLASSES)
    if array.shape not in ((n,), (n, 1)):
        raise MixvaeError(
            f"{where}: expected one label for each of the {n} examples, shape ({n},), "
            f"got shape {array.shape}; examples and labels must come in the same order."
        )
    with np.errstate(invalid="ignore"):
        whole = bool((array % 1 == 0).all())  # not NaN, not infinite
    if not whole:
        raise MixvaeError(
            f"{where}: labels must be whole numbers, got dtype {array.dtype}; {_NUMBER_CLASSES}"
        )
    low, high = array.min(), array.max()
    if low < 0 or int(high) >= 2**63:
        raise MixvaeError(
            f"{where}: labels must be class numbers from 0 on, below 2**63, got {low:g} to "
            f"{high:g}; {_NUMBER_CLASSES}"
        )
    return torch.from_numpy(array.astype(np.int64).reshape(n))


_NUMBER_CLASSES = "number the classes with np.unique(y, return_inverse=True)[1]."
