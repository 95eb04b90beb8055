"""Rows of a source as a model sees them, read and transformed when they are asked for."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.errors import MixvaeError

from .sources import Source
from .standardization import Standardization
from .transform_record import AnyTransform


class Rows:
    """Rows of a table that are not in memory, in place of a tensor (N, D).

    Indexing by a slice or by row numbers reads rows, as a tensor, and raises `MixvaeError` where
    values are missing.

    Parameters
    ----------
    source
        Stored values.
    transform
        What is done to them.
    dtype
        float32, or float64 for log p(x) of standardised columns.
    """

    device = torch.device("cpu")
    layout = torch.strided
    ndim = 2
    nbytes = 0  # in memory as a tensor

    def __init__(
        self, source: Source, transform: AnyTransform, dtype: torch.dtype = torch.float32
    ) -> None:
        self.source, self.transform, self.dtype = source, transform, dtype
        self.shape = torch.Size((len(source), self._convert(source.read(np.arange(1))).shape[1]))

    def __len__(self) -> int:
        """Number of rows."""
        return self.shape[0]

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        """Some rows, as a tensor."""
        if isinstance(rows, slice):
            numbers = np.arange(*rows.indices(len(self)))
        else:
            numbers = rows.cpu().numpy()
        if len(numbers) <= (size := self.source.chunk):
            return self._convert(self.source.read(numbers))
        found = torch.empty(len(numbers), self.shape[1], dtype=self.dtype)
        for start in range(0, len(numbers), size):
            own = numbers[start : start + size]
            found[start : start + size] = self._convert(self.source.read(own))
        return found

    def index_select(self, dim: int, rows: Tensor) -> Tensor:
        """Some rows, as a tensor."""
        return self[rows]

    def take(self, rows: Tensor) -> "Rows":
        """These rows in this order; nothing is read."""
        return Rows(self.source.take(rows.cpu().numpy()), self.transform, self.dtype)

    def float(self) -> "Rows":
        """The same rows in float32."""
        return Rows(self.source, self.transform)

    def _convert(self, array: np.ndarray) -> Tensor:
        if self.dtype == torch.float64 and isinstance(self.transform, Standardization):
            x = self.transform.to_float64(array)
        else:
            x = self.transform.apply(array)
        if x.isnan().any():
            raise MixvaeError(
                "values are missing (NaN) among rows that are read when they are needed, which is "
                "for tables in memory; give an array or a frame, or drop those rows."
            )
        return x.to(self.dtype).contiguous()


if TYPE_CHECKING:
    TensorOrRows = Any  # most code indexes rows, takes their number and shape, and no more
else:
    TensorOrRows = Float[Tensor, " N *X"] | Rows


def has_missing(x: TensorOrRows) -> bool:
    """Whether entries are missing, as NaN; never in rows that are read when needed."""
    return isinstance(x, Tensor) and bool(x.isnan().any())


def parts_of(x: TensorOrRows, size: int | None = None) -> Iterator[Tensor]:
    """Rows of x in order, ``size`` at a time; by default a tensor whole, and rows in chunks."""
    if size is None:
        size = x.source.chunk if isinstance(x, Rows) else max(1, len(x))
    for start in range(0, len(x), size):
        yield x[start : start + size]
