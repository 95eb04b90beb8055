"""The figures of an epoch on validation data."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from mixvae.evaluation.health import ComponentHealth, HealthMeter
from mixvae.model import MixtureVAE
from mixvae.recipes.building import BuiltRecipe
from mixvae.seeding import noise, seed_of

from .batches import Batches
from .means import RunningMeans, with_sum

VAL = 2  # a stream of noise, beside that of training
HEALTH_ROWS = 1000  # of validation data, at least, from which component health is computed
Figures = dict[str, float]


def validate(
    recipe: BuiltRecipe,
    model: MixtureVAE,
    data: Batches,
    seed: int,
    autocast: Callable[[], AbstractContextManager[Any]],
) -> tuple[Figures, str | None]:
    """The objective at its final weights (whatever the warm-up), its terms, the ELBO and health.

    ``model`` is the recipe's own or an average of its weights. The noise is the same in every
    epoch and process, and so are decisions that rest on these figures.

    Returns
    -------
    figures
        By name.
    wrong
        The first of the means that is not finite, if there is one.
    """
    means, health = RunningMeans(), HealthMeter()
    model.eval()
    with torch.inference_mode(), autocast():
        for i, (x, y, weight) in enumerate(data):
            with noise(seed_of(seed, VAL, 0, i), x.device):
                trace = model(x, recipe.objective.n_samples, y)
                values = with_sum(recipe.objective.terms(trace, weight=weight))
                if recipe.bound is not None:
                    terms = recipe.bound(trace).values()
                    elbo = sum(terms, x.new_zeros(()))
                    values["elbo"] = (elbo if weight is None else weight * elbo).mean()
                means.add(tuple(values), torch.stack(list(values.values())), len(x))
                if health.n < HEALTH_ROWS:
                    health.add(model, x, y, weight)
        figures = {name: float(value) for name, value in means.pop().items()}
        components = {k: float(v) for k, v in by_component(model, health.pop(model)).items()}
    model.train()
    return figures | components, next((k for k, v in figures.items() if not isfinite(v)), None)


def by_component(model: MixtureVAE, health: ComponentHealth) -> dict[str, Tensor]:
    """Each component's health by name, ``kl_z_0`` and so on, and how many dropout keeps."""
    by_name = {"kl_z": health.kl, "share": health.share}
    by_name |= {"active_units": health.active_units, "sse_alone": health.sse_alone}
    figures = {"effective_components": torch.tensor(health.effective_components)}
    if (dropout := model.dropout) is not None:
        by_name["rate"] = dropout.rate
        figures |= {"kept": dropout.kept().sum().float(), "selected": dropout.n_selected()}
    for name, values in by_name.items():
        figures |= {f"{name}_{k}": v.detach().float() for k, v in enumerate(values)}
    return figures
