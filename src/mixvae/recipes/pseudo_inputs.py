"""Priors made of posteriors: VampPrior (Tomczak & Welling 2018) and GMMpVAE (Guo et al. 2020)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import nn

from mixvae.errors import MixvaeError
from mixvae.families import Family, MixturePosterior
from mixvae.nn.networks import NetworkName
from mixvae.objectives import (
    Bound,
    Matching,
    Objective,
    averaged,
    iwae,
    matched,
    miselbo,
    mixture_elbo,
)
from mixvae.objectives.matched import MAX_COMPONENTS
from mixvae.parts.priors import VampPrior
from mixvae.parts.weights import CategoricalWeights, Weights

from .options import ComponentOptions, OneNetwork, PixelOptions
from .recipe import Recipe, Shape
from .registry import register

BoundName = Literal["elbo", "iwae", "miselbo", "matched"]
Start = Literal["data", "noise"]


@dataclass(frozen=True, kw_only=True)
class PseudoInputOptions(Recipe):
    """Pseudo-inputs, which a prior is made of."""

    n_pseudo_inputs: int = 500
    """Number C of pseudo-inputs."""
    pseudo_inputs: Start = "data"
    """Whether the pseudo-inputs start from training data or as noise."""

    def make_prior(self, x_shape: Shape) -> nn.Module:
        return VampPrior(x_shape, self.n_pseudo_inputs, from_data=self.pseudo_inputs == "data")


@register("vamp-prior")
@dataclass(frozen=True, kw_only=True)
class VampVAE(PseudoInputOptions, PixelOptions, OneNetwork):
    """The VAE under the mean posterior of learned pseudo-inputs."""

    network: NetworkName = "gated-mlp"
    hidden: Sequence[int] = (300, 300)
    bound: BoundName = "elbo"
    """What to maximise. elbo: against the exact prior; iwae: importance-weighted, all samples and
    components inside the logarithm (SIWAE); miselbo: samples alone; matched: the paper's, whose KL
    is loose."""
    n_samples: int = 1
    """Number S of samples a component."""

    def make_family(self) -> Family:
        return MixturePosterior()

    def make_objective(self) -> Objective:
        bounds: dict[BoundName, Bound] = {
            "elbo": mixture_elbo,
            "iwae": iwae,
            "miselbo": miselbo,
            "matched": matched,
        }
        return Objective(bounds[self.bound], n_samples=self.n_samples, is_bound=True)


@register("gmmp-vae")
@dataclass(frozen=True, kw_only=True)
class GMMpVAE(VampVAE, ComponentOptions):
    """A mixture posterior under the mean posterior of learned pseudo-inputs (GMMpVAE)."""

    n_components: int = 3
    """Number K of normals in the posterior; 1 is the VampPrior. The prior has C K normals."""
    learned_weights: bool = False
    """Learn the posterior's weights in place of 1/K."""
    matching: Matching = "greedy"
    """How the matched bound pairs components: greedy, as in the paper; optimal; or variational,
    which is no bound."""
    decode: Literal["each", "average"] = "each"
    """What is decoded: each component's code; or their average, which is no bound and reproduces
    the paper's claims."""

    def check(self) -> None:
        super().check()
        if self.matching == "optimal" and self.n_components > MAX_COMPONENTS:
            raise MixvaeError(
                f"matching optimal tries all orders, of at most {MAX_COMPONENTS} components; got "
                f"n_components {self.n_components}. Use matching greedy."
            )

    def make_weights(self, x_shape: Shape) -> Weights:
        return CategoricalWeights(self.n_components, learned=self.learned_weights)

    def make_objective(self) -> Objective:
        own = super().make_objective()
        bound, valid = own.bound, True
        if self.bound == "matched":
            bound, valid = partial(matched, matching=self.matching), self.matching != "variational"
        if self.decode == "average":
            bound, valid = partial(averaged, bound=bound), False
        return Objective(bound, n_samples=self.n_samples, is_bound=valid)
