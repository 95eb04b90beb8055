"""GMVAE: two codes, the prior of one a mixture given the other (Dilokthanakul et al. 2016)."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import nn

from mixvae.errors import MixvaeError, at_least
from mixvae.likelihoods import Likelihood
from mixvae.nn import Shared
from mixvae.objectives import Objective, cluster_elbo
from mixvae.parts.decoders import Decoder, LowerLevel
from mixvae.parts.posteriors import ConditionalMixture, NormalPosterior
from mixvae.parts.priors import HierarchicalMixturePrior, NormalPrior

from .options import MixturePosteriorOptions, OneNetwork
from .recipe import Shape
from .registry import register


@register("gmvae")
@dataclass(frozen=True, kw_only=True)
class GMVAE(MixturePosteriorOptions, OneNetwork):
    """A VAE of two codes, one a mixture of clusters whose shapes depend on the other (GMVAE).

    Dilokthanakul et al., Deep unsupervised clustering with Gaussian mixture variational
    autoencoders, 2016. The paper's w is the upper code here, its latent x the lower one, which
    alone is decoded. The cluster is summed out exactly.
    """

    n_clusters: int = 10
    """Number C of normals in the prior of the lower code."""
    n_top: int = 10
    """Size of the upper code, which the clusters' means and scales are computed from."""
    n_latent: int = 10
    """Size of the lower code, which is decoded."""
    free_bits: float = 0.0
    """Least value of the clusters' KL in the bound elbo, lambda in the paper; nats. Above 0
    clusters are not pulled together while their KL is smaller, and the bound is looser."""
    bound: Literal["elbo", "iwae"] = "elbo"
    """Bound to maximise: elbo, or iwae, the importance-weighted bound."""

    def check(self) -> None:
        super().check()
        at_least(0, free_bits=self.free_bits)
        if self.free_bits and self.bound == "iwae":
            raise MixvaeError(
                f"free_bits is of the bound elbo alone, as iwae has no term of the clusters; got "
                f"free_bits {self.free_bits} with bound iwae. Use one or the other."
            )

    def make_posterior(self, x_shape: Shape) -> nn.Module:
        """Features to q(z2 | x) q(z1 | x), one normal."""
        return NormalPosterior(self.encoder_features(x_shape), self.n_top + self.n_latent, 1)

    def make_prior(self, x_shape: Shape) -> nn.Module:
        normals = self.conditional_normal(
            self.n_top, self.hidden[-1:], self.n_latent, self.n_clusters
        )
        clusters = ConditionalMixture(normals, self.n_clusters)
        return HierarchicalMixturePrior(NormalPrior(torch.zeros(self.n_top)), clusters)

    def make_decoder(self, x_shape: Shape, likelihood: Likelihood) -> Decoder:
        net = self.make_network(x_shape).decoder(self.n_latent, likelihood.n_params)
        return Decoder(Shared(nn.Sequential(LowerLevel(self.n_latent), net)), likelihood)

    def make_objective(self) -> Objective:
        if self.bound == "iwae":
            return super().make_objective()
        bound = partial(cluster_elbo, free_bits=self.free_bits)
        return Objective(bound, n_samples=self.n_samples, is_bound=True)
