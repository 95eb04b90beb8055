"""Objects in a hundred classes, 50,000 + 10,000 colour images of 32 by 32 (Krizhevsky, 2009)."""

import warnings
from pathlib import Path

from mixvae.data.conversion import make_split
from mixvae.data.dataset import Split
from mixvae.data.download import Remote
from mixvae.data.formats.cifar import CifarFiles, check_batch, read_batches
from mixvae.data.formats.numpy_file import NumpyFile
from mixvae.data.splits import SourceSplits
from mixvae.data.transform import BYTES
from mixvae.errors import MixvaeError, MixvaeWarning

BATCHES = CifarFiles(
    name="cifar100",
    archive=Remote(
        "cifar-100-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "md5",
        "eb9058c3a382ffc7106e4002c42a8d85",
        members=("cifar-100-python/train", "cifar-100-python/test"),
    ),
    folders=("cifar-100-python", "cifar100/cifar-100-python", "cifar100", "CIFAR100"),
    labels="fine_labels",
    n_classes=100,
)


def read(home: Path) -> SourceSplits:
    """Train and test, (N, 3, 32, 32), with fine labels.

    Where nothing of the published set is on disk, a subset of it may be: the arrays data
    (N, 32, 32, 3) and fine_labels (N,) in ``cifar100_train_*.npz`` and ``cifar100_test_*.npz``,
    in one of the same folders. It is used with a warning.
    """
    published = BATCHES.found(home) or BATCHES.find(BATCHES.archive.stem, home)
    subset = None if published else _find_subset(home)
    if subset is None:
        return read_batches(BATCHES, home)
    train, test = (_read_subset(path) for path in subset)
    warnings.warn(
        f"cifar100: the published files are missing, so {subset[0]} and {subset[1].name} are "
        f"used, a subset of {len(train):,} training and {len(test):,} test images; figures on it "
        "do not compare with those on the whole set.",
        MixvaeWarning,
        stacklevel=2,
    )
    return SourceSplits(train, test=test, transform=BYTES)


def _find_subset(home: Path) -> tuple[Path, Path] | None:
    """The two files of a subset, from the first folder that has both."""
    for folder in (*(home / place for place in BATCHES.folders), home):
        train, test = (sorted(folder.glob(f"cifar100_{part}_*.npz")) for part in ("train", "test"))
        if len(train) > 1 or len(test) > 1:
            raise MixvaeError(
                f"{folder}: expected one cifar100_train_*.npz and one cifar100_test_*.npz, got "
                f"{len(train)} and {len(test)}; keep one of each."
            )
        if train and test:
            return train[0], test[0]
    return None


def _read_subset(path: Path) -> Split:
    arrays = NumpyFile(path)
    wanted = ("data", BATCHES.labels)
    values = {key: arrays[key] if key in wanted else None for key in arrays}
    x, y = check_batch(values, BATCHES.labels, (32, 32, 3), BATCHES.n_classes, path)
    return make_split(x, y, where=str(path), transform=BYTES)
