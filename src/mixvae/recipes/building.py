"""build: from a recipe and data, or the shape of x, to a model with its objective."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from inspect import isclass
from operator import index
from typing import Any

import torch

from mixvae.data.dataset import Dataset
from mixvae.errors import MixvaeError, fits_memory, unknown, whole
from mixvae.initialization import Initialization
from mixvae.model import MixtureVAE
from mixvae.objectives import Bound, Objective
from mixvae.seeding import noise

from .recipe import Parts, Recipe
from .registry import check_class, find, name_of
from .shapes import check_parts

LARGE = 10_000  # with a size above it, the memory needed is computed before it is allocated
MODULES_EACH = ("n_components", "n_transforms", "n_layers")  # numbers of modules: at most LARGE
AnyRecipe = str | type[Recipe] | Recipe


@dataclass(frozen=True)
class BuiltRecipe:
    """A recipe with its model and objective, as :func:`build` returns it."""

    recipe: Recipe
    """The recipe, with all options; it and ``x_shape`` suffice to build the model again."""
    x_shape: tuple[int, ...]
    """Shape of one x."""
    model: MixtureVAE = field(repr=False)
    """The model."""
    objective: Objective = field(repr=False)
    """What training maximises."""
    initialization: Initialization | None = field(default=None, repr=False)
    """Phases of training before the model's own, or None."""

    @property
    def name(self) -> str:
        """The name that the recipe is registered under."""
        return name_of(type(self.recipe))

    @property
    def options(self) -> dict[str, Any]:
        """The recipe's options and their values, as in JSON."""
        return self.recipe.options()

    @property
    def bound(self) -> Bound | None:
        """The family's lower bound on log p(x); None without a density p(x | z) or q(z | x)."""
        model = self.model
        has_bound = model.decoder.likelihood.is_density and not model.is_deterministic
        return model.family.elbo if has_bound else None

    @property
    def objective_is_bound(self) -> bool:
        """Whether the objective is known to be a lower bound on log p(x)."""
        return self.bound is not None and self.objective.is_bound

    @property
    def n_components(self) -> int:
        """Number K of components."""
        return self.model.n_components

    @property
    def n_parameters(self) -> int:
        """Number of learned scalars."""
        return sum(p.numel() for p in self.model.parameters())

    def to_dict(self) -> dict[str, Any]:
        """The recipe, ``x_shape`` and options in JSON's types."""
        return {"recipe": self.name, "x_shape": list(self.x_shape), "options": self.options}


def build(
    recipe: AnyRecipe, x: Sequence[int] | Dataset, *, seed: int | None = None, **options: Any
) -> BuiltRecipe:
    """Build a recipe's model and objective.

    Parameters
    ----------
    recipe
        A name in :func:`list_recipes`, a recipe's class, or an instance of one.
    x
        The shape of one x, such as (1, 28, 28) or (784,); or the data, which then also determine
        options that are None: the likelihood (bernoulli for binary pixels, binomial for 3 to 33
        equally spaced levels, gaussian for other grey and colour) and the number of classes.
    seed
        Seed of the initial weights, 0 to 2**64 - 1. With it the same call gives the same weights,
        and ``fit(build(name, data, seed=s), data, seed=s)`` equals ``fit(name, data, seed=s)``. By
        default PyTorch's global generator is used.
    **options
        The recipe's options; for an instance, those to change.

    Returns
    -------
        The recipe with all options, the model and the objective.

    Raises
    ------
    MixvaeError
        For an unknown name or option, a value that is not allowed, or parts that do not fit.

    Examples
    --------
    >>> built = build("vae", (1, 8, 8), hidden=[16], n_latent=2)
    >>> built.n_parameters
    2244
    """
    chosen = with_options(recipe, options)
    name_of(type(chosen))  # raises where there is none
    data = x if isinstance(x, Dataset) else None
    x_shape = _shape(x.x_shape if isinstance(x, Dataset) else x)
    chosen = chosen.resolve(data)
    with noise(seed):
        parts = _parts(chosen, x_shape)
        check_parts(chosen, parts, x_shape)
        if data is not None:
            chosen.start_from(parts.model, data)
    return BuiltRecipe(chosen, x_shape, *parts)


