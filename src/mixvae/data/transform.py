"""How stored values become those that a model sees: decided once, on the training data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixvae.errors import MixvaeError


@dataclass(frozen=True)
class Transform:
    """What is done to stored values before a model sees them, alike in all data of a run.

    ``scale``: integers are divided by it, so 255 for 8-bit images; 1 leaves 0 and 1 as they are.
    Floats and booleans are taken as they are, as they lie in [0, 1] already. Raises `MixvaeError`
    unless it is a finite number above zero.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what a damaged file might hold."""
        number = isinstance(self.scale, (int, float)) and not isinstance(self.scale, bool)
        if not (number and isfinite(self.scale) and self.scale > 0):
            raise MixvaeError(
                f"a transform's scale must be a finite number above zero; got {self.scale!r}."
            )

    def apply(self, array: np.ndarray) -> Tensor:
        """A float32 copy of an array of numbers, integers divided by ``scale``; same shape."""
        with np.errstate(over="ignore"):  # what overflows is infinite, and is refused later
            x = torch.from_numpy(array.astype(np.float32, order="C"))  # so that .view is possible
        return x.div_(self.scale) if array.dtype.kind in "ui" and self.scale != 1 else x

    def to_dict(self) -> dict[str, float]:
        """Plain values, for ``data.json``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> "Transform":
        """The transform that :meth:`to_dict` described; raises `MixvaeError` for anything else."""
        known = set(cls.__dataclass_fields__)
        if not isinstance(values, Mapping) or set(values) != known:
            raise MixvaeError(
                f"a data set's transform must have the values {', '.join(known)}; got {values!r}."
            )
        return cls(**values)

    def __str__(self) -> str:
        """In a few words."""
        return "values as stored" if self.scale == 1 else f"integers divided by {self.scale:g}"


AS_STORED = Transform()
BYTES = Transform(255.0)  # of 8-bit images
