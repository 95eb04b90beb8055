"""Pictures of a model, as PNG files: each function takes data and a path, and returns the path.

They use matplotlib's objects alone: no display is needed and no global state is left behind.
Components are counted from 0.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from math import ceil, isfinite, isqrt, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.distributions import kl_divergence

from .evaluation.passes import batches, device_of, evaluating, responsibilities
from .families import ExactMixture
from .model import MixtureVAE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

DPI = 150
MAX_POINTS = 3000  # more of them hide each other
MAX_COLOURS = 20  # more of them cannot be told apart
TILE = 64  # pixels across one image of a grid, about
CELL: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7}
History = Sequence[Mapping[str, float]]


def reconstructions(
    model: MixtureVAE, x: Float[Tensor, "N *X"], path: str | Path, *, n: int = 12
) -> Path:
    """The first ``n`` x: originals, every component's own reconstruction, the mixture's.

    Each row's label has its squared error summed over pixels, the mean over these x.
    """
    with evaluating(model):
        x = x[:n].to(device_of(model))
        each = model.reconstruct_each(x).transpose(0, 1)
        mixture = model.reconstruct(x)
    rows = {f"component {k}": row for k, row in enumerate(each)} if len(each) > 1 else {}
    rows["mixture" if rows else "reconstruction"] = mixture
    labels = [
        f"{name}\nSSE {float((row - x).square().flatten(1).sum(1).mean()):.2f}"
        for name, row in rows.items()
    ]
    title = "Reconstructions (codes and weights at their means)"
    return _grid(torch.stack([x, *rows.values()]), ["original", *labels], title, path)


def samples(model: MixtureVAE, path: str | Path, *, n: int = 12, seed: int = 0) -> Path:
    """``n`` new x, their means, from every component and from the mixture."""
    with evaluating(model, seed):
        n_components = model.weights.generate(1).shape[1]
        rows = [model.sample(n, k) for k in range(n_components)] + [model.sample(n)]
    labels = [f"component {k}" for k in range(n_components)] + ["mixture"]
    if n_components == 1:
        labels = ["", ""]
    title = "Samples (means of p(x | z), codes from the prior)"
    return _grid(torch.stack(rows), labels, title, path)


def codes(
    model: MixtureVAE, x: Float[Tensor, "N *X"], y: Int64[Tensor, " N"] | None, path: str | Path
) -> Path:
    """Each component's mean codes in the plane, coloured by label; the last panel has them all.

    More than two latents are shown on their first two principal axes. In an exact mixture an x
    belongs to its most responsible component: it is faint elsewhere, and in the last panel once.
    All panels have the same scale, so that a collapsed component is a point.
    """
    step = ceil(len(x) / MAX_POINTS)
    x, y = x[::step], None if y is None else y[::step]
    mu, kl = _mean_codes(model, x)
    component = torch.arange(mu.shape[1]).expand(len(x), -1)
    own = torch.ones_like(component, dtype=torch.bool)
    if isinstance(model.family, ExactMixture):
        own = component == responsibilities(model, x).argmax(-1, keepdim=True)
    by_component, by_label = _palette(component), {} if y is None else _palette(y)

    fig, axes = _panels(mu.shape[1] + (mu.shape[1] > 1), 2.8, 2.9, margin=1.2)
    for k, ax in enumerate(axes[: mu.shape[1]]):
        colours = _paint(component[:, k], by_component) if y is None else _paint(y, by_label)
        _scatter(ax, _plane(mu[:, k]), colours, own[:, k])
        ax.set_title(f"component {k}, KL {kl[k]:.1f} nats")
    if mu.shape[1] > 1:
        together = _plane(mu[own])
        _scatter(axes[-1], together, _paint(component[own], by_component))
        axes[-1].set_title("all, by component")
        axes[-1].legend(handles=_dots(by_component), fontsize=6, ncols=2, loc="upper right")
    if y is not None:
        fig.legend(handles=_dots(by_label), title="label", loc="outside right center", fontsize=8)
    _same_scale(axes)
    name = "latent" if mu.shape[-1] <= 2 else "principal axis"
    fig.supxlabel(f"{name} 1", fontsize=9)
    fig.supylabel(f"{name} 2" if mu.shape[-1] > 1 else "noise, to tell points apart", fontsize=9)
    return _save(fig, path, "Codes (posterior means)")


def weights(
    model: MixtureVAE, x: Float[Tensor, "N *X"], y: Int64[Tensor, " N"] | None, path: str | Path
) -> Path:
    """Responsibilities: each component's share, how sure they are, and who answers for what."""
    r = responsibilities(model, x)
    fig, axes = _panels(2 if y is None else 3, 3.8, 3.2)
    _bars(axes[0], r)
    surest = r.amax(-1)
    low = min(1 / r.shape[1], 0.9)
    axes[1].hist(surest.tolist(), torch.linspace(low - 1e-6, 1 + 1e-6, 31).tolist(), color="C0")
    axes[1].set(xlabel="largest responsibility", ylabel="number of x", title="certainty")
    if y is not None:
        _heat_map(fig, axes[2], r, y)
    return _save(fig, path, "Responsibilities")


