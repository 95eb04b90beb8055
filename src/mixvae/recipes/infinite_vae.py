"""The infinite VAE: a Dirichlet process mixture of VAEs (Abbasnejad et al. 2017), truncated."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from mixvae.data.dataset import Dataset
from mixvae.errors import MixvaeError
from mixvae.objectives import Objective, shared
from mixvae.parts.weights import SharedStickWeights, Weights

from .mixture_vae import ExactMixtureOptions
from .recipe import Shape
from .registry import register


@register("infinite-vae")
@dataclass(frozen=True, kw_only=True)
class InfiniteVAE(ExactMixtureOptions):
    """A Dirichlet process mixture of VAEs, truncated at K components (infinite VAE).

    Abbasnejad, Dick & van den Hengel, CVPR 2017, who sample which VAE each x is from. Here it is
    ``mixture-vae`` with a prior on the proportions, whose posterior is variational, and the
    component index is summed out exactly.
    """

    n_components: int = 20
    """Number K of VAEs at which the process is truncated."""
    concentration: float = 1.0
    """Concentration alpha_0 of the process; smaller values prefer fewer components."""
    n_train: int | None = None
    """Number N of training examples, by which the KL of the proportions is divided. By default that
    of the data; without data 1."""

    def check(self) -> None:
        super().check()
        if not self.concentration > 0:
            raise MixvaeError(
                f"concentration must be positive, such as 1; got {self.concentration}."
            )

    def decided_by(self, data: Dataset | None) -> dict[str, Any]:
        n_train = 1 if data is None else len(data.train)
        return super().decided_by(data) | {"n_train": n_train}

    def make_weights(self, x_shape: Shape) -> Weights:
        return SharedStickWeights(self.n_components, self.concentration)

    def finish_objective(self, objective: Objective) -> Objective:
        objective = super().finish_objective(objective)
        bound = partial(shared, bound=objective.bound, n_train=self.n_train or 1)
        return replace(objective, bound=bound)
