"""M-VAE: K VAEs whose outputs are averaged (Ye & Bors, IPTA 2020)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from mixvae.likelihoods import Likelihood
from mixvae.nn.networks import decoders
from mixvae.parts.decoders import Decoder, separate, weighted_sum

from .joint import JointMixture
from .recipe import Shape
from .registry import register

Combine = Literal["blend", "mixture", "expected"]


@register("m-vae")
@dataclass(frozen=True, kw_only=True)
class AveragedVAEs(JointMixture):
    """K VAEs whose outputs are averaged by Dirichlet weights (M-VAE).

    Ye & Bors, IPTA 2020.
    """

    creation_order: ClassVar = ("decoder", "encoder", "posterior", "weights", "prior")

    n_latent: int = 20
    combine: Combine = "blend"
    """Reading of the paper's (8), first term. blend: log p(x | weighted mean of the means);
    mixture: log sum_k w_k p(x | z_k); expected: sum_k w_k log p(x | z_k)."""

    @property
    def from_mean(self) -> bool:
        return self.combine == "blend"

    def make_decoder(self, x_shape: Shape, likelihood: Likelihood) -> Decoder:
        net = self.make_network(x_shape)
        branch = decoders(net, self.n_components, self.n_latent, likelihood.n_params)
        if self.combine == "blend":
            return Decoder(nn.Sequential(branch, likelihood.link()), likelihood, weighted_sum)
        return Decoder(branch, likelihood, separate)

    @property
    def sums_expected_likelihoods(self) -> bool:
        return self.combine == "expected"
