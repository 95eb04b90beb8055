"""Handwritten digits, 60,000 + 10,000 grey images of 28 by 28 (LeCun et al., 1998)."""

from pathlib import Path

from mixvae.data.formats.idx import read_mnist_like
from mixvae.data.splits import SourceSplits

URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}


def read(home: Path) -> SourceSplits:
    """Train and test, (N, 1, 28, 28), from ``home``, its ``MNIST/raw`` or its ``mnist``."""
    return read_mnist_like("mnist", home, ("MNIST/raw", "MNIST", "mnist/raw", "mnist"), URL, MD5)
