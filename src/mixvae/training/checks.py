"""Checks before a run folder is made: whether recipe, data and settings go together."""

import json
from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor

from mixvae.data.dataset import Dataset
from mixvae.data.rows import parts_of
from mixvae.errors import MixvaeError, fits_memory, is_a
from mixvae.evaluation.batches import batches, evaluating
from mixvae.initialization.phase import sampled
from mixvae.parts.labels import BatchLabels, OneHot
from mixvae.recipes.building import BuiltRecipe, build
from mixvae.seeding import noise

from .settings import Settings

FEW = 8  # rows on which the objective is tried


def check_all(recipe: BuiltRecipe, data: Dataset, settings: Settings, n_processes: int) -> None:
    """Refuse what cannot be trained, or not be loaded afterwards, before a folder is made."""
    check(recipe, data)
    _check_saved(recipe)
    sizes = (recipe.objective.n_samples, settings.batch_size, recipe.n_components, *recipe.x_shape)
    fits_memory(4 * prod(sizes), f"n_samples {sizes[0]} for each of {sizes[1]} rows")
    check_batches(settings, data, n_processes)
    _check_objective(recipe, data, settings.batch_size)


def check(recipe: BuiltRecipe, data: Dataset) -> None:
    """Refuse data that the recipe cannot be trained on."""
    is_a(BuiltRecipe, "mixvae.build makes one", recipe=recipe)
    is_a(Dataset, "mixvae.data.load or mixvae.data.from_arrays makes one", data=data)
    if recipe.x_shape != data.x_shape:
        raise MixvaeError(
            f"the recipe {recipe.name} was built for x of shape {recipe.x_shape}; "
            f"the data {data.name} have {data.x_shape}. Build it for these data."
        )
    labels = recipe.model.labels
    if data.n_batches > 1 and not isinstance(labels, BatchLabels):
        raise MixvaeError(
            f"{data.name} has batch labels, which this model of the recipe {recipe.name} does not "
            "read; use mfa-vae with its n_batches, or leave batch out."
        )
    if isinstance(labels, OneHot):
        for name, split in {"train": data.train, "val": data.val, "test": data.test}.items():
            y = labels.of(split)
            if y is None and not isinstance(labels, BatchLabels):
                raise MixvaeError(
                    f"the recipe {recipe.name} is conditional on class labels, and {data.name} "
                    f"({name}) has none; give some, or leave conditional out."
                )
            labels.check(y)
    likelihood = recipe.model.decoder.likelihood
    given = [data.val.x]
    if data.binarize != "dynamic":  # whose training data are grey until they are sampled
        given.append(data.train.x)
    for x in given:
        for part in parts_of(x):
            likelihood.check(part)
    if recipe.initialization is not None and not recipe.initialization.done:
        recipe.initialization.check(recipe.model, data)


def check_batches(settings: Settings, data: Dataset, n_processes: int) -> None:
    """Refuse batches that are larger than the data, or more processes than there are batches."""
    most = len(data.train) // n_processes
    if settings.batch_size > most:
        several = n_processes > 1 and most > 0
        on, fewer = (f" on {n_processes} processes", ", or fewer devices") if several else ("", "")
        raise MixvaeError(
            f"batch_size {settings.batch_size}{on} is larger than the {len(data.train)} training "
            f"examples; use at most {most}{fewer}."
        )


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


def _check_objective(recipe: BuiltRecipe, data: Dataset, batch_size: int) -> None:
    """Refuse an objective that fails on a few rows, or on one where a batch has but one."""
    n_val, model = len(data.val), recipe.model
    smallest = min(batch_size, n_val // -(-n_val // batch_size))  # validation has even batches
    for n in (2, 1) if smallest == 1 else (min(FEW, smallest),):
        try:
            with evaluating(model):
                x, y = data.train.x[:n], model.labels.of(data.train)
                y = None if y is None else y[:n]
                _try(recipe, *next(batches(model, sampled(data, x), y, n)))
        except Exception as error:  # of a user's own code, almost any
            kind = "" if isinstance(error, MixvaeError) else f"{type(error).__name__}: "
            raise MixvaeError(
                f"the objective of the recipe {recipe.name} cannot be computed on a batch of "
                f"{n} row{'s' if n > 1 else ''}: {kind}{' '.join(str(error).split())}"
                + ("" if n > 1 else f" {_more_rows(recipe, batch_size, n_val)}")
            ) from error


def _more_rows(recipe: BuiltRecipe, batch_size: int, n_val: int) -> str:
    """What to do where one row is too few."""
    leave_out = ", or beta_dhsic=0" if "dhsic" in recipe.objective.penalties else ""
    return (
        f"batch_size is {batch_size}, and there are {n_val} validation examples: use a larger "
        f"batch_size, or more validation data{leave_out}."
    )


def _try(recipe: BuiltRecipe, x: Tensor, y: Tensor | None) -> None:
    """Compute the objective on a batch; raise unless its terms have the shapes that they should."""
    objective = recipe.objective
    trace = recipe.model(x, objective.n_samples, y)
    terms = objective.bound(trace, 1.0)
    if not isinstance(terms, Mapping):
        raise MixvaeError(f"its bound must give terms by name; got a {type(terms).__name__}.")
    penalties = {name: penalty(trace) for name, penalty in objective.penalties.items()}
    for kind, values, shape in (("term", terms, (len(x),)), ("penalty", penalties, ())):
        for name, value in values.items():
            found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            if found != shape:
                raise MixvaeError(f"the {kind} {name} must be of shape {shape}; got {found}.")
