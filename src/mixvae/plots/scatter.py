"""Codes of each component in two dimensions."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mixvae.data.classes import ClassName
from mixvae.evaluation.batches import check_x, responsibilities
from mixvae.evaluation.health import component_health
from mixvae.evaluation.latent_operations import codes as mean_codes
from mixvae.families import MixturePosterior
from mixvae.model import MixtureVAE

from .components import component_names, most_used, only
from .figures import dots, palette, panels, save, scatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_POINTS = 3000  # more would hide each other
REACH = 2.0  # standard deviations of the prior, which every panel holds
FAINT = "0.85"


def codes(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    y: Int64[Tensor, " N"] | None,
    path: str | Path,
    *,
    class_names: Sequence[ClassName] | None = None,
) -> Path:
    """Posterior means of each component in two dimensions, coloured by label.

    More than two latents are projected on their first two principal axes. Joint and exact mixtures
    have a latent space, and so axes, for each component. The components of a mixture posterior
    share theirs: the last panel shows them together. In an exact mixture an example belongs to its
    most responsible component, and its codes in the other panels are grey; so are those of
    components that dropout removed. A panel holds at least two standard deviations of the prior, so
    that a collapsed component appears as a point; titles say which components are dead or
    collapsed. Of more than 20 components, the 20 of the largest responsibilities are shown.

    Parameters
    ----------
    model : MixtureVAE
        Trained model; it stays on its device and in its mode.
    x : Tensor, shape (N, *X)
        Examples with values in [0, 1].
    y : Tensor, shape (N,), or None
        Class labels, for the colours and for a conditional model.
    path : str or Path
        PNG file to write.
    class_names : sequence of str or int, optional
        Names of the classes, for the legend.

    Returns
    -------
    Path
        The written file.
    """
    check_x(model, x, y)
    step = ceil(len(x) / MAX_POINTS)
    x, y = x[::step], None if y is None else y[::step]
    mu, kl, r = (
        mean_codes(model, x, y),
        component_health(model, x, y).kl,
        responsibilities(model, x, y),
    )
    own = model.kept & model.family.owns(r)
    shared = mu.shape[1] > 1 and isinstance(model.family, MixturePosterior)
    together = _plane(mu.flatten(0, 1)).unflatten(0, mu.shape[:2]) if shared else None
    shown, names, kept = most_used(r), component_names(model, x, y), model.kept.tolist()
    labels = torch.zeros(len(x), dtype=torch.int64) if y is None else y.cpu()
    by_label = palette(labels)

    fig, axes = panels(len(shown) + shared, 2.4, 2.6, margin=0.0 if y is None else 0.9)
    for ax, k in zip(axes, shown, strict=False):
        points = _plane(mu[:, k]) if together is None else together[:, k]
        _strong_and_faint(ax, points, labels, by_label, own[:, k])
        ax.set_title(f"{names[k]}\nKL {kl[k]:.1f} nats" if kept[k] else names[k], fontsize=9)
    if together is not None:
        component = torch.arange(mu.shape[1]).expand(len(x), -1)
        by_component = palette(component[own])
        scatter(axes[-1], together[own], component[own], by_component)
        axes[-1].set_title("all components", fontsize=9)
        legend: dict[str, Any] = {"title": "component", "loc": "outside lower center", "ncols": 10}
        fig.legend(handles=dots(by_component), fontsize=8, **legend)
    if y is not None:
        fig.legend(
            handles=dots(by_label, class_names),
            title="label",
            loc="outside right center",
            fontsize=8,
        )
    for group in [axes] if shared else [[ax] for ax in axes]:
        _same_scale(group, n_latent=mu.shape[-1])
    return save(fig, path, _title(model, shared, own, only(len(shown), len(names))))


def _title(model: MixtureVAE, shared: bool, own: Bool[Tensor, "N K"], more: str) -> str:
    several, space = own.shape[1] > 1, ""
    if several:
        space = (
            "The components share one latent space. "
            if shared
            else ("Each component has a latent space, and axes, of its own. ")
        )
    grey = "Grey: x of another component. " if several and not own[:, model.kept].all() else ""
    return f"Codes (posterior means)\n{space}{grey}{more}"


def _plane(mu: Float[Tensor, "N L"]) -> Float[Tensor, "N 2"]:
    """Points in the plane: two latents unchanged, one with noise, more on their principal axes."""
    if mu.shape[1] == 1:
        noise = torch.rand(len(mu), 1, generator=torch.Generator().manual_seed(0))
        return torch.cat([mu, noise - 0.5], 1)
    if mu.shape[1] == 2:
        return mu
    centred = mu - mu.mean(0)
    return centred @ torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -2:].flip(1)


def _strong_and_faint(
    ax: "Axes",
    points: Float[Tensor, "N 2"],
    labels: Int64[Tensor, " N"],
    by_label: dict[int, str],
    strong: Bool[Tensor, " N"],
) -> None:
    """Scatter points; those that are not ``strong`` are grey and behind the others."""
    faint = points[~strong].numpy()
    ax.scatter(faint[:, 0], faint[:, 1], s=4, color=FAINT, linewidths=0)
    scatter(ax, points[strong], labels[strong], by_label)


def _same_scale(axes: Sequence["Axes"], *, n_latent: int) -> None:
    """Give panels the widest limits of any of them, and name their axes."""
    reach = max(REACH, *(abs(v) for ax in axes for v in (*ax.get_xlim(), *ax.get_ylim())))
    name = "latent" if n_latent <= 2 else "principal axis"
    for ax in axes:
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        ax.tick_params(labelsize=7)
        ax.set_xlabel(f"{name} 1", fontsize=8)
        ax.set_ylabel(f"{name} 2" if n_latent > 1 else "noise, to part points", fontsize=8)
