"""Whether the codes depend on each other."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .figures import panels, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

MAX_FIGURES = 10  # components; more leave no room for figures in the cells


def dependence(values: Mapping[str, Any], path: str | Path, *, dropped: Sequence[int] = ()) -> Path:
    """HSIC of every pair of codes, beside that of shuffled rows, which are independent (Fig. 12).

    Args:
        values: what :func:`mixvae.evaluation.dependence` returns.
        path: the PNG file.
        dropped: components to be marked as such, counted from 0.
    """
    titles = {"pairs": ("as they are", "dhsic"), "pairs_permuted": ("rows shuffled", "permuted")}
    tables = {key: _off_diagonal(values[key]) for key in titles}
    found = np.concatenate([table[np.isfinite(table)] for table in tables.values()])
    top = max(found.max(initial=0.0), 1e-12)
    size = 3.4 + 0.25 * max(0, len(values["pairs"]) - 6)
    fig, axes = panels(2, size, size - 0.2, margin=0.9)
    for ax, (key, (title, joint)) in zip(axes, titles.items(), strict=True):
        image = _heat_map(ax, tables[key], top, dropped)
        ax.set_title(f"{title}: dHSIC of all {values[joint]:.2g}", fontsize=9)
    fig.colorbar(image, ax=axes, label="HSIC of a pair, times 1000")
    return save(fig, path, "Dependence of the codes")


def _off_diagonal(pairs: Sequence[Sequence[float]]) -> np.ndarray:
    table = 1000 * np.array(pairs, float)
    np.fill_diagonal(table, np.nan)  # a code with itself says nothing of the others
    return table


def _heat_map(ax: "Axes", table: np.ndarray, top: float, dropped: Sequence[int]) -> "AxesImage":
    ax.set_facecolor("0.9")
    image = ax.imshow(table, cmap="Blues", vmin=0, vmax=top)
    k = range(len(table))
    ax.set_xticks(k)
    ax.set_yticks(k, [f"dropped {i}" if i in dropped else str(i) for i in k])
    ax.tick_params(labelsize=8)
    ax.set_xlabel("component")
    if len(table) <= MAX_FIGURES:
        for (i, j), value in np.ndenumerate(table):
            if np.isfinite(value):
                colour = "white" if value > 0.6 * top else "0.3"
                ax.text(j, i, f"{value:.2f}", color=colour, ha="center", va="center", fontsize=7)
    return image
