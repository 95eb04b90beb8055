"""Clothes in ten classes, 60,000 + 10,000 grey images of 28 by 28 (Xiao et al., 2017)."""

from pathlib import Path

from mixvae.data.formats.idx import read_mnist_like
from mixvae.data.splits import SourceSplits

URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FOLDERS = ("FashionMNIST/raw", "FashionMNIST", "fashion-mnist", "fashion_mnist", "fashion")
MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}


def read(home: Path) -> SourceSplits:
    """Train and test, (N, 1, 28, 28), from ``home`` or its ``FashionMNIST/raw``."""
    return read_mnist_like("fashion-mnist", home, FOLDERS, URL, MD5)
