"""Priors of pseudo-inputs: VampPrior (Tomczak & Welling 2018) and GMMpVAE (Guo et al. 2020)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import nn

from mixvae.errors import MixvaeError
from mixvae.nn.networks import NetworkName
from mixvae.objectives import Matching, Objective, averaged, matched
from mixvae.objectives.matched import MAX_COMPONENTS
from mixvae.parts.priors import VampPrior
from mixvae.parts.weights import CategoricalWeights, Weights

from .options import ComponentOptions, MixturePosteriorOptions, OneNetwork, PixelOptions
from .recipe import Recipe, Shape
from .registry import register

Start = Literal["data", "noise"]


@dataclass(frozen=True, kw_only=True)
class PseudoInputOptions(Recipe):
    """A prior of pseudo-inputs."""

    n_pseudo_inputs: int = 500
    """Number C of pseudo-inputs."""
    pseudo_inputs: Start = "data"
    """Initial pseudo-inputs: training examples, or noise."""

    def make_prior(self, x_shape: Shape) -> nn.Module:
        return VampPrior(x_shape, self.n_pseudo_inputs, from_data=self.pseudo_inputs == "data")


@register("vamp-prior")
@dataclass(frozen=True, kw_only=True)
class VampVAE(MixturePosteriorOptions, PseudoInputOptions, PixelOptions, OneNetwork):
    """The VAE whose prior is the mean posterior of learned pseudo-inputs (VampPrior).

    Tomczak & Welling, AISTATS 2018.
    """

    network: NetworkName = "gated-mlp"
    hidden: Sequence[int] = (300, 300)


@register("gmmp-vae")
@dataclass(frozen=True, kw_only=True)
class GMMpVAE(VampVAE, ComponentOptions):
    """A mixture posterior, and the mean posterior of learned pseudo-inputs as its prior (GMMpVAE).

    Guo et al. 2020.
    """

    n_components: int = 3
    """Number K of normals in the posterior; 1 is the VampPrior. The prior has C K normals."""
    learned_weights: bool = False
    """Learn the weights of the posterior, which otherwise are 1/K."""
    matching: Matching = "greedy"
    """How the matched bound pairs components: greedy, as in the paper; optimal; or variational,
    which is not a bound."""
    decode: Literal["each", "average"] = "each"
    """What is decoded: the code of each component, or their average, which is not a bound and
    reproduces the paper's claims."""

    def check(self) -> None:
        super().check()
        if self.matching == "optimal" and self.n_components > MAX_COMPONENTS:
            raise MixvaeError(
                f"matching optimal tries all orders of at most {MAX_COMPONENTS} components; got "
                f"n_components {self.n_components}. Use matching greedy."
            )

    def make_weights(self, x_shape: Shape) -> Weights:
        return CategoricalWeights(self.n_components, learned=self.learned_weights)

    def make_objective(self) -> Objective:
        bound, is_bound = super().make_objective().bound, True
        if self.bound == "matched":
            bound = partial(matched, matching=self.matching)
            is_bound = self.matching != "variational"
        if self.decode == "average":
            bound, is_bound = partial(averaged, bound=bound), False
        return Objective(bound, n_samples=self.n_samples, is_bound=is_bound)
