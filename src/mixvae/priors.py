"""Priors: encode -> p(z | k), batch (K,) or (), event (L,).

A prior is handed ``encode``, the model's own map from data to its aggregated posterior, so that a
prior made of pseudo-inputs need not own the encoder.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

Encode = Callable[[Tensor], Distribution]


class NormalPrior(nn.Module):
    """N(loc, I). A ``loc`` of shape (K, L) gives each component a prior of its own."""

    loc: Tensor

    def __init__(self, loc: Tensor) -> None:
        super().__init__()
        self.register_buffer("loc", loc)

    def forward(self, encode: Encode) -> Distribution:
        normal = Normal(self.loc, torch.ones_like(self.loc), validate_args=False)
        return Independent(normal, 1, validate_args=False)
