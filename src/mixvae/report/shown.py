"""Examples as a report shows them: images, or rows of a table in the units of the data."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from mixvae.plots.columns import Columns

from .examined import Examined
from .html import as_images, encoded, image, table, tag, text

MOST_COLUMNS = 8  # of a table of examples


@dataclass(frozen=True, eq=False)
class Shown:
    """How a run's examples are shown."""

    of: Examined

    @cached_property
    def columns(self) -> Columns:
        """The columns of a table."""
        found = self.of
        return Columns(found.model, found.x, found.r, found.data.transform)

    @cached_property
    def names(self) -> list[str]:
        """Names of the columns of a table."""
        return self.columns.names

    def stored(self, x: Float[Tensor, "N D"]) -> np.ndarray:
        """Rows in the units of the data, categories by their names."""
        transform = self.of.data.transform
        constant = np.asarray(getattr(transform, "constant", ()), bool)
        values = np.asarray(transform.invert(x))
        return values[:, ~constant] if len(constant) == values.shape[1] else values

    def texts(self, x: Float[Tensor, "N D"]) -> list[list[str]]:
        """Rows as text."""
        return [[cell(v) for v in row] for row in self.stored(x)]

    def label(self, i: int) -> str:
        """The label of a row, as part of a caption."""
        y = self.of.rows.y
        return "" if y is None else self.of.data.class_name(int(y[i]))

    def row(self, i: int) -> str:
        """How a row is named."""
        return f"row {self.of.numbers[i]}"

    def examples(
        self,
        parts: dict[str, Float[Tensor, "N *X"]],
        captions: Sequence[Sequence[str]],
        columns: Sequence[int] | None = None,
    ) -> str:
        """Examples side by side; each is a stack of its parts, such as x above its reconstruction.

        Parameters
        ----------
        parts
            By what they are, examples of the same number.
        captions
            Lines under each.
        columns
            Of a table, the columns to show.
        """
        if not self.of.is_image:
            return self._as_table(parts, captions, columns)
        images = {name: as_images(x) for name, x in parts.items()}
        figures = []
        for i, lines in enumerate(captions):
            tiles = "".join(
                _tile(own[i], f"{name}{', ' + lines[0] if lines else ''}")
                for name, own in images.items()
            )
            below = "<br>".join(text("span", line) for line in lines if line)
            figures.append(tag("figure", tiles + (tag("figcaption", below) if below else "")))
        return tag("div", "".join(figures), class_="strip")

    def _as_table(
        self,
        parts: dict[str, Float[Tensor, "N D"]],
        captions: Sequence[Sequence[str]],
        columns: Sequence[int] | None,
    ) -> str:
        if columns is None:
            columns = self.columns.most_telling(MOST_COLUMNS)
        stored = {name: self.texts(x) for name, x in parts.items()}
        several, rows = len(parts) > 1, []
        for i, lines in enumerate(captions):
            for name, own in stored.items():
                own_lines = lines if not several or name != "sample" else ()
                head = ", ".join(filter(None, [name if several else "", *own_lines])) or name
                rows.append([head, *(own[i][j] for j in columns)])
        return table(["example", *(self.names[j] for j in columns)], rows, kind="examples")


def cell(value: Any) -> str:
    """A stored value for a reader."""
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return "missing"
    if not isinstance(value, float | np.floating):
        return str(value)
    size = abs(float(value))
    return f"{value:.0f}" if 1e4 <= size < 1e9 else f"{value:.4g}"


def _tile(one: Any, alt: str) -> str:
    """A Pillow image, enlarged by whole numbers where it is small."""
    scale = max(1, 56 // max(one.size))
    content, kind = encoded(one)
    width, height = one.size
    return image(content, kind, alt, width=width * scale, height=height * scale)
