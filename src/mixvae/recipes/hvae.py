"""HVAE: a VAE of two levels (Tomczak & Welling 2018, Section 5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from mixvae.likelihoods import Likelihood
from mixvae.nn.networks import NetworkName
from mixvae.parts.posteriors import HierarchicalPosterior, NormalPosterior
from mixvae.parts.priors import HierarchicalPrior, NormalPrior

from .options import MixturePosteriorOptions, OneNetwork, PixelOptions
from .pseudo_inputs import PseudoInputOptions
from .recipe import Shape
from .registry import register

PriorName = Literal["vamp", "normal"]


@register("hvae")
@dataclass(frozen=True, kw_only=True)
class HVAE(MixturePosteriorOptions, PseudoInputOptions, PixelOptions, OneNetwork):
    """A VAE with two levels of codes, the prior of the upper one of pseudo-inputs or normal (HVAE).

    Tomczak & Welling, AISTATS 2018, Section 5. One encoder serves both levels, where the authors'
    code has one for each; the decoder reads the codes concatenated, where theirs has a first layer
    for each.
    """

    creation_order: ClassVar = (
        *("lower_posterior", "prior", "encoder", "posterior", "weights", "decoder"),
        "lower_prior",
    )

    prior: PriorName = "vamp"
    """Prior of the upper level. vamp: the mean posterior of learned pseudo-inputs; normal:
    N(0, I)."""
    n_top: int = 40
    """Size of the upper code, z2."""
    n_latent: int = 40
    """Size of the lower code, z1."""
    network: NetworkName = "gated-mlp"
    hidden: Sequence[int] = (300, 300)
    """Widths of an mlp encoder's hidden layers, which the decoder mirrors; with every network, also
    those of the layers between the codes."""
    bound: Literal["elbo", "iwae"] = "elbo"
    """Bound to maximise: elbo, or iwae, the importance-weighted bound."""

    @property
    def decoder_inputs(self) -> int:
        return self.n_top + self.n_latent

    def make_slots(self, x_shape: Shape, likelihood: Likelihood) -> Mapping[str, Any]:
        slots = super().make_slots(x_shape, likelihood)
        posterior = HierarchicalPosterior(slots["posterior"], slots["lower_posterior"])
        prior = HierarchicalPrior(slots["prior"], slots["lower_prior"])
        return {**slots, "posterior": posterior, "prior": prior}

    def make_posterior(self, x_shape: Shape) -> nn.Module:
        """Features to q(z2 | x)."""
        return NormalPosterior(self.encoder_features(x_shape), self.n_top, 1)

    def make_lower_posterior(self, x_shape: Shape) -> nn.Module:
        """Features and z2 to q(z1 | x, z2)."""
        n_inputs = self.encoder_features(x_shape) + self.n_top
        return self.conditional_normal(n_inputs, self.hidden[-1:], self.n_latent)

    def make_prior(self, x_shape: Shape) -> nn.Module:
        """Prior of z2."""
        if self.prior == "normal":
            return NormalPrior(torch.zeros(self.n_top))
        return super().make_prior(x_shape)

    def make_lower_prior(self, x_shape: Shape) -> nn.Module:
        """z2 to p(z1 | z2)."""
        return self.conditional_normal(self.n_top, self.hidden, self.n_latent)
