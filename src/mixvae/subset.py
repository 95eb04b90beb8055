"""Training with some of the components at a time (MISVAE, Hotti et al. 2024)."""

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor


@dataclass(frozen=True)
class Subset:
    """The components that a pass in training mode is made of: ``n``, drawn for the whole batch.

    Weights must be known and uniform. The posterior is asked for some of its components:
    ``posterior(h, some)``, ``some`` (S,). Codes of the subset are weighed under

    - the mixture of all components if ``whole`` (Some-to-All): unbiased for the bound of them all;
    - the mixture of the subset otherwise (Some-to-Some): that mixture's own bound, a looser one.
    """

    n: int
    whole: bool = True

    def draw(self, n_components: int) -> Int64[Tensor, " n"]:
        """Components, counted from 0, without replacement."""
        return torch.randperm(n_components)[: self.n]
