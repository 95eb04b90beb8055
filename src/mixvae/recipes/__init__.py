"""The models, by name: each is a row of choices.

===========  ==  =======  =========  =======================  =========  ===============  =======
recipe       K   trunk    weights    decoder (branch → …)     one code   bound            penalty
===========  ==  =======  =========  =======================  =========  ===============  =======
vae          1   stacked  --         1 net → keep             yes        elbo             --
beta-vae     1   stacked  --         1 net → keep             yes        elbo, KL × beta  --
iwae         1   stacked  --         1 net → keep             yes        iwae             --
m-vae        K   stacked  Dirichlet  K nets → blend means     K of them  paper_objective  dhsic
mvae         K   stacked  Dirichlet  K nets → blend → head    K of them  paper_objective  dhsic
mixture-vae  K   stacked  learned    K nets → keep            yes        mixture_bound    --
===========  ==  =======  =========  =======================  =========  ===============  =======

A recipe's arguments are plain values, written to ``recipe.json`` and offered as command-line
options; everything below takes objects. To add one: a function in a file here, a row above, a
line in ``RECIPES``.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..data.dataset import Dataset
from ..errors import MixvaeError, at_least, unknown
from .m_vae import m_vae
from .mixture_vae import mixture_vae
from .mvae import mvae
from .recipe import Parts, Recipe
from .vae import beta_vae, iwae, vae

RECIPES: Mapping[str, Callable[..., Parts]] = {
    "vae": vae,
    "beta-vae": beta_vae,
    "iwae": iwae,
    "m-vae": m_vae,
    "mvae": mvae,
    "mixture-vae": mixture_vae,
}

__all__ = ["RECIPES", "Recipe", "build", "list_recipes", "options_of"]


def build(name: str, x: Sequence[int] | Dataset, **options: Any) -> Recipe:
    """Build a recipe's model and objective.

    Args:
        name: a name in :func:`list_recipes`.
        x: the shape of one x, such as (1, 28, 28) or (784,); or the data, whose kind then also
            chooses the likelihood: bernoulli for binary pixels, gaussian for grey and colour.
        options: the recipe's own arguments; ``help(mixvae.recipes.RECIPES[name])`` lists them.

    Raises:
        MixvaeError: for an unknown name or option, or a value that cannot be used.
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    defaults = options_of(name)
    for option in options:
        if option not in defaults:
            raise unknown(f"option of {name}", option, defaults)
    if isinstance(x, Dataset):
        options = {"likelihood": x.likelihood} | options
        x = x.x_shape
    x_shape = tuple(int(n) for n in x)
    if not x_shape:
        raise MixvaeError("x_shape must have at least one axis, such as (1, 28, 28); got ().")
    at_least(1, **{f"x_shape[{i}]": n for i, n in enumerate(x_shape)})
    options = {key: _plain(value) for key, value in (defaults | options).items()}
    parts = RECIPES[name](x_shape, **options)
    is_density = parts.model.decoder.likelihood.is_density
    bound = parts.bound if is_density else None
    return Recipe(name, x_shape, options, parts.model, parts.objective, bound)


def list_recipes() -> dict[str, str]:
    """Every recipe's name, and what it is in one line."""
    return {name: (make.__doc__ or "").partition("\n")[0] for name, make in RECIPES.items()}


def options_of(name: str) -> dict[str, Any]:
    """A recipe's options and their defaults."""
    parameters = inspect.signature(RECIPES[name]).parameters
    return {key: p.default for key, p in parameters.items() if key != "x_shape"}


def _plain(value: Any) -> Any:
    """A value as JSON has it: sequences are lists."""
    return list(value) if isinstance(value, tuple) else value
