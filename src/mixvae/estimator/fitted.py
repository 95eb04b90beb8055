"""What can be done with a fitted `DeepMixture`: clusters, codes, densities, samples."""

import warnings
from typing import Any

import numpy as np
import torch
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from mixvae.data import MixedColumns
from mixvae.data.batch_labels import BatchName, listed
from mixvae.data.filling import filled
from mixvae.data.frames import is_frame
from mixvae.data.rows import TensorOrRows
from mixvae.errors import MixvaeError, MixvaeWarning, whole
from mixvae.evaluation.batches import batches, cluster_probabilities, evaluating
from mixvae.evaluation.imputation import impute
from mixvae.evaluation.marginal_likelihood.by_component import (
    can_be_estimated,
    log_joint,
    responsibilities,
)
from mixvae.evaluation.marginal_likelihood.log_likelihood import HELP, log_likelihood
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes
from mixvae.recipes.building import BuiltRecipe

from . import checks, inputs, states
from .exact import Components

PREDICT_SAMPLES = 50  # of each component, for its responsibility


class FittedMixture(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """The methods of a fitted mixture, which needs the attributes that `DeepMixture.fit` sets."""

    model_: MixtureVAE
    recipe_: BuiltRecipe
    n_components_: int
    batches_: tuple[BatchName, ...] | None
    _reader: inputs.Reader
    _is_table: bool
    _by_component: bool
    _seed: int
    _components: dict[str, np.ndarray]

    def predict(self, X: Any, batch: Any = None) -> np.ndarray:
        """The component (vade, gmvae: cluster) with the largest responsibility for each row.

        Parameters
        ----------
        X : array-like or DataFrame
            Rows or images, shaped as in :meth:`fit`.
        batch : array-like or str, shape (N,), optional
            The batch of each row, where :meth:`fit` was given some; one name stands for all rows.

        Returns
        -------
        ndarray, shape (N,)
            Indices, counted from 0.
        """
        return self.predict_proba(X, batch).argmax(1)

    def predict_proba(self, X: Any, batch: Any = None) -> np.ndarray:
        """Responsibilities of the components for each row.

        They are p(k | x) of a table's exact mixture, estimated as in :meth:`score_samples` (of more
        than 200 columns by the mean code of each component, where these are 12 nats apart), and
        q(k | x) of images'; the mean weights E[w | x] in a joint mixture, whose components all take
        part in every x; and q(c | x) of the clusters in vade and gmvae.

        Parameters
        ----------
        X : array-like or DataFrame
            Rows or images, shaped as in :meth:`fit`.
        batch : array-like or str, shape (N,), optional
            The batch of each row, where :meth:`fit` was given some; one name stands for all rows.

        Returns
        -------
        ndarray, shape (N, K)
            Responsibilities; rows sum to one.
        """
        x = self._x(X)
        return self._proba(x, self._batch(batch, len(x)))

    def transform(self, X: Any, batch: Any = None) -> np.ndarray:
        """Posterior means of the codes.

        In an exact mixture (mfa-vae, mixture-vae), where one component generates x, this is the
        code of the component with the largest responsibility. The components' codes do not share
        axes, so pair them with :meth:`predict`. In a joint mixture (m-vae, mvae) it is all K codes,
        concatenated.

        Parameters
        ----------
        X : array-like or DataFrame
            Rows or images, shaped as in :meth:`fit`.
        batch : array-like or str, shape (N,), optional
            The batch of each row, where :meth:`fit` was given some; one name stands for all rows.

        Returns
        -------
        ndarray, shape (N, L), or (N, K L) in a joint mixture
            Codes.
        """
        x = self._x(X)
        b = self._batch(batch, len(x))
        if self._by_component:
            labels = torch.from_numpy(self._proba(x, b).argmax(1))
            return Components(self.model_).codes(x, labels, b).numpy()
        return self._codes(x.float()).numpy()

    def inverse_transform(self, Z: Any, labels: Any = None, batch: Any = None) -> np.ndarray:
        """The mean of x for codes.

        Parameters
        ----------
        Z : array-like, shape (N, L)
            Codes, as from :meth:`transform`.
        labels : array-like of int, shape (N,), optional
            The component of each code, as from :meth:`predict`, where there are several.
        batch : array-like or str, shape (N,), optional
            The batch of each code, where :meth:`fit` was given some; one name stands for all.

        Returns
        -------
        ndarray, shape (N, ...)
            Means, in the units of X.
        """
        check_is_fitted(self, "model_")
        if not is_exact(self.recipe_) and self.n_components_ > 1:
            raise MixvaeError(
                f"the recipe {self.recipe_.name} decodes the codes of all components together, by "
                "weights that are not in Z; use reconstruct(X)."
            )
        z = checks.codes(self, Z, self._n_features_out)
        if labels is None and self.n_components_ > 1:
            raise MixvaeError(
                f"each of the {self.n_components_} components has codes of its own; give their "
                "labels too: inverse_transform(Z, labels), labels from predict(X)."
            )
        k = checks.labels(labels, len(z), self.n_components_)
        if is_exact(self.recipe_):
            b = self._batch(batch, len(z))
            return self._values(Components(self.model_).decode(z, k, b))
        with evaluating(self.model_):
            z = z[None, :, None].to(next(self.model_.parameters()))
            p_x = self.model_.decode(z, torch.ones_like(z[..., 0]))
            return self._values(p_x.mean[0, :, 0])

    def reconstruct(self, X: Any, batch: Any = None) -> np.ndarray:
        """Reconstructions from the means of codes and weights.

        Parameters
        ----------
        X : array-like or DataFrame
            Rows or images, shaped as in :meth:`fit`.
        batch : array-like or str, shape (N,), optional
            The batch of each row, where :meth:`fit` was given some; one name stands for all rows.

        Returns
        -------
        ndarray, shape (N, ...)
            Reconstructions, in the units of X and shaped as the model's x.
        """
        x = self._x(X)
        b = self._batch(batch, len(x))
        if not self._by_component:
            with evaluating(self.model_):
                rows = batches(self.model_, x.float(), None, 500)
                return self._values(torch.cat([self.model_.reconstruct(x).cpu() for x, _ in rows]))
        proba, components = torch.from_numpy(self._proba(x, b)), Components(self.model_)
        mean = torch.zeros(x.shape, dtype=torch.float64)
        for k in range(self.n_components_):
            of = torch.full((len(x),), k)
            mean += proba[:, k : k + 1] * components.decode(components.codes(x, of, b), of, b)
        if columns := components.categories:  # codes have no averages
            best = proba.argmax(1)
            found = components.decode(components.codes(x, best, b), best, b)
            mean[:, columns] = found[:, columns]
        return self._values(mean)

    def score_samples(self, X: Any, batch: Any = None, *, n_samples: int = 200) -> np.ndarray:
        """Importance-sampling estimates of log p(x), for x in the units of X; of log p(x | batch).

        An estimate is too low on average, by a bias that vanishes as the number of samples grows. A
        warning says where Pareto k-hat finds the estimates unreliable, which takes 139 samples.

        Parameters
        ----------
        X : array-like or DataFrame
            Rows or images, shaped as in :meth:`fit`.
        batch : array-like or str, shape (N,), optional
            The batch of each row, where :meth:`fit` was given some; one name stands for all rows.
        n_samples : int
            Number S of importance samples for each row, and each component of a table's mixture.

        Returns
        -------
        ndarray, shape (N,)
            Estimates in nats, summed over the values of a row.
        """
        x = self._x(X)
        log_p, caveat = self._log_p(x, n_samples, self._batch(batch, len(x)))
        if caveat is not None:
            warnings.warn(f"log p(x) is {caveat}. {HELP}", MixvaeWarning, stacklevel=2)
        return log_p

    def score(self, X: Any, y: Any = None, batch: Any = None) -> float:
        """The mean of :meth:`score_samples`.

        Parameters
        ----------
        X : array-like or DataFrame
            Rows or images, shaped as in :meth:`fit`.
        y : None
            Not used.
        batch : array-like or str, shape (N,), optional
            The batch of each row, where :meth:`fit` was given some; one name stands for all rows.

        Returns
        -------
        float
            Mean estimate of log p(x) in nats; higher is better.
        """
        return float(self.score_samples(X, batch).mean())

    def decision_function(self, X: Any, batch: Any = None) -> np.ndarray:
        """log p(x) less ``offset_``: negative for outliers.

        A rare group that is tight can have a component of its own, and is then likely: to find such
        outliers give few components, such as n_components=2.

        Parameters
        ----------
        X : array-like or DataFrame
            Rows or images, shaped as in :meth:`fit`.
        batch : array-like or str, shape (N,), optional
            The batch of each row, where :meth:`fit` was given some; one name stands for all rows.

        Returns
        -------
        ndarray, shape (N,)
            Differences in nats.
        """
        check_is_fitted(self, "model_")
        if self.offset_ is None:
            raise MixvaeError(
                "no offset_ was computed, as log p(x) takes long for these data; give "
                "contamination, such as 0.1, and fit again."
            )
        return self.score_samples(X, batch) - self.offset_

    def impute(
        self, X: Any, batch: Any = None, *, draws: int | None = None, n_samples: int = 200
    ) -> Any:
        """X with its missing values filled in, of tables with an exact mixture (mfa-vae).

        Values are taken to be missing at random. By default each is its mean given the observed
        values of the row, an importance-weighted one, or a value of its column: of counts the mean
        rounded, of categories and truth values the most probable one. With ``draws`` they are
        samples given the observed values, for multiple imputation. Observed values are returned as
        they are, and a constant column has its value of training. A row without any observed value
        is one of the whole mixture.

        Parameters
        ----------
        X : array-like or DataFrame, shape (N, D)
            Rows as in :meth:`fit`, with NaN, None or NA where values are missing.
        batch : array-like or str, shape (N,), optional
            The batch of each row, where :meth:`fit` was given some; one name stands for all rows.
        draws : int, optional
            Number m of samples of the missing values.
        n_samples : int
            Number S of importance samples for each row and component.

        Returns
        -------
        ndarray or DataFrame, shape (N, D)
            Complete rows, in the units of X; a frame with its names and types where X is one. With
            ``draws`` an array (m, N, D), or a list of m frames.

        Raises
        ------
        MixvaeError
            For other models.

        References
        ----------
        Mattei & Frellsen, MIWAE, ICML 2019.
        """
        check_is_fitted(self, "model_")
        if not (self._by_component and self.model_.decoder.likelihood.missing):
            raise MixvaeError(
                f"missing values are modelled by the recipe mfa-vae; got {self.recipe_.name}. Fit "
                "with recipe='mfa-vae'."
            )
        given = self._given(X)
        x, b = self._reader.x(given), self._batch(batch, len(given))
        x = impute(self.model_, x, n_samples, b, draws=draws, seed=self._seed)
        return filled(X if is_frame(X) else given, self._values(x))

    def sample(self, n_samples: int = 1, batch: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """New rows, and the component of each.

        Rows of a table's exact mixture are samples of p(x). Others, as images, are means of
        p(x | z) for codes sampled from the prior; in a joint mixture the component is that of the
        largest responsibility. The noise is seeded by ``random_state``: a second call returns the
        same.

        Parameters
        ----------
        n_samples : int
            Number of rows.
        batch : array-like or str, shape (N,), optional
            The batch of each row, where :meth:`fit` was given some; one name stands for all rows.

        Returns
        -------
        X : ndarray, shape (n_samples, ...)
            Rows in the units of X, with constant columns, or images shaped as the model's x.
        y : ndarray, shape (n_samples,)
            Components, counted from 0.
        """
        check_is_fitted(self, "model_")
        whole(1, n_samples=n_samples)
        if self._by_component:
            b = self._batch(batch, n_samples)
            x, k = Components(self.model_).sample(n_samples, self._seed, b)
            return self._values(x), k.numpy()
        with evaluating(self.model_, self._seed):
            x = self.model_.sample(n_samples).cpu()
        return self._values(x), self._proba(x).argmax(1)

    def bic(self, X: Any) -> float:
        """Not defined for networks, and so an error: compare :meth:`score` of held-out rows.

        Parameters
        ----------
        X : array-like
            Not used.

        Raises
        ------
        MixvaeError
            Always.
        """
        raise _no_criterion("BIC")

    def aic(self, X: Any) -> float:
        """Not defined for networks, and so an error: compare :meth:`score` of held-out rows.

        Parameters
        ----------
        X : array-like
            Not used.

        Raises
        ------
        MixvaeError
            Always.
        """
        raise _no_criterion("AIC")

    def summary(self) -> str:
        """The model, its training and its components as text.

        Returns
        -------
        str
            Lines.
        """
        check_is_fitted(self, "model_")
        recipe, ended = self.recipe_, "converged" if self.converged_ else "not converged"
        head = [
            f"{recipe.name}, {self._number()}, {recipe.n_parameters:,} parameters; "
            f"{len(self.labels_):,} rows, {self.data_transform_}",
            f"{self.n_iter_} epochs, {ended}; objective of held-out rows {self.lower_bound_:.3f} "
            "nats",
        ]
        if self.batches_ is not None:
            head.append(f"densities are log p(x | batch); batches are {listed(self.batches_)}")
        if isinstance(self.data_transform_, MixedColumns):
            head += self.data_transform_.lines()
        if isinstance(size := recipe.options.get("library_size"), float):
            head.append(
                "counts: means are proportional to the row's library size, its sum of counts over "
                f"{size:g}; densities are log p(x | library size)"
            )
        if self.selection_ is not None:
            one = next(row for row in self.selection_ if row["chosen"])
            head.append(
                f"chosen of {len(self.selection_)} Gaussian mixtures: {one['n_components']} "
                f"components, covariance {one['covariance_type']}, reg_covar {one['reg_covar']:g}, "
                f"log p(x) {one['log_p']:.3f} nats on the rows held out for this choice"
            )
        return states.text(head, self._components)

    def _number(self) -> str:
        """The number of components, or of clusters of the prior, in words."""
        n, of = len(self.weights_), "component"
        if n != self.n_components_:
            of = "cluster"
        return f"{n} {of}{'' if n == 1 else 's'}"

    @property
    def components_(self) -> Any:
        """Weight, share, KL, active units and state of each component."""
        check_is_fitted(self, "model_")
        return states.frame(self._components)

    @property
    def covariances_(self) -> np.ndarray:
        """Covariance of x under each component, (K, D, D), in the units of X."""
        check_is_fitted(self, "model_")
        if not self._by_component:
            raise AttributeError("covariances_ is of tables with an exact mixture, as mfa-vae.")
        return self._reader.covariance(Components(self.model_).covariance())

    @property
    def _n_features_out(self) -> int:
        """Number of columns of :meth:`transform`, which scikit-learn names."""
        if self._by_component:
            return int(self.model_.prior(self.model_.encode).event_shape[0])
        return self._codes(torch.zeros(1, *self.recipe_.x_shape)).shape[-1]

    def _codes(self, x: TensorOrRows) -> Tensor:
        model = self.model_
        with evaluating(model):
            rows = batches(model, x, None, 500)
            return torch.cat([model.family.codes(model.mean_trace(part)).cpu() for part, _ in rows])

    def _proba(self, x: TensorOrRows, b: Classes | None = None) -> np.ndarray:
        if self._by_component:
            found = responsibilities(self.model_, x, PREDICT_SAMPLES, b, seed=self._seed)
            return found.numpy()
        return cluster_probabilities(self.model_, x.float()).numpy()

    def _log_p(
        self, x: TensorOrRows, n_samples: int, b: Classes | None
    ) -> tuple[np.ndarray, str | None]:
        """log p(x) in the units of X, and why it cannot be relied on, if so."""
        if self._by_component:
            found = log_joint(self.model_, x, n_samples, b, seed=self._seed)[1]
        else:
            found = log_likelihood(self.model_, x.float(), n_samples, seed=self._seed)
        return found.log_prob.numpy() - self._reader.log_scale(x), found.caveat

    def _x(self, X: Any) -> TensorOrRows:
        """New data as the model's x."""
        check_is_fitted(self, "model_")
        return self._reader.x(self._given(X))

    def _batch(self, batch: Any, n: int) -> Classes | None:
        """The numbers of the batches of new data, where the model reads them."""
        found = checks.batches(batch, n, self.batches_)
        return None if found is None or self.model_.labels.n_classes is None else found[0]

    def _given(self, X: Any) -> Any:
        """New data after the checks: a table as an array."""
        return checks.checked(
            self,
            X,
            is_table=self._is_table,
            reset=False,
            missing=self.model_.decoder.likelihood.missing,
            is_mixed=isinstance(transform := self._reader.transform, MixedColumns),
            counts=isinstance(transform, MixedColumns) and transform.counts is not None,
        )

    def _values(self, x: Tensor) -> np.ndarray:
        return self._reader.values(x)


def is_exact(recipe: BuiltRecipe) -> bool:
    """Whether the components' densities can be told apart, row by row."""
    likelihood = recipe.model.decoder.likelihood
    return (
        can_be_estimated(recipe.model) and likelihood.is_density and not likelihood.autoregressive
    )


def _no_criterion(name: str) -> MixvaeError:
    return MixvaeError(
        f"{name} counts free parameters, of which a network has many more than it uses; compare "
        "models by score(X) of rows that were held out."
    )