def curves(history: History, path: str | Path) -> Path:
    """By epoch: objective, ELBO, every term, and each component's KL and share.

    Keys are ``epoch`` (from 0), ``train/NAME`` and ``val/NAME``; what a row lacks is left out.
    """
    found = dict.fromkeys(key.split("/", 1)[1] for row in history for key in row if "/" in key)
    of_component = re.compile(r"(kl_z|share)_(\d+)")
    plain = [n for n in found if not of_component.fullmatch(n)]
    plain.sort(key=lambda n: ("objective", "elbo", n).index(n))  # stable: the terms as they came
    groups = {
        stem: [n for n in found if (m := of_component.fullmatch(n)) and m[1] == stem]
        for stem in ("kl_z", "share")
    }
    groups = {stem: names for stem, names in groups.items() if names}
    fig, axes = _panels(max(len(plain) + len(groups), 1), 3.2, 2.5)
    for ax, name in zip(axes, plain, strict=False):
        lines = {part: f"{part}/{name}" for part in ("train", "val")}
        _curves(ax, history, lines, ["C0", "C1"], name, "" if name == "dhsic" else "nats")
    for ax, (stem, names) in zip(axes[len(plain) :], groups.items(), strict=False):
        lines = {name.rpartition("_")[2]: f"val/{name}" for name in names}
        title, unit = {"kl_z": ("KL by component", "nats"), "share": ("share by component", "")}[
            stem
        ]
        _curves(ax, history, lines, _colours(len(names)), title, unit, from_zero=True)
    return _save(fig, path, "Training")


def _mean_codes(model: MixtureVAE, x: Tensor) -> tuple[Float[Tensor, "N K L"], list[float]]:
    """Posterior means, and each component's mean KL, nats."""
    means, kl = [], []
    with evaluating(model):
        for batch in batches(model, x, 500):
            t = model.mean_trace(batch)
            means.append(t.q_z.mean.cpu())
            kl.append(kl_divergence(t.q_z, t.p_z).cpu())
    return torch.cat(means), torch.cat(kl).mean(0).tolist()


def _plane(mu: Float[Tensor, "N L"]) -> Float[Tensor, "N 2"]:
    """Two latents as they are; one against noise; the principal axes of more."""
    if mu.shape[1] == 1:
        noise = torch.rand(len(mu), 1, generator=torch.Generator().manual_seed(0))
        return torch.cat([mu, noise - 0.5], 1)
    if mu.shape[1] == 2:
        return mu
    centred = mu - mu.mean(0)
    return centred @ torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -2:].flip(1)


# Grids: one row of x under another, in unit cells


def _grid(
    rows: Float[Tensor, "R n *X"], labels: Sequence[str], title: str, path: str | Path
) -> Path:
    """Images, or lines where x is no image; each row is named at its left."""
    rows = _as_images(rows.detach().cpu().float())
    is_image = rows.dim() == 5
    height = rows.shape[-2] / rows.shape[-1] if is_image else 0.8  # of a cell, its width being 1
    n_rows, n = rows.shape[:2]
    fig, (ax,) = _panels(1, 0.75 * n + 1.2, 0.75 * height * n_rows + 0.5)
    (_mosaic if is_image else _lines)(ax, rows)
    ax.set(xlim=(0, n), ylim=(n_rows, 0), aspect=height, xticks=[])
    ax.set_yticks([row + 0.5 for row in range(n_rows)], labels)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return _save(fig, path, title)


def _as_images(rows: Float[Tensor, "R n *X"]) -> Tensor:
    """(R, n, C, H, W) with C 1 or 3 where x can be an image, else (R, n, D)."""
    x_shape = rows.shape[2:]
    if len(x_shape) == 1 and isqrt(x_shape[0]) ** 2 == x_shape[0]:
        return rows.unflatten(2, (1, isqrt(x_shape[0]), -1))
    if len(x_shape) == 2:
        return rows.unsqueeze(2)
    if len(x_shape) == 3:
        return rows if x_shape[0] in (1, 3) else rows.mean(2, keepdim=True)
    return rows.flatten(2)


