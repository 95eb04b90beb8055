"""Images as a .png file, tiled, or as a .npy file."""

import sys
from collections.abc import Sequence
from math import ceil, sqrt
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.errors import MixvaeError
from mixvae.storage.files import write_array

MAX_COLUMNS = 12  # of originals and reconstructions


def check_path(path: Path, suffixes: tuple[str, ...]) -> None:
    """Raise a MixvaeError for a file of another kind, or in a folder that is not there.

    What is going to be replaced is said.
    """
    if path.suffix not in suffixes:
        kinds = " or ".join(filter(None, [", ".join(suffixes[:-1]), suffixes[-1]]))
        raise MixvaeError(f"the output must be a {kinds} file; got {path}.")
    check_folder(path)
    say_if_replaced(path)


def say_if_replaced(path: Path) -> None:
    """Print to stderr that a file is there already, which a command is about to replace."""
    if path.is_file():
        print(f"{path} is there already and will be replaced", file=sys.stderr)


def check_image(path: Path, x_shape: tuple[int, ...]) -> None:
    """Raise a MixvaeError for a picture of what is no image."""
    if path.suffix == ".png" and not (len(x_shape) == 3 and x_shape[0] in (1, 3)):
        raise MixvaeError(f"x of shape {x_shape} is no image; write an array: --out FILE.npy")


def check_folder(path: Path) -> None:
    """Raise a MixvaeError for a file in a folder that is not there."""
    if not path.parent.is_dir():
        raise MixvaeError(f"{path}: there is no folder {path.parent}; make it first.")


def save(
    path: Path,
    images: Float[Tensor, "N *X"],
    title: str,
    *,
    above: Float[Tensor, "N *X"] | None = None,
    columns: Sequence[str] = (),
) -> Path:
    """Write images: tiled, with others above them, in a .png; themselves alone in a .npy.

    The columns of a picture may have names, which then go in turn.
    """
    if path.suffix == ".npy":
        write_array(path, images.numpy())
        return path
    from mixvae.plots.tiles import grid

    n_columns = len(columns) or (ceil(sqrt(len(images))) if above is None else MAX_COLUMNS)
    n_columns = min(len(images), n_columns)
    rows, labels = _rows(images, n_columns), [""]
    if above is not None:
        rows = torch.stack([_rows(above, n_columns), rows], 1).flatten(0, 1)
        labels = ["original", "reconstruction"]
    labels = labels * (len(rows) // len(labels))
    return grid(rows, labels, title, path, columns=columns[:n_columns])


def _rows(images: Float[Tensor, "N *X"], n_columns: int) -> Float[Tensor, "R n *X"]:
    """Rows of images, the last row padded with blank ones."""
    missing = -len(images) % n_columns
    blank = images.new_full((missing, *images.shape[1:]), torch.nan)
    return torch.cat([images, blank]).unflatten(0, (-1, n_columns))
