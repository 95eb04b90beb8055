"""Networks: MLPs and convolutions, and :class:`Stacked`, K copies of a network in batched calls."""

from .conv import ConvNetwork
from .linear import Linear
from .mlp import GatedMLPNetwork, MLPNetwork
from .networks import Network, NetworkName, Norm, decoders, encoders, network_of, sub_decoders
from .stacked import (
    MLP,
    POINTWISE,
    BoundedMean,
    ExpandComponents,
    Make,
    ReLU,
    Shared,
    Stacked,
    full_precision,
    relu,
)

__all__ = [
    "MLP",
    "POINTWISE",
    "BoundedMean",
    "ConvNetwork",
    "ExpandComponents",
    "GatedMLPNetwork",
    "Linear",
    "MLPNetwork",
    "Make",
    "Network",
    "NetworkName",
    "Norm",
    "ReLU",
    "Shared",
    "Stacked",
    "decoders",
    "encoders",
    "full_precision",
    "network_of",
    "relu",
    "sub_decoders",
]
