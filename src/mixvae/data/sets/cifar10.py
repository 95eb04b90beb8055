"""Objects in ten classes, 50,000 + 10,000 colour images of 32 by 32 (Krizhevsky, 2009)."""

from pathlib import Path

from mixvae.data.download import Remote
from mixvae.data.formats.cifar import CifarFiles, read_batches
from mixvae.data.splits import SourceSplits

FILES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
BATCHES = CifarFiles(
    name="cifar10",
    archive=Remote(
        "cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "md5",
        "c58f30108f718f92721af3b95e74349a",
        members=tuple(f"cifar-10-batches-py/{file}" for file in FILES),
    ),
    folders=("cifar-10-batches-py", "cifar10/cifar-10-batches-py", "cifar10", "CIFAR10"),
    labels="labels",
    n_classes=10,
)


def read(home: Path) -> SourceSplits:
    """Train and test, (N, 3, 32, 32), from ``home`` or its ``cifar-10-batches-py``.

    Where only some of the five training batches are on disk, these are used, with a warning.
    """
    return read_batches(BATCHES, home)
