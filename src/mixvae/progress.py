"""Progress of what takes long: a bar on a terminal, else a plain line now and then."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
SECONDS = 30.0  # between two lines


def track(items: Iterable[T], what: str, total: int, *, show: bool = True) -> Iterator[T]:
    """The items one by one, and on standard error how many of ``total`` are done."""
    with progress(what, total, show=show) as advance:
        for item in items:
            yield item
            advance(1)


@contextmanager
def progress(
    what: str, total: int | None, *, unit: str = "it", show: bool = True
) -> Iterator[Callable[[int], object]]:
    """A function to call with how much more is done; ``unit`` is ``B`` for bytes.

    On a terminal that draws a bar. Into a file it writes a line every 30 seconds: what takes less
    leaves nothing there.
    """
    if show and not sys.stderr.isatty():
        yield _Lines(what, total)
        return
    from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

    with tqdm(total=total, desc=what, unit=unit, unit_scale=unit == "B", disable=not show) as bar:
        yield bar.update


class _Lines:
    """Counts, and says so now and then."""

    def __init__(self, what: str, total: int | None) -> None:
        self.what, self.total, self.done = what, total, 0
        self.started = self.said = time.monotonic()

    def __call__(self, n: int) -> None:
        self.done += n
        now = time.monotonic()
        if now - self.said < SECONDS:
            return
        self.said = now
        of = f" of {self.total:,} ({self.done / self.total:.0%})" if self.total else ""
        print(f"{self.what}: {self.done:,}{of}, {now - self.started:.0f} s", file=sys.stderr)
