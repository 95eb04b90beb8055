"""Conversions between the units of stored data and those of a model, as modules of a graph."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mixvae.data.mixed_columns import MixedColumns
from mixvae.data.standardization import Standardization
from mixvae.data.transform import Transform
from mixvae.data.transform_record import AnyTransform
from mixvae.likelihoods.columns import OF_CATEGORIES


class Units(nn.Module, ABC):
    """The transform of a run's data and its inverse; the base class.

    Attributes
    ----------
    shape
        Shape of one x in stored units, channels first.
    dtype
        The type of stored values.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype

    @abstractmethod
    def read(self, x: Tensor) -> Float[Tensor, "B *X"]:
        """The model's x of stored values."""

    def average(self, each: Float[Tensor, "B K *X"], weights: Float[Tensor, "B K"]) -> Tensor:
        """The weighted average of the components' means of x, in the model's units."""
        return (weights.reshape(*weights.shape, *[1] * (each.dim() - 2)) * each).sum(1)

    @abstractmethod
    def write(self, x: Tensor) -> Tensor:
        """Stored values of the model's x."""


class ScaledUnits(Units):
    """Values divided by one number, and perhaps by a threshold made 0 or 1.

    Parameters
    ----------
    shape
        Shape of one x.
    scale
        The number: 255 for 8-bit images.
    threshold
        Whether the model sees 1 where a scaled value is above one half, else 0.
    """

    dtype = torch.float32

    def __init__(self, shape: tuple[int, ...], scale: float, threshold: bool = False) -> None:
        super().__init__()
        self.shape, self.scale, self.threshold = shape, scale, threshold

    def read(self, x: Tensor) -> Tensor:
        x = x / self.scale
        return (x > 0.5).to(x.dtype) if self.threshold else x

    def write(self, x: Tensor) -> Tensor:
        return x * self.scale


class TableUnits(Units):
    """Columns that are standardised, in double precision; constant columns are left out of x.

    Counts and the codes of categories stay as they are.

    Parameters
    ----------
    transform
        That of the data.
    """

    dtype = torch.float64
    mean: Tensor
    scale: Tensor
    kept: Tensor
    place: Tensor
    of_categories: Tensor

    def __init__(self, transform: Standardization) -> None:
        super().__init__()
        constant = np.array(transform.constant)
        self.shape = (len(constant),)
        kept = np.flatnonzero(~constant)
        place = np.zeros(len(constant), dtype=np.int64)
        place[kept] = np.arange(len(kept))
        kinds = transform.kept_kinds if isinstance(transform, MixedColumns) else ()
        numbers = {"mean": transform.mean, "scale": transform.scale, "kept": kept, "place": place}
        numbers["of_categories"] = [kind in OF_CATEGORIES for kind, _ in kinds] or [False]
        for name, values in numbers.items():
            self.register_buffer(name, torch.tensor(np.array(values)))

    def read(self, x: Tensor) -> Tensor:
        return ((x - self.mean) / self.scale).index_select(1, self.kept).float()

    def average(self, each: Tensor, weights: Tensor) -> Tensor:
        """The average; codes of categories, which have none, by the component of most weight."""
        best = nn.functional.one_hot(weights.argmax(1), weights.shape[1]).to(weights.dtype)
        own = torch.where(self.of_categories, best.unsqueeze(2), weights.unsqueeze(2))
        return (own * each).sum(1)

    def write(self, x: Tensor) -> Tensor:
        every = x.index_select(-1, self.place).double()  # a constant column's scale is 0
        return torch.where(self.scale == 0, self.mean, every * self.scale + self.mean)


def units_of(
    transform: AnyTransform | None, x_shape: tuple[int, ...], *, threshold: bool = False
) -> Units:
    """The units of a run's data; without a transform those of the model's x."""
    if isinstance(transform, Standardization):
        return TableUnits(transform)
    scale = transform.scale if isinstance(transform, Transform) else 1.0
    return ScaledUnits(x_shape, scale, threshold)
