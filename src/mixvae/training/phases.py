"""The phases of a run: those of the recipe's initialization, and the model's own training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixvae.data.dataset import Dataset
from mixvae.errors import one_of
from mixvae.initialization import Phase
from mixvae.recipes.building import BuiltRecipe
from mixvae.seeding import seed_of

from .compiling import Compiled
from .loop import BEFORE
from .settings import Compile, Settings


def phases_of(
    recipe: BuiltRecipe, data: Dataset, how: Settings, world: int, compile: Compile
) -> list[Phase]:
    """All phases of a run on ``world`` processes, without an initialization that is done."""
    steps = len(data.train) // (how.batch_size * world)
    phases, first = [], recipe.initialization
    if first is not None and not first.done:
        own = {"seed": seed_of(how.seed, BEFORE), "n_batches": steps}
        phases = first.phases(recipe.model, recipe.objective, data, **own)
    warmup = how.warmup_epochs * -(-steps // how.accumulate)
    conditional = recipe.model.labels.n_classes is not None
    mode = compile if isinstance(compile, str) else None
    main = Phase(
        how.phase,
        recipe.model,
        Compiled(recipe.objective, mode) if compile else recipe.objective,
        how.max_epochs,
        kl_weight=lambda step, _: min(1.0, step / warmup) if warmup else 1.0,
        labels=lambda: data.train.y if conditional else None,
        own_schedule=True,
        validated=True,
    )
    return [*phases, main]


def left_at(phases: list[Phase], checkpoint: Mapping[str, Any], folder: Path) -> list[Phase]:
    """The phases from the one on in which a checkpoint was written."""
    names = [phase.name for phase in phases]
    one_of(f"phase of the checkpoint of {folder}", checkpoint["phase"], names)
    return phases[names.index(checkpoint["phase"]) :]
