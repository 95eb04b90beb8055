"""Comparison of a file with the function that it was made of."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mixvae.errors import MixvaeError

from .formats import Format
from .modules import Function, Value


@dataclass(frozen=True)
class Checked:
    """How far the outputs of a file are from those of the model.

    Attributes
    ----------
    rows
        The numbers of rows for which they were compared.
    max_difference
        The largest difference of each output, in its own units.
    """

    rows: list[int]
    max_difference: dict[str, float]

    def __str__(self) -> str:
        """One line."""
        each = ", ".join(f"{name} {value:.1e}" for name, value in self.max_difference.items())
        return f"max difference from the model for {', '.join(map(str, self.rows))} rows: {each}"


@torch.no_grad()
def compare(
    form: Format, path: Path, cases: Iterable[tuple[Tensor, ...]], function: Function
) -> Checked | None:
    """Compare a file's outputs with a function's.

    Parameters
    ----------
    form, path
        The file.
    cases
        Inputs, of several numbers of rows.
    function
        What it was made of.

    Returns
    -------
    Checked or None
        None where no package is installed that runs the file.

    Raises
    ------
    MixvaeError
        For outputs of other shapes or types, and where they differ by more than rounding.
    """
    call = form.read(path)
    if call is None:
        return None
    rows, largest = [], {value.name: 0.0 for value in function.outputs}
    for values in cases:
        rows.append(len(values[0]))
        each = zip(function.outputs, call(*values), function(*values), strict=True)
        for value, found, expected in each:
            _check(path, value, found, expected)
            difference = (found - expected).abs().nan_to_num(0.0)
            largest[value.name] = max(largest[value.name], float(difference.max()))
    return Checked(rows, largest)


def _check(path: Path, value: Value, found: Tensor, expected: Tensor) -> None:
    name, most = value.name, value.rounding
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        raise MixvaeError(
            f"{path.name}: {name} has shape {tuple(found.shape)} in {found.dtype}, and of the "
            f"model {tuple(expected.shape)} in {expected.dtype}."
        )
    try:
        torch.testing.assert_close(found, expected, rtol=most, atol=most, equal_nan=True)
    except AssertionError as error:
        lines = " ".join(str(error).split())
        raise MixvaeError(f"{path.name}: {name} differs from the model's. {lines}") from error
