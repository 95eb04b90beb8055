"""Training that goes on with a fitted ``DeepMixture``: warm starts, and passes over new rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.optim import Optimizer

from mixvae.data.rows import TensorOrRows
from mixvae.errors import MixvaeError, shown
from mixvae.recipes.building import BuiltRecipe
from mixvae.seeding import noise, seed_of
from mixvae.training.batches import Batches
from mixvae.training.loop import TRAIN
from mixvae.training.means import NonFiniteError, RunningMeans, with_sum

# Arguments that decide what the model is, and so cannot change in a warm start.
OF_THE_MODEL = (
    *("n_components", "n_latent", "hidden", "network", "likelihood", "standardize"),
    *("covariance_type", "reg_covar", "n_init", "recipe", "recipe_options", "binarize"),
)


def check_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse a warm start with other arguments of the model than those of the earlier fit."""
    for name in OF_THE_MODEL:
        if before[name] is not now[name] and repr(before[name]) != repr(now[name]):
            raise MixvaeError(
                f"warm_start goes on with the model of the earlier fit, for which {name} was "
                f"{shown(before[name])}; got {shown(now[name])}. Fit with warm_start=False for "
                "another model."
            )


@dataclass
class Passes:
    """Passes over rows that come in parts, each a step of one optimizer for every batch.

    Attributes
    ----------
    recipe
        The recipe, whose model is trained.
    optimizer
        Its optimizer, whose state is kept from part to part.
    seed
        Seed of the order of rows and of the noise.
    n
        Number of passes so far.
    """

    recipe: BuiltRecipe
    optimizer: Optimizer
    seed: int
    n: int = 0

    def over(
        self,
        x: TensorOrRows,
        weight: Float[Tensor, " N"] | None,
        batch_size: int,
        y: Int64[Tensor, " N"] | None = None,
    ) -> dict[str, float]:
        """Train on all rows, of labels y, once; return means of the objective and its terms."""
        model, objective, means = self.recipe.model, self.recipe.objective, RunningMeans()
        generator = torch.Generator().manual_seed(seed_of(self.seed, self.n))
        order = torch.randperm(len(x), generator=generator).tensor_split(-(-len(x) // batch_size))
        model.train()
        for i, batch in enumerate(Batches(x, y, order, weight=weight)):
            with noise(seed_of(self.seed, TRAIN, self.n, i)):
                terms = objective(model, batch.x, y=batch.y, weight=batch.weight)
            values = torch.stack(list(terms.values()))
            if not isfinite(float(values.detach().sum())):
                raise NonFiniteError(
                    f"the objective is not finite in batch {i + 1}; training stopped before a step "
                    "on it. Look at the rows, or fit with a smaller lr."
                )
            self.optimizer.zero_grad()
            (-values.sum()).backward()
            self.optimizer.step()
            means.add(tuple(terms), values.detach(), len(batch.x))
        model.eval()
        self.n += 1
        return {name: float(value) for name, value in with_sum(means.pop()).items()}
