"""The models, by name: each is a row of choices.

===========  =  =======  =========  ======================  =============  =========  ==============
recipe       K  trunk    weights    decoder                 prior          family     bound; penalty
===========  =  =======  =========  ======================  =============  =========  ==============
vae          1  stacked  --         1 net → keep            N(0, I)        joint      elbo
beta-vae     1  stacked  --         1 net → keep            N(0, I)        joint      elbo, beta KL
iwae         1  stacked  --         1 net → keep            N(0, I)        joint      iwae
m-vae        K  stacked  Dirichlet  K nets → blend means    N(0, I)        joint      paper's; dhsic
mvae         K  stacked  Dirichlet  K nets → blend → head   N(0, I)        joint      paper's; dhsic
mvae-gs      K  stacked  Dirichlet  the same, masks         N(0, I)        joint      masked; dhsic
mvae-gau     K  stacked  Dirichlet  the same, masks         N(0, I)        joint      masked; dhsic
mixture-vae  K  shared   learned    K layers → keep → head  N(0, I)        exact      mixture_bound
dlgmm        K  shared   sticks     1 net → keep            N(m_k, I)      posterior  mixture_elbo
dldpmm       K  shared   sticks     1 net → keep            N(m_k, I)      posterior  mixture_elbo
sb-vae       1  shared   --         1 net → keep            sticks         joint      elbo
vamp-prior   1  shared   --         1 net → keep            pseudo-inputs  posterior  mixture_elbo
gmmp-vae     K  shared   uniform    1 net → keep            pseudo-inputs  posterior  mixture_elbo
hvae         1  shared   --         1 net → keep            two levels     posterior  mixture_elbo
vade         1  shared   --         1 net → keep            C normals      posterior  mixture_elbo
flow-vae     1  stacked  --         1 net → keep            flow           joint      elbo
semvae       K  stacked  uniform    1 net → keep            N(0, I)        posterior  miselbo
misvae       K  one-hot  uniform    1 net → keep            N(0, I)        posterior  miselbo
===========  =  =======  =========  ======================  =============  =========  ==============

Family: joint has K codes at once, exact one code of one of K components, posterior one code that a
mixture of K infers. A recipe's arguments are plain values, written to ``recipe.json`` and offered
as command-line options; everything below takes objects. To add one: a function in a file here, a
row above, a line in ``RECIPES``.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from operator import index
from typing import Any

from ..data.dataset import Dataset
from ..errors import MixvaeError, at_least, unknown
from ..priors import VampPrior
from .flow_vae import flow_vae
from .hvae import hvae
from .latent_mixtures import dldpmm, dlgmm, sb_vae
from .m_vae import m_vae
from .mixture_vae import mixture_vae
from .multiple_importance import misvae, semvae
from .mvae import mvae, mvae_gau, mvae_gs
from .pseudo_inputs import gmmp_vae, vamp_prior
from .recipe import Parts, Recipe, is_bound
from .vade import vade
from .vae import beta_vae, iwae, vae

RECIPES: Mapping[str, Callable[..., Parts]] = {
    "vae": vae,
    "beta-vae": beta_vae,
    "iwae": iwae,
    "m-vae": m_vae,
    "mvae": mvae,
    "mvae-gs": mvae_gs,
    "mvae-gau": mvae_gau,
    "mixture-vae": mixture_vae,
    "dlgmm": dlgmm,
    "dldpmm": dldpmm,
    "sb-vae": sb_vae,
    "vamp-prior": vamp_prior,
    "gmmp-vae": gmmp_vae,
    "hvae": hvae,
    "vade": vade,
    "flow-vae": flow_vae,
    "semvae": semvae,
    "misvae": misvae,
}

# By the type of its default, what an option must be.
KINDS = {
    bool: (bool, "true or false"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
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
    data = x if isinstance(x, Dataset) else None
    if isinstance(x, Dataset):
        known: dict[str, Any] = {"likelihood": x.likelihood}
        if options.get("conditional"):
            known["n_classes"] = x.n_classes
        given = {key: v for key, v in options.items() if v is not None or key not in known}
        options = known | given
        x = x.x_shape
    x_shape = _shape(x)
    options = defaults | options
    options = {key: _plain(key, options[key], default) for key, default in defaults.items()}
    parts = RECIPES[name](x_shape, **options)
    for part in parts.model.modules():
        if data is not None and isinstance(part, VampPrior) and part.from_data:
            part.start_from(data.train.x)
    is_density = parts.model.decoder.likelihood.is_density
    bound, claim = parts.bound if is_density else None, parts.objective_is_bound
    claim = is_density and (is_bound(parts.objective) if claim is None else claim)
    first = parts.initialization
    return Recipe(name, x_shape, options, parts.model, parts.objective, bound, claim, first)


def list_recipes() -> dict[str, str]:
    """Every recipe's name, and what it is in one line."""
    return {name: (make.__doc__ or "").partition("\n")[0] for name, make in RECIPES.items()}


def options_of(name: str) -> dict[str, Any]:
    """A recipe's options and their defaults."""
    parameters = inspect.signature(RECIPES[name]).parameters
    return {key: p.default for key, p in parameters.items() if key != "x_shape"}


def _shape(x: Any) -> tuple[int, ...]:
    try:
        x_shape = tuple(index(n) for n in x)
    except TypeError as error:
        raise MixvaeError(
            "x must be the shape of one x, such as (1, 28, 28), or a Dataset (of arrays, "
            f"mixvae.data.from_arrays makes one); got {type(x).__name__}."
        ) from error
    if not x_shape:
        raise MixvaeError("x_shape must have at least one axis, such as (1, 28, 28); got ().")
    at_least(1, **{f"x_shape[{i}]": n for i, n in enumerate(x_shape)})
    return x_shape


def _plain(name: str, value: Any, default: Any) -> Any:
    """A value as JSON has it, if it is of its default's kind.

    Whole numbers are sizes, so at least 1. What defaults to a string is the recipe's to check.
    """
    if isinstance(default, (list, tuple)):
        if not isinstance(value, (list, tuple)):
            raise MixvaeError(f"{name} must be a list, such as {list(default)}; got {value!r}.")
        return [_plain(name, each, default[0]) for each in value]
    if type(default) not in KINDS:
        return value
    kind, expected = KINDS[type(default)]
    if not isinstance(value, kind) or isinstance(value, bool) != isinstance(default, bool):
        raise MixvaeError(f"{name} must be {expected}; got {value!r}.")
    plain = type(default)(value)
    if kind is Integral:
        at_least(1, **{name: plain})
    return plain
