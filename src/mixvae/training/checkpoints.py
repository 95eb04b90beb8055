"""What a run has come to, and its checkpoints: written whole, read without unpickling."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import MixvaeError
from ..files import whole
from ..model import MixtureVAE
from ..recipes.recipe import Recipe
from ..run import CHECKPOINTS
from .means import RunningMeans
from .settings import Settings

MONITOR = "val/objective"  # the recipe's own objective, at its final weights
LAST, BEST = "last.ckpt", "best.ckpt"
History = list[dict[str, Any]]  # a row an epoch
PARTS = {
    "phase",
    "epoch",
    "step",
    "history",
    "model",
    "optimizer",
}  # that a checkpoint has at least


@dataclass
class TrainingState:
    """What a run has come to: what callbacks are given.

    Attributes
    ----------
    recipe
        The recipe in training; ``recipe.model`` has the newest weights.
    folder
        The run folder.
    settings
        The arguments of :func:`mixvae.fit` that decide what the weights become.
    phase
        The phase's name: ``main``, or one that comes before it.
    epoch, n_epochs
        Epochs done in this phase, and all of them.
    step
        Steps of the optimizer in this phase.
    batch, n_batches
        Batches done in this epoch, and all of them.
    history
        A row of figures for each epoch: ``phase``, ``epoch``, ``train/NAME``, ``val/NAME``...
    means
        Of the epoch so far; ``means.latest()`` are the last step's terms, nats.
    stop
        Set it to True, and training ends after this epoch.
    """

    recipe: Recipe
    folder: Path
    settings: Settings
    phase: str = ""
    epoch: int = 0
    n_epochs: int = 0
    step: int = 0
    n_batches: int = 0
    history: History = field(default_factory=list)
    means: RunningMeans = field(default_factory=RunningMeans)
    stop: bool = False

    @property
    def model(self) -> MixtureVAE:
        """The model, in training; it is on the device."""
        return self.recipe.model

    @property
    def batch(self) -> int:
        """Batches done in this epoch."""
        return len(self.means)

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.folder / CHECKPOINTS

    @property
    def best(self) -> dict[str, Any] | None:
        """The row of the best epoch so far, whose weights are kept."""
        return best_of(self.history)


def best_of(history: History) -> dict[str, Any] | None:
    """The first row with the best objective on validation data, none from the warm-up."""
    final = [row for row in history if MONITOR in row and row["kl_scale"] == 1]
    return max(final, key=lambda row: row[MONITOR], default=None)


def waited(history: History) -> int:
    """Epochs since the best one; 0 if there is none yet."""
    best = best_of(history)
    return 0 if best is None else history[-1]["epoch"] - best["epoch"]


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint straight to disk, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as partial:
        torch.save(dict(content), partial)


def load_last(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """The newest checkpoint of a run; raises unless the recipe can be resumed from it."""
    path = folder / CHECKPOINTS / LAST
    if not path.is_file():
        raise MixvaeError(f"{path} is missing: nothing to resume. Start the run again.")
    content = _load(path)
    if missing := PARTS - content.keys():
        raise MixvaeError(
            f"{path} is no checkpoint of a run: it lacks {', '.join(sorted(missing))}."
        )
    expected = {name: w.shape for name, w in recipe.model.state_dict().items()}
    if expected != {name: w.shape for name, w in content["model"].items()}:
        raise MixvaeError(
            f"{path} holds the weights of another recipe than {recipe.name} with "
            f"{recipe.options}, which the run folder names."
        )
    return content


def take_best(recipe: Recipe, folder: Path, state: TrainingState) -> None:
    """Put the best epoch's weights into the recipe's model, on the CPU, ready for use."""
    path, best = folder / CHECKPOINTS / BEST, state.best
    if best is None:
        raise MixvaeError(
            f"training was stopped in epoch {state.epoch} of the phase {state.phase}, before any "
            f"weights were to be kept; go on with it: mixvae train --resume {folder}"
        )
    content = _load(path) if path.is_file() else {}
    if content.get("epoch") != best["epoch"]:
        raise MixvaeError(
            f"{path} does not hold the weights of the run's best epoch, {best['epoch']}: it was "
            "changed from outside. Restore it, or train again."
        )
    recipe.model.cpu().load_state_dict(content["model"])
    recipe.model.eval()


def _load(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return dict(content)
    except Exception as error:
        raise MixvaeError(
            f"{path} is no whole checkpoint of a run ({type(error).__name__}: {error}). "
            "It may have been cut, or hold more than tensors, which is never loaded."
        ) from error
