"""The scaling of stored values to those that a model sees, chosen once on the training data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixvae.errors import MixvaeError, positive, shown


def all_text(names: Iterable[Any]) -> bool:
    """Whether all names are of type str."""
    return all(isinstance(name, str) for name in names)


@dataclass(frozen=True)
class Transform:
    """Scaling of stored values, the same for all data of a run.

    Floats and booleans are taken as they are, since they lie in [0, 1] already.

    Attributes
    ----------
    scale
        What integers are divided by: 255 for 8-bit images; 1 leaves 0 and 1 as they are.
    columns
        Names of the columns of a table; None for images, and where there are none.

    Raises
    ------
    MixvaeError
        Unless ``scale`` is a finite number above zero, and names are of type str.

    Examples
    --------
    >>> import numpy as np
    >>> from mixvae.data import Transform
    >>> Transform(255).apply(np.array([0, 51, 255], np.uint8))
    tensor([0.0000, 0.2000, 1.0000])
    """

    scale: float = 1.0
    columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Check the values, which may come from a damaged file."""
        positive(**{"a transform's scale": self.scale})
        names = self.columns
        if names is not None and not (isinstance(names, tuple) and all_text(names)):
            raise MixvaeError(f"a transform's columns must be names; got {shown(self.columns)}.")

    @property
    def kept_columns(self) -> tuple[str, ...] | None:
        """The names of the columns of x, or None."""
        return self.columns

    def apply(self, array: np.ndarray) -> Tensor:
        """Scale an array.

        Parameters
        ----------
        array
            Numbers, in any shape.

        Returns
        -------
        Tensor
            A float32 copy of the same shape, integers divided by ``scale``.
        """
        with np.errstate(over="ignore"):  # what overflows is infinite, and is refused later
            x = torch.from_numpy(array.astype(np.float32, order="C"))  # so that .view is possible
        return x.div_(self.scale) if array.dtype.kind in "ui" and self.scale != 1 else x

    def invert(self, x: Tensor) -> np.ndarray:
        """Stored units of scaled values.

        Parameters
        ----------
        x
            Scaled values, in any shape.

        Returns
        -------
        numpy.ndarray
            float64 values of the same shape, multiplied by ``scale``.
        """
        return x.detach().cpu().double().numpy() * self.scale

    def to_dict(self) -> dict[str, Any]:
        """The values by name, for ``data.json``; columns only where they have names."""
        columns = {} if self.columns is None else {"columns": list(self.columns)}
        return {"scale": self.scale} | columns

    @classmethod
    def from_dict(cls, values: Any) -> "Transform":
        """Read what :meth:`to_dict` returned.

        Parameters
        ----------
        values
            The values by name.

        Returns
        -------
        Transform
            The same transform.

        Raises
        ------
        MixvaeError
            For anything else.
        """
        known = set(cls.__dataclass_fields__)
        if not isinstance(values, Mapping) or not {"scale"} <= set(values) <= known:
            raise MixvaeError(
                "a data set's transform must have a scale, and columns where they have names; got "
                f"{shown(values)}."
            )
        columns = values.get("columns")
        return cls(values["scale"], tuple(columns) if isinstance(columns, list) else columns)

    def __str__(self) -> str:
        """A few words for messages."""
        return "values as stored" if self.scale == 1 else f"integers divided by {self.scale:g}"


AS_STORED = Transform()
BYTES = Transform(255.0)  # of 8-bit images
