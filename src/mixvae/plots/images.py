"""Grids of x: originals, reconstructions and samples, one row under another."""

from collections.abc import Sequence
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from ..evaluation.passes import device_of, evaluating
from ..model import MixtureVAE
from .figures import panels, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TILE = 64  # pixels across one image of a grid, about


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


def _grid(
    rows: Float[Tensor, "R n *X"], labels: Sequence[str], title: str, path: str | Path
) -> Path:
    """Images, or lines where x is no image; each row is named at its left."""
    rows = _as_images(rows.detach().cpu().float())
    is_image = rows.dim() == 5
    height = rows.shape[-2] / rows.shape[-1] if is_image else 0.8  # of a cell, its width being 1
    n_rows, n = rows.shape[:2]
    fig, (ax,) = panels(1, 0.75 * n + 1.2, 0.75 * height * n_rows + 0.5)
    (_mosaic if is_image else _lines)(ax, rows)
    ax.set(xlim=(0, n), ylim=(n_rows, 0), aspect=height, xticks=[])
    ax.set_yticks([row + 0.5 for row in range(n_rows)], labels)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return save(fig, path, title)


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
