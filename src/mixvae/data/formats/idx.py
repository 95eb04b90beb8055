"""The IDX format of MNIST and its relatives: a magic number, the sizes, then unsigned bytes."""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mixvae.data.conversion import make_split
from mixvae.data.download import Remote, locate
from mixvae.data.splits import SourceSplits
from mixvae.data.transform import BYTES
from mixvae.errors import MixvaeError

from .compressed import read_bytes

IMAGES, LABELS = 3, 1  # number of dimensions, the last byte of the magic number

# MD5 of the uncompressed test labels: the sets share their file names, and a wrong folder would
# otherwise go unnoticed.
_TEST_LABELS = {
    "mnist": "073c3904dfbd3e141ff8aa01cfde6b15",
    "fashion-mnist": "8dea97a4e78c1bd1b5a6e8efbb870b6e",
}


def read_idx(path: Path, n_dims: int) -> np.ndarray:
    """The array of unsigned bytes in an IDX file, plain, .gz or .xz.

    Raises `MixvaeError` for another magic number, or a length other than the header's.
    """
    header = 4 + 4 * n_dims
    data = read_bytes(path, lambda start: header + math.prod(_shape(start, n_dims) or (0,)))
    shape = _shape(data, n_dims)
    if shape is None:
        short = f" in a file of {len(data)} bytes" if len(data) < header else ""
        raise MixvaeError(
            f"{path}: expected an IDX file with magic number {0x0800 + n_dims} and a header of "
            f"{header} bytes, got {int.from_bytes(data[:4])}{short}; is it the right file?"
        )
    n_bytes, n_found = math.prod(shape), len(data) - header
    if n_found != n_bytes:
        follow = "follow at the least" if n_found > n_bytes else "follow"
        raise MixvaeError(
            f"{path}: the header promises {n_bytes} bytes for shape {shape}, but {n_found} {follow}"
            "; it may be cut short or damaged: delete it and get it again."
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _shape(start: bytes, n_dims: int) -> tuple[int, ...] | None:
    """The array's shape, from the beginning of a file; None if that is not such a header."""
    if int.from_bytes(start[:4]) != 0x0800 + n_dims or len(start) < 4 + 4 * n_dims:
        return None
    return tuple(np.frombuffer(start, ">u4", n_dims, offset=4).tolist())


def read_mnist_like(
    name: str, home: Path, folders: tuple[str, ...], url: str, md5: Mapping[str, str]
) -> SourceSplits:
    """The images (N, 1, H, W) and labels in four files of MNIST's format and names.

    ``md5`` gives the checksums of the published ``.gz`` files, by name. Missing files are fetched
    into the first of ``folders``. Raises `MixvaeError` for files that cannot be had, are damaged or
    are another set's.
    """
    remotes = [Remote(file, url + file, "md5", digest) for file, digest in md5.items()]
    paths = locate(name, remotes, home, folders)
    arrays = {
        key: read_idx(path, IMAGES if "images" in key else LABELS) for key, path in paths.items()
    }
    labels = "t10k-labels-idx1-ubyte"
    found = hashlib.md5(arrays[labels].tobytes(), usedforsecurity=False).hexdigest()
    for other, digest in _TEST_LABELS.items():
        if other != name and found == digest:
            folder = paths[labels].parent
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
    return SourceSplits(train, test=test, transform=BYTES)
