"""The state of a training, and its checkpoints: written whole, read without unpickling."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from mixvae.errors import MixvaeError
from mixvae.model import MixtureVAE
from mixvae.recipes.building import BuiltRecipe
from mixvae.storage.files import write_checkpoint
from mixvae.storage.run_folder import BEST, CHECKPOINTS, ORIGIN, RECIPE, WEIGHTS, last_checkpoint
from mixvae.storage.weights import read_checkpoint

from .means import RunningMeans
from .settings import Settings

MONITOR = "val/objective"  # the recipe's own objective, at its final weights
History = list[dict[str, Any]]  # a row an epoch
Checkpoint = dict[str, Any]
PARTS = {"phase", "epoch", "step", "history", "model", "optimizer"}  # of a checkpoint, at least


@dataclass
class TrainingState:
    """The state of a training, which callbacks are given.

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
        Means of the epoch so far; ``means.latest()`` are the last step's terms, nats.
    stop
        Set it to True, and training ends after this epoch.
    checkpoint
        What a resumed run's first phase goes on from; otherwise None.
    """

    recipe: BuiltRecipe
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
    checkpoint: Checkpoint | None = field(default=None, repr=False)

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
    path.parent.mkdir(exist_ok=True)  # not the run folder, if someone removed it
    if not (path.parent.parent / RECIPE).exists():
        raise FileNotFoundError(
            f"the run folder {path.parent.parent} lost its {RECIPE} while it was in use."
        )
    write_checkpoint(path, dict(content))


def load_last(recipe: BuiltRecipe, folder: Path) -> Checkpoint | None:
    """The newest checkpoint of a run; raises unless the recipe can be resumed from it.

    None where nothing was trained, as of a pruned model.
    """
    path = last_checkpoint(folder)
    if not path.is_file() and (folder / ORIGIN).exists() and (folder / WEIGHTS).exists():
        return None
    content = read_checkpoint(path)
    if missing := PARTS - content.keys():
        raise MixvaeError(
            f"{path} is no checkpoint of a run: it lacks {', '.join(sorted(missing))}."
        )
    history = content["history"]
    if not isinstance(history, list) or not all(isinstance(row, dict) for row in history):
        raise MixvaeError(f"{path} is no whole checkpoint of a run: it has no history.")
    _check_fits(recipe, content["model"], path)
    best, is_last = best_of(history), bool(history) and best_of(history) is history[-1]
    if best is not None and (not is_last or (folder / CHECKPOINTS / BEST).exists()):
        # Now, and not after all epochs. A kill may have come before the last epoch's was written.
        _best_weights(recipe, folder, None if is_last else best["epoch"])
    return content


def take_best(recipe: BuiltRecipe, folder: Path, state: TrainingState) -> None:
    """Put the best epoch's weights into the recipe's model, on the CPU, ready for use."""
    if state.best is None:
        raise MixvaeError(
            f"training was stopped in epoch {state.epoch} of the phase {state.phase}, before any "
            f"weights were to be kept; go on with it: mixvae train --resume {folder}"
        )
    recipe.model.cpu().load_state_dict(_best_weights(recipe, folder, state.best["epoch"]))
    recipe.model.eval()


def _best_weights(recipe: BuiltRecipe, folder: Path, epoch: int | None) -> dict[str, Tensor]:
    """The weights of best.ckpt; raises unless they are the recipe's, and of this epoch if one."""
    path = folder / CHECKPOINTS / BEST
    content = read_checkpoint(path)
    if epoch is not None and content.get("epoch") != epoch:
        raise MixvaeError(
            f"{path} does not hold the weights of the run's best epoch, {epoch}: it was changed "
            "from outside. Restore it, or train again."
        )
    _check_fits(recipe, content["model"], path)
    weights: dict[str, Tensor] = content["model"]
    return weights


def _check_fits(recipe: BuiltRecipe, weights: Mapping[str, Tensor], checkpoint: Path) -> None:
    """Raise unless weights have the names and shapes of the recipe's."""
    expected = {name: w.shape for name, w in recipe.model.state_dict().items()}
    if expected != {name: w.shape for name, w in weights.items()}:
        raise MixvaeError(
            f"{checkpoint} holds the weights of another recipe than {recipe.name} with "
            f"{recipe.options}, which the run folder names."
        )


def why_over(checkpoint: Mapping[str, Any] | None, settings: Settings) -> str | None:
    """Why no epoch is left to train, as the rest of a sentence about the run; None if one is."""
    if checkpoint is None:
        return "has no checkpoint to train on from; train its recipe anew."
    if checkpoint["phase"] != settings.phase:
        return None
    done, patience = checkpoint["epoch"], settings.patience
    if done >= settings.max_epochs:
        return f"has had {done} epochs; give a max_epochs above that to go on."
    if patience is not None and waited(checkpoint["history"]) >= patience:
        return (
            f"stopped early, after {done} epochs: its patience of {patience} epochs was over. "
            "Give a larger patience to go on."
        )
    return None
