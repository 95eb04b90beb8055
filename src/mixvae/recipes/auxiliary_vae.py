"""The VAE with an auxiliary variable in its posterior (Maaløe et al. 2016)."""

from dataclasses import dataclass

from torch import nn

from mixvae.parts.auxiliary import AuxiliaryPosterior
from mixvae.parts.posteriors import NormalPosterior

from .options import Autoencoder, ImportanceWeighted
from .recipe import Shape
from .registry import register


@register("auxiliary-vae")
@dataclass(frozen=True, kw_only=True)
class AuxiliaryVAE(ImportanceWeighted, Autoencoder):
    """The VAE whose posterior is a mixture over an auxiliary variable (AAVE, ADGM).

    Maaløe et al., Auxiliary deep generative models, ICML 2016: the model without labels. The
    networks of q(z | a, x) and p(a | x, z) read the features of one encoder, where the paper has
    one of x for each.
    """

    n_auxiliary: int = 40
    """Size A of the auxiliary variable."""

    def make_posterior(self, x_shape: Shape) -> nn.Module:
        features, n, width = self.encoder_features(x_shape), self.n_auxiliary, self.hidden[-1:]
        return AuxiliaryPosterior(
            NormalPosterior(features, n, 1),
            conditional=self.conditional_normal(features + n, width, self.n_latent),
            reverse=self.conditional_normal(features + self.n_latent, width, n),
        )
