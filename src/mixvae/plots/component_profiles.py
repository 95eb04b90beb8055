"""Profiles of the components of a table: their means, column by column."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor

from mixvae.data.transform_record import AnyTransform
from mixvae.model import MixtureVAE

from .columns import Columns
from .figures import save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_COLUMNS = 40
MAX_COMPONENTS = 40
MAX_NUMBERS = 15  # components; with more there is no room for numbers in the cells
LEAST = 1.0  # standard deviations at the ends of the colours: less looks small
CELL, LETTER = 0.42, 0.075  # widths of a cell and a letter, in inches


def profiles(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    path: str | Path,
    *,
    y: Int64[Tensor, " N"] | None = None,
    transform: AnyTransform | None = None,
) -> Path:
    """Heat map of each component's mean in each column of a table, with the components' weights.

    A mean is over rows, weighted by responsibility, as a difference from the mean of all rows in
    standard deviations; of a column of unordered categories, each category is a column of truth
    values. Columns that tell the components apart best are at the top; at most 40
    columns and the 40 largest components are shown.

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
        That of the data, such as ``run.transform``, which has the columns' names.

    Returns
    -------
    Path
        The written file.

    Raises
    ------
    MixvaeError
        If x is no table, or does not fit the model.
    """
    from matplotlib.figure import Figure

    table = Columns.of(model, x, y, transform).by_category()
    shown, weights = table.most_telling(MAX_COLUMNS), table.r.mean(0)
    components = weights.argsort(descending=True)[:MAX_COMPONENTS].sort().values
    means = table.means[components][:, shown].T.numpy()
    names = [table.names[i] for i in shown]
    cell = CELL if len(components) <= MAX_NUMBERS else CELL / 2
    width = 2.2 + LETTER * max(map(len, names)) + cell * len(components)
    fig = Figure(figsize=(max(width, 4.2), 1.9 + 0.2 * len(names)), layout="constrained")
    top, ax = fig.subplots(2, 1, sharex=True, height_ratios=(0.9, 0.2 * len(names) + 0.2))
    _bars(top, weights[components].numpy())
    reach = max(LEAST, float(np.nanquantile(np.abs(means), 0.98)))
    ax.set_facecolor("white")
    image = ax.imshow(means, cmap="cividis", vmin=-reach, vmax=reach, aspect="auto")
    fig.colorbar(image, ax=ax, label="standard deviations", extend="both")
    if len(components) <= MAX_NUMBERS:
        _numbers(ax, means)
    ax.set_yticks(range(len(names)), names, fontsize=8)
    step = -(-len(components) // 20)
    ax.set_xticks(range(0, len(components), step), components[::step].tolist(), fontsize=8)
    ax.set_xlabel("component")
    left_out = table.x.shape[1] - len(shown)
    more = f"\n{left_out} columns that tell less apart are left out" if left_out else ""
    return save(fig, path, f"Mean of each component, less that of all rows{more}")


def _bars(ax: "Axes", weights: np.ndarray) -> None:
    ax.bar(range(len(weights)), weights, 0.7, color="0.5")
    ax.set_ylabel("weight", fontsize=8)
    ax.tick_params(labelsize=7, labelbottom=False)
    ax.set_ylim(0, 1.3 * float(weights.max()))
    ax.spines[["top", "right"]].set_visible(False)
    if len(weights) <= MAX_NUMBERS:
        for k, weight in enumerate(weights):
            ax.text(k, weight, f"{weight:.2f}", ha="center", va="bottom", fontsize=7)


def _numbers(ax: "Axes", means: np.ndarray) -> None:
    for (i, k), value in np.ndenumerate(means.round(1) + 0.0):  # -0.0 is 0.0
        if np.isfinite(value):
            colour = "white" if value < 0 else "black"
            ax.text(k, i, f"{value:+.1f}", color=colour, ha="center", va="center", fontsize=7)
