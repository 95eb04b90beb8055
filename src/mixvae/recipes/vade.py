"""VaDE: the VAE under a mixture of normals (Jiang et al. 2017)."""

from dataclasses import dataclass
from typing import Literal

from torch import nn

from mixvae.families import Family, MixturePosterior
from mixvae.initialization import Autoencoder, Initialization
from mixvae.parts.priors import GaussianMixturePrior

from .options import ImportanceWeighted, OneNetwork
from .recipe import Shape
from .registry import register


@register("vade")
@dataclass(frozen=True, kw_only=True)
class VaDE(ImportanceWeighted, OneNetwork):
    """The VAE under a learned mixture of normals, whose components are clusters (VaDE).

    Jiang et al., IJCAI 2017. The paper's KL uses one q(c | x) for all codes of x; here c is summed
    out exactly, which gives a tighter bound. The autoencoder is pretrained as a whole, with sampled
    codes, where the paper pretrains it layer by layer.
    """

    n_clusters: int = 10
    """Number C of normals in the prior."""
    start: Literal["codes", "random"] = "codes"
    """Initialisation of the prior. codes: pretrain as an autoencoder, and fit the prior to the
    codes; random: means sampled from N(0, I), which finds worse clusters."""
    start_epochs: int = 20
    """Epochs of pretraining, as an autoencoder without the KL, with start codes."""
    n_latent: int = 10

    def make_prior(self, x_shape: Shape) -> nn.Module:
        return GaussianMixturePrior(self.n_clusters, self.n_latent)

    def make_initialization(self, x_shape: Shape) -> Initialization | None:
        return Autoencoder(self.start_epochs) if self.start == "codes" else None

    def make_family(self) -> Family:
        return MixturePosterior()
