"""Rows of a table as a .csv or .npy file, in the units of the data."""

import csv
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from mixvae.data.mixed_columns import MixedColumns
from mixvae.data.transform_record import AnyTransform
from mixvae.errors import MixvaeError
from mixvae.storage.files import whole, write_array, write_text

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


def check_writer(path: Path) -> None:
    """Raise a MixvaeError for a .parquet file where pyarrow is not installed."""
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise MixvaeError(
            f"{path}: Parquet is written by pyarrow, which is not installed: "
            "pip install 'mixvae[tables]'."
        )


def write_columns(path: Path, columns: Mapping[str, Any]) -> Path:
    """Write columns by name, whole or not at all: as a .csv, a .parquet, or else a .npy file.

    A .csv has numbers with nine digits; a .npy file is a structured array.
    """
    if path.suffix == ".parquet":
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet as parquet  # type: ignore[import-untyped]

        with whole(path) as partial:
            parquet.write_table(pyarrow.table(dict(columns)), partial)
        return path
    if path.suffix == ".npy":
        arrays = {name: np.asarray(column) for name, column in columns.items()}
        kinds = [(name, array.dtype) for name, array in arrays.items()]
        write_array(path, np.rec.fromarrays([*arrays.values()], dtype=kinds).view(kinds))
        return path
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True):
        writer.writerow(f"{v:.9g}" if isinstance(v, float) else v for v in row)
    write_text(path, text.getvalue())
    return path
