"""Memory that a step frees is kept for the next one."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # of glibc's mallopt
KEEP = {TRIM_THRESHOLD: 2**31 - 1, MMAP_MAX: 0}
USUAL = {TRIM_THRESHOLD: 2**26, MMAP_THRESHOLD: 2**25, MMAP_MAX: 65536}  # what it adapts to
_lock, _users = Lock(), [0]  # threads that train


@contextmanager
def kept_memory() -> Iterator[None]:
    """While it lasts, glibc hands no freed memory back to the system; on others nothing changes.

    By default every tensor of some MiB is mapped, page by page, when it is allocated, and unmapped
    when it is freed: 3 to 13% of the time of a step with large activations on a CPU. Until the end,
    the process keeps the most that it needed at a time. Of several threads the last one ends it.
    """
    _count(1)
    try:
        yield
    finally:
        _count(-1)


def _count(change: int) -> None:
    """Count the threads that train; the first and the last of them change the settings."""
    libc: Any = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(libc, "malloc_trim"):  # musl has a mallopt of no effect
        return
    with _lock:
        _users[0] += change
        for option, value in (KEEP if _users[0] else USUAL).items():
            libc.mallopt(option, value)
        if not _users[0]:
            libc.malloc_trim(0)
