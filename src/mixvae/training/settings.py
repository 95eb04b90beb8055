"""How a recipe is trained: plain values, checked, and kept in the run folder to resume with."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from ..data.dataset import Dataset
from ..errors import MixvaeError, at_least, one_of
from ..labels import OneHot
from ..recipes.recipe import Recipe
from ..run import TRAINING, read_json, write_json

Precision = Literal["32", "bf16", "16"]
Average = Literal["none", "ema", "swa"]
ClipBy = Literal["norm", "value"]
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
    lr_schedule: str = "constant"  # or a function's qualified name, as optimizer
    optimizer: str = "adam"
    clip_by: ClipBy = "norm"
    accumulate: int = 1
    average: Average = "none"
    phase: str = "main"  # what the log calls the model's own training

    def __post_init__(self) -> None:
        one_of("precision", str(self.precision), get_args(Precision))
        one_of("clip_by", str(self.clip_by), get_args(ClipBy))
        one_of("average", str(self.average), get_args(Average))
        at_least(1, max_epochs=self.max_epochs, batch_size=self.batch_size)
        at_least(1, accumulate=self.accumulate)
        at_least(0, warmup_epochs=self.warmup_epochs, seed=self.seed)
        if self.patience is not None:
            at_least(1, patience=self.patience)
        for name, value in {"lr": self.lr, "clip": self.clip}.items():
            if value is not None and not value > 0:
                raise MixvaeError(f"{name} must be positive; got {value}.")
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
        try:
            return cls(**read_json(folder, TRAINING) | changed)
        except TypeError as error:
            raise MixvaeError(f"{folder / TRAINING} is not a run's settings: {error}.") from error


def check(recipe: Recipe, data: Dataset) -> None:
    """Refuse data that the recipe cannot be trained on, before a folder is made."""
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


def _check_labels(recipe: Recipe, data: Dataset) -> None:
    labels = recipe.model.labels
    if isinstance(labels, OneHot):
        for name, split in {"train": data.train, "val": data.val, "test": data.test}.items():
            if split.y is None:
                raise MixvaeError(
                    f"the recipe {recipe.name} is conditional on class labels, and {data.name} "
                    f"({name}) has none; give some, or leave conditional out."
                )
            labels.check(split.y)
