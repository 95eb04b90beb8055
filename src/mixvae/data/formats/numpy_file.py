"""The arrays in .npy and .npz files, read one by one after their headers were checked."""

import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from io import BufferedIOBase
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from mixvae.errors import MixvaeError

MAX_BYTES = 1 << 33  # of all arrays that are read from one file
_READ_HEADER = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class NumpyFile(Mapping[str, np.ndarray]):
    """Read-only arrays of numbers by name; the array of a .npy file is ``x``.

    An array is unpacked when it is looked up, and only if its size is that of its header and all
    arrays read so far have at most ``MAX_BYTES``. Raises `MixvaeError` otherwise, for arrays of
    Python objects, and for a file that is cut or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._left = path, MAX_BYTES
        self._members: dict[str, zipfile.ZipInfo | None] = {"x": None}
        try:
            with path.open("rb") as file:
                if file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
                    return
                with zipfile.ZipFile(file) as members:
                    found = members.infolist()
        except Exception as error:  # a damaged archive can raise almost any
            raise self._refused(error) from error
        self._members = {info.filename.removesuffix(".npy"): info for info in found}

    def __getitem__(self, name: str) -> np.ndarray:
        info = self._members[name]
        try:
            with self.path.open("rb") as file:
                if info is None:
                    return self._read(file, os.fstat(file.fileno()).st_size)
                with zipfile.ZipFile(file) as members, members.open(info) as member:
                    return self._read(member, info.file_size)  # type: ignore[arg-type]
        except Exception as error:
            raise self._refused(error) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def _read(self, file: BufferedIOBase, size: int) -> np.ndarray:
        """The array in a .npy file, or a member of an archive, of ``size`` bytes."""
        version = npy.read_magic(file)
        if version not in _READ_HEADER:
            raise ValueError(f"version {version} is for arrays of records")
        shape, by_columns, dtype = _READ_HEADER[version](file)
        if dtype.hasobject:
            raise ValueError("Object arrays cannot be loaded")
        n_bytes, found = math.prod(shape) * dtype.itemsize, size - file.tell()
        if n_bytes != found:
            raise ValueError(f"an array of {n_bytes:,} bytes is promised, and {found:,} follow")
        if n_bytes > self._left:
            raise ValueError(f"its arrays are larger than {MAX_BYTES:,} bytes")
        self._left -= n_bytes
        content = file.read(n_bytes + 1)  # to the end, where an archive has a checksum
        return np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C")

    def _refused(self, error: Exception) -> MixvaeError:
        return MixvaeError(
            f"{self.path}: expected a .npy or .npz file of plain numbers, but "
            f"{error or 'it ends too early'}. Arrays of Python objects are not loaded, as they can "
            "run code: save each as one array of uint8, or of floats in [0, 1]. A file that is "
            "damaged must be got again."
        )
