"""Values of options, checked against annotations and converted to plain Python and JSON."""

from collections.abc import Callable, Sequence
from dataclasses import Field
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from mixvae.errors import MixvaeError, finite, shown, unknown, whole

KINDS: dict[Any, tuple[type, str]] = {
    bool: (bool, "true or false"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    str: (str, "text"),
    NoneType: (NoneType, "null"),
}
SEQUENCES = (Sequence, list, tuple)


def _hints_of(recipe: type) -> dict[str, Any]:
    """The annotations of a recipe's class and of those it inherits from."""
    try:
        return get_type_hints(recipe)
    except (NameError, TypeError, AttributeError) as error:
        raise MixvaeError(
            f"the annotations of {recipe.__name__} cannot be read: {error}. Import the names that "
            "they use at the top of its file."
        ) from error


hints_of: Callable[[type], dict[str, Any]] = cache(_hints_of)  # as mypy finds no hash of a class


def check_hint(recipe: str, name: str, hint: Any) -> None:
    """Raise a MixvaeError unless JSON can hold what the annotation allows."""
    for kind in _alternatives(hint):
        if get_origin(kind) in SEQUENCES:
            for inner in get_args(kind):
                if inner is not Ellipsis:
                    check_hint(recipe, name, inner)
        elif get_origin(kind) is not Literal and kind not in KINDS:
            raise MixvaeError(
                f"the option {name} of {recipe} is of type {getattr(kind, '__name__', kind)}, "
                "which recipe.json cannot hold: options are bool, int, float, str, Literal, "
                "sequences of these, and None. Make objects in a method, such as make_prior."
            )


def checked(option: Field[Any], value: Any, hint: Any) -> Any:
    """An option's value in plain Python: sequences as tuples, NumPy's scalars as Python's.

    Raises a MixvaeError for a value that the annotation does not allow, and for infinite numbers.
    """
    if isinstance(value, np.generic):
        value = value.item()
    kind = next((kind for kind in _alternatives(hint) if _is_of(value, kind)), None)
    if kind is None:
        raise _wrong(option, value, _alternatives(hint))
    if get_origin(kind) in SEQUENCES:
        inner = get_args(kind)
        inner = inner if _is_fixed(kind) else inner[:1] * len(value)
        return tuple(checked(option, v, own) for v, own in zip(value, inner, strict=True))
    if kind is int:
        whole(option.metadata.get("at_least", 1), **{option.name: value})
        return int(value)
    if kind is float:
        finite(**{option.name: value})
        return float(value)
    return value


def as_json(value: Any) -> Any:
    """A checked value, its tuples as lists."""
    return [as_json(v) for v in value] if isinstance(value, tuple) else value


def listed(value: Any, hint: Any) -> Any:
    """One number in place of an option's list of numbers, as a list; any other value as it is."""
    if isinstance(value, np.generic):
        value = value.item()
    kinds = _alternatives(hint)
    lists = [kind for kind in kinds if get_origin(kind) in SEQUENCES and not _is_fixed(kind)]
    inner = [get_args(kind)[0] for kind in lists if get_args(kind)[0] in (int, float)]
    is_other = any(_is_of(value, kind) for kind in kinds)
    return (value,) if not is_other and any(_is_of(value, kind) for kind in inner) else value


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The members of a union."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _is_fixed(hint: Any) -> bool:
    """Whether a sequence's annotation gives its length."""
    return get_origin(hint) is tuple and Ellipsis not in get_args(hint)


def _is_of(value: Any, hint: Any) -> bool:
    """Whether the value is of a kind; the entries of sequences are not checked."""
    if get_origin(hint) is Literal:
        return any(type(value) is type(c) and value == c for c in get_args(hint))
    if get_origin(hint) in SEQUENCES:
        is_list = isinstance(value, (list, tuple))
        return is_list and (not _is_fixed(hint) or len(get_args(hint)) == len(value))
    return isinstance(value, KINDS[hint][0]) and isinstance(value, bool) == (hint is bool)


def _wrong(option: Field[Any], value: Any, hints: Sequence[Any]) -> MixvaeError:
    """The error for a value that no annotation allows."""
    choices = [c for hint in hints if get_origin(hint) is Literal for c in get_args(hint)]
    if choices and isinstance(value, str) and not {int, float} & set(hints):
        return unknown(option.name, value, choices)
    allowed = [_described(hint, option.default) for hint in hints]
    expected = " or ".join(filter(None, [", ".join(allowed[:-1]), allowed[-1]]))
    return MixvaeError(f"{option.name} must be {expected}; got {shown(value)}.")


def _described(hint: Any, default: Any) -> str:
    """What an annotation allows, in words."""
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if get_origin(hint) not in SEQUENCES:
        return KINDS[hint][1]
    length = f" of {len(get_args(hint))}" if _is_fixed(hint) else ""
    is_example = isinstance(default, (list, tuple)) and default
    example = f", such as {list(default)}" if is_example else ""
    return f"a list{length}{example}"
