"""MNIST binarised once at random, with its own validation split (Larochelle and Murray, 2011)."""

from pathlib import Path

import numpy as np

from mixvae.data.conversion import make_split
from mixvae.data.download import Remote, locate
from mixvae.data.formats.compressed import read_bytes
from mixvae.data.splits import SourceSplits
from mixvae.errors import MixvaeError

URL = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
SHA256 = {
    "train": "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
    "valid": "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
    "test": "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
}
N_PIXELS = 784


def read(home: Path) -> SourceSplits:
    """50,000 / 10,000 / 10,000 images, (N, 1, 28, 28), without labels, in the files' order."""
    files = {f"binarized_mnist_{part}.amat": digest for part, digest in SHA256.items()}
    remotes = [Remote(file, URL + file, "sha256", digest) for file, digest in files.items()]
    paths = locate("binarized-mnist", remotes, home, ("binarized_mnist", "binarized-mnist"))
    train, val, test = (
        make_split(read_amat(path).reshape(-1, 1, 28, 28), where=str(path))
        for path in paths.values()
    )
    return SourceSplits(train, val, test)


def read_amat(path: Path) -> np.ndarray:
    """The rows, (N, 784) bool, of an .amat text: lines of 784 digits 0 or 1 with blanks between.

    Raises `MixvaeError` for anything else. The position of every character is fixed, so that NumPy
    reads them all at once.
    """
    text = read_bytes(path).replace(b"\r\n", b"\n").rstrip() + b"\n"
    n_columns = len(text[: text.index(b"\n")].split())
    if n_columns != N_PIXELS or len(text) % (2 * N_PIXELS):
        raise MixvaeError(
            f"{path}: expected lines of {N_PIXELS} digits, 0 or 1, with single blanks between, "
            f"got {n_columns} in the first line and {len(text)} characters in all; it may be cut "
            "short: delete it and get it again."
        )
    cells = np.frombuffer(text, np.uint8).reshape(-1, N_PIXELS, 2)
    ends = np.full(N_PIXELS, ord(" "), np.uint8)
    ends[-1] = ord("\n")
    bad = ((cells[..., 0] | 1) != ord("1")) | (cells[..., 1] != ends)  # "0" | 1 is "1"
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise MixvaeError(
            f"{path}: expected only 0 and 1 in {N_PIXELS} columns, got "
            f"{bytes(cells[row, column])!r} in line {row + 1}, column {column + 1}."
        )
    ones: np.ndarray = cells[..., 0] == ord("1")
    return ones
