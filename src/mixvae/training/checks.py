"""What is looked at before a run folder is made: whether recipe, data and settings go together."""

import json
from math import prod

import torch

from mixvae.data.dataset import Dataset
from mixvae.errors import MixvaeError, fits_memory, is_a
from mixvae.initialization import Autoencoder, Split
from mixvae.parts.labels import OneHot
from mixvae.parts.priors import GaussianMixturePrior
from mixvae.recipes.building import BuiltRecipe, build
from mixvae.seeding import noise

from .settings import Settings


def check_all(recipe: BuiltRecipe, data: Dataset, how: Settings, n_processes: int) -> None:
    """Refuse what cannot be trained, or not be loaded afterwards, before a folder is made."""
    check(recipe, data)
    _check_saved(recipe)
    _check_memory(recipe, how.batch_size)
    check_batches(how, data, n_processes)
    _check_rows(recipe, len(data.val), how.batch_size)


def check(recipe: BuiltRecipe, data: Dataset) -> None:
    """Refuse data that the recipe cannot be trained on."""
    is_a(BuiltRecipe, "mixvae.build makes one", recipe=recipe)
    is_a(Dataset, "mixvae.data.load or mixvae.data.from_arrays makes one", data=data)
    if recipe.x_shape != data.x_shape:
        raise MixvaeError(
            f"the recipe {recipe.name} was built for x of shape {recipe.x_shape}; "
            f"the data {data.name} have {data.x_shape}. Build it for these data."
        )
    _check_labels(recipe, data)
    likelihood = recipe.model.decoder.likelihood
    likelihood.check(data.val.x)
    if data.binarize != "dynamic":  # whose training data are grey until they are drawn
        likelihood.check(data.train.x)
    _check_starts(recipe, data)


def _check_memory(recipe: BuiltRecipe, batch_size: int) -> None:
    """Refuse samples of which not even one batch's reconstructions fit into memory."""
    n_samples, model = recipe.objective.n_samples, recipe.model
    sizes = (n_samples, batch_size, model.n_components, *recipe.x_shape)
    fits_memory(4 * prod(sizes), f"n_samples {n_samples} for each of {batch_size} rows")


def _check_saved(recipe: BuiltRecipe) -> None:
    """Refuse a recipe that a run folder could not give back."""
    try:
        with noise(0):  # the first weights are of no use
            again = build(recipe.name, recipe.x_shape, **recipe.options)
        same = again.to_dict() == json.loads(json.dumps(recipe.to_dict()))
        reason = "" if same and _shapes(again) == _shapes(recipe) else "it gives another model"
    except (MixvaeError, TypeError, ValueError) as error:
        reason = str(error)
    if reason:
        raise MixvaeError(
            f"the recipe {recipe.name} could be trained, and its run not be loaded, as its name, "
            f"x_shape and options do not make it again: {reason} Use one that mixvae.build made."
        )


def _shapes(recipe: BuiltRecipe) -> dict[str, torch.Size]:
    return {name: values.shape for name, values in recipe.model.state_dict().items()}


def _check_starts(recipe: BuiltRecipe, data: Dataset) -> None:
    """Refuse more components, or clusters of a prior, than there are x to start them from."""
    model, prior, n = recipe.model, recipe.model.prior, len(data.train)
    starts, first = {}, recipe.initialization
    if isinstance(first, Split) and not first.done:
        starts["components"] = model.n_components
    if isinstance(first, Autoencoder) and not first.done:
        assert isinstance(prior, GaussianMixturePrior)
        starts["clusters"] = len(prior.logits)
        if data.binarize != "dynamic" and bool((data.train.x == data.train.x[:1]).all()):
            raise MixvaeError(
                f"the {n} training examples of {data.name} are all the same and have no clusters; "
                "look at the data, or use start='random' (--start random)."
            )
    for what, asked in starts.items():
        if asked > n:
            raise MixvaeError(
                f"{asked} {what} cannot start from {n} training examples: {data.name} has "
                f"{len(data.val)} more, which are held out for validation, and {len(data.test)} "
                f"for test. Use at most {n} {what}."
            )


def _check_labels(recipe: BuiltRecipe, data: Dataset) -> None:
    labels = recipe.model.labels
    if isinstance(labels, OneHot):
        for name, split in {"train": data.train, "val": data.val, "test": data.test}.items():
            if split.y is None:
                raise MixvaeError(
                    f"the recipe {recipe.name} is conditional on class labels, and {data.name} "
                    f"({name}) has none; give some, or leave conditional out."
                )
            labels.check(split.y)


def check_batches(how: Settings, data: Dataset, n_processes: int) -> None:
    """Refuse batches that are larger than the data, or more processes than there are batches."""
    most = len(data.train) // n_processes
    if how.batch_size > most:
        on, fewer = (f" on {n_processes} processes", ", or fewer devices") if most else ("", "")
        on, fewer = (on, fewer) if n_processes > 1 else ("", "")
        raise MixvaeError(
            f"batch_size {how.batch_size}{on} is larger than the {len(data.train)} training "
            f"examples; use at most {most}{fewer}."
        )


def _check_rows(recipe: BuiltRecipe, n_val: int, batch_size: int) -> None:
    """Refuse batches of one row, in training or in validation, where penalties are of several."""
    if not recipe.objective.penalties:
        return
    least = n_val // -(-n_val // batch_size)  # of the batches of validation, which are even
    if batch_size < 2 or least < 2:
        raise MixvaeError(
            f"a penalty of {recipe.name} ({', '.join(recipe.objective.penalties)}) takes two rows "
            f"in every batch; got batch_size {batch_size} and {n_val} validation examples, of "
            "which a batch has one. Use a larger batch_size, more validation data, or beta_dhsic=0."
        )
