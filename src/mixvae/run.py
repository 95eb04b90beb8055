"""A run folder: what it holds, how it is written and read back. Nothing is unpickled."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from .errors import MixvaeError, MixvaeWarning
from .files import write_text, write_weights
from .recipes import build, options_of
from .recipes.recipe import Recipe
from .run_folder import CHECKPOINTS as CHECKPOINTS
from .run_folder import CONFIG as CONFIG
from .run_folder import DATA as DATA
from .run_folder import LOG, METRICS, RECIPE, WEIGHTS, is_complete
from .run_folder import TRAINING as TRAINING
from .run_folder import claim as claim

FORMAT = 1


@dataclass(frozen=True)
class Run:
    """A trained recipe and its folder."""

    folder: Path
    recipe: Recipe
    metrics: dict[str, Any] = field(default_factory=dict, repr=False)
    history: list[dict[str, float]] = field(default_factory=list, repr=False)  # a row an epoch

    @property
    def pictures(self) -> list[Path]:
        """The PNG files in the folder."""
        return sorted(self.folder.glob("*.png"))

    @property
    def complete(self) -> bool:
        """Whether training has ended, and weights, figures and pictures are all of its end."""
        return is_complete(self.folder)


def save_recipe(recipe: Recipe, folder: Path) -> None:
    """Write ``recipe.json``: all that it takes to build the model again, but its weights."""
    write_json(folder / RECIPE, {"format": FORMAT} | recipe.to_dict())


def save_weights(recipe: Recipe, folder: Path) -> None:
    """Write ``model.safetensors``, which names the recipe that it belongs to."""
    weights = {name: w.contiguous() for name, w in recipe.model.state_dict().items()}
    metadata = {"recipe": json.dumps(recipe.to_dict(), sort_keys=True)}
    write_weights(folder / WEIGHTS, weights, metadata)


def load_recipe(folder: str | Path) -> Recipe:
    """Build the recipe of a run folder afresh, without its weights.

    Raises:
        MixvaeError: if the folder is no run, or was written by a later version.
    """
    folder = Path(folder)
    content = read_json(folder, RECIPE)
    if content.get("format") != FORMAT:
        raise MixvaeError(
            f"{folder / RECIPE} has format {content.get('format')!r}; this version of mixvae reads "
            f"{FORMAT}. Use the version that wrote it."
        )
    missing = {"recipe", "x_shape", "options"} - content.keys()
    if missing:
        raise MixvaeError(f"{folder / RECIPE} lacks {', '.join(sorted(missing))}; was it edited?")
    return build(content["recipe"], content["x_shape"], **content["options"])


def load(path: str | Path) -> Run:
    """A trained run, its model in evaluation mode on the CPU.

    Warns if the run is not complete: it goes on, or was stopped, after these weights were written.

    Raises:
        MixvaeError: if the folder is no run, or its weights are missing, truncated, no safetensors
            file, or another recipe's.
    """
    folder = Path(path)
    recipe = load_recipe(folder)
    load_weights(recipe, folder / WEIGHTS)
    recipe.model.eval()
    metrics = read_json(folder, METRICS) if (folder / METRICS).exists() else {}
    if not is_complete(folder):
        warnings.warn(
            f"the run {folder} is not finished: its weights and figures may be of an earlier "
            f"epoch than its last. Finish it: mixvae train --resume {folder}",
            MixvaeWarning,
            stacklevel=2,
        )
    return Run(folder, recipe, metrics, _history(folder / LOG))


def load_weights(recipe: Recipe, path: Path) -> None:
    """Read a safetensors file into a recipe's model, after checking that it belongs to it."""
    if not path.is_file():
        raise MixvaeError(
            f"{path} is missing: the run was not finished. Go on with it: "
            f"mixvae train --resume {path.parent}"
        )
    try:
        with safe_open(path, "pt") as file:
            written_for = (file.metadata() or {}).get("recipe")
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise MixvaeError(
            f"{path} is not a whole safetensors file ({error}); nothing else is read, since a "
            "pickle can run code. Train again, or copy the file again if it was cut."
        ) from error
    if not _is_of(recipe, written_for):
        raise MixvaeError(
            f"{path} holds the weights of another recipe than {path.parent / RECIPE} names: "
            f"expected {recipe.to_dict()}, found {written_for}."
        )
    try:
        recipe.model.load_state_dict(weights)
    except RuntimeError as error:
        raise MixvaeError(f"{path} does not fit the recipe {recipe.name}: {error}") from error


def _is_of(recipe: Recipe, written_for: str | None) -> bool:
    """Whether weights name this recipe. What an option that came later is not given is default."""
    if written_for is None:
        return False
    said, ours = json.loads(written_for), recipe.to_dict()
    known = json.loads(json.dumps(options_of(recipe.name)))
    return said | {"options": known | said["options"]} == ours


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write readable JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Read one of a run folder's JSON files."""
    path = folder / name
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MixvaeError(f"{folder} is not a run folder: it has no {name}.") from None
    except (OSError, ValueError) as error:
        raise MixvaeError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(content, dict):
        raise MixvaeError(f"{path} must hold a JSON object; it holds a {type(content).__name__}.")
    return content


def _history(path: Path) -> list[dict[str, float]]:
    import csv

    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
