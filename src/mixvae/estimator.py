"""A scikit-learn estimator for deep mixtures: ``fit``, ``predict``, ``transform`` and ``score``."""

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from .data import Binarize, Dataset, from_arrays
from .data.conversion import choose_transform, make_split
from .data.dataset import draw_rows
from .errors import MixvaeError, at_least, shown
from .evaluation.batches import batches, cluster_probabilities, evaluating
from .evaluation.marginal_likelihood.log_likelihood import HELP, log_likelihood
from .model import MixtureVAE
from .pruning import prune
from .recipes import options_of
from .recipes.building import AnyRecipe, build, class_of
from .training import fit

FEW_ROWS, FEW_LATENTS = 5000, 12  # fewer training rows than these have fewer latent dimensions


class DeepMixture(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """A scikit-learn estimator that trains a deep mixture of VAEs.

    X is of shape (N, D), (N, H, W), (N, H, W, C) or (N, C, H, W), with floats in [0, 1], bool or
    uint8; or a DataFrame, and then new data must have the same columns in the same order. Input
    that cannot be used raises a `MixvaeError`, which is a ValueError.

    uint8 values other than 0 and 1 are divided by 255; ``fit`` decides this once, for new data too.
    The result for a row depends only on that row, the model and ``random_state``: exactly for
    :meth:`score_samples`, up to float32 rounding for the other methods.

    Parameters
    ----------
    recipe : str, type or Recipe
        A name in :func:`mixvae.list_recipes`, or a recipe's class or an instance of it.
    n_components : int, optional
        Number K of components; by default the recipe's own. A recipe of one component (vae) has no
        such option.
    binarize : {"none", "threshold", "dynamic"}
        Make pixels 0 or 1. threshold: 1 above one half. dynamic: sampled with the grey level as
        probability, anew in each training step, and once in new data (equal rows become equal).
    max_epochs : int
        Passes over the training data.
    batch_size : int
        Rows in a training step; all rows if there are fewer.
    lr : float
        Learning rate of Adam.
    validation_fraction : float
        Fraction of X that is held out to choose the best epoch, between 0 and 1.
    recipe_options : dict, optional
        Other options of the recipe, such as {"n_latent": 10}. For fewer than 5,000 rows mixture-vae
        has 12 latent dimensions by default, whose log p(x) can be estimated reliably.
    fit_options : dict, optional
        Other arguments of :func:`mixvae.fit`, such as {"patience": 5}.
    random_state : int, RandomState or None
        Seed of the first weights and of all noise.
    verbose : bool
        Report each epoch.

    Attributes
    ----------
    model_ : MixtureVAE
        Trained model.
    recipe_ : BuiltRecipe
        Its recipe.
    history_ : list of dict
        Metrics of each epoch.
    labels_ : ndarray, shape (N,)
        Component of each training example.
    n_components_ : int
        Number K of components. With mvae-gs and mvae-gau it is the number that component dropout
        kept, to which the model is pruned.
    n_features_in_ : int
        Number of values in one example.
    feature_names_in_ : ndarray of str
        Columns of X, where it was a DataFrame with names of type str.
    data_transform_ : Transform
        Transform of stored values, applied to new data too.

    Examples
    --------
    >>> import numpy as np
    >>> from mixvae import DeepMixture
    >>> X = np.random.default_rng(0).random((50, 6))
    >>> small = {"hidden": (8,), "n_latent": 2, "start_epochs": 1}
    >>> mixture = DeepMixture(n_components=2, max_epochs=1, recipe_options=small, random_state=0)
    >>> mixture.fit(X).predict_proba(X).shape
    (50, 2)
    """

    def __init__(
        self,
        recipe: AnyRecipe = "mixture-vae",
        *,
        n_components: int | None = None,
        binarize: Binarize = "none",
        max_epochs: int = 50,
        batch_size: int = 128,
        lr: float = 1e-3,
        validation_fraction: float = 0.1,
        recipe_options: dict[str, Any] | None = None,
        fit_options: dict[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.recipe = recipe
        self.n_components = n_components
        self.binarize = binarize
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.validation_fraction = validation_fraction
        self.recipe_options = recipe_options
        self.fit_options = fit_options
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> "DeepMixture":
        """Train on X.

        Parameters
        ----------
        X : array-like or DataFrame, shape (N, ...)
            Examples to train on; a part of them is held out to choose the best epoch.
        y : None
            Not used.

        Returns
        -------
        DeepMixture
            This estimator.
        """
        seed = _seed_from(self.random_state)
        self._check_names(X, reset=True)
        data = self._split(X, seed)
        recipe = build(self.recipe, data, seed=seed, **self._options(len(data.train)))
        options: dict[str, Any] = {
            "max_epochs": self.max_epochs,
            "batch_size": min(self.batch_size, len(data.train)),
            "lr": self.lr,
            "progress": self.verbose,
            "pictures": False,
            "seed": seed,
        }
        with TemporaryDirectory(prefix="mixvae-") as folder:
            options |= {"out": Path(folder, "run")} | (self.fit_options or {})
            run = fit(recipe, data, **_plain(options))
        chosen = run.recipe if run.recipe.model.dropout is None else prune(run.recipe)
        self.recipe_ = chosen
        self.model_ = chosen.model
        self.history_ = run.history
        self.n_components_ = chosen.n_components
        self.n_features_in_ = int(np.prod(data.x_shape))
        self.data_transform_ = data.transform
        self._seed = seed
        self.labels_ = self.predict(X)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The component (vade, gmvae: cluster) with the largest responsibility for each example.

        Parameters
        ----------
        X : array-like or DataFrame
            Examples, shaped as in :meth:`fit`.

        Returns
        -------
        ndarray, shape (N,)
            Indices, counted from 0.
        """
        return self.predict_proba(X).argmax(1)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Responsibilities of the components for each example.

        They are q(k | x) in an exact mixture, the mean weights E[w | x] in a joint mixture, whose
        components all take part in every x, and q(c | x) of the clusters in vade and gmvae.

        Parameters
        ----------
        X : array-like or DataFrame
            Examples, shaped as in :meth:`fit`.

        Returns
        -------
        ndarray, shape (N, K)
            Responsibilities; rows sum to one.
        """
        return cluster_probabilities(self._model(), self._x(X)).numpy()

    def transform(self, X: Any) -> np.ndarray:
        """Posterior means of the codes.

        In an exact mixture (mixture-vae), where one component generates x, this is the code of the
        component with the largest responsibility. The components' codes do not share axes, so pair
        them with :meth:`predict`. In a joint mixture (m-vae, mvae) it is all K codes, concatenated.

        Parameters
        ----------
        X : array-like or DataFrame
            Examples, shaped as in :meth:`fit`.

        Returns
        -------
        ndarray, shape (N, L), or (N, K L) in a joint mixture
            Codes.
        """
        return self._codes(self._model(), self._x(X)).numpy()

    def score_samples(self, X: Any, *, n_samples: int = 200) -> np.ndarray:
        """Importance-sampling estimates of log p(x).

        An estimate is too low on average, by a bias that vanishes as the number of samples grows. A
        warning says where Pareto k-hat finds the estimates unreliable, which takes 125 samples.

        Parameters
        ----------
        X : array-like or DataFrame
            Examples, shaped as in :meth:`fit`.
        n_samples : int
            Number S of importance samples for each example.

        Returns
        -------
        ndarray, shape (N,)
            Estimates in nats, summed over the values of an example.
        """
        model, seed = self._model(), self._seed
        found = log_likelihood(model, self._x(X), n_samples, seed=seed)
        if found.caveat is not None:
            warnings.warn(f"log p(x) is {found.caveat}. {HELP}", stacklevel=2)
        return found.log_prob.numpy()

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of :meth:`score_samples`.

        Parameters
        ----------
        X : array-like or DataFrame
            Examples, shaped as in :meth:`fit`.
        y : None
            Not used.

        Returns
        -------
        float
            Mean estimate of log p(x) in nats; higher is better.
        """
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1) -> np.ndarray:
        """New examples: means of p(x | z) for codes sampled from the prior.

        The noise is seeded by ``random_state``: a second call returns the same.

        Parameters
        ----------
        n_samples : int
            Number of examples.

        Returns
        -------
        ndarray, shape (n_samples, ...)
            Examples, shaped as the model's x.
        """
        model = self._model()
        at_least(1, n_samples=n_samples)
        with evaluating(model, self._seed):
            return model.sample(n_samples).cpu().numpy()

    def reconstruct(self, X: Any) -> np.ndarray:
        """Reconstructions from the means of codes and weights.

        Parameters
        ----------
        X : array-like or DataFrame
            Examples, shaped as in :meth:`fit`.

        Returns
        -------
        ndarray, shape (N, ...)
            Reconstructions, shaped as the model's x.
        """
        model = self._model()
        with evaluating(model):
            rows = batches(model, self._x(X), None, 500)
            return torch.cat([model.reconstruct(x).cpu() for x, _ in rows]).numpy()

    @property
    def _n_features_out(self) -> int:
        """Number of columns of :meth:`transform`, which scikit-learn names."""
        return self._codes(self.model_, torch.zeros(1, *self.recipe_.x_shape)).shape[-1]

    def _codes(self, model: MixtureVAE, x: Tensor) -> Tensor:
        with evaluating(model):
            rows = batches(model, x, None, 500)
            return torch.cat([model.family.codes(model.mean_trace(part)).cpu() for part, _ in rows])

    def _options(self, n_rows: int) -> dict[str, Any]:
        kind, options = class_of(self.recipe), dict(self.recipe_options or {})
        if self.n_components is not None:
            if "n_components" not in options_of(kind):
                raise MixvaeError(
                    f"the recipe {self.recipe!r} has one component and no n_components; got "
                    f"{self.n_components}. Leave it out, or choose a mixture, as 'mixture-vae'."
                )
            options["n_components"] = self.n_components
        if self.recipe == "mixture-vae" and n_rows < FEW_ROWS:
            options.setdefault("n_latent", FEW_LATENTS)
        return _plain(options)

    def _split(self, X: Any, seed: int) -> Dataset:
        """X as training data and validation data; the latter are the test data too, not used."""
        transform = choose_transform(X, where="X")
        split = make_split(X, where="X", transform=transform)
        n_val = max(1, round(self.validation_fraction * len(split)))
        if not (0 < self.validation_fraction < 1 and n_val < len(split)):
            raise MixvaeError(
                "validation_fraction must be between 0 and 1 and leave data to train on; got "
                f"{self.validation_fraction} of {len(split)} rows."
            )
        order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
        x, held_out = split.x[order[n_val:]], split.x[order[:n_val]]
        options: dict[str, Any] = {"binarize": self.binarize, "seed": seed, "transform": transform}
        return from_arrays(x, val=held_out, test=held_out, name="X", **options)

    def _model(self) -> Any:
        check_is_fitted(self, "model_")
        return self.model_

    def _x(self, X: Any) -> Tensor:
        """New data as model input."""
        self._check_names(X, reset=False)
        x = make_split(X, where="X", transform=self.data_transform_).x
        if tuple(x.shape[1:]) != self.recipe_.x_shape:
            raise MixvaeError(
                f"X must hold x of shape {self.recipe_.x_shape}, as in fit; got "
                f"{tuple(x.shape[1:])}."
            )
        if self.binarize == "threshold":
            return (x > 0.5).float()
        if self.binarize == "dynamic":
            return draw_rows(x, self._seed)
        return x

    def _check_names(self, X: Any, *, reset: bool) -> None:
        """Store the column names of a DataFrame, or refuse others, as scikit-learn does."""
        try:
            validate_data(self, X, reset=reset, skip_check_array=True, ensure_2d=False)
        except (TypeError, ValueError) as error:
            known = "" if reset else " Give X[list(model.feature_names_in_)]."
            raise MixvaeError(f"X: {' '.join(str(error).split())}{known}") from error
        # scikit-learn stores names only if they are of type str, unlike 0, 1, ...
        names = list(X.columns) if hasattr(X, "columns") else None
        if reset:
            self._columns = names
        elif None not in (names, self._columns) and names != self._columns:
            raise MixvaeError(
                f"X: expected the columns {shown(self._columns)} in this order, as in fit; got "
                f"{shown(names)}. Give X[columns of the data in fit]."
            )


def _seed_from(random_state: Any) -> int:
    try:
        return int(check_random_state(random_state).randint(2**31 - 1))
    except ValueError as error:
        raise MixvaeError(
            "random_state must be None, a whole number from 0 to 2**32 - 1 or a RandomState; got "
            f"{shown(random_state)}."
        ) from error


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Options with NumPy scalars, as parameter searches give, converted to Python numbers."""
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in options.items()}
