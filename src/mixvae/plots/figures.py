"""Figures, files, colours and markers, which all plots use."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from math import ceil
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from mixvae.errors import MixvaeError
from mixvae.storage.files import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from numpy.typing import ArrayLike

DPI = 150
MAX_WIDTH = 10.0  # inches of panels in a row: wider figures are shown too small to read
LETTER = 0.088  # width of a letter of a title, in inches
MAX_COLOURS = 20  # more are hard to distinguish
# Okabe and Ito's colours for the colour-blind, without yellow, which is faint on white. The numbers
# of markers and of line styles share no factor with theirs, so that no two of 20 look the same.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
MARKERS = "os^DvP<X>*"
LINES = ("-", "--", ":")
FRAME = "#D55E00"

_note: ContextVar[str] = ContextVar("note", default="")


def panels(
    n: int, width: float, height: float, *, margin: float = 0.0
) -> tuple["Figure", list["Axes"]]:
    """A figure of n panels in even rows of at most 10 inches; ``margin`` is for a legend."""
    from matplotlib.figure import Figure

    n_rows = ceil(n / max(1, int(MAX_WIDTH / width)))
    n_columns = ceil(n / n_rows)
    fig = Figure(figsize=(n_columns * width + margin, n_rows * height), layout="constrained")
    axes = list(fig.subplots(n_rows, n_columns, squeeze=False).flat)
    for ax in axes[n:]:
        ax.remove()
    return fig, axes[:n]


@contextmanager
def noted(note: str) -> Iterator[None]:
    """Context in which the title of every figure has a note below it."""
    before = _note.set(note)
    try:
        yield
    finally:
        _note.reset(before)


def wrapped(title: str, width: float) -> list[str]:
    """Lines of a title for a figure of a width in inches."""
    n = max(44, int(width / LETTER))
    return [part for line in title.split("\n") for part in wrap(line, n, break_on_hyphens=False)]


def save(fig: "Figure", path: str | Path, title: str) -> Path:
    """Add a title and write the figure as PNG."""
    path = check_png(path)
    lines = wrapped("\n".join([title, _note.get()]), fig.get_figwidth())
    fig.suptitle("\n".join(lines), fontsize=11)
    with whole(path) as partial:
        fig.savefig(partial, format="png", dpi=DPI, bbox_inches="tight")
    return path


def check_png(path: str | Path) -> Path:
    """Raise `MixvaeError` for what is not the path of a PNG file."""
    if not isinstance(path, str | Path) or Path(path).suffix.lower() != ".png":
        raise MixvaeError(f"path must be that of a .png file to write; got {path!r}.")
    return Path(path)


def colours_of(n: int) -> list[str]:
    """n colours: seven in turn up to 20, a colour ramp beyond."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    if n > MAX_COLOURS:
        return [to_hex(colormaps["viridis"](i / (n - 1))) for i in range(n)]
    return [COLOURS[i % len(COLOURS)] for i in range(n)]


def palette(labels: Int64[Tensor, "*N"]) -> dict[int, str]:
    """A colour for each label, or for the 20 most common ones."""
    values, counts = labels.unique(return_counts=True)
    common = values[counts.argsort(descending=True, stable=True)[:MAX_COLOURS]].sort().values
    return dict(zip(common.tolist(), colours_of(len(common)), strict=True))


def marked(palette: Mapping[int, str]) -> Iterator[tuple[int, str, str]]:
    """Labels with their colours and markers."""
    for i, (label, colour) in enumerate(palette.items()):
        yield label, colour, MARKERS[i % len(MARKERS)]


def scatter(
    ax: "Axes",
    points: "ArrayLike",
    labels: "ArrayLike",
    palette: Mapping[int, str],
    *,
    size: float = 9,
) -> None:
    """Points with the colour and marker of their label; small grey ones for labels without."""
    at, label = np.asarray(points), np.asarray(labels)
    unknown = ~np.isin(label, list(palette))
    ax.scatter(at[unknown, 0], at[unknown, 1], s=size / 2, color="0.6", linewidths=0)
    for value, colour, marker in marked(palette):
        own = at[label == value]
        style: dict[str, Any] = {"s": size, "color": colour, "marker": marker, "alpha": 0.8}
        ax.scatter(own[:, 0], own[:, 1], linewidths=0, **style)


def dots(palette: Mapping[int, str], names: Sequence[object] | None = None) -> list["Line2D"]:
    """Handles for a legend, with the names that the labels count, if there are any."""
    from matplotlib.lines import Line2D

    text = {label: str(label if names is None else names[label]) for label in palette}
    return [
        Line2D([], [], marker=marker, ls="", ms=5, mew=0, color=colour, label=text[label])
        for label, colour, marker in marked(palette)
    ]
