"""The one error that people see: something they gave cannot be used, and how to mend it."""

from collections.abc import Iterable
from difflib import get_close_matches


class MixvaeError(ValueError):
    """Input that cannot be used. The message says what was expected, what came, what to do."""


class MixvaeWarning(UserWarning):
    """Input that is used, but is likely not what was meant. The message says what to do."""


def unknown(what: str, name: str, known: Iterable[str]) -> MixvaeError:
    """The error for a name that is not in ``known``, with the nearest one that is."""
    known = sorted(known)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return MixvaeError(f"unknown {what} {name!r}.{hint} Known: {', '.join(known)}.")


def at_least(minimum: float, **values: float) -> None:
    """Raise unless every named value is a number no smaller than ``minimum``."""
    for name, value in values.items():
        if not value >= minimum:  # a NaN fails too
            raise MixvaeError(f"{name} must be at least {minimum}; got {value}.")


def one_of(what: str, value: str, known: Iterable[str]) -> None:
    """Raise unless ``value`` is one of ``known``."""
    if value not in (known := tuple(known)):
        raise unknown(what, str(value), known)
