"""Priors of pseudo-inputs: VampPrior (Tomczak & Welling 2018) and GMMpVAE (Guo et al. 2020)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isclose
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
    weights: Sequence[float] | None = None
    """Weights of the posterior's components, K positive numbers that sum to 1, such as 0.1 0.9. By
    default 1/K each."""
    learned_weights: bool = False
    """Learn the weights of the posterior, from the given ones."""
    matching: Matching = "greedy"
    """How the matched bound pairs components: greedy, as in the paper; optimal; or variational,
    which is not a bound."""
    decode: Literal["each", "average"] = "each"
    """What is decoded: the code of each component, or their average, which is not a bound and
    reproduces the paper's claims."""

    def check(self) -> None:
        super().check()
        if self.weights is not None and not self._are_weights(self.weights):
            raise MixvaeError(
                f"weights must be {self.n_components} positive numbers that sum to 1, one for each "
                f"component; got {list(self.weights)}."
            )
        if self.matching == "optimal" and self.n_components > MAX_COMPONENTS:
            raise MixvaeError(
                f"matching optimal tries all orders of at most {MAX_COMPONENTS} components; got "
                f"n_components {self.n_components}. Use matching greedy."
            )

    def _are_weights(self, values: Sequence[float]) -> bool:
        positive = len(values) == self.n_components and all(value > 0 for value in values)
        return positive and isclose(sum(values), 1, abs_tol=0.01)

    def single(self) -> Recipe:
        return replace(self, n_components=1, weights=None)

    def with_components(self, keep: Sequence[int]) -> Recipe:
        kept = [self.weights[k] for k in keep] if self.weights is not None else None
        weights = kept and [weight / sum(kept) for weight in kept]
        return replace(self, n_components=len(keep), weights=weights)

    def make_weights(self, x_shape: Shape) -> Weights:
        return CategoricalWeights(
            self.n_components, learned=self.learned_weights, probs=self.weights
        )

    def make_objective(self) -> Objective:
        bound, is_bound = super().make_objective().bound, True
        if self.bound == "matched":
            bound = partial(matched, matching=self.matching)
            is_bound = self.matching != "variational"
        if self.decode == "average":
            bound, is_bound = partial(averaged, bound=bound), False
        return Objective(bound, n_samples=self.n_samples, is_bound=is_bound)
