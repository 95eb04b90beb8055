"""The columns of a table one by one, and two by two: data against a model's samples."""

from collections.abc import Sequence
from itertools import combinations
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor

from mixvae.data.transform_record import AnyTransform
from mixvae.errors import MixvaeError
from mixvae.model import MixtureVAE

from .columns import Columns, span
from .figures import MARKERS, colours_of, panels, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.lines import Line2D

MAX_COLUMNS = 12
MAX_PAIRED = 4  # columns, which have six pairs
MAX_POINTS = 1000  # more would hide each other
MAX_NAMED = 20  # components in the legend
MAX_CODES, MAX_LETTERS = 6, 10  # categories named on an axis, and letters of their names
MASSES = (0.9, 0.5)  # of the samples inside the outlines
GRID, BLUR = 60, 2.0  # cells a side, in which samples are counted, and blurred by so many cells


def marginals(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    path: str | Path,
    *,
    y: Int64[Tensor, " N"] | None = None,
    transform: AnyTransform | None = None,
    seed: int = 0,
) -> Path:
    """Histograms of the columns of a table: the data, and samples of the mixture.

    The 12 columns that tell the components apart best are shown, the best first. An axis leaves out
    at most a four hundredth of the values at either end.

    Parameters
    ----------
    model : MixtureVAE
        Trained model; it stays on its device and in its mode.
    x : Tensor, shape (N, D)
        Rows as in training, of which the first 2,000 count.
    path : str or Path
        PNG file to write.
    y : Tensor, shape (N,), optional
        Class labels, which a conditional model needs.
    transform : Transform or Standardization, optional
        That of the data, such as ``run.transform``, which has the columns' names and units.
    seed : int
        Seed of the samples.

    Returns
    -------
    Path
        The written file.

    Raises
    ------
    MixvaeError
        If x is no table, or does not fit the model.
    """
    table = Columns.of(model, x, y, transform)
    shown, names = table.most_telling(MAX_COLUMNS), table.names
    data, samples = table.in_data_units(table.x), table.samples(seed)
    fig, axes = panels(len(shown), 2.5, 2.1, margin=0.9)
    for ax, i in zip(axes, shown, strict=True):
        n_edges = 9 + min(len(data) // 20, 22)
        bins = np.linspace(*span(data[:, i], samples[:, i]), n_edges).tolist()
        for values, style in ((data, _FILLED), (samples, _LINE)):
            own = values[~np.isnan(values[:, i]), i]
            ax.hist(own, bins, weights=np.full(len(own), 1 / max(1, len(own))), **style)
        ax.set_title(names[i], fontsize=8)
        ax.tick_params(labelsize=7)
        _name_codes(ax.xaxis, table.categories[i])
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside right center", fontsize=8)
    fig.supylabel("share of rows", fontsize=9)
    more = f"; {MAX_COLUMNS} of {x.shape[1]} columns" if x.shape[1] > MAX_COLUMNS else ""
    return save(fig, path, f"Columns: data and samples of the model{more}")


_FILLED: dict[str, Any] = {"color": "0.8", "edgecolor": "0.6", "linewidth": 0.5, "label": "data"}
_LINE: dict[str, Any] = {"color": "black", "histtype": "step", "linewidth": 1.2, "label": "samples"}


def pairs(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    path: str | Path,
    *,
    y: Int64[Tensor, " N"] | None = None,
    transform: AnyTransform | None = None,
    seed: int = 0,
) -> Path:
    """Pairs of the four columns that tell the components apart best.

    Each row is a point whose colour and shape are those of its most probable component. The lines
    surround half and nine tenths of the mixture's samples.

    Parameters
    ----------
    model : MixtureVAE
        Trained model; it stays on its device and in its mode.
    x : Tensor, shape (N, D)
        Rows as in training, of which the first 1,000 are shown.
    path : str or Path
        PNG file to write.
    y : Tensor, shape (N,), optional
        Class labels, which a conditional model needs.
    transform : Transform or Standardization, optional
        That of the data, such as ``run.transform``, which has the columns' names and units.
    seed : int
        Seed of the samples.

    Returns
    -------
    Path
        The written file.

    Raises
    ------
    MixvaeError
        If x is no table, has a single column, or does not fit the model.
    """
    table = Columns.of(model, x, y, transform)
    if x.shape[1] < 2:
        raise MixvaeError(
            "pairs of columns need two, and x has one; mixvae.plots.marginals shows it."
        )
    chosen = list(combinations(table.most_telling(MAX_PAIRED), 2))
    component = table.r[:MAX_POINTS].argmax(1).numpy()
    data, samples = table.in_data_units(table.x)[:MAX_POINTS], table.samples(seed)
    fig, axes = panels(len(chosen), 3.0, 2.8, margin=1.0)
    for ax, (i, j) in zip(axes, chosen, strict=True):
        limits = span(data[:, i], samples[:, i]), span(data[:, j], samples[:, j])
        handles = _points(ax, data[:, [i, j]], component, table.r.shape[1])
        outline = _outlines(ax, samples[:, [i, j]], limits)
        ax.set(xlim=limits[0], ylim=limits[1])
        ax.set_xlabel(table.names[i], fontsize=8)
        ax.set_ylabel(table.names[j], fontsize=8)
        ax.tick_params(labelsize=7)
        _name_codes(ax.xaxis, table.categories[i])
        _name_codes(ax.yaxis, table.categories[j])
    fig.legend(
        handles=[*handles[:MAX_NAMED], *outline],
        title="component",
        loc="outside right center",
        fontsize=8,
    )
    return save(fig, path, "Pairs of columns: data by component, and samples of the model")


def _name_codes(axis: "Axis", categories: Sequence[Any]) -> None:
    """Put categories in the place of their codes, every second one or fewer where they are many."""
    if categories:
        step = ceil(len(categories) / MAX_CODES)
        names = [str(c)[:MAX_LETTERS] for c in categories[::step]]
        axis.set_ticks(range(0, len(categories), step), names)


def _points(
    ax: "Axes", points: np.ndarray, component: np.ndarray, n_components: int
) -> list["Line2D"]:
    """Points by component; returns handles for a legend of the components that have some."""
    handles = []
    for k, colour in enumerate(colours_of(n_components)):
        own, marker = points[component == k], MARKERS[k % len(MARKERS)]
        if len(own):
            style: dict[str, Any] = {"marker": marker, "ls": "", "ms": 4, "mew": 0.4}
            style |= {"mec": "white", "color": colour, "alpha": 0.85, "label": str(k)}
            handles += ax.plot(own[:, 0], own[:, 1], **style)
    return handles


def _outlines(
    ax: "Axes", samples: np.ndarray, limits: Sequence[tuple[float, float]]
) -> list["Line2D"]:
    """Lines about the densest part of the samples; returns handles for a legend."""
    from matplotlib.lines import Line2D
    from scipy.ndimage import gaussian_filter

    counts, *edges = np.histogram2d(samples[:, 0], samples[:, 1], GRID, limits)
    density = gaussian_filter(counts, BLUR, mode="constant")
    falling = density.ravel().argsort()[::-1]
    inside = counts.ravel()[falling].cumsum() / counts.sum()  # share of the samples
    levels = [float(density.ravel()[falling[np.searchsorted(inside, m)]]) for m in MASSES]
    styles = ["dashed", "solid"]
    if levels[0] < levels[1]:  # unless all samples are in one cell
        middles = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
        lines: dict[str, Any] = {"levels": levels, "linestyles": styles}
        lines |= {"colors": "black", "linewidths": 1.0}
        ax.contour(*middles, density.T, **lines)
    return [
        Line2D([], [], color="black", ls=style, lw=1, label=f"{mass:.0%} of\nsamples")
        for style, mass in zip(styles, MASSES, strict=True)
    ]
