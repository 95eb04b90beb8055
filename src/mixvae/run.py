"""A run folder: what it holds, how it is written and read back. Nothing is unpickled."""

import json
import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .data.transform import Transform
from .errors import MixvaeError, MixvaeWarning, is_a
from .recipes import Recipe, options_of
from .recipes.building import BuiltRecipe, build, with_options
from .recipes.registry import of_run
from .recipes.values import as_json
from .storage.files import write_text
from .storage.history import read_history
from .storage.reading import parse_json, read_json_object
from .storage.run_folder import CHECKPOINTS as CHECKPOINTS
from .storage.run_folder import CONFIG as CONFIG
from .storage.run_folder import DATA, LOG, METRICS, RECIPE, WEIGHTS, is_complete
from .storage.run_folder import TRAINING as TRAINING
from .storage.run_folder import claim as claim
from .storage.size_limit import TooLargeError, size_limit
from .storage.weights import Form, form_of, read_checkpoint, read_weights, write_weights

FORMAT = 2


@dataclass(frozen=True)
class Run:
    """A trained recipe and its folder."""

    folder: Path
    recipe: BuiltRecipe
    metrics: dict[str, Any] = field(default_factory=dict, repr=False)
    history: list[dict[str, Any]] = field(default_factory=list, repr=False)  # a row an epoch

    @property
    def pictures(self) -> list[Path]:
        """The PNG files in the folder."""
        return sorted(self.folder.glob("*.png"))

    @property
    def complete(self) -> bool:
        """Whether training has ended, and weights, figures and pictures are all of its end."""
        return is_complete(self.folder)

    @property
    def transform(self) -> Transform | None:
        """How its data were read; ``mixvae.data.load(path, transform=run.transform)`` does so."""
        return load_transform(self.folder)


def save_recipe(recipe: BuiltRecipe, folder: Path) -> None:
    """Write ``recipe.json``: all that it takes to build the model again, but its weights."""
    write_json(folder / RECIPE, {"format": FORMAT} | recipe.to_dict())


def save_weights(recipe: BuiltRecipe, folder: Path) -> None:
    """Write ``model.safetensors``, which names the recipe that it belongs to."""
    write_weights(recipe.model.state_dict(), recipe.to_dict(), folder / WEIGHTS)


def read_recipe(folder: str | Path) -> dict[str, Any]:
    """What ``recipe.json`` says: recipe, x_shape and options. Nothing is built.

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
    for name, kind in {"recipe": str, "x_shape": list, "options": dict}.items():
        if not isinstance(content.get(name), kind):
            raise MixvaeError(f"{folder / RECIPE} lacks the {kind.__name__} {name}; was it edited?")
    return content


def load_recipe(folder: str | Path, recipes: Iterable[type[Recipe]] = ()) -> BuiltRecipe:
    """Build the recipe of a run folder afresh, to be trained on from its last checkpoint.

    Raises:
        MixvaeError: if the folder is no run, was written by a later version, or its recipe is not
            known, or another than that of its checkpoint (of its weights, where there is none).
    """
    folder = Path(folder)
    content, last = read_recipe(folder), folder / CHECKPOINTS / "last.ckpt"
    kind = of_run(content["recipe"], str(folder), recipes)
    if last.exists() or not (folder / WEIGHTS).exists():
        return _build(kind, content, form_of(read_checkpoint(last, "meta")["model"]), last)
    return _build(kind, content, form_of(read_weights(folder / WEIGHTS).weights), folder / WEIGHTS)


def load(path: str | Path, *, recipes: Iterable[type[Recipe]] = ()) -> Run:
    """A trained run, its model in evaluation mode on the CPU.

    Nothing is imported: the run's recipe is one of this package, or one that you have imported.
    Warns if the run is not complete: it goes on, or was stopped, after these weights were written.

    Args:
        path: the run folder.
        recipes: classes of recipes that the run may be of, beside those that are registered.

    Raises:
        MixvaeError: if the folder is no run, its recipe is not known, or its weights are missing,
            truncated, no safetensors file, altered, not finite, or another recipe's.
    """
    is_a((str, Path), "the run folder's path", path=path)
    folder = Path(path)
    content, weights = read_recipe(folder), folder / WEIGHTS
    kind = of_run(content["recipe"], str(folder), recipes)
    if not weights.is_file():
        raise MixvaeError(
            f"{weights} is missing: the run was not finished. Go on with it: "
            f"mixvae train --resume {folder}"
        )
    saved = read_weights(weights)
    _check_names_recipe(saved.recipe, kind, content, weights)
    recipe = _build(kind, content, form_of(saved.weights), weights)
    recipe.model.load_state_dict(saved.weights)
    recipe.model.eval()
    recipe = replace(recipe, initialization=None)
    if not is_complete(folder):
        warnings.warn(
            f"the run {folder} is not finished: its weights and figures may be of an earlier "
            f"epoch than its last. Finish it: mixvae train --resume {folder}",
            MixvaeWarning,
            stacklevel=2,
        )
    return Run(folder, recipe, _metrics(folder), read_history(folder / LOG))


def load_weights(recipe: BuiltRecipe, path: Path) -> None:
    """Read a weights file into the model of a recipe, after checking that it belongs to it."""
    saved = read_weights(path)
    _check_names_recipe(saved.recipe, type(recipe.recipe), recipe.to_dict(), path)
    recipe.model.load_state_dict(saved.weights)


def load_transform(folder: Path) -> Transform | None:
    """The transform of a run's data; None where recipe and weights are there without data.json."""
    if not (folder / DATA).exists():
        return None
    try:
        return Transform.from_dict(read_json(folder, DATA).get("transform"))
    except MixvaeError as error:
        raise MixvaeError(f"{folder / DATA} does not say how its data were read: {error}") from None


