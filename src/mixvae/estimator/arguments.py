"""The arguments of ``DeepMixture`` as a recipe, its options, and those of the training."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2, prod
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from mixvae.data import Dataset
from mixvae.data.sources import Source
from mixvae.errors import MixvaeError, at_least, is_number, shown, whole
from mixvae.initialization.gaussian_mixture import (
    SEARCH_VAL_ROWS,
    Tried,
    one_standard_error,
    search,
)
from mixvae.recipes import options_of
from mixvae.recipes.building import AnyRecipe, class_of, with_options
from mixvae.recipes.mfa_vae import (
    MixtureOfFactorAnalysers,
    columns_of_data,
    kind_of_mixture,
    rows_of,
    typical_library_size,
    weights_of,
    without_choice,
)
from mixvae.training.checkpoints import MONITOR, TrainingState

FEW_ROWS, FEW_LATENTS = 5000, 12  # fewer training rows than these have fewer latent dimensions
FEW = 1000  # a real table of fewer rows is fitted to all of them in the end
SMALL, SMALL_HIDDEN = 20_000, (64, 64)  # a real table of fewer rows has smaller networks
ROWS_IN_ALL, EPOCHS = 250_000, (15, 300)  # that training on a real table sees, roughly
PATIENCE, CLIP = 20, 10.0  # epochs, and the largest norm of a gradient
OPTIONS = {  # of recipes, by argument
    **{name: name for name in ("n_latent", "hidden", "network", "likelihood", "library_size")},
    **{"covariance_type": "covariance", "reg_covar": "reg_covar", "n_init": "n_init"},
}
N_INIT = 3  # fits of the Gaussian mixture where its number of components is given
CHOSEN = ("n_components", "covariance", "reg_covar")


def recipe_for(
    recipe: AnyRecipe, X: Any, *, is_table: bool, binarize: str, is_mixed: bool = False
) -> AnyRecipe:
    """The recipe of "auto": mfa-vae for a table, mixture-vae for images and zeros and ones."""
    if recipe == "auto" and is_mixed:
        return "mfa-vae"
    if recipe != "auto":
        class_of(recipe)
        return recipe
    parts = (part for _, part in X.chunks()) if isinstance(X, Source) else (X,)
    binary = is_table and all(bool((np.isin(x, (0, 1)) | np.isnan(x)).all()) for x in parts)
    if not is_table or binarize != "none" or binary:
        return "mixture-vae"
    return "mfa-vae"


def kinds_of_incomplete(X: Any, likelihood: Any) -> str | None:
    """The likelihood of an incomplete table of zeros and ones, in memory; None for other X."""
    if not (isinstance(X, np.ndarray) and X.ndim == 2 and likelihood in (None, "bernoulli")):
        return None
    missing = X != X  # NaN
    return "bernoulli" if missing.any() and (missing | np.isin(X, (0, 1))).all() else None


def is_real(recipe: AnyRecipe) -> bool:
    """Whether a recipe is for tables of real values."""
    return issubclass(class_of(recipe), MixtureOfFactorAnalysers)


def recipe_options(
    arguments: Mapping[str, Any],
    recipe: AnyRecipe,
    n_rows: int,
    seed: int,
    *,
    is_mixed: bool = False,
) -> dict[str, Any]:
    """The options of a recipe that the estimator's arguments give, and defaults for N rows."""
    known, name = options_of(recipe), recipe if isinstance(recipe, str) else class_of(recipe)
    options = dict(arguments["recipe_options"] or {})
    given = {OPTIONS[key]: arguments[key] for key in OPTIONS if arguments[key] is not None}
    if is_mixed and (is_real(recipe) or isinstance(given.get("likelihood"), Mapping)):
        given.pop("likelihood", None)  # the data have those of their columns
    number = _number(arguments["n_components"], name, known, recipe)
    given |= {} if number is None else {number_option(known): number}
    for option, value in given.items():
        if option not in known:
            argument = next((key for key, o in OPTIONS.items() if o == option), option)
            raise MixvaeError(
                f"the recipe {shown(name)} has no option {option}; got {argument}={shown(value)}. "
                "Leave it out."
            )
        if option in options:
            raise MixvaeError(f"{option} is given twice, as an argument and in recipe_options.")
    options |= given
    if is_real(recipe):
        options.setdefault("start_seed", seed % 2**32)
        options.setdefault("n_init", 1 if number is None else N_INIT)
        if n_rows < SMALL:
            options.setdefault("hidden", SMALL_HIDDEN)
    elif recipe == "mixture-vae" and n_rows < FEW_ROWS:
        options.setdefault("n_latent", FEW_LATENTS)
    return plain(options)


def number_option(known: Mapping[str, Any]) -> str:
    """The option of a recipe that is its number of components, or of clusters of its prior."""
    return "n_clusters" if "n_clusters" in known else "n_components"


def _number(value: Any, name: Any, known: Mapping[str, Any], recipe: AnyRecipe) -> int | None:
    """The number of components, if it is not chosen otherwise."""
    if value is None or (isinstance(value, str) and value == "auto" and is_real(recipe)):
        return None
    if isinstance(value, str) and value == "auto":
        raise MixvaeError(
            f"n_components='auto' is for tables of real values, not for the recipe {shown(name)}; "
            "leave it out for the recipe's own, or take one with component dropout, as 'mvae-gs'."
        )
    if not is_number(value):
        raise MixvaeError(
            f"n_components must be a whole number, 'auto' or None; got {shown(value)}. A recipe is "
            f"given as recipe={shown(value) if isinstance(value, str) else '...'}."
        )
    if number_option(known) not in known:
        raise MixvaeError(
            f"the recipe {shown(name)} has one component and no n_components; got {value}. Leave "
            "it out, or choose a mixture, as 'mixture-vae'."
        )
    whole(1, n_components=value)
    return int(value)


