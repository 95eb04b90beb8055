"""Noise that depends on a few numbers and on nothing else."""

from hashlib import blake2b

import torch


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
