"""The package's error and warning, and checks of values that raise them."""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any

LARGEST = 2**63 - 1  # PyTorch's sizes are 64-bit integers
LARGEST_FLOAT32 = 3.4028234e38


class MixvaeError(ValueError):
    """Error for input that cannot be used: what was expected, what was given, what to do."""


class MixvaeWarning(UserWarning):
    """Warning of input that can be used but is likely not what was meant, and what to do.

    The command line shows it in one line.
    """


def unknown(what: str, name: str, known: Iterable[str]) -> MixvaeError:
    """The error for an unknown name, with the nearest of those in ``known``."""
    known = sorted(known)
    lower = {one.lower(): one for one in reversed(known)}
    near = get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    hint = f" Did you mean {lower[near[0]]!r}?" if near else ""
    return MixvaeError(f"unknown {what} {name!r}.{hint} Known: {', '.join(known)}.")


def at_least(minimum: float, **values: Any) -> None:
    """Raise unless every named value is a finite number no smaller than ``minimum``."""
    for name, value in values.items():
        if not (is_number(value) and value >= minimum):
            raise MixvaeError(f"{name} must be at least {minimum}; got {shown(value)}.")
        finite(**{name: value})


def whole(minimum: int, maximum: int = LARGEST, **values: Any) -> None:
    """Check whole numbers.

    Parameters
    ----------
    minimum, maximum
        Their range, both included.
    **values
        The values, by the names that errors show.

    Raises
    ------
    MixvaeError
        For the first value that is not a whole number in that range.
    """
    for name, value in values.items():
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise MixvaeError(f"{name} must be a whole number; got {shown(value)}.")
        at_least(minimum, **{name: value})
        if int(value) > maximum:
            raise MixvaeError(f"{name} must be at most {maximum}; got {shown(value)}.")


def seeds(**values: Any) -> None:
    """Raise unless every named value can seed PyTorch's generators: 0 to 2**64 - 1."""
    whole(0, 2**64 - 1, **values)


def finite(**values: Any) -> None:
    """Raise unless every named value is a number that is finite in float32."""
    for name, value in values.items():
        if not is_number(value) or not abs(value) <= LARGEST_FLOAT32:
            raise MixvaeError(f"{name} must be a finite number; got {shown(value)}.")


def positive(**values: Any) -> None:
    """Raise unless every named value is a finite number above zero."""
    for name, value in values.items():
        if not (is_number(value) and value > 0):
            raise MixvaeError(f"{name} must be positive; got {shown(value)}.")
        finite(**{name: value})


def is_number(value: Any) -> bool:
    """Whether a value is a number; True and False are not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_a(kind: type | tuple[type, ...], advice: str, **values: Any) -> None:
    """Raise unless every named value is of a type; ``advice`` names one or says how to get it."""
    for name, value in values.items():
        if not isinstance(value, kind):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            expected = " or a ".join(k.__name__ for k in kinds if k is not type(None))
            raise MixvaeError(
                f"{name} must be a {expected} ({advice}); got {type(value).__name__}."
            )


def fits_memory(n_bytes: float, what: str) -> None:
    """Raise where something takes more memory than this machine has in all."""
    if n_bytes > (available := memory()):
        raise MixvaeError(
            f"{what} would take about {n_bytes / 2**30:,.0f} GiB of memory, and this machine has "
            f"{available / 2**30:,.0f} GiB; ask for less."
        )


def memory() -> int:
    """Bytes of this machine's memory; the largest size where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows
        return LARGEST


def shown(value: Any) -> str:
    """A value's repr for a message, in one line of at most 80 characters."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # thousands of digits, or a class whose repr fails
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def one_of(what: str, value: str, known: Iterable[str]) -> None:
    """Raise unless ``value`` is one of ``known``."""
    if value not in (known := tuple(known)):
        raise unknown(what, str(value), known)
