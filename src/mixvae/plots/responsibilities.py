"""Responsibilities of the components for the data."""

from collections import Counter
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mixvae.evaluation.batches import cluster_probabilities
from mixvae.model import MixtureVAE

from .components import MAX_COMPONENTS, component_names
from .figures import COLOURS, panels, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7}


def weights(
    model: MixtureVAE, x: Float[Tensor, "N *X"], y: Int64[Tensor, " N"] | None, path: str | Path
) -> Path:
    """Responsibilities: each component's share, their certainty, and their relation to the labels.

    Where the model has one component and its prior has clusters, those of the clusters are shown.
    Components that are dropped, dead or collapsed are marked so.

    Parameters
    ----------
    model : MixtureVAE
        Trained model; it stays on its device and in its mode.
    x : Tensor, shape (N, *X)
        Examples with values in [0, 1].
    y : Tensor, shape (N,), or None
        Class labels, which the third panel and a conditional model need.
    path : str or Path
        PNG file to write.

    Returns
    -------
    Path
        The written file.
    """
    r = cluster_probabilities(model, x, y)
    kept = model.kept if len(model.kept) == r.shape[1] else torch.ones(r.shape[1], dtype=torch.bool)
    names = component_names(model, x, y) if model.n_components == r.shape[1] else []
    state = {k: name[name.index("(") + 1 : -1] for k, name in enumerate(names) if "(" in name}
    fig, axes = panels(2 if y is None else 3, 3.3, 3.3)
    _bars(axes[0], r, kept, state)
    surest = r.amax(-1)
    low = min(1 / int(kept.sum()), 0.9)
    bins = torch.linspace(low - 1e-6, 1 + 1e-6, 31).tolist()
    axes[1].hist(surest.tolist(), bins, color=COLOURS[0])
    axes[1].set(xlabel="largest responsibility", ylabel="number of x", title="certainty")
    if y is not None:
        _heat_map(fig, axes[2], r, y)
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower left", ncols=3, fontsize=8)
    word, what = "component", "components"
    if model.n_components != r.shape[1]:
        word, what = "cluster", "clusters of the prior"
    axes[0].set(xlabel=word, title=f"use of {word}s")
    if y is not None:
        axes[2].set_ylabel(word)
    counts = Counter(state.values())
    states = "".join(f", {counts[word]} {word}" for word in sorted(counts))
    return save(fig, path, f"Responsibilities of the {r.shape[1]} {what} for {len(r):,} x{states}")


def _bars(
    ax: "Axes", r: Float[Tensor, "N K"], kept: Bool[Tensor, " K"], state: Mapping[int, str]
) -> None:
    """Each component's mean responsibility, how often it has the largest, and its state."""
    k = np.arange(r.shape[1])
    share, used = r.mean(0).numpy(), np.bincount(r.argmax(-1).numpy(), minlength=len(k)) / len(r)
    ax.bar(k - 0.2, share, 0.4, color=COLOURS[0], label="mean responsibility")
    ax.bar(k + 0.2, used, 0.4, color="0.75", ec="0.4", lw=0.5, label="has the largest one")
    ax.axhline(1 / int(kept.sum()), color="0.3", ls="--", lw=1, label="even share")
    top = 1.1 * float(np.maximum(share, used).max())
    ax.set(xlabel="component", ylabel="share of x", ylim=(0, top), title="use of components")
    for i, word in state.items() if len(k) <= MAX_COMPONENTS else ():
        text = {"rotation": 90, "color": "0.2", "va": "bottom", "ha": "center", "fontsize": 7}
        ax.text(i, max(share[i], used[i]) + 0.02 * top, word, text)
    if state and len(k) <= MAX_COMPONENTS:
        ax.set_ylim(0, 1.35 * top)
    ax.set_xticks(k[:: ceil(len(k) / 10)])


def _heat_map(fig: "Figure", ax: "Axes", r: Float[Tensor, "N K"], y: Int64[Tensor, " N"]) -> None:
    """Mean responsibility of each component for each class, with figures if there is room."""
    classes = y.unique()
    share = torch.stack([r[y == c].mean(0) for c in classes], 1)  # (K, classes)
    image = ax.imshow(share.numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    fig.colorbar(image, ax=ax, label="mean responsibility")
    step = ceil(len(classes) / 12)
    ax.set_xticks(range(0, len(classes), step), [str(c) for c in classes[::step].tolist()])
    ax.set_yticks(range(0, len(share), ceil(len(share) / 20)))
    ax.set(xlabel="label", ylabel="component", title="use by label")
    if share.numel() <= 120:
        for (k, c), value in np.ndenumerate(share.numpy()):
            colour = "white" if value > 0.6 else "0.3"
            ax.text(c, k, f"{value:.2f}"[1:] if value < 0.995 else "1", color=colour, **CELL)
