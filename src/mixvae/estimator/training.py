"""Training for ``DeepMixture``: in a run folder that is removed, or of the start alone."""

from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from mixvae.data import Dataset
from mixvae.data.dataset import Split
from mixvae.pruning import prune
from mixvae.recipes.building import BuiltRecipe
from mixvae.training import fit
from mixvae.training.batches import Batches, even_batches
from mixvae.training.checkpoints import best_of
from mixvae.training.validation import validate


def trained(
    recipe: BuiltRecipe, data: Dataset, options: dict[str, Any], seed: int
) -> tuple[BuiltRecipe, list[dict[str, Any]]]:
    """The recipe with the best epoch's weights, without dropped components, and the history."""
    if options["max_epochs"] == 0:
        return _start_alone(recipe, data, options["batch_size"], seed)
    with TemporaryDirectory(prefix="mixvae-") as folder:
        own: dict[str, Any] = {"out": Path(folder, "run"), "seed": seed}
        run = fit(recipe, data, **own | options)
    model = run.recipe.model
    return run.recipe if model.dropout is None else prune(run.recipe), run.history


def all_rows(data: Dataset) -> Dataset:
    """The data, in memory, with the validation rows among the training rows."""
    splits = tuple(replace(split, x=split.x[:]) for split in (data.train, data.val))
    parts = [[getattr(split, field.name) for split in splits] for field in fields(Split)]
    joined: list[Any] = [None if None in part else torch.cat(part) for part in parts]
    return replace(data, train=Split(*joined))


def again(options: dict[str, Any], history: list[dict[str, Any]]) -> dict[str, Any]:
    """The options of a second training, which has as many epochs as were best in the first."""
    best = best_of(history)
    rest = {key: value for key, value in options.items() if key != "out"}
    return rest | {"max_epochs": 0 if best is None else best["epoch"], "callbacks": []}


def _start_alone(
    recipe: BuiltRecipe, data: Dataset, batch_size: int, seed: int
) -> tuple[BuiltRecipe, list[dict[str, Any]]]:
    order, device = even_batches(len(data.val), batch_size), torch.device("cpu")
    labels = recipe.model.labels.of(data.val)
    val = Batches(data.val.x, labels, order, device, data.val.relative_weight)
    figures, _ = validate(recipe, recipe.model, val, seed, nullcontext)
    recipe.model.eval()
    row = {"phase": "main", "epoch": 0, "step": 0, "kl_scale": 1.0}
    return recipe, [row | {f"val/{name}": value for name, value in figures.items()}]
