"""Rows of a table as a .csv or .npy file, in the units of the data."""

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from mixvae.data.mixed_columns import MixedColumns
from mixvae.data.transform_record import AnyTransform
from mixvae.storage.files import write_array, write_text

Axes = Mapping[str, Sequence[Any]]


def save_rows(
    path: Path, x: Float[Tensor, "*N D"], transform: AnyTransform | None, axes: Axes | None = None
) -> Path:
    """Write rows as the data's source has them: all its columns, with their names in a .csv.

    ``axes`` names the axes of x before the last, with the values along each; in a .csv these are
    columns before the others. Without it x has one such axis, which gets no column. A .npy file
    has the codes of categories in their place.
    """
    values = x.numpy() if transform is None else transform.invert(x)
    if path.suffix == ".npy":
        if isinstance(transform, MixedColumns):
            values = transform.unscale(x)
        write_array(path, values)
        return path
    axes = axes or {}
    keys = [axis.ravel() for axis in np.meshgrid(*axes.values(), indexing="ij")]
    rows = values.reshape(-1, values.shape[-1])
    names = (None if transform is None else transform.columns) or range(rows.shape[1])
    columns = dict(zip(axes, keys, strict=True))
    return write_columns(path, columns | dict(zip(map(str, names), rows.T, strict=True)))


def write_columns(path: Path, columns: Mapping[str, Any]) -> Path:
    """Write a .csv file of columns by name, whole or not at all; numbers with nine digits."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True):
        writer.writerow(f"{v:.9g}" if isinstance(v, float) else v for v in row)
    write_text(path, text.getvalue())
    return path
