"""The estimator: its arguments, and ``fit``."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClusterMixin,
    DensityMixin,
)
from torch import Tensor

from mixvae.data import Binarize, MixedColumns, Standardize
from mixvae.data.batch_labels import BatchName
from mixvae.data.columns import check_observed
from mixvae.data.counts import are_counts
from mixvae.data.frames import columns_of, is_frame
from mixvae.data.mixed_columns import Unseen
from mixvae.data.row_weights import relative
from mixvae.data.rows import TensorOrRows
from mixvae.data.transform_record import AnyTransform
from mixvae.errors import MixvaeError, is_number, shown
from mixvae.evaluation.marginal_likelihood.by_component import (
    WIDE,
)
from mixvae.initialization.gaussian_mixture import SEARCH_VAL_ROWS
from mixvae.parts.labels import Classes
from mixvae.pruning import prune
from mixvae.recipes import build
from mixvae.recipes.building import AnyRecipe, BuiltRecipe
from mixvae.training.checkpoints import MONITOR, best_of

from . import arguments, checks, inputs, states
from .continuing import Passes, check_same
from .exact import Components
from .fitted import PREDICT_SAMPLES, FittedMixture, is_exact
from .training import again, all_rows, trained

OFFSET_ROWS = 1000  # training rows whose log p(x) decides offset_
CONTAMINATION = 0.1  # of a table, by default


class DeepMixture(FittedMixture, ClusterMixin, DensityMixin, BaseEstimator):
    """A GaussianMixture that learns deep structure: a mixture of VAEs as scikit-learn's estimator.

    X of shape (N, D) is a table of any real numbers, or a frame with categories, text or truth
    values too, each column with a likelihood of its own. Of shape (N, H, W), (N, H, W, C) or
    (N, C, H, W) it holds images, with floats in [0, 1], bool or uint8. By default a table becomes a
    mixture that starts as the Gaussian mixture of the best held-out log p(x) and is changed by
    networks where that raises it further (mfa-vae). Its values may be missing at random, as NaN,
    None or NA: what is said of a row is then said of its observed values. Images, and complete
    tables of zeros and ones, have a mixture of VAEs (mixture-vae); incomplete ones are tables whose
    columns have likelihood "bernoulli" (mfa-vae).

    X may also be a table that is not in memory as an array, of which some rows are read at a time:
    a sparse matrix or array of SciPy, a memory-mapped array, a Dataset or DataLoader of PyTorch
    (whose labels are not read), or the Path of a folder of Parquet files. Its columns are real, or
    counts of one likelihood.

    The result for a row depends on its values, the model and ``random_state`` alone.

    Parameters
    ----------
    n_components : int, "auto" or None
        Number K of components. By default, as with "auto", a table of real values has the fewest
        whose Gaussian mixture is within a standard error of the best log p(x) of held-out rows (by
        cross-validation if there are fewer than 1,000);
        other recipes have a number of their own, or choose it by component dropout. Of vade and
        gmvae it is the number of clusters.
    n_latent : int, optional
        Size L of a component's code. By default by the recipe: 0.6 D of a table's D columns, at
        most 60.
    hidden : sequence of int, optional
        Widths of the networks' hidden layers. By default by the recipe, and (64, 64) for tables of
        fewer than 20,000 rows.
    network : str, optional
        Kind of the networks, such as "conv", of recipes that have a choice.
    likelihood : str or mapping, optional
        Distribution of x given its code, such as "normal", "student-t", "bernoulli" or "poisson".
        Or that of some columns by name (of an array by number), such as {"visits": "poisson"}, the
        others by their types: categories and text "categorical", ordered categories "ordinal",
        truth values "bernoulli", numbers "normal". So is a frame with such columns read without it.
    library_size : {"none", "median"} or float, optional
        Whether the means of counts are proportional to the row's library size, the sum of its
        counts, as of cells in sequencing: no, or divided by a typical sum, which is the median of
        training rows or a number. Densities are then log p(x | library size), and components,
        reconstructions and samples those of rows of the typical one. By default none.
    unseen_categories : {"error", "missing"}
        What a category is that a column did not have in :meth:`fit`: an error, or a missing value.
    standardize : {"auto"} or bool
        Divide columns by their standard deviation, less their mean. "auto": real tables.
    covariance_type : {"full", "tied", "diag"}, optional
        Covariance of the Gaussian mixture that a table's model starts from. By default the best,
        and diag for more than 300 columns.
    reg_covar : float, optional
        Added to the diagonal of its covariances, of standardised columns. By default the best.
    n_init : int, optional
        Number of its fits, of which the likeliest is kept. By default 3 if n_components is a
        number, otherwise 1.
    tol : float
        Training stops where ``patience`` epochs raised the validation objective by no more; nats.
    max_epochs : int, optional
        Passes over the training data. By default 250,000 / N for real tables, from 15 to 300, and
        50 otherwise. 0 leaves a real table's Gaussian mixture as it is.
    batch_size : int, optional
        Rows in a training step. By default N / 10 for real tables, from 32 to 128, otherwise 128.
    lr : float
        Learning rate of Adam.
    patience : int, optional
        Epochs that may pass without a gain. By default 20 for real tables, otherwise all.
    validation_fraction : float, optional
        Fraction of X that is held out for all choices. By default 0.1, and 0.2 for real tables of
        fewer than 1,000 rows.
    refit : bool, optional
        Fit once more, to all rows, with the choices and the number of epochs that were best on
        held-out rows. By default real tables of fewer than 1,000 rows, which have few to lose.
    contamination : float, optional
        Fraction of outliers in X, at most 0.5, which decides ``offset_``. By default 0.1 for
        tables; images then have no ``offset_``, as their log p(x) takes long.
    random_state : int, RandomState or None
        Seed of the choice of held-out rows, the first weights and all noise.
    verbose : bool
        Report each epoch.
    recipe : str, type or Recipe
        "auto", a name in :func:`mixvae.list_recipes`, or a recipe's class or an instance of it.
    recipe_options : dict, optional
        Other options of the recipe.
    fit_options : dict, optional
        Other arguments of :func:`mixvae.fit`, such as {"clip": 1.0}; clip is 10 for real tables.
    warm_start : bool
        Go on with the model of the last :meth:`fit`, where there was one: with its components, its
        transform of X and its weights, and a new optimizer. Arguments of the model cannot change.
    binarize : {"none", "threshold", "dynamic"}
        Make pixels 0 or 1. threshold: 1 above one half. dynamic: sampled with the grey level as
        probability, anew in each training step, and once in new data (equal rows become equal).

    Attributes
    ----------
    weights_ : ndarray, shape (K,)
        Proportions of the components; of a joint mixture, mean weights over the training rows.
    means_ : ndarray, shape (K, D)
        Mean of x under each component, in the units of X: of tables with an exact mixture. Of
        categories it is the most probable one, and ``covariances_`` are NaN. With batches it is the
        mean over these, and ``covariances_`` are means of those in each batch.
    covariances_ : ndarray, shape (K, D, D)
        Covariance of x under each component, in the units of X, computed when it is read.
    n_iter_ : int
        Number of epochs, without those of a refit.
    converged_ : bool
        Whether training stopped before max_epochs, for want of a gain.
    lower_bound_ : float
        Mean objective of held-out rows before a refit, nats, for x in the units of X: mostly a
        bound on log p(x).
    labels_ : ndarray, shape (N,)
        Component of each row of X.
    n_components_ : int
        Number K of components, without those that component dropout removed, or that no row of a
        table belongs to.
    components_ : DataFrame, or dict of ndarray without pandas
        Weight, share of the rows, KL of the code, active units and state of each component.
    selection_ : list of dict, or None
        Gaussian mixtures that were tried, mean log p(x) of held-out rows, and which was chosen.
    offset_ : float or None
        Threshold of log p(x), below which a row is an outlier.
    n_features_in_ : int
        Number of values in a row or image.
    feature_names_in_ : ndarray of str
        Columns of X, where it was a frame with names of type str.
    validation_indices_ : ndarray
        The rows of X that were held out.
    history_ : list of dict
        Metrics of each epoch before a refit, as in a run's log.csv.
    recipe_ : BuiltRecipe
        The trained recipe.
    model_ : MixtureVAE
        Its model.
    data_transform_ : Standardization, MixedColumns or Transform
        Transform of stored values, applied to new data too.
    batches_ : tuple or None
        The names of the batches that ``fit`` was given, sorted.

    Examples
    --------
    >>> from mixvae import DeepMixture
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> mixture = DeepMixture(n_components=3, max_epochs=2, random_state=0).fit(X)
    >>> mixture.predict_proba(X).shape, mixture.means_.shape
    ((150, 3), (3, 4))
    >>> new, components = mixture.sample(5)
    >>> new.shape
    (5, 4)
    """

    _is_table: bool
    recipe_: BuiltRecipe
    batches_: tuple[BatchName, ...] | None
    data_transform_: AnyTransform

    def __init__(
        self,
        n_components: int | Literal["auto"] | None = None,
        *,
        n_latent: int | None = None,
        hidden: Sequence[int] | None = None,
        network: str | None = None,
        likelihood: str | Mapping[Any, str] | None = None,
        library_size: Literal["none", "median"] | float | None = None,
        unseen_categories: Unseen = "error",
        standardize: Standardize = "auto",
        covariance_type: Literal["full", "tied", "diag"] | None = None,
        reg_covar: float | None = None,
        n_init: int | None = None,
        tol: float = 1e-3,
        max_epochs: int | None = None,
        batch_size: int | None = None,
        lr: float = 1e-3,
        patience: int | None = None,
        validation_fraction: float | None = None,
        refit: bool | None = None,
        contamination: float | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
        recipe: AnyRecipe = "auto",
        recipe_options: dict[str, Any] | None = None,
        fit_options: dict[str, Any] | None = None,
        warm_start: bool = False,
        binarize: Binarize = "none",
    ) -> None:
        self.n_components = n_components
        self.n_latent = n_latent
        self.hidden = hidden
        self.network = network
        self.likelihood = likelihood
        self.library_size = library_size
        self.unseen_categories = unseen_categories
        self.standardize = standardize
        self.covariance_type = covariance_type
        self.reg_covar = reg_covar
        self.n_init = n_init
        self.tol = tol
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.refit = refit
        self.contamination = contamination
        self.random_state = random_state
        self.verbose = verbose
        self.recipe = recipe
        self.recipe_options = recipe_options
        self.fit_options = fit_options
        self.warm_start = warm_start
        self.binarize = binarize

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, batch: Any = None
    ) -> "DeepMixture":
        """Train on X.

        Parameters
        ----------
        X : array-like, DataFrame, sparse or not in memory, shape (N, ...)
            Rows or images to train on; a part of them is held out to choose the model.
        y : None
            Not used.
        sample_weight : array-like, shape (N,), optional
            How much each row counts, at least 0, in standardisation, start, training, ``weights_``
            and ``offset_``: a row of weight 2 counts as two rows, one of weight 0 as none.
        batch : array-like of str or int, shape (N,), optional
            The technical batch of each row (donor, site), of tables with mfa-vae. Each shifts all
            components alike, so that these do not explain it. All that is said of a row is then
            given its batch, as log p(x | batch), and other methods need ``batch`` too.

        Returns
        -------
        DeepMixture
            This estimator.
        """
        return self._fit(X, sample_weight, batch, self.get_params(deep=False))

    def fit_transform(
        self, X: Any, y: Any = None, sample_weight: Any = None, batch: Any = None
    ) -> np.ndarray:
        """:meth:`fit`, then :meth:`transform` of the same rows.

        Parameters
        ----------
        X, y, sample_weight, batch
            As in :meth:`fit`.

        Returns
        -------
        ndarray, shape (N, L), or (N, K L) in a joint mixture
            Codes.
        """
        return self.fit(X, y, sample_weight, batch).transform(X, batch)

    def _fit(
        self,
        X: Any,
        sample_weight: Any,
        batch: Any,
        given_arguments: dict[str, Any],
        *,
        keep_all: bool = False,
    ) -> "DeepMixture":
        """Train on X; ``keep_all`` keeps components that no row of it belongs to."""
        goes_on = given_arguments["warm_start"] and hasattr(self, "recipe_")
        if goes_on:
            check_same(self._fitted_with, given_arguments)
        seed = arguments.seed_from(self.random_state)
        self._check_contamination()
        if self.unseen_categories not in ("error", "missing"):
            raise MixvaeError(
                "unseen_categories must be 'error' or 'missing'; got "
                f"{shown(self.unseen_categories)}."
            )
        is_table = self._is_table if goes_on else checks.axes_of(X) < 3
        kinds = checks.kinds_asked(X, self.likelihood)
        given = checks.checked(
            self,
            X,
            is_table=is_table,
            reset=not goes_on,
            missing=True,
            is_mixed=kinds is not None,
            counts=are_counts(kinds),
        )
        if kinds is None and (kinds := self._kinds_found(given, goes_on)) is not None:
            given = X if is_frame(X) else given
        is_mixed = kinds is not None
        columns = columns_of(X)
        weight = checks.weights(sample_weight, given)
        known = self.batches_ if goes_on else None
        batches = checks.batches(batch, len(given), known, reset=not goes_on)
        counted = np.arange(len(given)) if weight is None else np.flatnonzero(weight)
        x_fit, w_fit, b_fit = given, weight, batches
        if weight is not None and len(counted) < len(weight):
            x_fit, w_fit = inputs.rows(given, counted), weight[counted]
            b_fit = None if batches is None else (batches[0][counted], batches[1])
        asked: AnyRecipe = self.recipe_.recipe if goes_on else self.recipe
        asked = arguments.recipe_for(
            asked, x_fit, is_table=is_table, binarize=self.binarize, is_mixed=is_mixed
        )
        real = arguments.is_real(asked)
        data, reader, held_out = inputs.read(
            x_fit,
            real=real,
            standardize=self.standardize,
            binarize=self.binarize,
            validation_fraction=self.validation_fraction,
            columns=columns,
            seed=seed,
            kinds=kinds,
            weight=w_fit,
            transform=self.data_transform_ if goes_on else None,
            batch=b_fit,
        )
        if data.n_batches > 1 and not real:
            raise MixvaeError(
                "batch is for tables with the recipe mfa-vae; leave it out, or give "
                "recipe='mfa-vae'."
            )
        n_rows, options = len(data.train), dict[str, Any]()
        if not goes_on:
            options = arguments.recipe_options(
                given_arguments, asked, n_rows, seed, is_mixed=is_mixed
            )
        training, patience = arguments.training_options(
            given_arguments, n_rows, real=real, is_table=is_table
        )
        if goes_on:
            recipe = deepcopy(self.recipe_)
        else:
            chosen = arguments.select(asked, data, options)
            options |= {} if chosen is None else chosen.chosen
            recipe = build(asked, data, seed=seed, **options)
            log_scale = reader.log_scale(data.val.x[:SEARCH_VAL_ROWS])
            self.selection_ = None if chosen is None else chosen.curve(float(log_scale.mean()))
        recipe, self.history_ = trained(recipe, data, training, seed)
        if not goes_on and arguments.refits(self.refit, x_fit, real=real):
            data, training = all_rows(data), again(training, self.history_)
            recipe = build(asked, data, seed=seed, **options)
            recipe = trained(recipe, data, training, seed)[0]
        self._seed, self._is_table = seed, is_table
        self._reader = replace(reader, unseen=self.unseen_categories)
        self._fitted_with: dict[str, Any] = given_arguments
        self._passes: Passes | None = None
        self.data_transform_, self.validation_indices_ = reader.transform, counted[held_out]
        self.n_features_in_ = int(given.shape[1] if is_table else np.prod(data.x_shape))
        self.batches_ = data.batch_names
        x, b = reader.x(given), batches[0] if batches and data.n_batches > 1 else None
        self._keep(recipe, x, weight, keep_all or goes_on, b)
        self._record(x, patience.stopped)
        self._describe(x, weight, b)
        return self

    def _kinds_found(self, given: Any, goes_on: bool) -> str | None:
        """The likelihoods of columns that have kinds, though neither types nor arguments say so."""
        if goes_on:
            return "auto" if isinstance(self.data_transform_, MixedColumns) else None
        if self.recipe != "auto" or self.binarize != "none":
            return None
        return arguments.kinds_of_incomplete(given, self.likelihood)

    def _keep(
        self,
        recipe: BuiltRecipe,
        x: TensorOrRows,
        weight: np.ndarray | None,
        keep_all: bool,
        b: Classes | None,
    ) -> None:
        """Keep the model, without components that no row of a table belongs to."""
        self._by_component = self._is_table and is_exact(recipe)
        self.recipe_, self.model_ = recipe, recipe.model
        n_before = recipe.n_components
        while True:
            self._assign(x, weight, b)
            counted = slice(None) if weight is None else weight > 0
            used = np.unique(self.labels_[counted])
            prunes = self._by_component and not keep_all
            if not prunes or len(used) == self.recipe_.n_components:
                break
            self.recipe_ = prune(self.recipe_, used.tolist())
            self.model_ = self.recipe_.model
        self.n_components_ = self.recipe_.n_components
        if n_before > self.n_components_:
            states.warn(
                f"{n_before - self.n_components_} of {n_before} components had no row of X and "
                "were left out."
            )

    def _assign(self, x: TensorOrRows, weight: np.ndarray | None, b: Classes | None) -> None:
        """The component of each row, and the proportions of the components."""
        proba = self._proba(x, b)
        self.labels_: np.ndarray = proba.argmax(1)
        self.weights_ = proba.mean(0) if weight is None else np.average(proba, 0, weight)

    def _record(self, x: TensorOrRows, converged: bool) -> None:
        """The attributes that follow from the history of a fit."""
        main = [row for row in self.history_ if MONITOR in row]
        best = best_of(self.history_)
        self.n_iter_ = sum(row["epoch"] > 0 for row in main)
        self.converged_ = converged
        own = float("nan") if best is None else best[MONITOR]
        held_out = x[torch.from_numpy(self.validation_indices_)]
        self.lower_bound_ = float(own) - float(self._reader.log_scale(held_out).mean())

    def _describe(self, x: TensorOrRows, weight: np.ndarray | None, b: Classes | None) -> None:
        """The attributes that follow from the trained model."""
        if self._by_component:
            components = Components(self.model_)
            self.weights_ = components.weights.numpy()
            self.means_ = self._reader.values(components.moments()[0])
        elif hasattr(self, "means_"):  # of an earlier fit
            del self.means_
        row_weight = None if weight is None else torch.from_numpy(weight)
        found = states.states_of(self.model_, x.float(), self.weights_, row_weight, b)
        self._components, warning = found
        if warning is not None:
            states.warn(warning)
        fraction = self.contamination
        if fraction is None and self._by_component:
            fraction = CONTAMINATION
        self.offset_: float | None = None
        if fraction is not None:
            some = slice(None, None, -(-len(x) // OFFSET_ROWS))
            own = None if weight is None else weight[some]
            batch = None if b is None else b[some]
            n_samples = PREDICT_SAMPLES if self._by_component and x.shape[1] > WIDE else 200
            self.offset_ = states.quantile(self._log_p(x[some], n_samples, batch)[0], fraction, own)

    def partial_fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, batch: Any = None
    ) -> "DeepMixture":
        """Train on the rows of X once, as a part of data that come in parts.

        The first call is a :meth:`fit` of one epoch, which decides the transform, the number of
        components and the start by its rows: give it a fair sample of the data, of a few thousand
        rows. Components that none of them belongs to are kept. Later calls, and those after
        :meth:`fit`, take a step for each batch of X. They keep the transform and the number of
        components, hold no rows out, and so do not choose between epochs; their optimizer, Adam, is
        made in the first of them and kept. ``labels_``, ``offset_``, ``components_`` and
        ``lower_bound_`` then are of the rows of the last call, the bound as they were trained on.

        Parameters
        ----------
        X : array-like or DataFrame
            Rows or images, shaped and named as in the first call.
        y : None
            Not used.
        sample_weight : array-like, shape (N,), optional
            How much each row counts relative to the others of X, as in :meth:`fit`.
        batch : array-like, shape (N,), optional
            The batch of each row, as in :meth:`fit`; the first call must have all of them.

        Returns
        -------
        DeepMixture
            This estimator.
        """
        given_arguments = self.get_params(deep=False)
        if not hasattr(self, "recipe_"):
            one_epoch = {"max_epochs": 1, "warm_start": False}
            return self._fit(X, sample_weight, batch, given_arguments | one_epoch, keep_all=True)
        self._check_contamination()
        given = self._given(X)
        weight, x = checks.weights(sample_weight, given), self._reader.x(given)
        if isinstance(x, Tensor) and self._is_table:
            check_observed(x.numpy(), "X")
        b = self._batch(batch, len(x))
        real = arguments.is_real(self.recipe_.recipe)
        options, _ = arguments.training_options(
            given_arguments, len(x), real=real, is_table=self._is_table
        )
        if self._passes is None:
            optimizer = torch.optim.Adam(self.model_.parameters(), lr=options["lr"])
            self._passes = Passes(self.recipe_, optimizer, self._seed)
        row_weight = None if weight is None else relative(torch.from_numpy(weight).float())
        figures = self._passes.over(x.float(), row_weight, options["batch_size"], b)
        row = {"phase": "partial", "epoch": self._passes.n}
        self.history_.append(row | {f"train/{name}": v for name, v in figures.items()})
        self.n_iter_, self.converged_ = self.n_iter_ + 1, False
        self.lower_bound_ = figures["objective"] - float(self._reader.log_scale(x).mean())
        self._assign(x, weight, b)
        self._describe(x, weight, b)
        return self

    def __sklearn_tags__(self) -> Any:
        """scikit-learn's tags: tables may have missing values, or be sparse."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.sparse = True
        return tags

    def _check_contamination(self) -> None:
        value = self.contamination
        if value is not None and not (is_number(value) and 0 < value <= 0.5):
            raise MixvaeError(
                f"contamination must be above 0 and at most 0.5, such as 0.1; got {shown(value)}."
            )
