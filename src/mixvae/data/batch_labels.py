"""Batch labels of rows: names of technical batches, donors or sites, and their numbers."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from mixvae.errors import MixvaeError, shown

BatchName = str | int


def batch_numbers(
    batch: Any, n: int, where: str, names: Sequence[BatchName] | None = None
) -> tuple[Int64[Tensor, " N"], tuple[BatchName, ...]]:
    """The number of each row's batch, and the names of the batches in the order of their numbers.

    Parameters
    ----------
    batch
        The name of each row's batch, text or a whole number; one name stands for all n rows.
    n
        Number of rows.
    where
        What the rows are, for errors.
    names
        Those that a model knows; by default the names that occur, sorted, numbers first.

    Raises
    ------
    MixvaeError
        For another number of labels, labels that are missing or of other types, and a name that is
        not known.
    """
    given = _listed(batch, n, where)
    if names is None:
        names = sorted(set(given), key=lambda name: (isinstance(name, str), name))
    number = {name: i for i, name in enumerate(names)}
    unseen = [name for name in dict.fromkeys(given) if name not in number]
    if unseen:
        raise MixvaeError(
            f"{where}: unknown batch {listed(unseen)}; those that were given in training are "
            f"{listed(names)}. A model says nothing of other batches."
        )
    return torch.tensor([number[name] for name in given]), tuple(names)


def check_names(names: Any) -> tuple[BatchName, ...] | None:
    """Names of batches as read from a file; None where there are none."""
    if names is None:
        return None
    fine = isinstance(names, list | tuple) and names and all(map(_is_name, names))
    if not fine or len(set(names)) < len(names):
        raise MixvaeError(f"batches must be different names, text or numbers; got {shown(names)}.")
    return tuple(names)


def listed(names: Iterable[BatchName], most: int = 10) -> str:
    """Names for a message, at most ``most`` of them."""
    each = [repr(name) for name in names]
    return ", ".join(each[:most]) + (f", ... ({len(each)} in all)" if len(each) > most else "")


def _listed(batch: Any, n: int, where: str) -> list[BatchName]:
    """The names of all rows as Python's str and int."""
    if _is_name(batch) or isinstance(batch, np.str_ | np.integer):
        batch = [batch] * n
    values = batch.to_numpy() if hasattr(batch, "to_numpy") else batch
    try:
        array = np.asarray(values if hasattr(values, "shape") else list(values), object)
    except (TypeError, ValueError) as error:
        raise MixvaeError(f"{where}: batch must name the batch of each row: {error}.") from error
    if array.shape != (n,):
        raise MixvaeError(
            f"{where}: batch must have one name for each of the {n} rows, shape ({n},); got shape "
            f"{array.shape}."
        )
    found = [v.item() if isinstance(v, np.generic) else v for v in array.tolist()]
    for i, name in enumerate(found):
        is_na = type(name).__name__ in ("NAType", "NaTType")  # of pandas
        if name is None or is_na or name != name:
            raise MixvaeError(
                f"{where}: the batch of row {i} is missing; name it, or drop that row."
            )
        if not _is_name(name):
            raise MixvaeError(
                f"{where}: batches are named by text or whole numbers; got {shown(name)} in row "
                f"{i}."
            )
    return found


def _is_name(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))
