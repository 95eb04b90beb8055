"""MSVI: a mixture of experts as the posterior of one code (Kurle et al. 2019)."""

from dataclasses import dataclass
from typing import Literal

from mixvae.objectives import Objective, expert_elbos
from mixvae.parts.weights import CategoricalWeights, GatingWeights, Weights

from .multiple_importance import SEMVAE
from .recipe import Shape
from .registry import register


@register("msvi")
@dataclass(frozen=True, kw_only=True)
class MSVI(SEMVAE):
    """A mixture posterior of K encoders, the experts, with weights computed from x (MSVI).

    After Kurle, Guennemann & van der Smagt, Multi-source neural variational inference, AAAI 2019,
    whose encoders read one source each; here all read x, as in the comparisons of Ye & Bors (TNNLS
    2021, Section V-E). It is ``semvae`` with another bound and weights of x.
    """

    n_components: int = 4
    """Number K of encoders; 1 is the VAE."""
    bound: Literal["elbo", "experts", "miselbo", "iwae"] = "elbo"  # type: ignore[assignment]
    """Bound to maximise. elbo: that of the whole mixture; experts: the weighted mean of the
    experts' own, which is looser; miselbo: the samples of each expert inside a logarithm; iwae: all
    samples inside one logarithm (SIWAE)."""
    weights: Literal["gating", "uniform"] = "gating"
    """Weights of the experts. gating: a softmax of a linear layer of their features; uniform:
    1/K."""

    def make_weights(self, x_shape: Shape) -> Weights:
        if self.weights == "uniform":
            return CategoricalWeights(self.n_components)
        return GatingWeights(self.encoder_features(x_shape), self.n_components)

    def make_objective(self) -> Objective:
        if self.bound == "experts":
            return Objective(expert_elbos, n_samples=self.n_samples, is_bound=True)
        return super().make_objective()
