"""The objective and the valid bound on held-out data."""

from dataclasses import replace
from math import prod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.errors import fits_memory, is_a, whole
from mixvae.parts.labels import Classes
from mixvae.recipes.building import BuiltRecipe
from mixvae.trace import Trace

from .batches import check_x
from .one_pass import Batch, accumulate

ONE_ROW = "not defined of a single row: dHSIC is a statistic of several"
NO_DENSITY = "the likelihood is no density, so that no bound on log p(x) can be made of it"


def bounds(
    recipe: BuiltRecipe,
    x: Float[Tensor, "N *X"],
    y: Classes | None = None,
    *,
    n_samples: int | None = None,
    batch_size: int = 500,
    seed: int = 0,
) -> dict[str, float | bool | str | None]:
    """Means over x of the objective, its terms, and the recipe's bound on log p(x), in nats.

    Args:
        recipe: its model is left in the mode that it came in.
        x: (N, *X).
        y: (N,), the classes of x, which a conditional model needs; others do not read them.
        n_samples: samples S; None is the objective's own number, without which an
            importance-weighted objective would be another one.
        batch_size: rows at a time. Penalties (dHSIC) are statistics of a batch of this size: with
            another one they, and the objective, differ a little. Of a batch of one row there are
            none.
        seed: of the noise.

    Returns:
        ``objective``, the sum of its terms ``objective/NAME``; ``objective_is_bound``, whether that
        is known to be a lower bound on log p(x); and ``elbo``, which is one, or None, with the
        reason under ``elbo_note``, where the likelihood is no density. A penalty, and with it the
        objective, is None where a batch is a single row; ``objective_note`` then says so.

    Raises:
        MixvaeError: for fewer than one sample, a batch size under 1, or data that the likelihood
            has no density for.
    """
    is_a(BuiltRecipe, "such as run.recipe", recipe=recipe)
    check_x(recipe.model, x, y)
    whole(1, batch_size=batch_size)
    meter = Bounds(recipe, x, n_samples=n_samples, batch_size=batch_size)
    accumulate(recipe.model, x, y, [meter], batch_size=batch_size, seed=seed)
    return meter.result()


class Bounds:
    """What :func:`bounds` returns, of data that come in batches.

    Raises:
        MixvaeError: for fewer than one sample, or data that the likelihood has no density for.
    """

    def __init__(
        self, recipe: BuiltRecipe, x: Tensor, *, n_samples: int | None, batch_size: int
    ) -> None:
        self.recipe = recipe
        self.n_samples = recipe.objective.n_samples if n_samples is None else n_samples
        whole(1, n_samples=self.n_samples)
        sizes = (self.n_samples, min(batch_size, len(x)), recipe.n_components, *recipe.x_shape)
        fits_memory(4 * prod(sizes), f"n_samples {self.n_samples} for each of {batch_size} rows")
        recipe.model.decoder.likelihood.check(x)
        self.sums: dict[str, float] = {}
        self.undefined: set[str] = set()
        self.n = 0

    def add(self, batch: Batch) -> None:
        self.n += len(batch.x)
        for name, value in _means(self.recipe, batch.trace(self.n_samples)).items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value) * len(batch.x)
        self.undefined |= _undefined(self.recipe, len(batch.x))

    def result(self) -> dict[str, float | bool | str | None]:
        means: dict[str, Any] = {name: total / self.n for name, total in self.sums.items()}
        if self.undefined:
            means |= dict.fromkeys(self.undefined) | {"objective_note": ONE_ROW}
        means["objective_is_bound"] = self.recipe.objective_is_bound
        if self.recipe.bound is None:
            means |= {"elbo": None, "elbo_note": NO_DENSITY}
        return means


def _undefined(recipe: BuiltRecipe, n_rows: int) -> set[str]:
    """The means that a batch of so many rows has not: penalties are statistics of several."""
    if n_rows > 1 or not recipe.objective.penalties:
        return set()
    return {"objective", *(f"objective/{name}" for name in recipe.objective.penalties)}


def _means(recipe: BuiltRecipe, trace: Trace) -> dict[str, Tensor]:
    """The means over one batch."""
    objective = recipe.objective
    if _undefined(recipe, len(trace.x)):
        objective = replace(objective, penalties={})
    terms = objective.terms(trace)
    means = {f"objective/{name}": value for name, value in terms.items()}
    means["objective"] = torch.stack([value.double() for value in terms.values()]).sum()
    if recipe.bound is not None:
        means["elbo"] = torch.stack(list(recipe.bound(trace).values())).double().sum(0).mean()
    return means
