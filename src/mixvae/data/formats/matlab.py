"""Arrays out of MATLAB files (versions 5 to 7, which hold numbers and no code).

SciPy's reader is not used: it uncompresses a file before its sizes are known, and a few altered
bytes can make it end the process. The format is described in "MAT-File Format" (The MathWorks): a
header, then elements, each with a tag of its type and size.
"""

import math
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mixvae.errors import MixvaeError

from .compressed import MAX_BYTES, damaged, read_bytes

HDF5 = b"MATLAB 7.3"  # how files of that version begin
HEADER = 128  # bytes; the last two give the byte order
START = 512  # bytes of an array that contain its name and shape
ARRAY, COMPRESSED = 14, 15  # types of elements
NUMBERS = {  # NumPy's types, by type of element
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 12: "i8", 13: "u8"},
    **{7: "f4", 9: "f8"},
}
COMPLEX, NUMERIC = 0x0800, range(6, 16)  # a flag of an array, and the classes of plain numbers
KINDS = {1: "object", 2: "a struct", 3: "an object", 4: "text", 5: "a sparse matrix"}


class Array(NamedTuple):
    """The description of an array in a file."""

    name: str
    shape: tuple[int, ...]
    kind: str | None  # None: real numbers
    offset: int  # of the tag of its numbers


class Reader:
    """The elements in the content of a file. Raises ValueError where it is damaged."""

    def __init__(self, content: bytes) -> None:
        order = {b"IM": "<", b"MI": ">"}.get(content[HEADER - 2 : HEADER])
        if order is None:
            raise ValueError("it does not begin as one")
        self.content, self.order = content, order

    def arrays(self, wanted: set[str]) -> Iterator[tuple[Array, np.ndarray | None]]:
        """Each array of a name in ``wanted``; its numbers, unless it is of another kind."""
        position = HEADER
        while position < len(self.content):
            kind, start, size = self.tag(self.content, position)
            element = self.content[start : start + size]
            if len(element) < size:
                raise ValueError("it ends too early")
            position = start + size + (0 if kind == COMPRESSED else -size % 8)
            if kind == COMPRESSED:
                found = self.array(zlib.decompressobj().decompress(element, START))
                element = self.unpacked(element) if found.name in wanted else element
            elif kind == ARRAY:
                found = self.array(self.content[start - 8 : start + START])
                element = self.content[start - 8 : start + size]
            else:
                raise ValueError(f"it has an element of type {kind}")
            if found.name in wanted:
                yield found, None if found.kind else self.numbers(element, found)

    def array(self, start: bytes) -> Array:
        """The description of an array, from its first bytes, tag included."""
        flags, position = self.values(start, 8)
        dims, position = self.values(start, position)
        name, position = self.values(start, position)
        if len(flags) != 2 or dims.dtype.kind != "i" or not 2 <= len(dims) <= 32 or min(dims) < 0:
            raise ValueError("an array in it has no shape")
        shape, flag = tuple(map(int, dims)), int(flags[0])
        kind = KINDS.get(flag & 0xFF, None if flag & 0xFF in NUMERIC else "unknown")
        if kind is None and flag & COMPLEX:
            kind = "complex128"
        return Array(name.tobytes().decode("latin1"), shape, kind, position)

    def numbers(self, element: bytes, array: Array) -> np.ndarray:
        """An array's numbers in their stored type; columns are contiguous."""
        values, _ = self.values(element, array.offset)
        if len(values) != math.prod(array.shape):
            raise ValueError(f"{array.name} is {array.shape}, and {len(values)} numbers follow")
        return values.reshape(array.shape, order="F")

    def unpacked(self, element: bytes) -> bytes:
        """A compressed array, tag included, uncompressed no further than its tag promises."""
        unpacker = zlib.decompressobj()
        start = unpacker.decompress(element, 8)
        size = self.tag(start, 0)[2]
        if size > MAX_BYTES:
            raise ValueError(f"an array of {size:,} bytes is promised")
        rest = unpacker.decompress(unpacker.unconsumed_tail, size + 1)
        if len(rest) != size or not unpacker.eof:
            raise ValueError(f"an array of {size:,} bytes is promised, and others follow")
        return start + rest

    def values(self, content: bytes, position: int) -> tuple[np.ndarray, int]:
        """The numbers of the element at a position, and the position of the next one."""
        kind, start, size = self.tag(content, position)
        if kind not in NUMBERS or start + size > len(content):
            raise ValueError("an array in it is damaged")
        dtype = np.dtype(self.order + NUMBERS[kind])
        values = np.frombuffer(content[start : start + size], dtype)
        return values, start + size + (-(start + size - position) % 8)

    def tag(self, content: bytes, position: int) -> tuple[int, int, int]:
        """An element's type, the position of its content, and its size in bytes."""
        if position + 8 > len(content):
            raise ValueError("it ends too early")
        kind, size = (int(n) for n in np.frombuffer(content, f"{self.order}u4", 2, position))
        small = kind >> 16  # its content is in the tag
        return (kind & 0xFFFF, position + 4, small) if small else (kind, position + 8, size)


def read_matlab(path: Path, shapes: Mapping[str, tuple[int | None, ...]]) -> dict[str, np.ndarray]:
    """The named arrays of a .mat file, of the given shapes, where None is any length.

    Raises `MixvaeError` for a file that is cut short, damaged or of version 7.3, and for arrays
    that are missing, sparse, of another shape or of anything but real numbers.
    """
    content = read_bytes(path)
    if content.startswith(HDF5):
        raise MixvaeError(
            f"{path}: expected a MATLAB file of version 5 to 7, got version 7.3 (HDF5); save it "
            "again with save('-v7')."
        )
    try:
        found = {array.name: (array, x) for array, x in Reader(content).arrays(set(shapes))}
    except (ValueError, zlib.error) as error:
        raise damaged(path, "a whole MATLAB file of version 5 to 7", error) from error
    arrays = {}
    for name, shape in shapes.items():
        array, x = found.get(name, (None, None))
        if x is None or not _fits(x.shape, shape):
            got = "none" if array is None else f"{array.shape} ({array.kind or 'real numbers'})"
            raise MixvaeError(
                f"{path}: expected an array {name} of numbers, of shape "
                f"({', '.join('N' if n is None else str(n) for n in shape)}), got {got}; it is "
                "another file than the data set's."
            )
        arrays[name] = x
    return arrays


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    pairs = zip(shape, expected, strict=False)
    return len(shape) == len(expected) and all(m in (None, n) for n, m in pairs)
