"""Grids of images, with row and column labels."""

from collections.abc import Sequence
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.data.dataset import is_square
from mixvae.errors import MixvaeError
from mixvae.model import MixtureVAE

from .figures import FRAME, check_png, panels, save, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWN = "mixvae.plots.profiles, marginals and pairs draw tables."
TILE = 64  # approximate width of an image of a grid, in pixels
CELL, LETTER = 0.75, 0.085  # widths of a cell and a letter, in inches
WIDEST = 24.0  # inches of cells in a row; more are drawn smaller


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
    """A grid of images with labels for rows and columns.

    Cells of NaN are blank. The cells (row, column) in ``framed`` have a frame; a line is above
    the rows in ``ruled``.
    """
    check_png(path)
    rows = _as_images(rows.detach().cpu().float())
    height = rows.shape[-2] / rows.shape[-1]  # of a cell, its width being 1
    n_rows, n = rows.shape[:2]
    cell = min(CELL, WIDEST / n)
    margin = LETTER * max(len(line) for label in labels for line in label.split("\n"))
    width = cell * n + margin + 0.5
    above = 0.2 * len(wrapped(title, width)) + 0.3
    fig, (ax,) = panels(1, width, cell * height * n_rows + above)
    _mosaic(ax, rows, TILE * cell / CELL)
    ax.set(xlim=(0, n), ylim=(n_rows, 0), aspect=height)
    ax.set_xticks([column + 0.5 for column in range(len(columns))], columns)
    ax.set_yticks([row + 0.5 for row in range(n_rows)], labels)
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    ax.spines[:].set_visible(False)
    _frame(ax, framed)
    ax.hlines(ruled, 0, n, colors=FRAME, linewidths=2)
    return save(fig, path, title)


def blank(like: Float[Tensor, "*B"], *shape: int) -> Tensor:
    """Cells that stay empty."""
    return like.new_full(shape, torch.nan)


def check_images(model: MixtureVAE) -> None:
    """Raise `MixvaeError` for a model of rows of a table."""
    likelihood = model.decoder.likelihood
    if likelihood.has_levels:
        _check(likelihood.x_shape)
    else:
        raise MixvaeError(f"the model is of real values, which are no images. {DRAWN}")


def _check(x_shape: Sequence[int]) -> None:
    if len(x_shape) == 1 and not is_square(x_shape[0]):
        raise MixvaeError(f"x of {x_shape[0]} columns is no image. {DRAWN}")


def _as_images(rows: Float[Tensor, "R n *X"]) -> Float[Tensor, "R n C H W"]:
    """Images of 1 or 3 colours; flat ones are square."""
    x_shape = rows.shape[2:]
    _check(x_shape)
    if len(x_shape) == 1:
        return rows.unflatten(2, (1, isqrt(x_shape[0]), -1))
    if len(x_shape) == 2:
        return rows.unsqueeze(2)
    if len(x_shape) == 3:
        return rows if x_shape[0] in (1, 3) else rows.mean(2, keepdim=True)
    raise MixvaeError(f"x of shape {tuple(x_shape)} is no image.")


def _mosaic(ax: "Axes", rows: Float[Tensor, "R n C H W"], size: float) -> None:
    n_rows, n, _, h, w = rows.shape
    zoom = max(1, int(size) // max(h, w))  # keeps gaps thin between small images
    tiles = rows.nan_to_num(1.0).clamp(0, 1)
    tiles = tiles.repeat_interleave(zoom, -2).repeat_interleave(zoom, -1)
    tiles = torch.nn.functional.pad(tiles, (2, 2, 2, 2), value=1.0)
    image = tiles.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    ax.imshow(image.expand(-1, -1, 3).numpy(), extent=(0, n, n_rows, 0))


def _frame(ax: "Axes", cells: Sequence[tuple[int, int]]) -> None:
    from matplotlib.patches import Rectangle

    for row, column in cells:
        ax.add_patch(Rectangle((column, row), 1, 1, fill=False, ec=FRAME, lw=2.5))
