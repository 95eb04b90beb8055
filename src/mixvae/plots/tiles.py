"""Grids of examples, as images or lines, with row and column labels."""

from collections.abc import Sequence
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from .figures import panels, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TILE = 64  # approximate width of an image of a grid, in pixels
CELL, LETTER = 0.75, 0.085  # widths of a cell and a letter, in inches


def grid(
    rows: Float[Tensor, "R n *X"],
    labels: Sequence[str],
    title: str,
    path: str | Path,
    *,
    columns: Sequence[str] = (),
    framed: Sequence[tuple[int, int]] = (),
    ruled: Sequence[int] = (),
) -> Path:
    """A grid of images, or of lines where x is no image, with labels for rows and columns.

    Cells of NaN are blank. The cells (row, column) in ``framed`` have a frame; a line is above
    the rows in ``ruled``.
    """
    rows = _as_images(rows.detach().cpu().float())
    is_image = rows.dim() == 5
    height = rows.shape[-2] / rows.shape[-1] if is_image else 0.8  # of a cell, its width being 1
    n_rows, n = rows.shape[:2]
    margin = LETTER * max(len(line) for label in labels for line in label.split("\n"))
    fig, (ax,) = panels(1, CELL * n + margin + 0.5, CELL * height * n_rows + 0.5)
    (_mosaic if is_image else _lines)(ax, rows)
    ax.set(xlim=(0, n), ylim=(n_rows, 0), aspect=height)
    ax.set_xticks([column + 0.5 for column in range(len(columns))], columns)
    ax.set_yticks([row + 0.5 for row in range(n_rows)], labels)
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    ax.spines[:].set_visible(False)
    _frame(ax, framed)
    ax.hlines(ruled, 0, n, colors="C1", linewidths=2)
    return save(fig, path, title)


def blank(like: Float[Tensor, "*B"], *shape: int) -> Tensor:
    """Cells that stay empty."""
    return like.new_full(shape, torch.nan)


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
    zoom = max(1, TILE // max(h, w))  # keeps gaps thin between small images
    tiles = rows.nan_to_num(1.0).clamp(0, 1)
    tiles = tiles.repeat_interleave(zoom, -2).repeat_interleave(zoom, -1)
    tiles = torch.nn.functional.pad(tiles, (2, 2, 2, 2), value=1.0)
    image = tiles.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    ax.imshow(image.expand(-1, -1, 3).numpy(), extent=(0, n, n_rows, 0))


def _lines(ax: "Axes", rows: Float[Tensor, "R n D"]) -> None:
    from matplotlib.collections import LineCollection

    n_rows, n, d = rows.shape
    across = torch.arange(n).view(1, n, 1) + torch.linspace(0.06, 0.94, d)
    low, high = rows.nan_to_num(torch.inf).min(), rows.nan_to_num(-torch.inf).max()
    scaled = (rows - low) / (high - low).clamp_min(1e-12)
    down = torch.arange(n_rows).view(-1, 1, 1) + 0.92 - 0.84 * scaled
    lines = torch.stack([across.expand_as(down), down], -1).flatten(0, 1)
    ax.add_collection(LineCollection(list(lines.numpy()), colors="C0", linewidths=1))
    ax.hlines(range(1, n_rows), 0, n, colors="0.9", linewidths=0.8)


def _frame(ax: "Axes", cells: Sequence[tuple[int, int]]) -> None:
    from matplotlib.patches import Rectangle

    for row, column in cells:
        ax.add_patch(Rectangle((column, row), 1, 1, fill=False, ec="C1", lw=2))