@dataclass(frozen=True)
class Selection:
    """The Gaussian mixtures that were tried, and the one that was chosen."""

    tried: list[Tried]

    @property
    def chosen(self) -> dict[str, Any]:
        """Its number of components, covariance and regularisation."""
        mixture = one_standard_error(self.tried).mixture
        return {name: getattr(mixture, name) for name in CHOSEN}

    def curve(self, log_scale: float) -> list[dict[str, Any]]:
        """A row for each, with the mean log p of held-out rows in the units of X."""
        best = one_standard_error(self.tried)
        return [
            {"n_components": one.mixture.n_components, "covariance_type": one.mixture.covariance}
            | {"reg_covar": one.mixture.reg_covar, "log_p": one.mean - log_scale}
            | {"chosen": one is best}
            for one in self.tried
        ]


def select(recipe: AnyRecipe, data: Dataset, options: dict[str, Any]) -> Selection | None:
    """The choice of the Gaussian mixture to start from; None where nothing is left to choose."""
    if not is_real(recipe):
        return None
    whole_recipe: Any = with_options(recipe, options)
    columns = whole_recipe.columns
    columns = columns_of_data(data) if columns is None else columns
    whole_recipe = without_choice(whole_recipe, columns, prod(data.x_shape))
    given = {name: getattr(whole_recipe, name) for name in CHOSEN}
    n, k = len(data.train), given["n_components"]
    if k is not None and k > n:
        raise MixvaeError(
            f"Expected n_samples >= n_components but got n_components = {k}, n_samples = {n} "
            "rows to train on."
        )
    if whole_recipe.start != "gaussian-mixture" or None not in given.values():
        return None
    train = rows_of(data.train, data.n_batches)  # those of weights_of
    val = rows_of(data.val, data.n_batches, SEARCH_VAL_ROWS)
    size = typical_library_size(whole_recipe, data)
    given["covariance"], kind = kind_of_mixture(columns, given["covariance"], data, size)
    more = {"n_init": whole_recipe.n_init, "seed": whole_recipe.start_seed}
    found = search(train, val, kind_of_mixture=kind, weights=weights_of(data), **given, **more)
    return Selection(found)


def refits(given: bool | None, x: Any, *, real: bool) -> bool:
    """Whether a model is fitted once more to all rows x."""
    few = len(x) < FEW
    if given and not real:
        raise MixvaeError("refit is for tables of real values; leave it out.")
    if given and isinstance(x, Source) and not few:
        raise MixvaeError(f"refit of {FEW} rows or more is for tables in memory; leave it out.")
    return real and (few if given is None else bool(given))


class Patience:
    """A callback that stops training where the validation objective gains too little.

    Parameters
    ----------
    epochs
        Number of epochs; None never stops.
    tol
        What the best objective must have gained in them, nats.
    """

    def __init__(self, epochs: int | None, tol: float) -> None:
        self.epochs, self.tol, self.stopped = epochs, tol, False

    def on_epoch_end(self, state: TrainingState) -> None:
        """Stop after an epoch."""
        rows = [r for r in state.history if MONITOR in r and r["kl_scale"] == 1]
        best = np.maximum.accumulate([row[MONITOR] for row in rows])
        if self.epochs is not None and len(best) > self.epochs:
            self.stopped = bool(best[-1] - best[-1 - self.epochs] <= self.tol)
            state.stop = state.stop or self.stopped


def training_options(
    arguments: Mapping[str, Any], n_rows: int, *, real: bool, is_table: bool
) -> tuple[dict[str, Any], Patience]:
    """The arguments of :func:`mixvae.fit`, and the callback that stops it."""
    epochs, batch, patience = (arguments[key] for key in ("max_epochs", "batch_size", "patience"))
    whole(0 if real else 1, max_epochs=1 if epochs is None else epochs)
    whole(1, batch_size=1 if batch is None else batch, patience=patience or 1)
    at_least(0, tol=arguments["tol"])
    if epochs is None:
        least, most = EPOCHS
        epochs = min(most, max(least, ROWS_IN_ALL // n_rows)) if real else 50
    if batch is None:
        batch = 2 ** round(log2(min(128, max(32, n_rows / 10)))) if real else 128
    if patience is None and real:
        patience = PATIENCE
    stop = Patience(patience, arguments["tol"])
    options: dict[str, Any] = {
        "max_epochs": epochs,
        "batch_size": min(batch, n_rows),
        "lr": arguments["lr"],
        "progress": arguments["verbose"],
        "pictures": False,
    }
    options |= {"precision": "32"} if is_table else {}
    options |= {"clip": CLIP} if real else {}
    options |= dict(arguments["fit_options"] or {})
    own = options.get("callbacks")
    own = [] if own is None else list(own) if isinstance(own, list | tuple) else [own]
    return plain(options | {"callbacks": [*own, stop]}), stop


def seed_from(random_state: Any) -> int:
    """A seed, from what scikit-learn calls a random state."""
    try:
        return int(check_random_state(random_state).randint(2**31 - 1))
    except ValueError as error:
        raise MixvaeError(
            "random_state must be None, a whole number from 0 to 2**32 - 1 or a RandomState; got "
            f"{shown(random_state)}."
        ) from error


def plain(options: dict[str, Any]) -> dict[str, Any]:
    """Options with NumPy scalars, as parameter searches give, converted to Python numbers."""
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in options.items()}
