"""Noise that depends on a few numbers and on nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from threading import RLock

import torch

from .errors import seeds

CPU = torch.device("cpu")
_GENERATORS = RLock()  # PyTorch's default generators are one for all threads


def seed_of(*numbers: int) -> int:
    """One 64-bit seed of several numbers: a step's noise depends on nothing but these.

    So a resumed run draws what the uninterrupted one would have, and no random state is stored.
    """
    return int.from_bytes(blake2b(repr(numbers).encode(), digest_size=8).digest())


def seed_noise(seed: int, device: torch.device) -> None:
    """Seed what draws on the CPU and on one device.

    As ``torch.manual_seed``, which also tells every kind of accelerator that has not been used yet,
    and writes down a stack trace for each: half a millisecond and more, at every step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


@contextmanager
def noise(seed: int | None, device: torch.device = CPU) -> Iterator[None]:
    """Draw from the default generators, seeded, and leave them as they were.

    One thread at a time is let in, so that what it draws is decided by its seed alone, however many
    threads train. A thread may come in again while it is there. Without a seed, nothing is done.
    """
    if seed is None:
        yield
        return
    seeds(seed=seed)
    with _GENERATORS:
        before = torch.default_generator.get_state()
        other = None if device.type == "cpu" else torch.get_device_module(device)
        theirs = None if other is None else other.get_rng_state()
        try:
            seed_noise(seed, device)
            yield
        finally:
            torch.default_generator.set_state(before)
            if other is not None:
                other.set_rng_state(theirs)
