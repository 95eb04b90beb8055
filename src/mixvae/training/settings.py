"""How a recipe is trained: plain values, checked, and kept in the run folder to resume with."""

import json
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch

from ..data.dataset import Dataset
from ..errors import MixvaeError, fits_memory, is_a, one_of, positive, seeds, whole
from ..labels import OneHot
from ..priors import GaussianMixturePrior
from ..recipes import build
from ..recipes.building import BuiltRecipe
from ..run import TRAINING, read_json, write_json

Precision = Literal["32", "bf16", "16"]
Schedule = Literal["constant", "cosine"]
Compile = bool | Literal["reduce-overhead"]


@dataclass(frozen=True)
class Settings:
    """The arguments of :func:`mixvae.fit` that decide what the weights become."""

    max_epochs: int
    batch_size: int
    lr: float
    warmup_epochs: int
    patience: int | None
    clip: float | None
    precision: Precision
    seed: int
    lr_schedule: Schedule = "constant"  # what a run was trained with that says nothing of it

    def __post_init__(self) -> None:
        one_of("precision", str(self.precision), get_args(Precision))
        one_of("lr_schedule", self.lr_schedule, get_args(Schedule))
        whole(1, max_epochs=self.max_epochs, batch_size=self.batch_size)
        whole(0, warmup_epochs=self.warmup_epochs)
        seeds(seed=self.seed)
        positive(lr=self.lr)
        if self.patience is not None:
            whole(1, patience=self.patience)
        if self.clip is not None:
            positive(clip=self.clip)
        if self.warmup_epochs > self.max_epochs:
            raise MixvaeError(
                f"warmup_epochs ({self.warmup_epochs}) must not exceed max_epochs "
                f"({self.max_epochs}): no epoch would be trained on the objective itself."
            )

    def save(self, folder: Path) -> None:
        """Write them to a run folder."""
        write_json(folder / TRAINING, asdict(self))

    @classmethod
    def load(cls, folder: Path, **changed: Any) -> "Settings":
        """Read them back from a run folder, with some of them changed."""
        content = read_json(folder, TRAINING)
        hints = get_type_hints(cls)
        for name, value in content.items():
            kinds = _kinds(hints.get(name, object))
            if not isinstance(value, kinds) or (isinstance(value, bool) and object not in kinds):
                raise MixvaeError(
                    f"{folder / TRAINING} is not a run's settings: {name} is {value!r:.60}."
                )
        try:
            return cls(**content | changed)
        except TypeError as error:
            raise MixvaeError(f"{folder / TRAINING} is not a run's settings: {error}.") from error


def _kinds(hint: Any) -> tuple[type, ...]:
    """The types of values of an annotation, as JSON has them."""
    if get_origin(hint) is Literal:
        return (str,)
    if args := get_args(hint):
        return tuple(kind for arg in args for kind in _kinds(arg))
    return (int, float) if hint is float else (hint,)


def check(recipe: BuiltRecipe, data: Dataset) -> None:
    """Refuse data that the recipe cannot be trained on, before a folder is made."""
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


def check_memory(recipe: BuiltRecipe, batch_size: int) -> None:
    """Refuse samples of which not even one batch's reconstructions fit into memory."""
    n_samples, model = recipe.objective.n_samples, recipe.model
    sizes = (n_samples, batch_size, model.n_components, *recipe.x_shape)
    fits_memory(4 * prod(sizes), f"n_samples {n_samples} for each of {batch_size} rows")


def check_saved(recipe: BuiltRecipe) -> None:
    """Refuse a recipe that a run folder could not give back."""
    try:
        with torch.random.fork_rng([]):
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
    starts = {}
    if model.start is not None and not model.start.started:
        starts["components"] = model.n_components
    if isinstance(prior, GaussianMixturePrior) and prior.start_epochs and not prior.started:
        starts["clusters"] = len(prior.logits)
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