def _build(
    kind: type[Recipe], content: dict[str, Any], forms: Mapping[str, Form], saved: Path
) -> BuiltRecipe:
    """The recipe that ``recipe.json`` names, if the weights in the file ``saved`` are its own.

    What it would be larger than they are is never built.
    """
    name, options = content["recipe"], content["options"]
    n, k = sum(math.prod(shape) for shape, _ in forms.values()), options.get("n_components")
    other = (
        f"{saved} holds the weights of another recipe than {name} with {options!s:.2000} for x of "
        f"shape {content['x_shape']!s:.200}, which {RECIPE} names"
    )
    long = [v for v in options.values() if isinstance(v, list) and len(v) > len(forms)]
    if long or (isinstance(k, int) and k > n):  # a tensor a layer, a number a component at least
        raise MixvaeError(f"{other}: it has fewer layers or components.")
    try:
        with size_limit(n, times=8 + (min(abs(k), 1000) if isinstance(k, int) else 0)):
            recipe = build(with_options(kind, options), content["x_shape"])
    except TooLargeError as error:
        raise MixvaeError(f"{other}: {error}.") from error
    except MixvaeError as error:
        raise MixvaeError(f"{RECIPE} of {saved.parent}: {error}") from error
    except Exception as error:  # of values from a file, almost any
        raise MixvaeError(
            f"{RECIPE} of {saved.parent} names a model that cannot be built ({error}); was it "
            "edited?"
        ) from error
    ours = form_of(recipe.model.state_dict())
    for part in sorted(ours.keys() | forms.keys()):
        if ours.get(part) != forms.get(part):
            raise MixvaeError(f"{other}: {part} is {forms.get(part)}, not {ours.get(part)}.")
    return recipe


def _check_names_recipe(
    said: str, kind: type[Recipe], content: dict[str, Any], weights: Path
) -> None:
    """Raise unless weights name the run's recipe. An option that came later has its default."""
    try:
        found = _completed(parse_json(said), kind)
    except (ValueError, TypeError, KeyError) as error:
        raise MixvaeError(f"{weights} does not say which recipe it belongs to.") from error
    expected = _completed(content, kind)
    if found != expected:
        raise MixvaeError(
            f"{weights} holds the weights of another recipe than {weights.parent / RECIPE} names: "
            f"expected {expected}, found {found}."
        )


def _completed(said: dict[str, Any], kind: type[Recipe]) -> dict[str, Any]:
    """What names a recipe, with the defaults of options that it does not name."""
    known = {name: as_json(value) for name, value in options_of(kind).items()} | said["options"]
    return {"recipe": said["recipe"], "x_shape": said["x_shape"], "options": known}


def _metrics(folder: Path) -> dict[str, Any]:
    """The figures of a run, which are a record: none, with a warning, where they are damaged."""
    try:
        return read_json(folder, METRICS) if (folder / METRICS).exists() else {}
    except MixvaeError as error:
        warnings.warn(f"the run's figures are left out: {error}", MixvaeWarning, stacklevel=3)
        return {}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write readable JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Read one of a run folder's JSON files."""
    try:
        return read_json_object(folder / name)
    except FileNotFoundError:
        raise MixvaeError(f"{folder} is not a run folder: it has no {name}.") from None
