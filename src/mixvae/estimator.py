"""A deep mixture as scikit-learn has its models: ``fit``, then ``predict`` and the rest."""

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
from .evaluation.log_likelihood import log_likelihood
from .model import MixtureVAE
from .pruning import prune
from .recipes import options_of
from .recipes.building import AnyRecipe, build, class_of
from .training import fit


class DeepMixture(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """A deep mixture of VAEs as a scikit-learn estimator.

    X is (N, D), (N, H, W), (N, H, W, C) or (N, C, H, W): floats in [0, 1], bool or uint8; or a
    DataFrame, whose columns new data must have, in the same order. What cannot be used raises a
    `MixvaeError`, which is a ValueError.

    Whether integers are divided by 255 is decided once, in ``fit``: where X is uint8 and not only
    0 and 1. What a method returns for a row depends on that row, the model and ``random_state``
    alone: :meth:`score_samples` exactly, the others up to the rounding of float32, as products of
    matrices of another number of rows are summed in another order.

    Args:
        recipe: a name in :func:`mixvae.list_recipes`, or a recipe's class or an instance of it.
        n_components: number K of components; None is the recipe's own, and all there is for a
            recipe without components (vae).
        binarize: make pixels 0 or 1. threshold: above one half; dynamic: drawn with the grey level
            as probability, anew at each step of training, and once in new data (equal rows alike).
        max_epochs: passes over the training data.
        batch_size: rows a step; all rows where there are fewer.
        lr: Adam's learning rate.
        validation_fraction: part of X that is not trained on and chooses the best epoch.
        recipe_options: the recipe's other options, such as {"n_latent": 10}.
        fit_options: other arguments of :func:`mixvae.fit`, such as {"patience": 5}.
        random_state: a seed or a RandomState, of the first weights and all noise.
        verbose: report each epoch.

    Attributes:
        model_: the trained :class:`~mixvae.model.MixtureVAE`.
        recipe_: the recipe that it belongs to.
        history_: figures of each epoch.
        labels_: the training data's components.
        n_components_: K; with mvae-gs or mvae-gau the number that was chosen, the model being
            pruned to these.
        n_features_in_: the number of values in one x.
        feature_names_in_: the columns of X, where it was a DataFrame with names of type str.
        data_transform_: the :class:`~mixvae.data.Transform` of stored values, for new data too.
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
        """Train on X; y is not used."""
        seed = _seed_from(self.random_state)
        self._check_names(X, reset=True)
        data = self._split(X, seed)
        recipe = build(self.recipe, data, seed=seed, **self._options())
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
        """The component with the largest responsibility for each x, (N,); vade: the cluster."""
        return self.predict_proba(X).argmax(1)

    def predict_proba(self, X: Any) -> np.ndarray:
        """How far each component answers for each x, (N, K); rows sum to one.

        In an exact mixture these are q(k | x); in a joint mixture, whose components all take part
        in every x, the mean weights E[w | x]. With vade they are those of its clusters, q(c | x).
        """
        return cluster_probabilities(self._model(), self._x(X)).numpy()

    def transform(self, X: Any) -> np.ndarray:
        """Mean codes: (N, L), or (N, K L) in a joint mixture.

        In an exact mixture (mixture-vae), where one component makes x, the code of the component
        with the largest responsibility; the components' codes do not share axes, so pair them with
        :meth:`predict`. In a joint mixture (m-vae, mvae) the K codes side by side.
        """
        return self._codes(self._model(), self._x(X)).numpy()

    def score_samples(self, X: Any, *, n_samples: int = 200) -> np.ndarray:
        """Importance-weighted log p(x) of each x in nats, (N,), low by a bias that S removes.

        Warns where Pareto k-hat says that they are not to be relied on, which takes 125 draws.
        """
        model, seed = self._model(), self._seed
        found = log_likelihood(model, self._x(X), n_samples, seed=seed)
        if found.caveat is not None:
            warnings.warn(f"log p(x) is {found.caveat}. Try more n_samples.", stacklevel=2)
        return found.log_prob.numpy()

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of :meth:`score_samples`."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1) -> np.ndarray:
        """New x: means of p(x | z), codes drawn from the prior; (n_samples, ...).

        The noise depends on ``random_state``: a second call draws the same.
        """
        model = self._model()
        at_least(1, n_samples=n_samples)
        with evaluating(model, self._seed):
            return model.sample(n_samples).cpu().numpy()

    def reconstruct(self, X: Any) -> np.ndarray:
        """What the mixture makes of each x, from the means of codes and weights; shaped as X."""
        model = self._model()
        with evaluating(model):
            rows = batches(model, self._x(X), None, 500)
            each = [model.reconstruct(x).cpu() for x, _ in rows]
        return torch.cat(each).numpy()

    @property
    def _n_features_out(self) -> int:
        """For scikit-learn's names of the columns that :meth:`transform` returns."""
        return self._codes(self.model_, torch.zeros(1, *self.recipe_.x_shape)).shape[-1]

    def _codes(self, model: MixtureVAE, x: Tensor) -> Tensor:
        with evaluating(model):
            rows = batches(model, x, None, 500)
            return torch.cat([model.family.codes(model.mean_trace(part)).cpu() for part, _ in rows])

    def _options(self) -> dict[str, Any]:
        kind, options = class_of(self.recipe), dict(self.recipe_options or {})
        if self.n_components is not None:
            if "n_components" not in options_of(kind):
                raise MixvaeError(
                    f"the recipe {self.recipe!r} has one component and no n_components; got "
                    f"{self.n_components}. Leave it out, or choose a mixture, as 'mixture-vae'."
                )
            options["n_components"] = self.n_components
        return _plain(options)

    def _split(self, X: Any, seed: int) -> Dataset:
        """X as training and validation data. The latter serve as test data, which are not used."""
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
        how: dict[str, Any] = {"binarize": self.binarize, "seed": seed, "transform": transform}
        return from_arrays(x, val=held_out, test=held_out, name="X", **how)

    def _model(self) -> Any:
        check_is_fitted(self, "model_")
        return self.model_

    def _x(self, X: Any) -> Tensor:
        """New data as the model takes them."""
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
        """Remember the names of a DataFrame's columns, or refuse others; as scikit-learn does."""
        try:
            validate_data(self, X, reset=reset, skip_check_array=True, ensure_2d=False)
        except (TypeError, ValueError) as error:
            known = "" if reset else " Give X[list(model.feature_names_in_)]."
            raise MixvaeError(f"X: {' '.join(str(error).split())}{known}") from error
        # of names that are no str, as 0, 1, ... are, scikit-learn remembers nothing
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
    """NumPy's numbers, which searches over parameters give, as Python's."""
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in options.items()}
