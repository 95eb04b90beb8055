"""Examples that are not in the data: an uploaded image, a typed row, a CSV file of one row."""

import csv
from collections.abc import Mapping, Sequence
from io import BytesIO, StringIO
from math import isqrt
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.data import Dataset, MixedColumns, Transform
from mixvae.data.columns import listed
from mixvae.data.dataset import draw_rows
from mixvae.data.formats.image_file import decode_image
from mixvae.errors import MixvaeError, shown

MAX_PIXELS = 40_000_000
GREY = torch.tensor([0.299, 0.587, 0.114])  # weights of red, green and blue, ITU-R BT.601


class OtherShapeError(MixvaeError):
    """Error for an image of another shape than the model's, which can be resized."""


def image_shape(x_shape: Sequence[int]) -> tuple[int, int, int]:
    """Channels, height and width of x as an image; a flat x is a square grey one."""
    if len(x_shape) == 1:
        return (1, isqrt(x_shape[0]), isqrt(x_shape[0]))
    channels, height, width = (1, *x_shape)[-3:]
    return channels, height, width


def from_image(
    content: bytes, data: Dataset, *, resize: bool = False, invert: bool = False
) -> tuple[Float[Tensor, "1 *X"], list[str]]:
    """An image file as an example of a data set of images.

    Parameters
    ----------
    content
        The file's content: PNG, JPEG, BMP, GIF, WebP or TIFF, of 8 bits a channel.
    data
        The data that the model was trained on.
    resize
        Resize the image and convert it to grey or colour where its shape is not that of the data.
    invert
        Exchange light and dark.

    Returns
    -------
    x
        (1, *X), in [0, 1].
    notes
        What was done to the image, a sentence each.

    Raises
    ------
    MixvaeError
        For what is no image, or has more than 40 million pixels.
    OtherShapeError
        For an image of another shape, without ``resize``.
    """
    channels, height, width = image_shape(data.x_shape)
    if channels not in (1, 3):
        raise MixvaeError(f"x has {channels} channels, which no image file has; pick an example.")
    found = decode_image(BytesIO(content), "the file", max_pixels=MAX_PIXELS)
    notes = _changes(found.shape, (channels, height, width))
    if notes and not resize:
        own, model = _words(*found.shape), _words(height, width, *[3] * (channels == 3))
        raise OtherShapeError(f"the image is {own}; the model takes {model}. It can be converted.")
    if found.shape[:2] != (height, width):
        found = decode_image(BytesIO(content), "the file", (height, width), MAX_PIXELS)
    x = _channels(found, channels)
    if invert:
        x, notes = 1 - x, [*notes, "Light and dark were exchanged."]
    x, more = _as_data(x.reshape(1, *data.x_shape), data)
    return x, notes + more


def from_csv(text: str, data: Dataset) -> Float[Tensor, "1 D"]:
    """The one row of a CSV file as an example of a table.

    Parameters
    ----------
    text
        The file: a line with the names of the columns, in any order, and a row; or where columns
        have no names, a row alone.
    data
        The data that the model was trained on.

    Returns
    -------
    x
        (1, D), as the model sees it.

    Raises
    ------
    MixvaeError
        For columns that are missing, more than one row, and values that the columns do not take.
    """
    try:
        rows = [row for row in csv.reader(StringIO(text.removeprefix("\ufeff"))) if row]
    except csv.Error as error:
        raise MixvaeError(f"the file is no CSV ({error}).") from error
    names = data.transform.columns
    expected = 1 if names is None else 2
    if len(rows) != expected:
        head = "" if names is None else "a line with the names of the columns and "
        raise MixvaeError(f"expected {head}one row of values; got {len(rows)} lines.")
    if names is None:
        return from_texts(rows[0], data)
    given = dict(zip(*rows, strict=False))
    if len(rows[0]) != len(rows[1]):
        raise MixvaeError(
            f"the file names {len(rows[0])} columns, and its row has {len(rows[1])} values."
        )
    kept = set(data.transform.kept_columns or ())
    if missing := [name for name in names if name in kept and name not in given]:
        raise MixvaeError(f"the file lacks the columns {listed(missing)}.")
    return from_texts([given.get(name, "") for name in names], data)


