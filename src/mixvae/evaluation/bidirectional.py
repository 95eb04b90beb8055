"""Bidirectional Monte Carlo: log p(x) of a model's own samples, bracketed (Grosse et al. 2015)."""

from dataclasses import dataclass
from math import log, nan, sqrt
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Generator, Tensor
from torch.distributions import Categorical

from mixvae.errors import MixvaeError, seeds, whole
from mixvae.families import ExactMixture, Joint
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes
from mixvae.progress import progress as progress_bar
from mixvae.seeding import noise_from, seed_of

from .annealed import Annealing, Block
from .batches import check_model, device_of
from .chains import Path
from .latent_space import Latents
from .mode import evaluation_mode


@dataclass(frozen=True, eq=False)
class Bracket:
    """Stochastic lower and upper bounds on log p(x) of samples of a model, nats."""

    lower: Float64[Tensor, " n"]
    upper: Float64[Tensor, " n"]
    x: Float[Tensor, "n *X"]  # the samples

    @property
    def gap(self) -> Float64[Tensor, " n"]:
        """How far apart the bounds are; noise can make single gaps negative."""
        return self.upper - self.lower

    def to_dict(self) -> dict[str, Any]:
        """The means as plain numbers; ``gap_error`` is the standard error of the mean gap."""
        n = len(self.gap)
        return {
            "lower": float(self.lower.mean()),
            "upper": float(self.upper.mean()),
            "gap": float(self.gap.mean()),
            "gap_error": float(self.gap.std()) / sqrt(n) if n > 1 else nan,
            "gap_max": float(self.gap.max()),
            "n": n,
        }

    def __str__(self) -> str:
        d = self.to_dict()
        return (
            f"log p(x) of {d['n']} samples of the model: {d['lower']:.2f} to {d['upper']:.2f} nats "
            f"on average, a gap of {d['gap']:.3f} ± {d['gap_error']:.3f}, at most "
            f"{d['gap_max']:.3f}"
        )
