"""The registry: recipes by name, of this package, of installed packages and of users."""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from importlib.metadata import entry_points
from inspect import get_annotations, isclass
from types import MappingProxyType
from typing import Any, TypeVar

from mixvae.errors import MixvaeError, unknown

from .recipe import Recipe
from .values import check_hint, hints_of

GROUP = "mixvae.recipes"  # of entry points, by which installed packages offer recipes
NAME = "_registered_as"
R = TypeVar("R", bound=type[Recipe])

_registered: dict[str, type[Recipe]] = {}
RECIPES: Mapping[str, type[Recipe]] = MappingProxyType(_registered)


def register(name: str) -> Callable[[R], R]:
    """Register a recipe's class under a name, by which it is built, trained, saved and loaded.

    The same class of the same file, registered again, replaces the previous one, as when a
    notebook's cell is run again.

    Parameters
    ----------
    name
        Lower-case words joined by dashes, such as "laplace-vae".

    Returns
    -------
        A class decorator.

    Raises
    ------
    MixvaeError
        For a class that is not a recipe, an option without a default or of a type that JSON cannot
        hold, and the name of another class.
    """

    def decorator(recipe: R) -> R:
        check_class(recipe)
        taken = _registered.get(name)
        if taken is not None and _origin(taken) != _origin(recipe):
            raise MixvaeError(
                f"the name {name!r} is taken by {_where(taken)}; register {_where(recipe)} under "
                "another."
            )
        setattr(recipe, NAME, name)
        _registered[name] = recipe
        return recipe

    if not isinstance(name, str):  # @register without a name
        raise MixvaeError('register takes the recipe\'s name: @mixvae.register("laplace-vae").')
    if not name or name != name.lower() or not name.replace("-", "").isalnum():
        raise MixvaeError(
            f"a recipe's name is of lower-case letters, digits and dashes, such as 'laplace-vae'; "
            f"got {name!r}."
        )
    return decorator


def check_class(recipe: Any) -> None:
    """Raise a MixvaeError unless this is a class whose instances can be saved as recipes."""
    if not (isclass(recipe) and issubclass(recipe, Recipe)):
        raise MixvaeError(
            f"{getattr(recipe, '__name__', repr(recipe))} is not a recipe: a recipe is a class "
            "that inherits from mixvae.recipes.Recipe, or from one of its subclasses."
        )
    name, hints = recipe.__name__, hints_of(recipe)
    options = {option.name: option for option in fields(recipe)}
    own = [key for key in get_annotations(recipe) if key not in options]
    lost = [key for key in own if "ClassVar" not in str(hints[key])]
    if lost or not is_dataclass(recipe):
        raise MixvaeError(
            f"the option {lost[0]} of {name} is not known: put @dataclass(frozen=True, "
            "kw_only=True) right above the class, below @mixvae.register."
        )
    for key, option in options.items():
        if option.default is MISSING:
            raise MixvaeError(
                f"the option {key} of {name} has no default: give it one, such as '{key}: int = 1' "
                "(a sequence's is a tuple)."
            )
        if key == "seed" or (key != "n_components" and hasattr(Recipe, key)):
            raise MixvaeError(
                f"{name} cannot have an option {key}, which is build's, or a method of all recipes."
            )
        check_hint(name, key, hints[key])
    recipe()  # raises for defaults that are not allowed


def name_of(recipe: type[Recipe]) -> str:
    """The name that a class is registered under; raises a MixvaeError if it has none."""
    name = vars(recipe).get(NAME)
    if name is None:
        raise MixvaeError(
            f"{recipe.__name__} has no name, which its runs are saved and loaded by: put "
            f'@mixvae.register("a-name") above the class.'
        )
    return str(name)


def find(name: str) -> type[Recipe]:
    """The recipe of this name, of an installed package if it is not registered.

    Raises a MixvaeError for a name that no recipe has.
    """
    if name in _registered:
        return _registered[name]
    offered = entry_points(group=GROUP)
    found = [point for point in offered if point.name == name]
    if len({point.value for point in found}) > 1:
        places = " and ".join(sorted({point.value for point in found}))
        raise MixvaeError(f"two installed packages have a recipe {name!r}: {places}.")
    if not found:
        raise unknown("recipe", name, {*_registered, *(point.name for point in offered)})
    try:
        recipe = found[0].load()
    except Exception as error:
        raise MixvaeError(
            f"the recipe {name!r} of {found[0].value} cannot be imported: {error!r}."
        ) from error
    if vars(recipe).get(NAME) != name:
        register(name)(recipe)
    return _registered[name]


def of_run(name: str, where: str, recipes: Iterable[type[Recipe]] = ()) -> type[Recipe]:
    """The recipe that a run names, among these and the registered ones; imports nothing.

    Raises a MixvaeError for an unknown recipe, which says how to give it.
    """
    given = {name_of(recipe): recipe for recipe in _classes(recipes)}
    known = {**_registered, **given}
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        raise MixvaeError(
            f"{where} is a run of the recipe {name!r}, which is not known here, and loading a run "
            "imports nothing. Import the module that registers it, or name its class: "
            "mixvae.load(run, recipes=[...]), on the command line --recipes FILE:CLASS."
            + (f" Did you mean {near[0]!r}?" if near else "")
        )
    return known[name]


def list_recipes() -> dict[str, str]:
    """The name of every registered recipe, and a description in one line.

    Examples
    --------
    >>> list_recipes()["vae"]
    'The variational autoencoder.'
    """
    return {name: summary_of(recipe) for name, recipe in _registered.items()}


def summary_of(recipe: type[Recipe]) -> str:
    """The first line of a recipe's docstring."""
    text = vars(recipe).get("__doc__") or ""
    if text.startswith(f"{recipe.__name__}("):  # written by dataclass, where there was none
        return ""
    return text.strip().partition("\n")[0]


def _classes(recipes: Iterable[type[Recipe]]) -> list[type[Recipe]]:
    """The recipes, checked; a single one is accepted too."""
    listed = [recipes] if isclass(recipes) or isinstance(recipes, str) else list(recipes)
    for recipe in listed:
        check_class(recipe)
    return listed


def _origin(recipe: type) -> tuple[str, str]:
    """The file, or module, and the name of a class, which do not change when it is reloaded."""
    module = sys.modules.get(recipe.__module__)
    return getattr(module, "__file__", None) or recipe.__module__, recipe.__qualname__


def _where(recipe: type) -> str:
    """Name and file of a class, for messages."""
    place, name = _origin(recipe)
    return f"{name} of {place}"
