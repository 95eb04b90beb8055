"""Run folders: their content, written and read back without pickles."""

import json
import math
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .data.batch_labels import BatchName, check_names
from .data.classes import ClassName, check_class_names
from .data.transform_record import AnyTransform, read_transform
from .errors import MixvaeError, MixvaeWarning, is_a
from .recipes import Recipe, options_of
from .recipes.building import BuiltRecipe, build, with_options
from .recipes.registry import of_run
from .recipes.values import as_json
from .storage.files import write_text
from .storage.history import read_history
from .storage.reading import parse_json, read_json_object, read_yaml
from .storage.run_folder import CHECKPOINTS as CHECKPOINTS
from .storage.run_folder import CONFIG as CONFIG
from .storage.run_folder import DATA, LOG, METRICS, RECIPE, WEIGHTS, is_complete, last_checkpoint
from .storage.run_folder import TRAINING as TRAINING
from .storage.run_folder import claim as claim
from .storage.size_limit import TooLargeError, size_limit
from .storage.weights import Form, form_of, read_checkpoint, read_weights, write_weights

FORMAT = 2


@dataclass(frozen=True)
class Run:
    """A trained recipe and its folder.

    Attributes
    ----------
    folder
        The run folder.
    recipe
        The recipe with its model, ``recipe.model``.
    metrics
        The final figures, those in ``metrics.json``.
    history
        The rows of ``log.csv``, one for each epoch, by column.
    """

    folder: Path
    recipe: BuiltRecipe
    metrics: dict[str, Any] = field(default_factory=dict, repr=False)
    history: list[dict[str, Any]] = field(default_factory=list, repr=False)

    @property
    def pictures(self) -> list[Path]:
        """The PNG files in the folder."""
        return sorted(self.folder.glob("*.png"))

    @property
    def complete(self) -> bool:
        """Whether training has ended, and weights, figures and pictures are those of its end."""
        return is_complete(self.folder)

    @property
    def transform(self) -> AnyTransform | None:
        """The scaling of its data; ``mixvae.data.load(path, transform=run.transform)`` uses it."""
        return load_transform(self.folder)

    @property
    def batch_names(self) -> tuple[BatchName, ...] | None:
        """The names of the technical batches of its data, in the order of their numbers."""
        return load_batch_names(self.folder)

    @property
    def class_names(self) -> tuple[ClassName, ...] | None:
        """The names of the classes of its data, in the order of their numbers."""
        return load_class_names(self.folder)

    def export(self, out: str | Path | None = None, **options: Any) -> Any:
        """Write ONNX or PyTorch files that need no mixvae: :func:`mixvae.export.export_run`."""
        from .export import export_run

        return export_run(self, out, **options)

    def save_pretrained(self, folder: str | Path, **options: Any) -> Path:
        """Write it without checkpoints, with a card: :func:`mixvae.export.save_pretrained`."""
        from .export import save_pretrained

        return save_pretrained(self, folder, **options)

    def push_to_hub(self, name: str, **options: Any) -> str:
        """Upload it to the Hugging Face hub: :func:`mixvae.export.push_to_hub`."""
        from .export import push_to_hub

        return push_to_hub(self, name, **options)


def save_recipe(recipe: BuiltRecipe, folder: Path) -> None:
    """Write ``recipe.json``, from which the model can be built again, without its weights."""
    write_json(folder / RECIPE, {"format": FORMAT} | recipe.to_dict())


def save_weights(recipe: BuiltRecipe, folder: Path) -> None:
    """Write ``model.safetensors``, which names the recipe that it belongs to."""
    write_weights(recipe.model.state_dict(), recipe.to_dict(), folder / WEIGHTS)


def read_recipe(folder: str | Path) -> dict[str, Any]:
    """The content of ``recipe.json``: recipe, x_shape and options. Nothing is built.

    Raises `MixvaeError` if the folder is not a run, or was written by a later version.
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

    Raises `MixvaeError` if the folder is not a run or was written by a later version, and if its
    recipe is unknown, or another than that of its checkpoint, or of its weights without one.
    """
    folder = Path(folder)
    content, last = read_recipe(folder), last_checkpoint(folder)
    kind = _recipe_class(folder, content["recipe"], recipes)
    if last.exists() or not (folder / WEIGHTS).exists():
        return _build(kind, content, form_of(read_checkpoint(last, "meta")["model"]), last)
    return _build(kind, content, form_of(read_weights(folder / WEIGHTS).weights), folder / WEIGHTS)


def load(path: str | Path, *, recipes: Iterable[type[Recipe]] = ()) -> Run:
    """Load a trained run, with its model in evaluation mode on the CPU.

    Nothing is imported: the run's recipe is one of this package, or one that you have imported.
    Warns (`MixvaeWarning`) if the run is not complete, because it is still training or was stopped
    after these weights were written.

    Parameters
    ----------
    path
        The run folder.
    recipes
        Classes of recipes that the run may be of, besides those that are registered.

    Returns
    -------
    Run
        The recipe with its weights, the final figures and the history.

    Raises
    ------
    MixvaeError
        If the folder is not a run, its recipe is unknown, or its weights are missing, truncated,
        altered, not finite, another recipe's, or not in a safetensors file.
    """
    is_a((str, Path), "the run folder's path", path=path)
    folder = Path(path)
    content, weights = read_recipe(folder), folder / WEIGHTS
    kind = _recipe_class(folder, content["recipe"], recipes)
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
    """Load a file of weights into the model of a recipe, after checking that they belong to it."""
    saved = read_weights(path)
    _check_names_recipe(saved.recipe, type(recipe.recipe), recipe.to_dict(), path)
    recipe.model.load_state_dict(saved.weights)


