"""Figures, files and colours, which all plots use."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from jaxtyping import Int64
from torch import Tensor

from mixvae.model import MixtureVAE
from mixvae.storage.files import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

DPI = 150
MAX_COLOURS = 20  # more are hard to distinguish

_note: ContextVar[str] = ContextVar("note", default="")


def panels(
    n: int, width: float, height: float, *, margin: float = 0.0
) -> tuple["Figure", list["Axes"]]:
    """A figure of n panels, at most five in a row; sizes in inches, ``margin`` for a legend."""
    from matplotlib.figure import Figure

    n_columns = n if n <= 5 else min(5, ceil(n / 2))
    n_rows = ceil(n / n_columns)
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


def save(fig: "Figure", path: str | Path, title: str) -> Path:
    """Add a title and write the figure as PNG."""
    fig.suptitle("\n".join(filter(None, [title, _note.get()])))
    path = Path(path)
    with whole(path) as partial:
        fig.savefig(partial, format="png", dpi=DPI, bbox_inches="tight")
    return path


def component_names(model: MixtureVAE) -> list[str]:
    """Names of the components; those removed by component dropout are marked as dropped."""
    return [
        f"component {k}" + ("" if kept else " (dropped)")
        for k, kept in enumerate(model.kept.tolist())
    ]


def colours_of(n: int) -> list[str]:
    """n colours: distinct ones up to 20, a colour ramp beyond."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    if n > MAX_COLOURS:
        return [to_hex(colormaps["viridis"](i / (n - 1))) for i in range(n)]
    table = colormaps["tab10" if n <= 10 else "tab20"]
    return [to_hex(table(i)) for i in range(n)]


def palette(labels: Int64[Tensor, "*N"]) -> dict[int, str]:
    """A colour for each label, or for the 20 most common ones."""
    values, counts = labels.unique(return_counts=True)
    common = values[counts.argsort(descending=True, stable=True)[:MAX_COLOURS]].sort().values
    return dict(zip(common.tolist(), colours_of(len(common)), strict=True))


def paint(labels: Int64[Tensor, " N"], palette: Mapping[int, str]) -> list[str]:
    """The colour of each label; grey for labels without one."""
    return [palette.get(label, "0.6") for label in labels.tolist()]


def dots(palette: Mapping[int, str]) -> list["Line2D"]:
    """Handles for a legend."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], marker="o", ls="", ms=4, color=colour, label=str(label))
        for label, colour in palette.items()
    ]
