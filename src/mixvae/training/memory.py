"""Memory that a step frees is kept for the next one."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # of glibc's mallopt
KEEP = {TRIM_THRESHOLD: 2**31 - 1, MMAP_MAX: 0}
USUAL = {TRIM_THRESHOLD: 2**26, MMAP_THRESHOLD: 2**25, MMAP_MAX: 65536}  # what it adapts to
_counting, _users = Lock(), [0]  # threads that train


@contextmanager
def kept_memory() -> Iterator[None]:
    """While it lasts, glibc hands no freed memory back to the system; on others nothing changes.

    By default every tensor of some MiB is mapped, page by page, when it is made, and unmapped when
    it is freed: 3 to 13% of the time of a step with large activations on a CPU. Until the end, the
    process keeps the most that it needed at a time. Of several threads the last one ends it.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "malloc_trim"):  # musl has a mallopt of no effect
        yield
        return
    try:
        _count(libc, 1)
        yield
    finally:
        _count(libc, -1)


def _count(libc: ctypes.CDLL, change: int) -> None:
    with _counting:
        _users[0] += change
        for option, value in (KEEP if _users[0] else USUAL).items():
            libc.mallopt(option, value)
        if not _users[0]:
            libc.malloc_trim(0)
