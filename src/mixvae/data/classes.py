"""Classes of rows by any name, and their numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mixvae.errors import MixvaeError, shown

from .batch_labels import listed

ClassName = str | int


def sorted_classes(*labels: Any, where: str) -> tuple[ClassName, ...]:
    """The different labels in sorted order, whole numbers as int and others as text.

    Raises `MixvaeError` for labels that cannot be sorted.
    """
    try:
        values = np.unique(np.concatenate([np.asarray(own) for own in labels])).tolist()
    except TypeError as error:
        raise MixvaeError(
            f"{where}: the labels cannot be sorted ({error}); make them of one type."
        ) from error
    return tuple(map(_name, values))


def numbered(labels: Any, names: Sequence[ClassName], where: str) -> np.ndarray:
    """The place of each label among the names, int64; raises `MixvaeError` for other labels."""
    number = {str(name): i for i, name in enumerate(names)}
    given = [str(_name(value)) for value in np.asarray(labels).reshape(-1).tolist()]
    unknown = [name for name in dict.fromkeys(given) if name not in number]
    if unknown:
        raise MixvaeError(
            f"{where}: unknown class {listed(unknown)}; those of the training data are "
            f"{listed(names)}. Leave out the rows of other classes, or all labels."
        )
    return np.array([number[name] for name in given], dtype=np.int64)


def check_class_names(names: Any) -> tuple[ClassName, ...] | None:
    """Names of classes as read from a file; None where there are none."""
    if names is None:
        return None
    fine = isinstance(names, list | tuple) and len(names) > 0
    fine = fine and all(isinstance(name, str | int) for name in names)
    if not fine or len(set(map(str, names))) < len(names):
        raise MixvaeError(f"classes must be different names, text or numbers; got {shown(names)}.")
    return tuple(names)


def are_text(labels: Any) -> bool:
    """Whether labels, which may be None, are text."""
    if labels is None:
        return False
    array = np.asarray(labels)
    return array.dtype.kind in "UT" or (
        array.dtype == object and all(isinstance(value, str) for value in array.flat)
    )


def _name(value: Any) -> ClassName:
    if isinstance(value, int | float) and not isinstance(value, bool) and value == int(value):
        return int(value)
    return str(value)
