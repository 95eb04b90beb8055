"""Hamiltonian variational inference (Salimans, Kingma & Welling 2015)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from mixvae.likelihoods import Likelihood
from mixvae.nn.networks import NetworkName
from mixvae.parts.auxiliary import HamiltonianPosterior, WithInput

from .options import ImportanceWeighted
from .recipe import Shape
from .registry import register
from .vae import VAE


@register("hvi")
@dataclass(frozen=True, kw_only=True)
class HVI(ImportanceWeighted, VAE):
    """The VAE whose codes move by Hamiltonian dynamics after they are encoded (HVI).

    Salimans, Kingma & Welling, Markov chain Monte Carlo and variational inference: bridging the
    gap, ICML 2015. Momenta are drawn from N(0, I), without the paper's network for them.
    """

    creation_order: ClassVar = (*VAE.creation_order, "reverse")

    n_iterations: int = 1
    """Number T of iterations, each with a new momentum and a reverse model of its own."""
    n_steps: int = 5
    """Leapfrog steps of an iteration; each takes a gradient of the decoder."""
    network: NetworkName = "gated-mlp"
    """Kind of the networks. Those with ReLU, mlp and conv, bias the gradient with which step sizes
    and encoder learn, as the slopes of their log p(x, z) jump."""

    def make_slots(self, x_shape: Shape, likelihood: Likelihood) -> Mapping[str, Any]:
        slots = super().make_slots(x_shape, likelihood)
        posterior = HamiltonianPosterior(
            *(slots[part] for part in ("posterior", "reverse", "decoder", "prior")),
            x_shape=x_shape,
            n_latent=self.n_latent,
            n_steps=self.n_steps,
        )
        return {**slots, "encoder": WithInput(slots["encoder"]), "posterior": posterior}

    def make_reverse(self, x_shape: Shape) -> nn.ModuleList:
        """Features and z to r(v | x, z), for each iteration."""
        n_inputs, width = self.encoder_features(x_shape) + self.n_latent, self.hidden[-1:]
        normals = (
            self.conditional_normal(n_inputs, width, self.n_latent)
            for _ in range(self.n_iterations)
        )
        return nn.ModuleList(normals)