def _mosaic(ax: "Axes", rows: Float[Tensor, "R n C H W"]) -> None:
    n_rows, n, _, h, w = rows.shape
    zoom = max(1, TILE // max(h, w))  # so that the gap is thin beside a small image too
    tiles = rows.clamp(0, 1).repeat_interleave(zoom, -2).repeat_interleave(zoom, -1)
    tiles = torch.nn.functional.pad(tiles, (2, 2, 2, 2), value=1.0)
    image = tiles.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    ax.imshow(image.expand(-1, -1, 3).numpy(), extent=(0, n, n_rows, 0))


def _lines(ax: "Axes", rows: Float[Tensor, "R n D"]) -> None:
    from matplotlib.collections import LineCollection

    n_rows, n, d = rows.shape
    across = torch.arange(n).view(1, n, 1) + torch.linspace(0.06, 0.94, d)
    scaled = (rows - rows.min()) / (rows.max() - rows.min()).clamp_min(1e-12)
    down = torch.arange(n_rows).view(-1, 1, 1) + 0.92 - 0.84 * scaled
    lines = torch.stack([across.expand_as(down), down], -1).flatten(0, 1)
    ax.add_collection(LineCollection(list(lines.numpy()), colors="C0", linewidths=1))
    ax.hlines(range(1, n_rows), 0, n, colors="0.9", linewidths=0.8)


# Panels


def _panels(
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


def _save(fig: "Figure", path: str | Path, title: str) -> Path:
    fig.suptitle(title)
    fig.savefig(path, format="png", dpi=DPI)
    return Path(path)


def _colours(n: int) -> list[str]:
    """n colours: told apart up to 20, a ramp beyond."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    if n > MAX_COLOURS:
        return [to_hex(colormaps["viridis"](i / (n - 1))) for i in range(n)]
    table = colormaps["tab10" if n <= 10 else "tab20"]
    return [to_hex(table(i)) for i in range(n)]


def _palette(labels: Int64[Tensor, "*N"]) -> dict[int, str]:
    """A colour for each label; of more than 20, for the most common ones."""
    values, counts = labels.unique(return_counts=True)
    common = values[counts.argsort(descending=True, stable=True)[:MAX_COLOURS]].sort().values
    return dict(zip(common.tolist(), _colours(len(common)), strict=True))


def _paint(labels: Int64[Tensor, " N"], palette: Mapping[int, str]) -> list[str]:
    return [palette.get(label, "0.6") for label in labels.tolist()]


def _dots(palette: Mapping[int, str]) -> list["Line2D"]:
    """A legend's handles."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], marker="o", ls="", ms=4, color=colour, label=str(label))
        for label, colour in palette.items()
    ]


def _scatter(
    ax: "Axes",
    points: Float[Tensor, "N 2"],
    colours: Sequence[str],
    strong: Bool[Tensor, " N"] | None = None,
) -> None:
    """Points, of which those not ``strong`` are grey and behind."""
    if strong is not None:
        faint = points[~strong].numpy()
        ax.scatter(faint[:, 0], faint[:, 1], s=4, color="0.88", linewidths=0)
        colours = [c for c, is_strong in zip(colours, strong.tolist(), strict=True) if is_strong]
        points = points[strong]
    shown = points.numpy()
    ax.scatter(shown[:, 0], shown[:, 1], s=7, c=colours or None, alpha=0.8, linewidths=0)


def _same_scale(axes: Iterable["Axes"]) -> None:
    """The widest panel's limits for all of them, no less than two of the prior's scales."""
    axes = list(axes)
    reach = max(2.0, *(abs(v) for ax in axes for v in (*ax.get_xlim(), *ax.get_ylim())))
    for ax in axes:
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        ax.tick_params(labelsize=8)


def _bars(ax: "Axes", r: Float[Tensor, "N K"]) -> None:
    """Each component's mean responsibility, and how often it has the largest."""
    k = np.arange(r.shape[1])
    share, used = r.mean(0).numpy(), np.bincount(r.argmax(-1).numpy(), minlength=len(k)) / len(r)
    ax.bar(k - 0.2, share, 0.4, color="C0", label="mean responsibility")
    ax.bar(k + 0.2, used, 0.4, color="0.75", label="has the largest one")
    ax.axhline(1 / len(k), color="0.3", ls="--", lw=1, label="even share")
    top = 1.45 * float(np.maximum(share, used).max())  # room for the legend
    ax.set(xlabel="component", ylabel="share of x", ylim=(0, top), title="use of components")
    ax.set_xticks(k[:: ceil(len(k) / 10)])
    ax.legend(fontsize=7, loc="upper right")


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


def _curves(
    ax: "Axes",
    history: History,
    lines: Mapping[str, str],
    colours: Sequence[str],
    title: str,
    unit: str,
    *,
    from_zero: bool = False,
) -> None:
    """Lines by label: the values of their keys by epoch, counted from 1."""
    from matplotlib.ticker import MaxNLocator

    epochs = [row.get("epoch", i) + 1 for i, row in enumerate(history)]
    marker = "." if len(history) < 10 else ""
    late = [0.0] if from_zero else []
    for (label, key), colour in zip(lines.items(), colours, strict=True):
        values = [row.get(key, nan) for row in history]
        if any(map(isfinite, values)):
            ax.plot(epochs, values, color=colour, label=label, marker=marker)
        late += filter(isfinite, values[len(values) // 10 :])
    if late:  # the first tenth of the epochs would flatten all that comes after
        margin = 0.05 * (max(late) - min(late)) or 0.05 * abs(late[0]) or 1.0
        ax.set_ylim(min(late) - margin, max(late) + margin)
    if len(lines) <= 10 and ax.lines:
        ax.legend(fontsize=7, ncols=2 if len(lines) > 4 else 1)
    if epochs:
        ax.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    ax.set(title=title, xlabel="epoch", ylabel=unit)
