"""Conversion of anything that holds numbers to a NumPy array."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixvae.errors import MixvaeError

from .frames import is_frame, read_frame

# What a user can do, by NumPy's kind of dtype.
_ADVICE = {
    "O": "make all entries numbers of one type, as with x.astype(float).",
    "c": "give real numbers, such as the magnitudes np.abs(x).",
    "M": "give numbers, such as the days since the first.",
    "m": "give numbers, such as x / np.timedelta64(1, 's').",
    "V": "make its fields columns: numpy.lib.recfunctions.structured_to_unstructured(x).",
}


def to_numpy(x: Any, where: str, advice: str | None = None) -> np.ndarray:
    """Convert to a NumPy array of bools, integers or floats, not copied where that is possible.

    Parameters
    ----------
    x
        An array, a tensor, lists of numbers, or a table of pandas, Polars or PyArrow.
    where
        Its name in errors.
    advice
        What to do about text and objects.

    Returns
    -------
    numpy.ndarray
        The numbers, in their own type where NumPy has it; float64 with NaN where entries are
        masked, or missing in a table.

    Raises
    ------
    MixvaeError
        For what is sparse, or holds anything but real numbers.
    """
    if is_frame(x):
        return read_frame(x, where)
    if isinstance(x, Tensor):
        x = _dense(x, where)
    if hasattr(x, "todense"):  # SciPy's, which is not imported for this
        raise MixvaeError(f"{where}: a sparse matrix cannot be used; make it dense: x.toarray().")
    parts = x if isinstance(x, (list, tuple)) else [x]
    if any(np.ma.is_masked(part) for part in parts):
        parts = [np.ma.filled(np.ma.asarray(part, np.float64), np.nan) for part in parts]
        x = parts if isinstance(x, (list, tuple)) else parts[0]
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise MixvaeError(
            f"{where}: expected one array of numbers, got rows that differ in length; "
            "make all examples the same shape."
        ) from error
    except (TypeError, RuntimeError) as error:
        raise MixvaeError(
            f"{where}: expected an array of numbers, got {type(x).__name__}, which NumPy cannot "
            f"read ({error}); give an array or a tensor."
        ) from error
    if array.dtype.kind not in "buif":
        if not advice or array.dtype.kind not in "OSU":
            advice = _ADVICE.get(array.dtype.kind, "give float values in [0, 1], bool or uint8.")
        raise MixvaeError(
            f"{where}: expected an array of numbers, got dtype {array.dtype}; {advice}"
        )
    return array


def _dense(x: Tensor, where: str) -> Tensor:
    if x.is_nested or x.layout != torch.strided:
        raise MixvaeError(
            f"{where}: a sparse or nested tensor cannot be used; make it dense: x.to_dense()."
        )
    if x.is_meta:
        raise MixvaeError(f"{where}: a tensor on the device meta has no values; give one that has.")
    x = x.detach().cpu()
    if x.is_floating_point() and x.dtype not in (torch.float16, torch.float32, torch.float64):
        return x.float()  # NumPy has no bfloat16
    return x
