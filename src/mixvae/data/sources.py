"""Rows of a table that stay where they are: memory-mapped, sparse, or in a PyTorch Dataset."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset, IterableDataset

from mixvae.errors import MixvaeError

from .numbers import to_numpy

CHUNK = 2**20  # values that are read at a time


class Source(ABC):
    """Rows of numbers, shape (N, D), of which some are read at a time.

    Attributes
    ----------
    shape
        (N, D).
    dtype
        NumPy's type of the numbers.
    columns
        Names of the columns, or None.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    columns: tuple[str, ...] | None = None

    @abstractmethod
    def read(self, rows: np.ndarray) -> np.ndarray:
        """Some rows, (n, D), by their numbers (n,)."""

    def __len__(self) -> int:
        """Number of rows."""
        return self.shape[0]

    def take(self, rows: np.ndarray) -> "Source":
        """These rows in this order; nothing is read."""
        return Taken(self, rows)

    @property
    def chunk(self) -> int:
        """Number of rows that are read at a time, in passes over all."""
        return max(1, CHUNK // max(1, self.shape[1]))

    def chunks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Numbers of rows, and the rows, in order."""
        for start in range(0, len(self), self.chunk):
            rows = np.arange(start, min(start + self.chunk, len(self)))
            yield rows, self.read(rows)


class Taken(Source):
    """Some rows of another source."""

    def __init__(self, source: Source, rows: np.ndarray) -> None:
        self.source, self.rows = source, rows
        self.shape, self.dtype = (len(rows), source.shape[1]), source.dtype
        self.columns = source.columns

    def read(self, rows: np.ndarray) -> np.ndarray:
        return self.source.read(self.rows[rows])

    def take(self, rows: np.ndarray) -> Source:
        return Taken(self.source, self.rows[rows])


class ArraySource(Source):
    """A memory-mapped array (N, D)."""

    def __init__(self, array: np.ndarray, columns: tuple[str, ...] | None = None) -> None:
        self.array, self.dtype, self.columns = array, array.dtype, columns
        self.shape = (len(array), array.shape[1])

    def read(self, rows: np.ndarray) -> np.ndarray:
        in_order = len(rows) > 0 and bool((np.diff(rows) == 1).all())
        own = slice(rows[0], rows[-1] + 1) if in_order else rows
        return np.array(self.array[own])


class SparseSource(Source):
    """A sparse matrix of SciPy, which becomes dense some rows at a time."""

    def __init__(self, matrix: Any, columns: tuple[str, ...] | None = None) -> None:
        self.matrix, self.columns = matrix.tocsr(), columns
        self.shape, self.dtype = self.matrix.shape, self.matrix.dtype

    def read(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.matrix[rows].toarray())


class DatasetSource(Source):
    """A map-style Dataset of PyTorch, each of whose items is a row, or begins with one."""

    def __init__(self, dataset: Any, where: str) -> None:
        self.dataset, self.where = dataset, where
        if len(dataset) == 0:
            raise MixvaeError(f"{where}: expected at least one row, got a Dataset of none.")
        first = self._row(0)
        self.shape, self.dtype = (len(dataset), len(first)), first.dtype

    def read(self, rows: np.ndarray) -> np.ndarray:
        if len(self.dataset) != self.shape[0]:
            raise MixvaeError(
                f"{self.where}: the Dataset had {self.shape[0]} rows and has {len(self.dataset)}; "
                "its length must not change."
            )
        found = [self._row(int(i)) for i in rows]
        lengths = {len(row) for row in found} - {self.shape[1]}
        if lengths:
            raise MixvaeError(
                f"{self.where}: a row has {lengths.pop()} columns, and the first {self.shape[1]}; "
                "make all rows the same length."
            )
        return np.stack(found)

    def _row(self, i: int) -> np.ndarray:
        item = self.dataset[i]
        row = to_numpy(
            item[0] if isinstance(item, tuple | list) else item, f"{self.where}, row {i}"
        )
        if row.ndim != 1:
            raise MixvaeError(
                f"{self.where}: expected rows of numbers, shape (D,); got shape {row.shape} of row "
                f"{i}. Flatten them, or give an array."
            )
        return row


def source_of(x: Any, where: str) -> Source | None:
    """The source of rows in what is sparse, memory-mapped or PyTorch's; None for all else.

    A DataLoader stands for its Dataset, whose rows are shuffled and batched anew. Rows that can
    only be iterated over are copied once to a temporary file.
    """
    if isinstance(x, Source):
        return x
    if isinstance(x, np.memmap) and x.ndim == 2 and getattr(x, "_mmap", None) is not None:
        to_numpy(x[:1], where)
        return ArraySource(x)
    if hasattr(x, "tocsr") and hasattr(x, "todense"):  # SciPy's, which is not imported for this
        if x.dtype.kind not in "buif":
            raise MixvaeError(f"{where}: expected real numbers, got dtype {x.dtype}.")
        return SparseSource(x)
    if isinstance(x, IterableDataset) or (
        isinstance(x, DataLoader) and isinstance(x.dataset, IterableDataset)
    ):
        batched = isinstance(x, DataLoader) and x.batch_size is not None
        return ArraySource(spooled(_batches(x, where, batched=batched), where))
    if isinstance(x, DataLoader):
        return DatasetSource(x.dataset, where)
    return DatasetSource(x, where) if isinstance(x, Dataset) else None


def _batches(x: Iterable[Any], where: str, *, batched: bool) -> Iterator[np.ndarray]:
    for item in x:
        rows = to_numpy(item[0] if isinstance(item, tuple | list) else item, where)
        yield rows if batched else rows[None]


def spooled(parts: Iterable[np.ndarray], where: str) -> np.ndarray:
    """Rows that come in parts, copied to a temporary file, memory-mapped.

    The file is in the folder of temporary files (TMPDIR), which should not be in memory; it is
    removed with the array.
    """
    shape, dtype = (0, 0), np.dtype(float)
    with tempfile.TemporaryFile(prefix="mixvae-rows-") as file:
        for part in parts:
            if part.ndim != 2 or (shape[0] and part.shape[1] != shape[1]):
                raise MixvaeError(
                    f"{where}: expected parts of shape (n, {shape[1] or 'D'}); got {part.shape}."
                )
            dtype = dtype if shape[0] else part.dtype
            file.write(np.ascontiguousarray(part, dtype).data)
            shape = (shape[0] + len(part), part.shape[1])
        if not shape[0]:
            raise MixvaeError(f"{where}: expected at least one row, got none.")
        file.flush()
        return np.memmap(file, dtype, "r", shape=shape)
