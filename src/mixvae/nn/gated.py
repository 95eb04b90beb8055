"""Gated layers, (W x + b) * sigmoid(V x + c) (VampPrior; GMMpVAE, Section V-A).

W and V are one layer of twice the width, which ``nn.GLU`` follows.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod, sqrt
from typing import TypeVar

from torch import nn

from .linear import Linear

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def gated(n_in: int, widths: Sequence[int]) -> nn.Module:
    """Gated layers, one for each width: (*, n_in) to (*, widths[-1])."""
    layers: list[nn.Module] = []
    for n, width in pairwise([n_in, *widths]):
        layers += [he(Linear(n, 2 * width)), nn.GLU(-1)]
    return nn.Sequential(*layers)


def he(layer: Layer) -> Layer:
    r"""The layer with weights drawn from :math:`N(0, 2 / n)`, n the inputs of one output.

    He et al.'s (2015) start, which the papers of gated VAEs take. It is the gates that need it, as
    they halve what passes: three layers leave a half of the signal, and with torch's own weights a
    fortieth. So the layers before gates have it, and those that make parameters do not.
    """
    n: float = layer.weight[0].numel()
    if isinstance(layer, nn.ConvTranspose2d):  # weights (in, out, ...); strides spread the inputs
        n = layer.weight[:, 0].numel() / prod(layer.stride)
    nn.init.normal_(layer.weight, std=sqrt(2) / sqrt(n))
    return layer
