"""What the checkpoints of a run say: how far it has come, and whether that is its end."""

from collections.abc import Mapping
from math import inf
from pathlib import Path

from torch import Tensor

from ..errors import MixvaeError
from ..recipes.building import BuiltRecipe
from ..run_folder import BEST, CHECKPOINTS, ORIGIN, WEIGHTS, last_checkpoint
from ..saved_weights import read_checkpoint
from .settings import Settings

MONITOR = "val/objective"  # the recipe's own objective, at its final weights
History = list[dict[str, float]]  # a row an epoch


def history_of(recipe: BuiltRecipe, folder: Path) -> History:
    """The history in a run's last checkpoint; raises unless the recipe can resume from it.

    It is empty where nothing was trained, as of a pruned model.
    """
    checkpoint = last_checkpoint(folder)
    if not checkpoint.is_file():
        if (folder / ORIGIN).exists() and (folder / WEIGHTS).exists():
            return []
        raise MixvaeError(f"{checkpoint} is missing: nothing to resume. Start the run again.")
    content = read_checkpoint(checkpoint)
    history = content.get("history")
    if not isinstance(history, list) or not all(isinstance(row, dict) for row in history):
        raise MixvaeError(f"{checkpoint} is no whole checkpoint of a run: it has no history.")
    _check_fits(recipe, content["state_dict"], checkpoint)
    if (best := folder / CHECKPOINTS / BEST).exists():  # now, and not after all epochs
        _check_fits(recipe, read_checkpoint(best)["state_dict"], best)
    return history


def _check_fits(recipe: BuiltRecipe, weights: Mapping[str, Tensor], checkpoint: Path) -> None:
    expected = {f"model.{name}": w.shape for name, w in recipe.model.state_dict().items()}
    if expected != {name: w.shape for name, w in weights.items()}:
        raise MixvaeError(
            f"{checkpoint} holds the weights of another recipe than {recipe.name} with "
            f"{recipe.options}, which the run folder names."
        )


def why_over(folder: Path, history: History, how: Settings) -> str | None:
    """Why no epoch is left to train, as the rest of a sentence about the run; None if one is."""
    if not last_checkpoint(folder).exists():
        return "has no checkpoint to train on from; train its recipe anew."
    n = len(history)
    if n >= how.max_epochs:
        return f"has had {n} epochs; give a max_epochs above that to go on."
    if stopped_early(history, how):
        return (
            f"stopped early, after {n} epochs: its patience of {how.patience} epochs was over. "
            "Give a larger patience to go on."
        )
    return None


def take_best(recipe: BuiltRecipe, folder: Path) -> None:
    """Put the best epoch's weights into the recipe's model, on the CPU, ready for use."""
    best = folder / CHECKPOINTS / BEST
    state = read_checkpoint(best)["state_dict"]
    _check_fits(recipe, state, best)
    weights = {name.removeprefix("model."): w for name, w in state.items()}
    recipe.model.cpu().load_state_dict(weights)
    recipe.model.eval()


def stopped_early(history: History, how: Settings) -> bool:
    """Whether the objective has not risen for so many epochs as patience allows after warm-up."""
    if how.patience is None:
        return False
    best, waited = -inf, 0
    for row in history[max(how.warmup_epochs - 1, 0) :]:
        waited = 0 if row[MONITOR] > best else waited + 1
        best = max(best, row[MONITOR])
    return waited >= how.patience
