"""Transforms of either kind: read back from ``data.json``, and compared."""

from collections.abc import Mapping
from typing import Any

from mixvae.errors import MixvaeError, shown

from .columns import listed
from .mixed_columns import MixedColumns
from .standardization import Standardization
from .transform import Transform

AnyTransform = Transform | Standardization


def read_transform(values: Any) -> AnyTransform:
    """Read what ``to_dict`` of a `Transform` or a `Standardization` returned.

    Parameters
    ----------
    values
        The values by name.

    Returns
    -------
    Transform, Standardization or MixedColumns
        The same one.

    Raises
    ------
    MixvaeError
        For anything else.
    """
    if not isinstance(values, Mapping) or "mean" not in values:
        return Transform.from_dict(values)
    kind = MixedColumns if "kinds" in values else Standardization
    names = kind.__dataclass_fields__
    lists: Any = {k: _as_tuple(v) for k, v in values.items()}
    are_lists = all(isinstance(v, tuple) or (k, v) == ("columns", None) for k, v in lists.items())
    if set(values) != set(names) or not are_lists:
        raise MixvaeError(
            f"a data set's transform must have lists {', '.join(names)}; got {shown(values)}."
        )
    return kind(**lists)


def _as_tuple(value: Any) -> Any:
    """Nested lists as tuples."""
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def transform_difference(before: Any, now: AnyTransform) -> str:
    """How a transform differs from the record of another, perhaps damaged, in a few words."""
    try:
        was = read_transform(before)
    except MixvaeError:
        return f"transform was {shown(before)}, is {now}"
    if was.columns != now.columns:
        return f"columns were {_names(was)}, are {_names(now)}"
    if isinstance(was, Standardization) and isinstance(now, Standardization):
        return f"transform was {was}, is {now} by other means or standard deviations"
    return f"transform was {was}, is {now}"


def _names(transform: AnyTransform) -> str:
    return "without names" if transform.columns is None else listed(transform.columns)
