"""Examples as the page shows them: pixels of images, values of tables in the data's units."""

from abc import ABC, abstractmethod
from base64 import b64encode
from math import isfinite
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.data import Dataset, MixedColumns
from mixvae.model import MixtureVAE
from mixvae.plots.columns import MAX_ROWS, Columns

from .examples import image_shape

MAX_COLUMNS = 40
Json = dict[str, Any]


class Shown(ABC):
    """How examples are shown."""

    kind = ""

    @abstractmethod
    def of(self, x: Float[Tensor, "*X"]) -> Any:
        """One x, as JSON."""

    def about(self) -> Json:
        """What the page knows beforehand."""
        return {"kind": self.kind}


class Images(Shown):
    """Images: size, and 8-bit pixels as red, green and blue in base64.

    Parameters
    ----------
    x_shape
        Shape of x. One of other than 1 or 3 channels is shown as their mean.
    """

    kind = "images"

    def __init__(self, x_shape: tuple[int, ...]) -> None:
        self.shape = image_shape(x_shape)

    def of(self, x: Float[Tensor, "*X"]) -> Json:
        image = x.reshape(self.shape)
        image = image if len(image) in (1, 3) else image.mean(0, keepdim=True)
        pixels = (255 * image.nan_to_num(0).clamp(0, 1)).round().to(torch.uint8)
        pixels = pixels.expand(3, -1, -1).movedim(0, 2).contiguous()
        height, width = self.shape[1:]
        content = b64encode(pixels.numpy().tobytes()).decode()
        return {"height": height, "width": width, "pixels": content}

    def about(self) -> Json:
        channels, height, width = self.shape
        return super().about() | {"channels": channels, "height": height, "width": width}


class Rows(Shown):
    """Rows of a table: the values of its columns, null where missing.

    Of more than 40 columns those are shown that tell the components apart best.

    Parameters
    ----------
    model
        The model.
    data
        The data that it was trained on.
    """

    kind = "table"

    def __init__(self, model: MixtureVAE, data: Dataset) -> None:
        self.transform = data.transform
        split = data.seen("train")
        x, y = split.x[:MAX_ROWS], model.labels.of(split)
        columns = Columns.of(model, x, None if y is None else y[:MAX_ROWS], data.transform)
        constant = getattr(data.transform, "constant", (False,) * x.shape[1])
        kept = np.flatnonzero(~np.array(constant))
        most = columns.most_telling(MAX_COLUMNS) if len(kept) > MAX_COLUMNS else range(len(kept))
        self.numbers = [int(kept[i]) for i in sorted(most)]  # in the source's columns
        self.names = [columns.names[i] for i in sorted(most)]
        self.n_columns = len(kept)
        self.stored = self.transform.invert(x)[:, self.numbers]

    def of(self, x: Float[Tensor, " D"]) -> list[Any]:
        return [_plain(value) for value in self.transform.invert(x[None])[0, self.numbers]]

    def about(self) -> Json:
        each = zip(self.numbers, self.names, self.stored.T, strict=True)
        columns = [self._column(*one) for one in each]
        return super().about() | {"columns": columns, "n_columns": self.n_columns}

    def _column(self, number: int, name: str, values: np.ndarray) -> Json:
        """A column's name, categories, and range in the training rows."""
        own = self.transform.categories[number] if isinstance(self.transform, MixedColumns) else ()
        column: Json = {"number": number, "name": name, "categories": [str(c) for c in own]}
        if own:
            return column
        values = values.astype(np.float64)
        return column | {"low": _plain(np.nanmin(values)), "high": _plain(np.nanmax(values))}


def _plain(value: Any) -> float | str | None:
    """A number, a category as text, or None where it is missing."""
    if value is None or isinstance(value, str | bool):
        return None if value is None else str(value)
    return float(value) if isfinite(value) else None
