"""Means of the objective, its terms and the ELBO over data."""

from dataclasses import replace
from math import prod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.data.rows import TensorOrRows, parts_of
from mixvae.errors import fits_memory, is_a, whole
from mixvae.parts.labels import Classes
from mixvae.recipes.building import BuiltRecipe
from mixvae.trace import Trace

from .batches import check_x
from .one_pass import Batch, accumulate

ONE_ROW = "not defined for a single row: it is a statistic of several"
NO_DENSITY = "the likelihood is not a normalised density, so it has no bound on log p(x)"
NO_POSTERIOR = "the encoder is deterministic: there is no density q(z | x), and so no bound"


def bounds(
    recipe: BuiltRecipe,
    x: TensorOrRows,
    y: Classes | None = None,
    *,
    n_samples: int | None = None,
    batch_size: int = 500,
    seed: int = 0,
) -> dict[str, float | bool | str | None]:
    """Means over x of the objective, its terms, and the recipe's bound on log p(x), in nats.

    Parameters
    ----------
    recipe
        A recipe, whose model is in any mode, to which it returns.
    x
        (N, *X).
    y
        (N,), the classes of x, for a conditional model.
    n_samples
        Samples S; None is the objective's own number, on which the value of an importance-weighted
        objective depends.
    batch_size
        Rows at a time. Penalties (dHSIC, MMD and others) are statistics of a batch of this size:
        they, and the objective, depend on it, and are not defined for a batch of one row.
    seed
        Seed of the noise.

    Returns
    -------
    means
        ``objective``, the sum of its terms ``objective/NAME``; ``objective_is_bound``, whether that
        is known to be a lower bound on log p(x); and ``elbo``, which is one. Where the likelihood
        is not a normalised density, or the encoder deterministic, ``elbo`` is None and
        ``elbo_note`` gives the reason. Where a
        batch is a single row, the penalties and ``objective`` are None and ``objective_note`` gives
        the reason.

    Raises
    ------
    MixvaeError
        For fewer than one sample, a batch size under 1, or data outside the likelihood's support.

    Examples
    --------
    >>> import mixvae, torch
    >>> recipe = mixvae.build("vae", (4,), n_latent=2)
    >>> list(bounds(recipe, torch.zeros(3, 4)))
    ['objective/log_lik', 'objective/kl_z', 'objective', 'elbo', 'objective_is_bound']
    """
    is_a(BuiltRecipe, "such as run.recipe", recipe=recipe)
    check_x(recipe.model, x, y)
    whole(1, batch_size=batch_size)
    accumulator = Bounds(recipe, x, n_samples=n_samples, batch_size=batch_size)
    accumulate(recipe.model, x, y, [accumulator], batch_size=batch_size, seed=seed)
    return accumulator.result()


class Bounds:
    """Accumulator of :func:`bounds`, whose checks it makes."""

    def __init__(
        self, recipe: BuiltRecipe, x: TensorOrRows, *, n_samples: int | None, batch_size: int
    ) -> None:
        self.recipe = recipe
        self.n_samples = recipe.objective.n_samples if n_samples is None else n_samples
        whole(1, n_samples=self.n_samples)
        sizes = (self.n_samples, min(batch_size, len(x)), recipe.n_components, *recipe.x_shape)
        fits_memory(4 * prod(sizes), f"n_samples {self.n_samples} for each of {batch_size} rows")
        for part in parts_of(x):
            recipe.model.decoder.likelihood.check(part)
        self.sums: dict[str, float] = {}
        self.undefined: set[str] = set()
        self.n = 0

    def add(self, batch: Batch) -> None:
        self.n += len(batch.x)
        for name, value in _means(self.recipe, batch.trace(self.n_samples), batch.weight).items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value) * len(batch.x)
        self.undefined |= _undefined(self.recipe, len(batch.x))

    def result(self) -> dict[str, float | bool | str | None]:
        means: dict[str, Any] = {name: total / self.n for name, total in self.sums.items()}
        if self.undefined:
            means |= dict.fromkeys(self.undefined) | {"objective_note": ONE_ROW}
        means["objective_is_bound"] = self.recipe.objective_is_bound
        if self.recipe.bound is None:
            is_density = self.recipe.model.decoder.likelihood.is_density
            means |= {"elbo": None, "elbo_note": NO_POSTERIOR if is_density else NO_DENSITY}
        return means


def _undefined(recipe: BuiltRecipe, n_rows: int) -> set[str]:
    """Names of the means that a batch of so many rows lacks: a penalty needs two rows."""
    if n_rows > 1 or not recipe.objective.penalties:
        return set()
    return {"objective", *(f"objective/{name}" for name in recipe.objective.penalties)}


def _means(
    recipe: BuiltRecipe, trace: Trace, weight: Float[Tensor, " B"] | None
) -> dict[str, Tensor]:
    """Means over one batch, of the objective, its terms and the bound."""
    objective = recipe.objective
    if _undefined(recipe, len(trace.x)):
        objective = replace(objective, penalties={})
    terms = objective.terms(trace, weight=weight)
    means = {f"objective/{name}": value for name, value in terms.items()}
    means["objective"] = torch.stack([value.double() for value in terms.values()]).sum()
    if recipe.bound is not None:
        elbo = torch.stack(list(recipe.bound(trace).values())).double().sum(0)
        means["elbo"] = (elbo if weight is None else weight * elbo).mean()
    return means
