"""Codes of each component in two dimensions."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mixvae.evaluation.batches import check_x, responsibilities
from mixvae.evaluation.health import component_health
from mixvae.evaluation.latent_operations import codes as mean_codes
from mixvae.model import MixtureVAE

from .figures import component_names, dots, paint, palette, panels, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_POINTS = 3000  # more would hide each other


def codes(
    model: MixtureVAE, x: Float[Tensor, "N *X"], y: Int64[Tensor, " N"] | None, path: str | Path
) -> Path:
    """Posterior means of each component in two dimensions, coloured by label.

    More than two latents are projected on their first two principal axes. The last panel shows all
    components together. In an exact mixture an example belongs to its most responsible component:
    its codes in the other panels are grey, and the last panel shows one code of it. Components
    removed by component dropout are grey and left out of the last panel. All panels have the same
    scale, so that a collapsed component appears as a point.

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

    Returns
    -------
    Path
        The written file.
    """
    check_x(model, x)
    step = ceil(len(x) / MAX_POINTS)
    x, y = x[::step], None if y is None else y[::step]
    mu, kl = mean_codes(model, x, y), component_health(model, x, y).kl
    component = torch.arange(mu.shape[1]).expand(len(x), -1)
    own = model.kept & model.family.owns(responsibilities(model, x, y))
    by_component, by_label = palette(component), {} if y is None else palette(y)

    names, kept = component_names(model), model.kept.tolist()
    fig, axes = panels(mu.shape[1] + (mu.shape[1] > 1), 2.8, 2.9, margin=1.2)
    for k, ax in enumerate(axes[: mu.shape[1]]):
        colours = paint(component[:, k], by_component) if y is None else paint(y, by_label)
        _scatter(ax, _plane(mu[:, k]), colours, own[:, k])
        ax.set_title(f"{names[k]}, KL {kl[k]:.1f} nats" if kept[k] else names[k])
    if mu.shape[1] > 1:
        _scatter(axes[-1], _plane(mu[own]), paint(component[own], by_component))
        axes[-1].set_title("all, by component")
        shown = {k: colour for k, colour in by_component.items() if kept[k]}
        axes[-1].legend(handles=dots(shown), fontsize=6, ncols=2, loc="upper right")
    if y is not None:
        fig.legend(handles=dots(by_label), title="label", loc="outside right center", fontsize=8)
    _same_scale(fig, axes, n_latent=mu.shape[-1])
    return save(fig, path, "Codes (posterior means)")


def _plane(mu: Float[Tensor, "N L"]) -> Float[Tensor, "N 2"]:
    """Points in the plane: two latents unchanged, one with noise, more on their principal axes."""
    if mu.shape[1] == 1:
        noise = torch.rand(len(mu), 1, generator=torch.Generator().manual_seed(0))
        return torch.cat([mu, noise - 0.5], 1)
    if mu.shape[1] == 2:
        return mu
    centred = mu - mu.mean(0)
    return centred @ torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -2:].flip(1)


def _scatter(
    ax: "Axes",
    points: Float[Tensor, "N 2"],
    colours: Sequence[str],
    strong: Bool[Tensor, " N"] | None = None,
) -> None:
    """Scatter points; those that are not ``strong`` are grey and behind the others."""
    if strong is not None:
        faint = points[~strong].numpy()
        ax.scatter(faint[:, 0], faint[:, 1], s=4, color="0.88", linewidths=0)
        colours = [c for c, is_strong in zip(colours, strong.tolist(), strict=True) if is_strong]
        points = points[strong]
    shown = points.numpy()
    ax.scatter(shown[:, 0], shown[:, 1], s=7, c=colours or None, alpha=0.8, linewidths=0)


def _same_scale(fig: "Figure", axes: Sequence["Axes"], *, n_latent: int) -> None:
    """Give all panels the widest limits, at least two standard deviations of the prior."""
    reach = max(2.0, *(abs(v) for ax in axes for v in (*ax.get_xlim(), *ax.get_ylim())))
    for ax in axes:
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        ax.tick_params(labelsize=8)
    name = "latent" if n_latent <= 2 else "principal axis"
    fig.supxlabel(f"{name} 1", fontsize=9)
    fig.supylabel(f"{name} 2" if n_latent > 1 else "noise, to tell points apart", fontsize=9)
