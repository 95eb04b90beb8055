"""Imputation of missing values, and what ``DeepMixture`` says of incomplete rows."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.datasets import load_wine

import mixvae
from mixvae import DeepMixture, MixvaeError, MixvaeWarning
from mixvae.evaluation import impute

pytestmark = pytest.mark.filterwarnings("ignore:.*missing at random:mixvae.MixvaeWarning")

X = load_wine().data[:, :5]
HOLES = np.where(np.random.default_rng(0).random(X.shape) < 0.3, np.nan, X)
HOLES[np.isnan(HOLES).all(1)] = X[np.isnan(HOLES).all(1)]
TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorials" / "missing_values.md"
BLOCKS = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL)
START: dict[str, Any] = {
    **{"n_components": 2, "covariance_type": "full", "reg_covar": 0.01, "n_latent": 4},
    **{"max_epochs": 0, "refit": False, "random_state": 0},
}


@pytest.fixture(scope="module")
def start() -> DeepMixture:
    """The Gaussian mixture of observed values alone."""
    with pytest.warns(MixvaeWarning, match="missing at random"):
        return DeepMixture(**START).fit(HOLES)


def by_scipy(model: DeepMixture, row: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """log p(x_obs), E[x | x_obs] and p(k | x_obs) of the Gaussian mixture, in the units of X."""
    o = ~np.isnan(row)
    joint, means = np.log(model.weights_), []
    for k, (m, s) in enumerate(zip(model.means_, model.covariances_, strict=True)):
        mean = m.copy()
        if o.any():
            joint[k] += multivariate_normal(m[o], s[np.ix_(o, o)]).logpdf(row[o])
            mean += s[:, o] @ np.linalg.solve(s[np.ix_(o, o)], row[o] - m[o])
        means.append(mean)
    r = np.exp(joint - logsumexp(joint))
    return float(logsumexp(joint)), np.where(o, row, r @ np.array(means)), r


def test_at_its_start_all_is_that_of_the_gaussian_mixture_of_observed_values(
    start: DeepMixture,
) -> None:
    log_p, means, r = map(np.array, zip(*(by_scipy(start, row) for row in HOLES), strict=True))
    np.testing.assert_allclose(start.score_samples(HOLES), log_p, atol=0.1)
    np.testing.assert_allclose(start.predict_proba(HOLES), r, atol=0.05)
    found = start.impute(HOLES, n_samples=2000)
    observed = ~np.isnan(HOLES)
    np.testing.assert_array_equal(found[observed], HOLES[observed])
    assert (np.abs(found - means) / X.std(0)).max() < 0.1
    assert start.lower_bound_ == pytest.approx(log_p[start.validation_indices_].mean(), abs=1e-3)


def test_a_row_without_any_value_is_one_of_the_whole_mixture(start: DeepMixture) -> None:
    row = np.full((1, 5), np.nan)
    assert start.score(row) == pytest.approx(0, abs=0.05)
    np.testing.assert_allclose(start.predict_proba(row)[0], start.weights_, atol=0.01)
    mean = start.weights_ @ start.means_
    assert (np.abs(start.impute(row, n_samples=2000)[0] - mean) / X.std(0)).max() < 0.1
    assert start.transform(row).shape == (1, 4)
    assert np.isfinite(start.reconstruct(row)).all()
    with pytest.raises(MixvaeError, match=r"missing in 1 of 179 rows, row 178 \(counted from 0\)"):
        DeepMixture(**START).fit(np.concatenate([HOLES, row]))


def test_a_rows_imputation_depends_on_its_values_and_the_seed_alone(start: DeepMixture) -> None:
    found, drawn = start.impute(HOLES), start.impute(HOLES, draws=3)
    assert drawn.shape == (3, *X.shape)
    order = np.random.default_rng(0).permutation(len(X))[:20]
    np.testing.assert_allclose(start.impute(HOLES[order]), found[order])
    np.testing.assert_allclose(start.impute(HOLES[order], draws=3), drawn[:, order])
    np.testing.assert_array_equal(drawn[:, ~np.isnan(HOLES)], [HOLES[~np.isnan(HOLES)]] * 3)
    assert (drawn[0] != drawn[1])[np.isnan(HOLES)].all()


def test_draws_have_the_conditional_mean_and_covariance(start: DeepMixture) -> None:
    row = HOLES[np.isnan(HOLES).sum(1) == 2][:1]
    drawn = start.impute(row, draws=4000, n_samples=4000)[:, 0]
    m = np.isnan(row[0])
    _, mean, r = by_scipy(start, row[0])
    total = np.zeros((2, 2))
    for weight, mu, s in zip(r, start.means_, start.covariances_, strict=True):
        gain = s[np.ix_(m, ~m)] @ np.linalg.inv(s[np.ix_(~m, ~m)])
        own = mu[m] + gain @ (row[0, ~m] - mu[~m])
        difference = own - mean[m]
        spread = s[np.ix_(m, m)] - gain @ s[np.ix_(~m, m)]
        total += weight * (spread + np.outer(difference, difference))
    scale = np.sqrt(total.diagonal())
    assert (np.abs(drawn[:, m].mean(0) - mean[m]) / scale).max() < 0.08
    found = np.cov(drawn[:, m].T)
    assert (np.abs(found - total) / np.outer(scale, scale)).max() < 0.1


def test_nine_tenths_of_the_values_are_within_intervals_of_nine_tenths() -> None:
    random = np.random.default_rng(1)
    z = random.normal(size=(1500, 2))
    x = z @ random.normal(size=(2, 6)) + 0.5 * random.normal(size=(1500, 6))
    missing = random.random(x.shape) < 0.3
    missing[missing.all(1)] = False
    model = DeepMixture(n_components=1, covariance_type="full", max_epochs=0, random_state=0)
    drawn = model.fit(np.where(missing, np.nan, x)[:1000]).impute(
        np.where(missing, np.nan, x)[1000:], draws=100
    )
    low, high = np.quantile(drawn, (0.05, 0.95), axis=0)
    inside = ((low < x[1000:]) & (x[1000:] < high))[missing[1000:]]
    assert inside.mean() == pytest.approx(0.9, abs=0.04)  # some 900 values


def test_training_with_missing_values_gains_and_imputes_what_is_not_linear() -> None:
    random = np.random.default_rng(0)
    angle = random.uniform(0, 2 * np.pi, 1200)
    x = np.column_stack([np.cos(angle), np.sin(angle), np.cos(2 * angle)])
    x += 0.1 * random.normal(size=x.shape)
    holes = x.copy()
    holes[random.random(1200) < 0.4, 2] = np.nan
    options = {"n_components": 1, "n_latent": 2, "random_state": 0, "max_epochs": 60}
    model = DeepMixture(**options, lr=5e-3, batch_size=64, patience=30).fit(holes[:1000])
    assert np.isfinite([row["val/objective"] for row in model.history_]).all()
    linear = DeepMixture(**options | {"max_epochs": 0}).fit(holes[:1000])
    assert model.score(holes[1000:]) > linear.score(holes[1000:]) + 0.1
    m = np.isnan(holes[1000:, 2])

    def error(one: DeepMixture) -> float:
        return float(np.square(one.impute(holes[1000:]) - x[1000:])[m, 2].mean())

    assert error(model) < 0.5 * error(linear)


def test_a_model_of_complete_rows_imputes() -> None:
    model = DeepMixture(**START).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = model.impute(HOLES, n_samples=2000)
    expected = np.array([by_scipy(model, row)[1] for row in HOLES])
    assert (np.abs(found - expected) / X.std(0)).max() < 0.1
    np.testing.assert_array_equal(model.impute(X), X)


def test_constant_columns_have_their_value_and_summaries_are_made(tmp_path: Any) -> None:
    x = np.column_stack([HOLES, np.full(len(X), 7.0)])
    x[::3, 5] = np.nan
    with pytest.warns(MixvaeWarning, match="column 5 .* left out"):
        model = DeepMixture(**START).fit(x)
    found = model.impute(x)
    assert (found[:, 5] == 7).all()
    assert "2 components" in model.summary()
    assert model.n_components_ == len(model.components_)


def test_models_of_complete_rows_refuse_incomplete_ones() -> None:
    images = DeepMixture(1, max_epochs=1, recipe="mixture-vae", hidden=(8,), random_state=0)
    with pytest.raises(MixvaeError, match=r"missing values are for .* mfa-vae"):
        images.fit(HOLES)
    binary = (X.mean(0) < X).astype(float)
    images.fit(binary)
    with pytest.raises(MixvaeError, match="missing values are for tables of real values"):
        images.predict(np.where(np.isnan(HOLES), np.nan, binary))
    with pytest.raises(MixvaeError, match="missing values are modelled by the recipe mfa-vae"):
        images.impute(binary)
    with pytest.raises(MixvaeError, match="does not take missing values"):
        impute(images.model_, torch.from_numpy(binary).float())


def test_metrics_of_a_run_are_of_observed_values(tmp_path: Any) -> None:
    data = mixvae.data.from_arrays(HOLES, n_test=40)
    recipe = mixvae.build("mfa-vae", data, n_components=2, covariance="full", reg_covar=0.01)
    run = mixvae.fit(recipe, data, out=tmp_path / "run", max_epochs=1, batch_size=32)
    units = run.metrics["data_units"]
    scales = data.transform.log_scales(data.test.x)
    assert units["log_scale"] == pytest.approx(scales.mean())
    assert np.ptp(scales) > 0
    again = mixvae.load(tmp_path / "run").recipe.model
    assert torch.equal(impute(again, data.test.x), impute(run.recipe.model, data.test.x))


@pytest.mark.slow
def test_the_tutorials_blocks_run(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    for block in BLOCKS:
        quick = block.replace("max_epochs=30", "max_epochs=2")
        exec(
            quick.replace("random_state=0)", "random_state=0, max_epochs=2, n_components=3)"), scope
        )
    assert len(BLOCKS) == 7
    assert scope["filled"].shape == (178, 13)
    assert not np.isnan(scope["filled"]).any()
    assert scope["rmse"](scope["error"]) < scope["rmse"](scope["by_mean"])
    assert scope["inside"][scope["missing"]].mean() > 0.8
