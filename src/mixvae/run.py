"""A run folder: what it holds, how it is claimed, written and read back. Nothing is unpickled."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .errors import MixvaeError
from .files import write_text
from .recipes import build, options_of
from .recipes.recipe import Recipe

FORMAT = 1
RECIPE, WEIGHTS, METRICS, LOG = "recipe.json", "model.safetensors", "metrics.json", "log.csv"
DATA, TRAINING, CONFIG, CHECKPOINTS = "data.json", "training.json", "config.yaml", "checkpoints"


@dataclass(frozen=True)
class Run:
    """A trained recipe and its folder."""

    folder: Path
    recipe: Recipe
    metrics: dict[str, Any] = field(default_factory=dict, repr=False)
    history: list[dict[str, Any]] = field(default_factory=list, repr=False)  # a row an epoch

    @property
    def pictures(self) -> list[Path]:
        """The PNG files in the folder."""
        return sorted(self.folder.glob("*.png"))


def claim(out: str | Path | None, name: str, root: Path = Path("runs")) -> Path:
    """Make a new folder for a run: ``out``, or the next free runs/NAME-001.

    Raises:
        MixvaeError: if ``out`` exists and is not empty, or cannot be written.
    """
    try:
        if out is None:
            return _next_free(root, name)
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise MixvaeError(
                f"the run folder {folder} exists and is not empty; a run is never overwritten. "
                f"Give another folder, or go on with that run: mixvae train --resume {folder}"
            )
        if not os.access(folder, os.W_OK):
            raise PermissionError("permission denied")
    except OSError as error:
        place = out if out is not None else root
        raise MixvaeError(f"cannot write the run folder {place}: {error}.") from error
    return folder


def save_recipe(recipe: Recipe, folder: Path) -> None:
    """Write ``recipe.json``: all that it takes to build the model again, but its weights."""
    write_json(folder / RECIPE, {"format": FORMAT} | recipe.to_dict())


def save_weights(recipe: Recipe, folder: Path) -> None:
    """Write ``model.safetensors``, which names the recipe that it belongs to."""
    weights = {name: w.contiguous() for name, w in recipe.model.state_dict().items()}
    partial = folder / f".{WEIGHTS}.{os.getpid()}"
    save_file(weights, partial, {"recipe": json.dumps(recipe.to_dict(), sort_keys=True)})
    partial.replace(folder / WEIGHTS)


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

    Raises:
        MixvaeError: if the folder is no run, or its weights are missing, truncated, no safetensors
            file, or another recipe's.
    """
    folder = Path(path)
    recipe = load_recipe(folder)
    load_weights(recipe, folder / WEIGHTS)
    recipe.model.eval()
    recipe = replace(recipe, initialization=None)
    metrics = read_json(folder, METRICS) if (folder / METRICS).exists() else {}
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


def _next_free(root: Path, name: str) -> Path:
    number = 1
    while True:
        folder = root / f"{name}-{number:03d}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return folder


def _history(path: Path) -> list[dict[str, Any]]:
    import csv

    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]
    return [{k: v if k == "phase" else float(v) for k, v in row.items()} for row in rows]
