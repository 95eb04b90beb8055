"""EM of Gaussian mixtures with weights and missing entries."""

import time
import warnings

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.datasets import load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from mixvae import MixvaeError
from mixvae.initialization.expectation_maximization import Covariance, Fitted, fit

X = load_wine().data[:, :6]
X = (X - X.mean(0)) / X.std(0)
KINDS: tuple[Covariance, ...] = ("full", "tied", "diag")
all_kinds = pytest.mark.parametrize("kind", KINDS)


def with_holes(x: np.ndarray, share: float = 0.3, seed: int = 0) -> np.ndarray:
    missing = np.random.default_rng(seed).random(x.shape) < share
    return np.where(missing, np.nan, x)


def covariances(mixture: Fitted) -> list[np.ndarray]:
    if mixture.covariance_type == "tied":
        return [mixture.covariances_] * mixture.n_components
    if mixture.covariance_type == "diag":
        return [np.diag(v) for v in mixture.covariances_]
    return list(mixture.covariances_)


def density(mixture: Fitted, row: np.ndarray) -> float:
    """log p of the observed entries of a row, by SciPy."""
    o = ~np.isnan(row)
    if not o.any():
        return 0.0
    each = [
        multivariate_normal(m[o], s[np.ix_(o, o)]).logpdf(row[o])
        for m, s in zip(mixture.means_, covariances(mixture), strict=True)
    ]
    return float(logsumexp(np.log(mixture.weights_) + each))


@all_kinds
@pytest.mark.parametrize("n_init", [1, 3])
def test_without_missing_entries_it_is_scikit_learns(kind: Covariance, n_init: int) -> None:
    options = {"covariance_type": kind, "reg_covar": 1e-3, "n_init": n_init, "max_iter": 25}
    own = fit(X, 3, seed=4, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = GaussianMixture(3, random_state=4, **options).fit(X)
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_allclose(getattr(own, name), getattr(theirs, name), atol=1e-9)
    assert own.lower_bound_ == pytest.approx(theirs.lower_bound_, abs=1e-10)
    assert (own.n_iter_, own.converged_) == (theirs.n_iter_, theirs.converged_)
    np.testing.assert_allclose(own.score_samples(X), theirs.score_samples(X))
    np.testing.assert_allclose(own.predict_proba(X), theirs.predict_proba(X), atol=1e-9)


@all_kinds
def test_a_weight_of_two_is_two_rows_and_one_of_zero_is_none(kind: Covariance) -> None:
    n = np.random.default_rng(1).integers(0, 3, len(X))
    options = {"covariance_type": kind, "reg_covar": 1e-3, "max_iter": 20, "tol": 0.0}
    weighted = fit(X, 3, sample_weight=n.astype(float), **options)
    repeated = fit(np.repeat(X, n, 0), 3, **options)
    for name in ("weights_", "means_", "covariances_", "lower_bound_"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), atol=1e-9)


@all_kinds
def test_weights_of_incomplete_rows_are_numbers_of_rows(kind: Covariance) -> None:
    x, n = with_holes(X), np.random.default_rng(1).integers(1, 3, len(X))
    r = np.random.default_rng(2).dirichlet(np.ones(3), len(x))
    options = {"covariance_type": kind, "reg_covar": 1e-3, "max_iter": 20, "tol": 0.0}
    weighted = fit(x, 3, sample_weight=n.astype(float), responsibilities=r, **options)
    repeated = fit(np.repeat(x, n, 0), 3, responsibilities=np.repeat(r, n, 0), **options)
    for name in ("weights_", "means_", "covariances_", "lower_bound_"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), atol=1e-9)


@all_kinds
def test_the_density_is_that_of_the_observed_entries(kind: Covariance) -> None:
    x = with_holes(X, 0.5)
    x[3] = np.nan
    mixture = fit(x, 3, covariance_type=kind, reg_covar=1e-3)
    np.testing.assert_allclose(
        mixture.score_samples(x), [density(mixture, row) for row in x], atol=1e-12
    )
    assert mixture.score_samples(x)[3] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(mixture.predict_proba(x)[3], mixture.weights_)


@all_kinds
def test_the_likelihood_of_observed_entries_never_falls(kind: Covariance) -> None:
    x = with_holes(X, 0.4)
    options = {"covariance_type": kind, "reg_covar": 0.0, "tol": 0.0}
    bounds = [fit(x, 2, max_iter=n, **options).lower_bound_ for n in range(1, 40, 3)]
    gains = np.diff(bounds)
    assert gains.min() > -1e-10
    assert bounds[-1] > bounds[0] + 0.1


def test_parameters_are_recovered_from_incomplete_rows() -> None:
    random = np.random.default_rng(0)
    root = random.normal(size=(2, 4, 4)) / 2
    mean = np.array([[-2.0, 0, 2, 1], [2, 1, -1, 0]])
    k = random.random(20_000) < 0.3
    x = mean[k * 1] + np.einsum("nij,nj->ni", root[k * 1], random.normal(size=(20_000, 4)))
    mixture = fit(with_holes(x, 0.3), 2, tol=1e-6)
    order = np.argsort(mixture.means_[:, 0])
    np.testing.assert_allclose(mixture.weights_[order], [0.7, 0.3], atol=0.02)
    np.testing.assert_allclose(mixture.means_[order], mean, atol=0.05)
    true = root @ root.transpose(0, 2, 1)
    np.testing.assert_allclose(mixture.covariances_[order], true, atol=0.08)


def test_rows_with_patterns_of_their_own_are_fitted_in_seconds() -> None:
    x = with_holes(np.random.default_rng(0).normal(size=(5000, 16)))
    start = time.process_time()
    fit(x, 5, max_iter=3)
    assert time.process_time() - start < 10


def test_what_cannot_be_fitted_is_refused() -> None:
    x = X.copy()
    x[:, 2] = np.nan
    with pytest.raises(MixvaeError, match=r"columns \[2\] \(counted from 0\) have no observed"):
        fit(x, 2)
    with pytest.raises(MixvaeError, match="needs as many rows; got 3"):
        fit(X[:3], 4)
    with pytest.raises(MixvaeError, match="singular"):
        fit(np.repeat(X[:3], 4, 0), 3, reg_covar=0.0)
