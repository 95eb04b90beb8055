"""Values of options: what an annotation allows, as plain Python and JSON have it."""

from collections.abc import Sequence
from dataclasses import MISSING, Field
from math import isfinite
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from ..errors import MixvaeError, at_least, one_of

KINDS: dict[Any, tuple[type, str]] = {
    bool: (bool, "true or false"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    str: (str, "text"),
    NoneType: (NoneType, "null"),
}
SEQUENCES = (Sequence, list, tuple)


def hints_of(recipe: type) -> dict[str, Any]:
    """The annotations of a recipe's class and of those it inherits from."""
    try:
        return get_type_hints(recipe)
    except (NameError, TypeError, AttributeError) as error:
        raise MixvaeError(
            f"the annotations of {recipe.__name__} cannot be read: {error}. Import the names that "
            "they use at the top of its file."
        ) from error


def check_hint(recipe: str, name: str, hint: Any) -> None:
    """Raise a MixvaeError unless JSON can hold what the annotation allows."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        inner = arguments
    elif origin in SEQUENCES:
        inner = tuple(each for each in arguments if each is not Ellipsis)
    elif origin is Literal or hint in KINDS:
        return
    else:
        shown = getattr(hint, "__name__", hint)
        raise MixvaeError(
            f"the option {name} of {recipe} is of type {shown}, which recipe.json cannot hold: "
            "options are bool, int, float, str, Literal, sequences of these, and None. Make "
            f"objects in a method, such as make_prior."
        )
    for each in inner:
        check_hint(recipe, name, each)


def checked(option: Field[Any], value: Any, hint: Any) -> Any:
    """An option's value as plain Python: sequences are tuples, NumPy's scalars are Python's.

    Raises:
        MixvaeError: for what the annotation does not allow, and for infinite numbers.
    """
    return _Check(option)(value, hint)


def as_json(value: Any) -> Any:
    """A checked value, its tuples as lists."""
    return [as_json(each) for each in value] if isinstance(value, tuple) else value


class _Check:
    """What one option may be."""

    def __init__(self, option: Field[Any]) -> None:
        self.name, self.default = option.name, option.default
        self.minimum = option.metadata.get("at_least", 1)

    def __call__(self, value: Any, hint: Any) -> Any:
        origin, arguments = get_origin(hint), get_args(hint)
        if isinstance(value, np.generic):
            value = value.item()
        if origin in (Union, UnionType):
            return self._union(value, arguments)
        if origin is Literal:
            if not any(value == each and type(value) is type(each) for each in arguments):
                one_of(self.name, value if isinstance(value, str) else repr(value), arguments)
            return value
        if origin in SEQUENCES:
            return self._sequence(value, hint, arguments)
        return self._scalar(value, hint)

    def _union(self, value: Any, hints: Sequence[Any]) -> Any:
        kinds = [hint for hint in hints if hint is not NoneType]
        if value is None and NoneType in hints:
            return None
        if len(kinds) == 1:
            return self(value, kinds[0])
        fitting = [hint for hint in kinds if _is_of(value, hint)]
        if not fitting:
            raise self._wrong(hints, value)
        return self(value, fitting[0])

    def _sequence(self, value: Any, hint: Any, hints: Sequence[Any]) -> Any:
        if not isinstance(value, (list, tuple)):
            raise self._wrong([hint], value)
        if get_origin(hint) is tuple and Ellipsis not in hints:
            if len(value) != len(hints):
                raise MixvaeError(f"{self.name} must be {len(hints)} values; got {list(value)}.")
            return tuple(self(each, own) for each, own in zip(value, hints, strict=True))
        return tuple(self(each, hints[0]) for each in value)

    def _scalar(self, value: Any, hint: Any) -> Any:
        if not _is_of(value, hint):
            raise self._wrong([hint], value)
        if hint is float:
            if not isfinite(value):
                raise MixvaeError(f"{self.name} must be a finite number; got {value}.")
            return float(value)
        if hint is int:
            at_least(self.minimum, **{self.name: value})
            return int(value)
        return value

    def _wrong(self, hints: Sequence[Any], value: Any) -> MixvaeError:
        allowed = [self._words(hint) for hint in hints]
        expected = " or ".join(filter(None, [", ".join(allowed[:-1]), allowed[-1]]))
        return MixvaeError(f"{self.name} must be {expected}; got {value!r}.")

    def _words(self, hint: Any) -> str:
        if get_origin(hint) is Literal:
            return " or ".join(map(repr, get_args(hint)))
        if hint in KINDS:
            return KINDS[hint][1]
        usual = self.default if self.default is not MISSING else None
        return f"a list, such as {list(usual)}" if isinstance(usual, (list, tuple)) else "a list"


def _is_of(value: Any, hint: Any) -> bool:
    """Whether the value is of the kind that an annotation names, not looking into sequences."""
    if get_origin(hint) is Literal:
        return any(value == each and type(value) is type(each) for each in get_args(hint))
    if get_origin(hint) in SEQUENCES:
        return isinstance(value, (list, tuple))
    return isinstance(value, KINDS[hint][0]) and isinstance(value, bool) == (hint is bool)
