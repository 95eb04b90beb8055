"""Progress of long computations: a bar on a terminal, a plain line every 30 seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
SECONDS = 30.0  # between two lines


def on_terminal() -> bool:
    """Whether standard error is a terminal; it is None where it was closed before the start."""
    return sys.stderr is not None and sys.stderr.isatty()


def track(items: Iterable[T], what: str, total: int, *, show: bool = True) -> Iterator[T]:
    """Iterate over items, with progress on standard error.

    Parameters
    ----------
    items
        What is iterated over.
    what
        The label of the progress bar.
    total
        The number of items.
    show
        False shows nothing.

    Yields
    ------
    T
        The items.
    """
    with progress(what, total, show=show) as advance:
        for item in items:
            yield item
            advance(1)


@contextmanager
def progress(
    what: str, total: int | None, *, unit: str = "it", show: bool = True
) -> Iterator[Callable[[int], object]]:
    """Context with a function that advances the progress shown on standard error.

    A terminal shows a bar. A file gets a line every 30 seconds, and none of shorter work.

    Parameters
    ----------
    what
        The label.
    total
        The number of steps, or None if unknown.
    unit
        The name of a step; ``B`` counts bytes in kB, MB and so on.
    show
        False shows nothing.

    Yields
    ------
    Callable[[int], object]
        The function; its argument is the number of steps since its last call.
    """
    if show and not on_terminal():
        yield _Lines(what, total)
        return
    from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

    with tqdm(total=total, desc=what, unit=unit, unit_scale=unit == "B", disable=not show) as bar:
        yield bar.update


class _Lines:
    """Progress in lines: a counter that prints itself at intervals."""

    def __init__(self, what: str, total: int | None) -> None:
        self.what, self.total, self.done = what, total, 0
        self.started = self.printed = time.monotonic()

    def __call__(self, n: int) -> None:
        self.done += n
        now = time.monotonic()
        if now - self.printed < SECONDS:
            return
        self.printed = now
        of = f" of {self.total:,} ({self.done / self.total:.0%})" if self.total else ""
        seconds = now - self.started
        left = seconds / self.done * (self.total - self.done) if self.total and self.done else 0
        estimate = f", about {left:.0f} s left" if left else ""
        print(f"{self.what}: {self.done:,}{of}, {seconds:.0f} s{estimate}", file=sys.stderr)