def from_texts(
    values: Sequence[str] | Mapping[int, str], data: Dataset, base: Tensor | None = None
) -> Float[Tensor, "1 D"]:
    """A typed row as an example of a table, in the units of the data.

    Parameters
    ----------
    values
        A text for each of the columns of the source, or for some by their numbers; an empty one is
        a missing value.
    data
        The data that the model was trained on.
    base
        (1, D), the row whose values the other columns keep.

    Returns
    -------
    x
        (1, D), as the model sees it.

    Raises
    ------
    MixvaeError
        For another number of values, and values that their columns do not take.
    """
    like = data.seen("test").x[:1] if base is None else base
    stored = data.transform.invert(like).astype(object)
    n = stored.shape[1]
    if not isinstance(values, Mapping):
        if len(values) != n:
            raise MixvaeError(f"expected {n} values, one for each column; got {len(values)}.")
        values = dict(enumerate(values))
    for i, text in values.items():
        if not 0 <= i < n:
            raise MixvaeError(f"there are columns 0 ... {n - 1}; got {i}.")
        stored[0, i] = _value(text.strip(), i, data)
    return _converted(stored, data)


def _value(text: str, i: int, data: Dataset) -> Any:
    """A column's value: one of its categories, or a number."""
    if text == "":
        return None
    transform = data.transform
    name = transform.columns[i] if transform.columns else f"column {i}"
    own = transform.categories[i] if isinstance(transform, MixedColumns) else ()
    if own:
        named = {str(category): category for category in own}
        if text not in named:
            raise MixvaeError(f"{name} is one of {listed(list(named))}; got {shown(text)}.")
        return named[text]
    try:
        return float(text)
    except ValueError:
        raise MixvaeError(f"{name} is a number; got {shown(text)}.") from None


def _converted(stored: np.ndarray, data: Dataset) -> Float[Tensor, "1 D"]:
    transform = data.transform
    if not isinstance(transform, MixedColumns):
        stored = stored.astype(np.float64)  # None becomes NaN
    if isinstance(transform, Transform):  # which divides integers alone
        stored = stored / transform.scale
    x = transform.apply(stored)
    if np.isinf(x.numpy()).any():
        raise MixvaeError("values must be finite numbers.")
    return x


def _channels(pixels: np.ndarray, channels: int) -> Float[Tensor, "C H W"]:
    """8-bit pixels, (H, W) or (H, W, 3), in [0, 1], grey or coloured."""
    x = torch.from_numpy(pixels.astype(np.float32)) / 255
    if channels == 1:
        return (x @ GREY if x.dim() == 3 else x)[None]
    return x.movedim(2, 0) if x.dim() == 3 else x.expand(3, -1, -1)


def _changes(found: Sequence[int], to: tuple[int, int, int]) -> list[str]:
    """What has to be done to an image, a sentence each."""
    channels, height, width = to
    notes = []
    if tuple(found[:2]) != (height, width):
        turned = (
            "" if found[0] * width == found[1] * height else ", so that its sides' ratio changed"
        )
        notes.append(
            f"The image was resized from {found[0]} x {found[1]} to {height} x {width} pixels "
            f"(height x width){turned}."
        )
    if (len(found) == 3) != (channels == 3):
        notes.append(
            "Colours became grey." if channels == 1 else "Grey became three equal colours."
        )
    return notes


def _as_data(x: Float[Tensor, "1 *X"], data: Dataset) -> tuple[Float[Tensor, "1 *X"], list[str]]:
    """An image in [0, 1] with the levels of the data, and what was done."""
    if data.binarize == "threshold":
        return (x > 0.5).float(), ["Pixels above one half became 1, others 0, as in training."]
    if data.binarize == "dynamic":
        drawn = draw_rows(x, data.seed)
        return drawn, ["Pixels were sampled, 0 or 1, with the grey level as probability."]
    if data.is_binary:
        return (x > 0.5).float(), [
            "Pixels above one half became 1, others 0, as the data have them."
        ]
    if (n := data.n_trials) is not None:
        return (x * n).round() / n, [f"Pixels were rounded to the {n + 1} levels of the data."]
    return x, []


def _words(height: int, width: int, *colours: int) -> str:
    return f"{height} x {width} pixels (height x width) in {'colour' if colours else 'grey'}"
