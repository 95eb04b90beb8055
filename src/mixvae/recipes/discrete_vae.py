"""The discrete VAE: binary codes with a Boltzmann machine as prior (Rolfe, ICLR 2017)."""

from dataclasses import dataclass

from torch import nn

from mixvae.errors import positive
from mixvae.parts.boltzmann import BinaryPosterior, BoltzmannPrior

from .options import Autoencoder
from .recipe import Shape
from .registry import register


@register("discrete-vae")
@dataclass(frozen=True, kw_only=True)
class DiscreteVAE(Autoencoder):
    """A VAE of binary codes whose prior is a restricted Boltzmann machine (discrete VAE).

    Rolfe, Discrete variational autoencoders, ICLR 2017, with independent codes given x, in place of
    a hierarchy of them, and without the paper's further layers of continuous codes.
    """

    n_latent: int = 64
    """Number L of binary codes, even: half of them on each side of the Boltzmann machine."""
    smoothing: float = 3.0
    """Slope beta of the density that smooths a code of 1; large values bring it near 1."""
    n_chains: int = 100
    """Number of Gibbs chains that the gradient of log Z comes from."""
    gibbs_steps: int = 10
    """Sweeps of Gibbs sampling for each training step."""

    def check(self) -> None:
        super().check()
        positive(smoothing=self.smoothing)

    def make_posterior(self, x_shape: Shape) -> nn.Module:
        return BinaryPosterior(
            self.encoder_features(x_shape), self.n_latent, self.n_components, self.smoothing
        )

    def make_prior(self, x_shape: Shape) -> nn.Module:
        chains = {"n_chains": self.n_chains, "gibbs_steps": self.gibbs_steps}
        return BoltzmannPrior(self.n_latent, self.smoothing, **chains)
