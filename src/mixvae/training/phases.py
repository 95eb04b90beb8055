"""The phases of a run: those of the recipe's initialization, and the model's own training."""

from mixvae.data.dataset import Dataset
from mixvae.initialization import Phase
from mixvae.recipes.building import BuiltRecipe
from mixvae.seeding import seed_of

from .compiling import Compiled
from .loop import BEFORE
from .settings import Compile, Settings


def phases_of(
    recipe: BuiltRecipe, data: Dataset, settings: Settings, world: int, compile: Compile
) -> list[Phase]:
    """All phases of a run on ``world`` processes, without an initialization that is done."""
    n_batches = len(data.train) // (settings.batch_size * world)
    phases, initialization = [], recipe.initialization
    if initialization is not None and not initialization.done:
        seed = seed_of(settings.seed, BEFORE)
        phases = initialization.phases(
            recipe.model, recipe.objective, data, seed=seed, n_batches=n_batches
        )
    warmup = settings.warmup_epochs * -(-n_batches // settings.accumulate)
    mode = compile if isinstance(compile, str) else None
    main = Phase(
        settings.phase,
        recipe.model,
        Compiled(recipe.objective, mode) if compile else recipe.objective,
        settings.max_epochs,
        kl_weight=lambda step, _: min(1.0, step / warmup) if warmup else 1.0,
        labels=lambda: recipe.model.labels.of(data.train),
        own_schedule=True,
        validated=True,
    )
    return [*phases, main]
