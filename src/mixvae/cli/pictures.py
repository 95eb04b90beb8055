"""Images as a .png file, tiled, or as a .npy file."""

from math import ceil, sqrt
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.errors import MixvaeError
from mixvae.storage.files import whole, write_array

MIN_WIDTH = 600  # pixels; small images are enlarged to it


def check_path(path: Path, suffixes: tuple[str, ...]) -> None:
    """Raise a MixvaeError for a file of another kind, or in a folder that is not there."""
    if path.suffix not in suffixes:
        kinds = " or ".join(filter(None, [", ".join(suffixes[:-1]), suffixes[-1]]))
        raise MixvaeError(f"the output must be a {kinds} file; got {path}.")
    check_folder(path)


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
    above: Float[Tensor, "N *X"] | None = None,
    n_columns: int | None = None,
) -> Path:
    """Write images: tiled, with others above them, in a .png; themselves alone in a .npy."""
    if path.suffix == ".npy":
        write_array(path, images.numpy())
        return path
    from matplotlib.image import imsave

    n_columns = n_columns or (ceil(sqrt(len(images))) if above is None else 16)
    n_columns = min(len(images), n_columns)
    rows = _rows(images, n_columns)
    if above is not None:
        rows = torch.stack([_rows(above, n_columns), rows], 1).flatten(0, 1)
    canvas = rows.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)  # (R H, n W, C)
    scale = ceil(MIN_WIDTH / canvas.shape[1])
    canvas = canvas.repeat_interleave(scale, 0).repeat_interleave(scale, 1).clamp(0, 1)
    with whole(path) as partial:
        imsave(partial, canvas.expand(-1, -1, 3).numpy(), format="png")
    return path


def _rows(images: Float[Tensor, "N C H W"], n_columns: int) -> Float[Tensor, "R n C H+1 W+1"]:
    """Rows of images with light lines between them, the last row padded with blank images."""
    framed = torch.nn.functional.pad(images, (0, 1, 0, 1), value=0.5)
    missing = -len(framed) % n_columns
    blank = framed.new_ones(missing, *framed.shape[1:])
    return torch.cat([framed, blank]).unflatten(0, (-1, n_columns))
