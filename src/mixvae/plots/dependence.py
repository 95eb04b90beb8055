"""Statistical dependence between the codes of different components."""

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixvae.errors import MixvaeError

from .figures import panels, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

MAX_FIGURES = 10  # components; with more there is no room for numbers in the cells


def dependence(values: Mapping[str, Any], path: str | Path, *, dropped: Sequence[int] = ()) -> Path:
    """HSIC of every pair of codes, beside that of shuffled rows, which are independent.

    Parameters
    ----------
    values : Mapping
        Result of :func:`mixvae.evaluation.dependence`.
    path : str or Path
        PNG file to write.
    dropped : sequence of int
        Components removed by component dropout, counted from 0; they are labelled as dropped.

    Returns
    -------
    Path
        The written file.

    Raises
    ------
    MixvaeError
        If ``values`` are not such a result, or nothing in them is finite.

    References
    ----------
    Ye and Bors, TNNLS 2021, Fig. 12 (MVAE).
    """
    if not isinstance(values, Mapping) or not {"pairs", "pairs_permuted"} <= set(values):
        raise MixvaeError(
            "values must be a result of mixvae.evaluation.dependence, for a joint mixture."
        )
    if not measured(values):
        raise MixvaeError("no pair of codes has a finite HSIC, so that there is nothing to draw.")
    titles = {"pairs": ("original rows", "dhsic"), "pairs_permuted": ("shuffled rows", "permuted")}
    tables = {key: _off_diagonal(values[key]) for key in titles}
    found = np.concatenate([table[np.isfinite(table)] for table in tables.values()])
    top = max(found.max(initial=0.0), 1e-12)
    size = 3.4 + 0.25 * min(16, max(0, len(values["pairs"]) - 6))
    fig, axes = panels(2, size, size - 0.2, margin=0.9)
    for ax, (key, (title, joint)) in zip(axes, titles.items(), strict=True):
        image = _heat_map(ax, tables[key], top, dropped)
        ax.set_title(f"{title}: dHSIC of all {values[joint]:.2g}", fontsize=9)
    fig.colorbar(image, ax=axes, label="HSIC of a pair, times 1000")
    return save(fig, path, "Dependence between the codes of two components (HSIC)")


def measured(values: Mapping[str, Any]) -> bool:
    """Whether the HSIC of any pair is finite."""
    return bool(np.isfinite(_off_diagonal(values["pairs"])).any())


def _off_diagonal(pairs: Sequence[Sequence[float]]) -> np.ndarray:
    table = 1000 * np.array(pairs, float)
    np.fill_diagonal(table, np.nan)  # a code's dependence on itself is of no interest
    return table


def _heat_map(ax: "Axes", table: np.ndarray, top: float, dropped: Sequence[int]) -> "AxesImage":
    ax.set_facecolor("0.9")
    image = ax.imshow(table, cmap="Blues", vmin=0, vmax=top)
    k = range(len(table))
    step = ceil(len(table) / 20)
    ax.set_xticks(k[::step])
    ax.set_yticks(k[::step], [f"dropped {i}" if i in dropped else str(i) for i in k[::step]])
    ax.tick_params(labelsize=8)
    ax.set(xlabel="component", ylabel="component")
    if len(table) <= MAX_FIGURES:
        for (i, j), value in np.ndenumerate(table):
            if np.isfinite(value):
                colour = "white" if value > 0.6 * top else "0.3"
                ax.text(j, i, f"{value:.2f}", color=colour, ha="center", va="center", fontsize=7)
    return image
