"""Numbers near zero that a processor is slow with are taken as zero."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

DENORMAL = 1e-40  # below float32's smallest normal number, 1.2e-38


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """While it lasts, results below the smallest normal number are 0 in this thread, on the CPU.

    Gradients of components that are not responsible for a row are that small. Each operation on
    such a number takes a hundred times as long: a step of 50 components takes 2 to 3 times as long.
    """
    before = _flushes()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _flushes() -> bool:
    """Whether denormal numbers are zero now, for which PyTorch has no function."""
    return bool(torch.tensor([DENORMAL]) * 1 == 0)
