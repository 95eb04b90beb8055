"""What a search tries: values of options, or ranges of numbers."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from math import prod
from typing import Any

from mixvae.errors import MixvaeError, finite, is_number, shown

SYNTAX = "NAME=LOW:HIGH, NAME=LOW:HIGH:log, NAME=LOW:HIGH:STEP, or NAME=VALUE,VALUE,..."
Point = dict[str, Any]


@dataclass(frozen=True)
class Range:
    """A range of numbers, both ends included; whole numbers where both ends are.

    Parameters
    ----------
    low, high
        The ends.
    log
        Whether the logarithm is sampled evenly, for sizes and rates.
    step
        Distance of the numbers that are tried; by default all.

    Examples
    --------
    >>> Range(2, 64, log=True).is_whole
    True
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        """Check the ends."""
        finite(low=self.low, high=self.high)
        if not self.low < self.high:
            raise MixvaeError(
                f"a range must rise, as 2:64 does; got {self.low}:{self.high}. For one value, give "
                "the option itself."
            )
        if self.log and self.low <= 0:
            raise MixvaeError(
                f"a log range begins above 0; got {self.low}:{self.high}:log. Leave :log out, or "
                "begin higher."
            )
        if self.step is not None and (self.log or not 0 < self.step <= self.high - self.low):
            raise MixvaeError(
                f"the step of a range is above 0 and at most its width, without :log; got "
                f"{self.step} of {self.low}:{self.high}."
            )

    @property
    def is_whole(self) -> bool:
        """Whether its numbers are whole."""
        return all(isinstance(n, int) for n in (self.low, self.high, self.step or 1))

    @property
    def ends(self) -> tuple[Any, ...]:
        """Both ends, which are tried for their type before anything is trained."""
        return (self.low, self.high)


@dataclass(frozen=True)
class Choice:
    """Values to choose from, in order, each once.

    Parameters
    ----------
    values
        The values; lists become tuples.
    """

    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        """All of them."""
        return self.values


Dimension = Range | Choice
Space = dict[str, Dimension]


def space_of(given: Mapping[str, Any]) -> Space:
    """The space that a mapping of options to values, ranges or texts gives.

    Parameters
    ----------
    given
        For each option a sequence of values, a :class:`Range`, or a text such as "2:64:log".

    Returns
    -------
    Space
        Dimensions by option.

    Raises
    ------
    MixvaeError
        For a dimension without values, or a space of one point.

    Examples
    --------
    >>> space_of({"n_components": [2, 5], "lr": "1e-4:1e-2:log"})["lr"]
    Range(low=0.0001, high=0.01, log=True, step=None)
    """
    found = {name: _dimension(name, values) for name, values in given.items()}
    if size(found) == 1:
        raise MixvaeError(
            "the space of the search has one point; give an option several values, such as "
            "--n-components 2 5 10 or --space lr=1e-4:1e-2:log, or train it: mixvae train."
        )
    return found


def size(space: Space) -> float:
    """Number of points; infinite where there is a range."""
    if any(isinstance(one, Range) for one in space.values()):
        return float("inf")
    return prod(len(one.values) for one in space.values() if isinstance(one, Choice))


def grid(space: Space) -> Iterator[Point]:
    """Every point of a space of choices, the last option changing fastest."""
    choices = [one.values for one in space.values() if isinstance(one, Choice)]
    for values in product(*choices):
        yield dict(zip(space, values, strict=True))


def corners(space: Space) -> Iterator[Point]:
    """Points in which each value, and each end of a range, occurs at least once."""
    first = {name: one.ends[0] for name, one in space.items()}
    for name, one in space.items():
        for value in one.ends:
            yield first | {name: value}


def parse(text: str) -> tuple[str, Dimension]:
    """A dimension as the command line has it.

    Parameters
    ----------
    text
        ``NAME=LOW:HIGH``, then ``:log`` or ``:STEP`` if wanted; or ``NAME=VALUE,VALUE,...``.

    Returns
    -------
    name, dimension
        The option, with underscores, and its values.

    Raises
    ------
    MixvaeError
        For anything else.

    Examples
    --------
    >>> parse("n_latent=2:64:log")
    ('n_latent', Range(low=2, high=64, log=True, step=None))
    >>> parse("hidden=[100,100],[50]")
    ('hidden', Choice(values=((100, 100), (50,))))
    """
    name, equals, values = text.partition("=")
    if not (name and equals and values):
        raise MixvaeError(f"--space takes {SYNTAX}; got {text!r}.")
    name = name.strip().removeprefix("--").replace("-", "_")
    return name, _dimension(name, values)


def to_json(space: Space) -> dict[str, Any]:
    """A space in JSON's types."""
    return {
        name: asdict(one) if isinstance(one, Range) else {"values": _lists(one.values)}
        for name, one in space.items()
    }


def from_json(content: Mapping[str, Any]) -> Space:
    """A space as :func:`to_json` gives it; raises a MixvaeError for anything else."""
    try:
        return {
            name: Choice(tuples(one["values"])) if "values" in one else Range(**one)
            for name, one in content.items()
        }
    except (TypeError, KeyError, AttributeError) as error:
        raise MixvaeError(f"it holds no space of a search: {error}.") from error


def plain(point: Point) -> Point:
    """A point with lists in place of tuples, as in JSON."""
    return {name: _lists(value) for name, value in point.items()}


def in_words(point: Mapping[str, Any]) -> str:
    """The options of a point in a line."""
    return ", ".join(f"{name} {short(value)}" for name, value in point.items())


def short(value: Any) -> str:
    """A value in few characters."""
    return f"{value:.4g}" if isinstance(value, float) else shown(value).strip("'")


def _dimension(name: str, given: Any) -> Dimension:
    if isinstance(given, Range | Choice):
        return given
    if isinstance(given, str):
        return _range(name, given) if ":" in given else _choice(name, _values(given))
    if isinstance(given, Sequence):
        return _choice(name, given)
    raise MixvaeError(
        f"{name} must be several values, a Range, or a text such as '2:64:log'; got {shown(given)}."
    )


def _choice(name: str, values: Sequence[Any]) -> Choice:
    """A choice whose values are plain and occur once."""
    found = list(dict.fromkeys(map(tuples, values)))
    if not found:
        raise MixvaeError(f"{name} has no values to try; give some, such as 2, 5, 10.")
    return Choice(tuple(found))


def _range(name: str, text: str) -> Range:
    low, high, *rest = (part.strip() for part in text.split(":"))
    ends = [_value(low), _value(high)]
    step = [_value(part) for part in rest if part != "log"]
    if len(rest) > 1 or not all(map(is_number, [*ends, *step])):
        raise MixvaeError(
            f"{name}: a range is LOW:HIGH, LOW:HIGH:log or LOW:HIGH:STEP; got {text}."
        )
    return Range(ends[0], ends[1], log="log" in rest, step=step[0] if step else None)


def _values(text: str) -> list[Any]:
    """The values in a text: JSON's, or words, separated by commas."""
    try:
        return list(json.loads(f"[{text}]"))
    except ValueError:
        return [_value(part.strip()) for part in text.split(",") if part.strip()]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return float(text)  # 1e-4 is JSON; .5 and 1. are not
    except ValueError:
        return text


def tuples(value: Any) -> Any:
    """A value with tuples in place of lists, and Python's numbers in place of NumPy's."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # NumPy's scalars
        value = value.item()
    return tuple(map(tuples, value)) if isinstance(value, list | tuple) else value


def _lists(value: Any) -> Any:
    return [_lists(v) for v in value] if isinstance(value, tuple) else value
