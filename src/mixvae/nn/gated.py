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
    """A network of gated layers, one for each width: (*, n_in) to (*, widths[-1])."""
    layers: list[nn.Module] = []
    for n, width in pairwise([n_in, *widths]):
        layers += [he(Linear(n, 2 * width)), nn.GLU(-1)]
    return nn.Sequential(*layers)


def he(layer: Layer) -> Layer:
    r"""The layer, its weights sampled from :math:`N(0, 2 / n)`, where an output reads n inputs.

    He et al. (2015), as in the papers of gated VAEs. Gates halve their input: after
    three gated layers half of the signal is left, and with torch's initialisation a fortieth. It is
    for the layers before gates, not for those whose outputs are parameters of a distribution.
    """
    n: float = layer.weight[0].numel()
    if isinstance(layer, nn.ConvTranspose2d):  # weights (in, out, ...); strides space the inputs
        n = layer.weight[:, 0].numel() / prod(layer.stride)
    nn.init.normal_(layer.weight, std=sqrt(2) / sqrt(n))
    return layer
