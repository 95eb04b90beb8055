"""Pickles of plain values and arrays of numbers, read without running any code in them.

A pickle is a program: it may name any function in Python and call it. Here it gets inert stand-ins
for the few names that an array needs, and every other name is refused. The arrays are created from
the bytes afterwards, without NumPy's own unpickling, which trusts its input.
"""

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mixvae.errors import MixvaeError

from .compressed import read_bytes

_NUMBERS = re.compile(r"b1|[iu][1248]|f[248]")  # no objects, texts, dates or records


def read_pickle(path: Path) -> dict[str, Any]:
    """The pickled dict in a file, plain, .gz or .xz, with keys as text; its arrays are read-only.

    A str of Python 2 is read as bytes, except for the keys. Raises `MixvaeError` where the file is
    not a pickle, is cut short, holds no dict, or asks for anything but arrays of numbers.
    """
    data = read_bytes(path)
    try:
        _check_instructions(data)
        values = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        if type(values) is not dict:
            raise pickle.UnpicklingError(f"it holds one {type(values).__name__}, no dict")
        return {_text(key): _plain(value) for key, value in values.items()}
    except Exception as error:  # a damaged pickle can raise almost any
        raise MixvaeError(
            f"{path}: expected a pickled dict of plain values and arrays of numbers, but "
            f"{error or type(error).__name__}; nothing in the file was run. It may be damaged or "
            "another file: delete it and get the published one."
        ) from error


def _check_instructions(data: bytes) -> None:
    """Refuse the two instructions that are harmful without looking up a name.

    EXT takes a function from a table of the process; PUT allocates as many values as it names.
    """
    for opcode, argument, position in pickletools.genops(data):
        too_many = "PUT" in opcode.name and argument is not None and argument > position
        if too_many or opcode.name.startswith("EXT"):
            raise pickle.UnpicklingError(f"it has the instruction {opcode.name} {argument}")


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows stand-ins for what arrays need, and no other name."""

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a global. Raises UnpicklingError for all others, and imports none."""
        stand_in = _GLOBALS.get((module, name))
        if stand_in is None:
            wanted = f"{module}.{name}"[:80]
            raise pickle.UnpicklingError(f"it asks for {wanted!r}, which is not admitted")
        return stand_in


class _StandIn:
    """A name that a pickle may use, and call where there is a function, but not alter."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any] | None = None) -> None:
        self._call = call

    def __call__(self, *args: Any) -> Any:
        """Call the stand-in's own function."""
        if self._call is None:
            raise pickle.UnpicklingError("it calls a class that it may only name")
        return self._call(*args)

    def __setstate__(self, _state: Any) -> None:
        """Without this, a pickle could replace the function, for later files too."""
        raise pickle.UnpicklingError("it alters a function")


class _Kind:
    """A pickle's description of a ``numpy.dtype``."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_flags: Any) -> None:
        self.code, self.order = _text(code), "|"
        if not _NUMBERS.fullmatch(self.code):
            raise pickle.UnpicklingError(f"it has an array of type {self.code[:20]!r}")

    def __setstate__(self, state: Any) -> None:
        """Take the byte order; the rest describes records and texts."""
        _version, order, subarray, names, fields, *_ = state
        if _text(order) not in ("<", ">", "|") or (subarray, names, fields) != (None, None, None):
            raise pickle.UnpicklingError("it has an array of records")
        self.order = _text(order)


class _Array:
    """A pickle's description of a ``numpy.ndarray``, which is ``value`` once its state is set."""

    __slots__ = ("value",)

    def __init__(self, kind: Any, *_empty: Any) -> None:
        if kind is not _NDARRAY:
            raise pickle.UnpicklingError("it rebuilds something that is no array")
        self.value: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        """View the pickled bytes as an array, which takes no memory, whatever its shape."""
        _version, shape, kind, by_columns, content = state
        sizes = len(shape) <= 4 and all(type(n) is int and n >= 0 for n in shape)
        if not (sizes and type(kind) is _Kind and type(content) is bytes):
            raise pickle.UnpicklingError("it has an array that is not of plain bytes")
        dtype = np.dtype(kind.order + kind.code)
        if math.prod(shape) * dtype.itemsize != len(content):
            raise pickle.UnpicklingError(
                f"it promises an array of shape {shape} in {dtype}, and {len(content)} bytes follow"
            )
        self.value = np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C")


def _encode(text: Any, codec: Any) -> bytes:
    """The bytes in a pickle that Python 3 wrote for Python 2."""
    if type(text) is not str or codec != "latin1":
        raise pickle.UnpicklingError("it encodes something other than bytes")
    return text.encode("latin1")


_NDARRAY = _StandIn()
_GLOBALS = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _StandIn(_Kind),
    ("numpy.core.multiarray", "_reconstruct"): _StandIn(_Array),
    ("numpy._core.multiarray", "_reconstruct"): _StandIn(_Array),
    ("_codecs", "encode"): _StandIn(_encode),
}


def _text(value: Any) -> str:
    if type(value) not in (bytes, str):
        raise pickle.UnpicklingError(f"a name in it is of type {type(value).__name__}")
    return value.decode("latin1") if type(value) is bytes else str(value)


def _plain(value: Any) -> Any:
    """The array in a stand-in, or the value itself."""
    if not isinstance(value, _Array | _Kind | _StandIn):
        return value
    if not isinstance(value, _Array) or value.value is None:
        raise pickle.UnpicklingError("it has an array without content")
    return value.value