def load_transform(folder: Path) -> AnyTransform | None:
    """The transform of a run's data; None without ``data.json``."""
    if not (folder / DATA).exists():
        return None
    try:
        return read_transform(read_json(folder, DATA).get("transform"))
    except MixvaeError as error:
        raise MixvaeError(f"{folder / DATA} does not say how its data were read: {error}") from None


def load_batch_names(folder: Path) -> tuple[BatchName, ...] | None:
    """The names of the batches of a run's data; None where there are none."""
    if not (folder / DATA).exists():
        return None
    try:
        return check_names(read_json(folder, DATA).get("batch_names"))
    except MixvaeError as error:
        raise MixvaeError(f"{folder / DATA} does not say what its batches are: {error}") from None


def load_class_names(folder: Path) -> tuple[ClassName, ...] | None:
    """The names of the classes of a run's data; None where there are none."""
    if not (folder / DATA).exists():
        return None
    try:
        return check_class_names(read_json(folder, DATA).get("class_names"))
    except MixvaeError as error:
        raise MixvaeError(f"{folder / DATA} does not say what its classes are: {error}") from None


def _recipe_class(folder: Path, name: str, recipes: Iterable[type[Recipe]] = ()) -> type[Recipe]:
    """The class of a run's recipe; an unknown one's error quotes the FILE:CLASS in its config."""
    try:
        return of_run(name, str(folder), recipes)
    except MixvaeError as error:
        word = None
        with suppress(MixvaeError):  # no such file, or a damaged one
            word = read_yaml(folder / CONFIG).get("recipe")
        if isinstance(word, str) and ":" in word:
            raise MixvaeError(f"{error} The run was trained with {word}.") from error
        raise


def _build(
    kind: type[Recipe], content: dict[str, Any], forms: Mapping[str, Form], saved: Path
) -> BuiltRecipe:
    """The recipe that ``recipe.json`` names, if the weights in the file ``saved`` belong to it.

    A model that is larger than these weights is never built.
    """
    name, options = content["recipe"], content["options"]
    n, k = sum(math.prod(shape) for shape, _ in forms.values()), options.get("n_components")
    other = (
        f"{saved} holds the weights of another recipe than {name} with {options!s:.2000} for x of "
        f"shape {content['x_shape']!s:.200}, which {RECIPE} names"
    )
    too_long = any(isinstance(v, list) and len(v) > len(forms) for v in options.values())
    # a layer has at least one tensor, and a component at least one number
    if too_long or (isinstance(k, int) and k > n):
        raise MixvaeError(f"{other}: it has fewer layers or components.")
    try:
        with size_limit(n, times=8 + (min(abs(k), 1000) if isinstance(k, int) else 0)):
            recipe = build(with_options(kind, options), content["x_shape"])
    except TooLargeError as error:
        raise MixvaeError(f"{other}: {error}.") from error
    except MixvaeError as error:
        raise MixvaeError(f"{RECIPE} of {saved.parent}: {error}") from error
    except Exception as error:  # values from a file can raise almost any
        raise MixvaeError(
            f"{RECIPE} of {saved.parent} names a model that cannot be built ({error}); was it "
            "edited?"
        ) from error
    expected = form_of(recipe.model.state_dict())
    for part in sorted(expected.keys() | forms.keys()):
        if expected.get(part) != forms.get(part):
            raise MixvaeError(f"{other}: {part} is {forms.get(part)}, not {expected.get(part)}.")
    return recipe


def _check_names_recipe(
    recipe: str, kind: type[Recipe], content: dict[str, Any], weights: Path
) -> None:
    """Raise unless the recipe in a weights' file, as JSON, is the run's."""
    try:
        found = _completed(parse_json(recipe), kind)
    except (ValueError, TypeError, KeyError) as error:
        raise MixvaeError(f"{weights} does not say which recipe it belongs to.") from error
    expected = _completed(content, kind)
    if found != expected:
        raise MixvaeError(
            f"{weights} holds the weights of another recipe than {weights.parent / RECIPE} names: "
            f"expected {expected}, found {found}."
        )


def _completed(content: dict[str, Any], kind: type[Recipe]) -> dict[str, Any]:
    """Name, shape and options of a recipe, with defaults for options that are newer than it."""
    defaults = {name: as_json(value) for name, value in options_of(kind).items()}
    options = defaults | content["options"]
    return {"recipe": content["recipe"], "x_shape": content["x_shape"], "options": options}


def _metrics(folder: Path) -> dict[str, Any]:
    """The figures of a run; none, with a warning, where they are damaged."""
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
    if folder.is_file():
        raise MixvaeError(f"{folder} is not a run folder: it is a file.")
    try:
        return read_json_object(folder / name)
    except FileNotFoundError:
        raise MixvaeError(f"{folder} is not a run folder: it has no {name}.") from None
