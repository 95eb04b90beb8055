"""The ladder VAE: levels of codes, inferred from the top down (Sonderby et al. 2016)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from mixvae.errors import MixvaeError
from mixvae.likelihoods import Likelihood
from mixvae.nn import Shared
from mixvae.objectives import Objective, elbo_of_levels
from mixvae.parts.decoders import Decoder, LowerLevel
from mixvae.parts.ladder import BottomUp, LadderPosterior, LadderPrior
from mixvae.parts.posteriors import NormalPosterior
from mixvae.parts.priors import NormalPrior

from .options import Autoencoder, ImportanceWeighted
from .recipe import Shape
from .registry import register


@register("ladder-vae")
@dataclass(frozen=True, kw_only=True)
class LadderVAE(ImportanceWeighted, Autoencoder):
    """A VAE of several levels of codes, whose posterior corrects the prior of each (ladder VAE).

    Sonderby, Raiko, Maaloe, Sonderby & Winther, NeurIPS 2016. The networks have no batch
    normalisation, and ReLU in place of leaky rectifiers. Warm-up is an option of training.
    """

    creation_order: ClassVar = (*Autoencoder.creation_order, "lower_prior")

    n_latent: int = 64
    """Size of the lowest code, z1, which is decoded."""
    n_upper: Sequence[int] = (32, 16, 8, 4)
    """Sizes of the codes above it, from z2 to the top one; none: the VAE."""
    level_hidden: Sequence[int] = (128, 128)
    """Widths of the networks from one level to the next, upward; downward they are mirrored."""

    def check(self) -> None:
        super().check()
        if not self.level_hidden:
            raise MixvaeError("level_hidden must name at least one width, such as [128]; got none.")

    def make_slots(self, x_shape: Shape, likelihood: Likelihood) -> Mapping[str, Any]:
        slots = super().make_slots(x_shape, likelihood)
        levels = list(slots["lower_prior"])
        posterior = LadderPosterior(slots["posterior"], levels)
        return {**slots, "posterior": posterior, "prior": LadderPrior(slots["prior"], levels)}

    def make_posterior(self, x_shape: Shape) -> nn.Module:
        """Features to the normals of the upward pass, of every level."""
        widths = [self.encoder_features(x_shape)] + [self.level_hidden[-1]] * len(self.n_upper)
        sizes = zip(widths, self._sizes, strict=True)
        heads = [NormalPosterior(n_features, n_latent, 1) for n_features, n_latent in sizes]
        nets = [self.vector_network(n_features, self.level_hidden) for n_features in widths[:-1]]
        return BottomUp(heads, [net.encoder() for net in nets])

    def make_prior(self, x_shape: Shape) -> nn.Module:
        """Prior of the top level."""
        return NormalPrior(torch.zeros(self._sizes[-1]))

    def make_lower_prior(self, x_shape: Shape) -> nn.Module:
        """p(z_i | z_{i+1}), from the second level down to the lowest."""
        pairs = zip(self._sizes[:0:-1], self._sizes[-2::-1], strict=True)
        return nn.ModuleList(self.conditional_normal(m, self.level_hidden, n) for m, n in pairs)

    def make_decoder(self, x_shape: Shape, likelihood: Likelihood) -> Decoder:
        net = self.make_network(x_shape).decoder(self.n_latent, likelihood.n_params)
        return Decoder(Shared(nn.Sequential(LowerLevel(self.n_latent), net)), likelihood)

    def make_objective(self) -> Objective:
        return Objective(elbo_of_levels, is_bound=True)

    @property
    def _sizes(self) -> tuple[int, ...]:
        """Sizes of the codes, the lowest first."""
        return (self.n_latent, *self.n_upper)
