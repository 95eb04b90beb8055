"""Noise that depends on a few numbers and on nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

import torch

from .errors import seeds


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
def noise(seed: int | None) -> Iterator[None]:
    """Noise on the CPU from a seed, the generator as it was afterwards; or, by None, as it is."""
    if seed is None:
        yield
        return
    seeds(seed=seed)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        yield