def with_options(recipe: AnyRecipe, options: dict[str, Any]) -> Recipe:
    """An instance of a recipe with these options.

    Raises a MixvaeError for an unknown name or option, or a value that is not allowed.
    """
    kind = class_of(recipe)
    known = [option.name for option in fields(kind)]
    for option in options:
        if option not in known:
            name = recipe if isinstance(recipe, str) else kind.__name__
            raise unknown(f"option of {name}", option, known)
    return replace(recipe, **options) if isinstance(recipe, Recipe) else kind(**options)


def class_of(recipe: AnyRecipe) -> type[Recipe]:
    """The class of a recipe, given by its name, its class or an instance.

    Raises a MixvaeError for an unknown name, and for anything else than a recipe.
    """
    if isinstance(recipe, str):
        return find(recipe)
    kind = recipe if isclass(recipe) else type(recipe)
    if not issubclass(kind, Recipe) and not isclass(recipe):
        raise MixvaeError(
            f"recipe must be a recipe's name, such as 'vae', its class or an instance; got "
            f"{kind.__name__}."
        )
    check_class(kind)
    return kind


def options_of(recipe: AnyRecipe) -> dict[str, Any]:
    """The options of a recipe, and their defaults.

    Parameters
    ----------
    recipe
        A name in :func:`list_recipes`, a recipe's class, or an instance of one.

    Returns
    -------
        Default values by option.

    Raises
    ------
    MixvaeError
        For an unknown name, and for anything else than a recipe.

    Examples
    --------
    >>> options_of("iwae")["n_samples"]
    5
    """
    return {option.name: option.default for option in fields(class_of(recipe))}


def _parts(recipe: Recipe, x_shape: tuple[int, ...]) -> Parts:
    """The parts of a recipe, after a check of the memory they need."""
    options = recipe.options()
    whole(1, LARGE, **{key: options[key] for key in MODULES_EACH if key in options})
    what = f"the recipe {name_of(type(recipe))} with these sizes"
    if max(_numbers([*x_shape, *options.values()])) > LARGE:
        fits_memory(_bytes(recipe, x_shape), what)
    try:
        return recipe.parts(x_shape)
    except RuntimeError as error:
        if "alloc" in str(error) or "overflow" in str(error):  # by PyTorch
            raise MixvaeError(f"{what} takes more memory than there is; ask for less.") from error
        raise


def _bytes(recipe: Recipe, x_shape: tuple[int, ...]) -> float:
    """The size of a recipe's weights, without allocating them."""
    try:
        with torch.device("meta"):
            state = recipe.parts(x_shape).model.state_dict()
    except (NotImplementedError, RuntimeError):  # a part that reads values, or sizes out of range
        return 0
    return sum(values.nbytes for values in state.values())


def _numbers(values: Iterable[Any]) -> Iterator[int]:
    """All whole numbers in nested lists."""
    for value in values:
        if isinstance(value, list):
            yield from _numbers(value)
        elif isinstance(value, int):
            yield value


def _shape(x: Any) -> tuple[int, ...]:
    """The shape of one x, checked."""
    try:
        x_shape = tuple(index(n) for n in x)
    except TypeError as error:
        raise MixvaeError(
            "x must be the shape of one x, such as (1, 28, 28), or a Dataset (of arrays, "
            f"mixvae.data.from_arrays makes one); got {type(x).__name__}."
        ) from error
    if not x_shape:
        raise MixvaeError("x_shape must have at least one axis, such as (1, 28, 28); got ().")
    whole(1, **{f"x_shape[{i}]": n for i, n in enumerate(x_shape)})
    return x_shape
