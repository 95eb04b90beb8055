"""The IDX format of MNIST and its relatives: a magic number, the sizes, then unsigned bytes."""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mixvae.data.conversion import make_split
from mixvae.data.download import Remote, locate
from mixvae.data.splits import Parts
from mixvae.data.transform import BYTES
from mixvae.errors import MixvaeError

from .compressed import read_bytes

IMAGES, LABELS = 3, 1  # number of dimensions, the last byte of the magic number

# The sets share their file names, so a wrong folder would go unnoticed but for the MD5 of the
# uncompressed test labels.
_TEST_LABELS = {
    "mnist": "073c3904dfbd3e141ff8aa01cfde6b15",
    "fashion-mnist": "8dea97a4e78c1bd1b5a6e8efbb870b6e",
}


def read_idx(path: Path, n_dims: int) -> np.ndarray:
    """The array of unsigned bytes in an IDX file, plain, .gz or .xz.

    Raises `MixvaeError` for another magic number, or a length other than the header's.
    """
    header = 4 + 4 * n_dims
    data = read_bytes(path, lambda start: header + _n_bytes(start, n_dims))
    magic, expected = int.from_bytes(data[:4], "big"), 0x0800 + n_dims
    if magic != expected or len(data) < header:
        short = f" in a file of {len(data)} bytes" if len(data) < header else ""
        raise MixvaeError(
            f"{path}: expected an IDX file with magic number {expected} and a header of {header} "
            f"bytes, got {magic}{short}; is it the right file?"
        )
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", n_dims, offset=4))
    n_bytes = _n_bytes(data, n_dims)
    n_found = len(data) - header
    if n_found != n_bytes:
        follow = "follow at the least" if n_found > n_bytes else "follow"
        raise MixvaeError(
            f"{path}: the header promises {n_bytes} bytes for shape {shape}, but {n_found} {follow}"
            "; it may be cut short or damaged: delete it and get it again."
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _n_bytes(start: bytes, n_dims: int) -> int:
    """The size of the array, as the beginning of the file says; 0 if it is none of ``n_dims``."""
    if int.from_bytes(start[:4], "big") != 0x0800 + n_dims:
        return 0
    sizes = (int.from_bytes(start[4 + 4 * i : 8 + 4 * i], "big") for i in range(n_dims))
    return math.prod(sizes)


def read_mnist_like(
    name: str, home: Path, folders: tuple[str, ...], url: str, md5: Mapping[str, str]
) -> Parts:
    """The four files of a set made like MNIST, fetched to the first of ``folders`` if missing.

    ``md5`` gives the sums of the ``.gz`` files as published, by name. Images come out as
    (N, 1, H, W). Raises `MixvaeError` for files that are missing, damaged or another set's.
    """
    remotes = [Remote(file, url + file, "md5", digest) for file, digest in md5.items()]
    paths = locate(name, remotes, home, folders)
    arrays = {
        key: read_idx(path, IMAGES if "images" in key else LABELS) for key, path in paths.items()
    }
    found = hashlib.md5(arrays["t10k-labels-idx1-ubyte"].tobytes(), usedforsecurity=False)
    for other, digest in _TEST_LABELS.items():
        if other != name and found.hexdigest() == digest:
            folder = paths["t10k-labels-idx1-ubyte"].parent
            raise MixvaeError(
                f"the files in {folder} are {other}'s, not {name}'s (the names are the same); "
                f"put {name}'s under {home / folders[0]}."
            )
    train, test = (
        make_split(
            arrays[f"{part}-images-idx3-ubyte"],
            arrays[f"{part}-labels-idx1-ubyte"],
            where=str(paths[f"{part}-images-idx3-ubyte"]),
            transform=BYTES,
        )
        for part in ("train", "t10k")
    )
    return Parts(train, test=test, transform=BYTES)
