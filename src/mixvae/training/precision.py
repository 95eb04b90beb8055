"""Which precision is fastest here: a measurement, not a guess."""

from functools import cache
from typing import Literal, get_args

import torch

from mixvae.errors import one_of
from mixvae.nn.linear import MEASURING, gain, linear

from .settings import Precision

PrecisionChoice = Literal["auto", "32", "bf16", "16"]
WORTH = 1.3  # times as fast: what products must gain, as casts cost something too
SIDE = 512


def chosen_precision(
    precision: PrecisionChoice, device: torch.device, *, is_table: bool = False
) -> Precision:
    """The precision asked for, or for ``auto`` the fastest that is as good.

    That is bf16 where the hardware multiplies it clearly faster than float32, else 32. It is 32 for
    tables, whose real values bfloat16 would round to two or three digits. Weights, Adam, densities,
    KLs and dHSIC are in float32 either way.
    """
    one_of("precision", str(precision), get_args(PrecisionChoice))
    if precision != "auto":
        return precision
    if is_table:
        return "32"
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    return "bf16" if device.type == "cpu" and cpu_gain() >= WORTH else "32"


@cache
def cpu_gain() -> float:
    """How many times as fast a product is in bfloat16 as in float32: measured once, under 0.1 s."""
    a = torch.ones(SIDE, SIDE)
    half = a.to(torch.bfloat16)
    with MEASURING, torch.no_grad():
        return gain(lambda: linear(a, a), lambda: linear(half, half))
