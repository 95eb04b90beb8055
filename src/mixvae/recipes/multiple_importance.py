"""Multiple importance sampling: K encoders (Kviman et al. 2022), or one for all (MISVAE, 2024)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from mixvae.families import Family, MixturePosterior
from mixvae.nn.networks import encoders
from mixvae.objectives import Bound, Objective, iwae, miselbo, mixture_elbo
from mixvae.parts.component_sampler import ComponentSubset
from mixvae.parts.posteriors import OneHotPosterior

from .options import ComponentOptions, OneDecoder
from .recipe import Shape
from .registry import register

BoundName = Literal["miselbo", "elbo", "iwae"]
Estimator = Literal["all", "some-to-all", "some-to-some"]
BOUNDS: Mapping[BoundName, Bound] = {"miselbo": miselbo, "elbo": mixture_elbo, "iwae": iwae}


@dataclass(frozen=True, kw_only=True)
class MultipleImportance(OneDecoder, ComponentOptions):
    """A mixture posterior under one decoder, trained by multiple importance sampling."""

    hidden: Sequence[int] = (300, 300)
    bound: BoundName = "miselbo"
    """What to maximise. miselbo: each component's samples inside a logarithm; elbo: none; iwae: all
    samples of all components (SIWAE)."""
    n_samples: int = 1
    """Number S of samples a component."""

    def make_family(self) -> Family:
        return MixturePosterior()

    def make_objective(self) -> Objective:
        return Objective(BOUNDS[self.bound], n_samples=self.n_samples, is_bound=True)


@register("semvae")
@dataclass(frozen=True, kw_only=True)
class SEMVAE(MultipleImportance):
    """A mixture posterior by K encoders, under one decoder (SEMVAE)."""

    n_components: int = 4
    """Number K of encoders; 1 is the IWAE, or with one sample the VAE."""


@register("misvae")
@dataclass(frozen=True, kw_only=True)
class MISVAE(MultipleImportance):
    """A mixture posterior of many components by one encoder that is told which (MISVAE)."""

    n_components: int = 20
    """Number K of components (A in the paper)."""
    norm: Literal["group", "none"] = "group"  # nothing that components share reads the batch
    """Normalisation of a conv network: group or none."""
    estimator: Estimator = "some-to-all"
    """What a training step decodes. all: every component; some-to-all: a random subset, under the
    mixture of all, which is unbiased; some-to-some: under the subset's own mixture, a looser bound
    whose steps cost the same for any K."""
    n_subset: int = 4
    """Components in that subset (S in the paper), if there are more."""
    one_hot_width: int = 100
    """Width of the layer that reads x's features and the component's one-hot."""

    def make_encoder(self, x_shape: Shape) -> nn.Module:
        return encoders(self.make_network(x_shape), 1)

    def make_posterior(self, x_shape: Shape) -> nn.Module:
        features, width = self.encoder_features(x_shape), self.one_hot_width
        return OneHotPosterior(features, self.n_latent, self.n_components, width)

    def make_sampler(self, x_shape: Shape) -> ComponentSubset | None:
        if self.estimator == "all" or self.n_subset >= self.n_components:
            return None
        return ComponentSubset(self.n_subset, whole=self.estimator == "some-to-all")
