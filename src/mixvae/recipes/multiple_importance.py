"""SEMVAE (Kviman et al. 2022) and MISVAE (Hotti et al. 2024): multiple importance sampling."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from mixvae.nn.networks import encoders
from mixvae.parts.component_sampler import ComponentSubset
from mixvae.parts.posteriors import OneHotPosterior

from .options import ComponentOptions, MixturePosteriorOptions, OneDecoder
from .recipe import Shape
from .registry import register

Estimator = Literal["all", "some-to-all", "some-to-some"]


@dataclass(frozen=True, kw_only=True)
class MultipleImportance(MixturePosteriorOptions, OneDecoder, ComponentOptions):
    """A mixture posterior and one decoder, trained by multiple importance sampling."""

    hidden: Sequence[int] = (300, 300)
    bound: Literal["miselbo", "elbo", "iwae"] = "miselbo"
    """Bound to maximise. miselbo: the samples of each component inside a logarithm; elbo: each
    sample by itself; iwae: all samples of all components inside one logarithm (SIWAE)."""


@register("semvae")
@dataclass(frozen=True, kw_only=True)
class SEMVAE(MultipleImportance):
    """A mixture posterior of K encoders, with one decoder (SEMVAE).

    Kviman et al., AISTATS 2022.
    """

    n_components: int = 4
    """Number K of encoders; 1 is the IWAE, or with one sample the VAE."""


@register("misvae")
@dataclass(frozen=True, kw_only=True)
class MISVAE(MultipleImportance):
    """A mixture posterior of many components, by one encoder and the component's one-hot (MISVAE).

    Hotti et al. 2024.
    """

    n_components: int = 20
    """Number K of components (A in the paper)."""
    norm: Literal["group", "none"] = "group"  # no batch norm in what components share
    """Normalisation of a conv network: group or none."""
    estimator: Estimator = "some-to-all"
    """Components that a training step decodes. all: every one; some-to-all: a random subset,
    weighted under the mixture of all, which is unbiased; some-to-some: weighted under the subset's
    mixture, a looser bound whose steps cost the same for any K."""
    n_subset: int = 4
    """Number of components in the subset (S in the paper); all, if there are no more."""
    one_hot_width: int = 100
    """Width of the layer that reads the features of x and the component's one-hot."""

    def make_encoder(self, x_shape: Shape) -> nn.Module:
        return encoders(self.make_network(x_shape), 1)

    def make_posterior(self, x_shape: Shape) -> nn.Module:
        features, width = self.encoder_features(x_shape), self.one_hot_width
        return OneHotPosterior(features, self.n_latent, self.n_components, width)

    def make_sampler(self, x_shape: Shape) -> ComponentSubset | None:
        if self.estimator == "all" or self.n_subset >= self.n_components:
            return None
        return ComponentSubset(self.n_subset, whole=self.estimator == "some-to-all")
