"""The format of CIFAR-10 and CIFAR-100: pickled batches of images as rows, in one archive."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixvae.data.conversion import make_split
from mixvae.data.dataset import Split
from mixvae.data.download import Remote, locate
from mixvae.data.splits import SourceSplits
from mixvae.data.transform import BYTES
from mixvae.errors import MixvaeError, MixvaeWarning

from .archive import extract
from .compressed import find
from .numpy_pickle import read_pickle

SHAPE = (3, 32, 32)


@dataclass(frozen=True)
class CifarFiles:
    """The published files of one set, and the folders in which they are looked for."""

    name: str
    archive: Remote
    folders: tuple[str, ...]
    labels: str  # their key in the batches
    n_classes: int

    @property
    def batches(self) -> list[str]:
        """The names of the batches, the test images' last."""
        return [member.rpartition("/")[2] for member in self.archive.members]

    def find(self, file: str, home: Path) -> Path | None:
        """Where a file of the set is, plain or compressed."""
        return find(file, home, self.folders)

    def found(self, home: Path) -> dict[str, Path]:
        """The batches on disk, by name."""
        paths = {file: self.find(file, home) for file in self.batches}
        return {file: path for file, path in paths.items() if path is not None}


def read_batches(source: CifarFiles, home: Path) -> SourceSplits:
    """Train and test images, (N, 3, 32, 32) in [0, 1], with labels.

    Where some training files and the test file are on disk and the archive is not, those are used,
    with a warning; otherwise missing files are extracted from the archive, which is fetched if it
    is missing too. Raises `MixvaeError` where files cannot be had or are not the published ones.
    """
    *names, last = source.batches
    paths = _paths(source, home)
    train = [paths[file] for file in names if file in paths]
    if len(train) < len(names):
        warnings.warn(
            f"{source.name}: found {len(train)} of the {len(names)} training files, "
            f"{', '.join(path.name for path in train)}, in {train[0].parent}; these alone are "
            "used, and figures do not compare with those on the whole set. Put the others there.",
            MixvaeWarning,
            stacklevel=2,
        )
    test = _split(source, [paths[last]])
    return SourceSplits(_split(source, train), test=test, transform=BYTES)


def check_batch(
    values: Mapping[str, Any], labels: str, shape: tuple[int, ...], n_classes: int, where: Path
) -> tuple[np.ndarray, np.ndarray]:
    """A batch's images, (N, *shape) in uint8 under "data", and its labels, (N,) in int64.

    Raises `MixvaeError` where either is missing, or has another shape, type or range.
    """
    if not {"data", labels} <= values.keys():
        raise MixvaeError(
            f"{where}: expected data and {labels} in it, got {', '.join(values) or 'nothing'}; "
            "is it the right file?"
        )
    x, y = values["data"], values[labels]
    is_bytes = isinstance(x, np.ndarray) and x.dtype == np.uint8
    if not is_bytes or x.shape[1:] != shape or x.size == 0:
        got = f"{x.shape} in {x.dtype}" if isinstance(x, np.ndarray) else type(x).__name__
        raise MixvaeError(
            f"{where}: expected images of shape (N, {', '.join(map(str, shape))}) in uint8, got "
            f"{got}; get the published file."
        )
    return x, _class_numbers(y, len(x), n_classes, where)


def _class_numbers(y: Any, n: int, n_classes: int, where: Path) -> np.ndarray:
    # element by element, as nested lists in a small file can make an array beyond all memory
    values = y.tolist() if isinstance(y, np.ndarray) else y
    got = f"{len(values)} labels" if isinstance(values, list) else f"one {type(y).__name__}"
    if isinstance(values, list) and len(values) == n:
        wrong = [i for i, v in enumerate(values) if type(v) is not int or not 0 <= v < n_classes]
        if not wrong:
            return np.array(values, np.int64)
        got = f"{len(wrong)} others, the first for image {wrong[0]}"
    raise MixvaeError(
        f"{where}: expected a label for each of the {n} images, a whole number from 0 to "
        f"{n_classes - 1}, got {got}; get the published file."
    )


def _paths(source: CifarFiles, home: Path) -> dict[str, Path]:
    """The paths of the files, after extracting missing ones where that can or must be done."""
    found = source.found(home)
    missing = set(source.batches) - found.keys()
    enough = source.batches[-1] in found and len(found) > 1
    if not missing or (enough and source.find(source.archive.stem, home) is None):
        return found
    archive = locate(source.name, [source.archive], home, source.folders)[source.archive.stem]
    members = [member for member in source.archive.members if member.rpartition("/")[2] in missing]
    return found | extract(archive, members, home / source.folders[0])


def _split(source: CifarFiles, paths: Sequence[Path]) -> Split:
    # joined as uint8, since floats take four times the memory
    batches = [
        check_batch(read_pickle(path), source.labels, (3072,), source.n_classes, path)
        for path in paths
    ]
    x = np.concatenate([images for images, _ in batches]).reshape(-1, *SHAPE)
    y = np.concatenate([labels for _, labels in batches])
    del batches
    return make_split(x, y, where=str(paths[0].parent), transform=BYTES)
