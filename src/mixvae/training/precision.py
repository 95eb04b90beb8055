"""Which precision is fastest here: a measurement, not a guess."""

import os
from functools import cache
from typing import Literal, get_args

import torch

from ..errors import one_of
from ..products import gain, linear
from .settings import Precision

PrecisionChoice = Literal["auto", "32", "bf16", "16"]
WORTH = 1.3  # times as fast: what products must gain, as casts cost something too
SIDE = 512
CHOSEN = "MIXVAE_PRECISION"  # tells the processes that Lightning starts what the first one chose


def chosen_precision(precision: PrecisionChoice, accelerator: str, process: int) -> Precision:
    """The precision asked for, or for ``auto`` the fastest that is as good.

    That is bf16 where the hardware multiplies it clearly faster than float32, else 32. Weights,
    Adam, densities, KLs and dHSIC are in float32 either way.
    """
    one_of("precision", str(precision), get_args(PrecisionChoice))
    if precision != "auto":
        return precision
    if process != 0 and CHOSEN in os.environ:
        return "bf16" if os.environ[CHOSEN] == "bf16" else "32"
    found: Precision = "bf16" if multiplies_bf16(accelerator) else "32"
    os.environ[CHOSEN] = found
    return found


def multiplies_bf16(accelerator: str) -> bool:
    """Whether the accelerator, as Lightning names it, gains by bfloat16."""
    if accelerator != "cpu" and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if accelerator == "cpu" or (accelerator == "auto" and not torch.backends.mps.is_available()):
        return cpu_gain() >= WORTH
    return False


@cache
def cpu_gain() -> float:
    """How many times as fast a product is in bfloat16 as in float32: measured once, under 0.1 s."""
    a = torch.ones(SIDE, SIDE)
    half = a.to(torch.bfloat16)
    with torch.no_grad():
        return gain(lambda: linear(a, a), lambda: linear(half, half))
