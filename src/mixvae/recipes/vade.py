"""A VAE that clusters, under a mixture of normals: VaDE (Jiang et al. 2017)."""

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

    The paper's KL supposes one q(c | x) for all codes of x; here p(c | z) is summed out exactly,
    which is the same bound without that gap. The autoencoder before the start is trained whole,
    with the codes' noise, where the paper stacks it layer by layer.
    """

    n_clusters: int = 10
    """Number C of normals in the prior."""
    start: Literal["codes", "random"] = "codes"
    """How the prior starts. codes: train as an autoencoder first, and fit the prior to the codes;
    random: draw its means from N(0, I), which finds worse clusters."""
    start_epochs: int = 20
    """Epochs as an autoencoder, without the KL, before those of training, with start codes."""
    n_latent: int = 10

    def make_prior(self, x_shape: Shape) -> nn.Module:
        return GaussianMixturePrior(self.n_clusters, self.n_latent)

    def make_initialization(self, x_shape: Shape) -> Initialization | None:
        return Autoencoder(self.start_epochs) if self.start == "codes" else None

    def make_family(self) -> Family:
        return MixturePosterior()
