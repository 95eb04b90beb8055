"""``DeepMixture`` on tables: densities in the units of X, and what it says of bad input."""

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV

from mixvae import DeepMixture, MixvaeError, MixvaeWarning
from mixvae.data import Standardization

X = load_wine().data
START: dict[str, Any] = {
    **{"n_components": 3, "covariance_type": "full", "reg_covar": 0.01, "n_latent": 12},
    **{"max_epochs": 0, "random_state": 0},
}


@pytest.fixture(scope="module")
def start() -> DeepMixture:
    """The Gaussian mixture alone, whose factor analysers have all directions but one."""
    return DeepMixture(**START).fit(X)


@pytest.fixture(scope="module")
def trained() -> DeepMixture:
    return DeepMixture(n_components=2, max_epochs=3, random_state=0).fit(X)


def test_before_training_scores_are_the_gaussian_mixtures_in_the_units_of_x(
    start: DeepMixture,
) -> None:
    """The density of weights_, means_ and covariances_, by SciPy."""
    each = [
        multivariate_normal(m, c).logpdf(X)
        for m, c in zip(start.means_, start.covariances_, strict=True)
    ]
    joint = np.log(start.weights_)[:, None] + np.array(each)
    expected = np.logaddexp.reduce(joint)
    np.testing.assert_allclose(start.score_samples(X), expected, atol=0.05)
    np.testing.assert_allclose(start.predict_proba(X), np.exp(joint - expected).T, atol=0.02)
    assert start.score(X) == pytest.approx(expected.mean(), abs=0.01)


@pytest.mark.filterwarnings("ignore:.*did not converge")
def test_before_training_the_model_is_scikit_learns(start: DeepMixture) -> None:
    """A step of its EM on all rows, standardised as those not held out, changes nothing."""
    train = np.setdiff1d(np.arange(len(X)), start.validation_indices_)
    mean, std = X[train].mean(0), X[train].std(0)
    mixture = GaussianMixture(
        3,
        reg_covar=0.01,
        max_iter=1,
        weights_init=start.weights_,
        means_init=(start.means_ - mean) / std,
        precisions_init=np.linalg.inv(start.covariances_ / np.outer(std, std)),
    ).fit((X - mean) / std)
    np.testing.assert_allclose(mixture.weights_, start.weights_, atol=2e-3)
    np.testing.assert_allclose(mixture.means_ * std + mean, start.means_, rtol=5e-3)
    expected = mixture.score_samples((X - mean) / std) - np.log(std).sum()
    assert start.score(X) == pytest.approx(expected.mean(), abs=0.05)
    assert start.n_iter_ == 0
    assert not start.converged_


def test_without_a_refit_held_out_rows_are_unknown_to_the_model(start: DeepMixture) -> None:
    model = DeepMixture(**START, refit=False).fit(X)
    held_out = model.validation_indices_
    np.testing.assert_array_equal(held_out, start.validation_indices_)
    assert model.lower_bound_ == start.lower_bound_
    assert model.score(X[held_out]) == pytest.approx(model.lower_bound_, abs=0.1)
    assert start.score(X[held_out]) > model.lower_bound_ + 1


def test_a_refit_trains_as_many_epochs_as_were_best(tmp_path: Path) -> None:
    """Validation is then on rows of the training, whose objective rises to the last epoch."""
    seen: list[int] = []

    class Epochs:
        def on_epoch_end(self, state: Any) -> None:
            seen.append(state.epoch)

    more = {"out": tmp_path / "run", "callbacks": [Epochs()]}
    options = {**START, "max_epochs": 3, "lr": 1e-4, "fit_options": more}
    model = DeepMixture(**options, refit=True).fit(X)
    assert seen == [0, 1, 2, 3]  # of the first training alone
    once = DeepMixture(**options | {"fit_options": {}}, refit=False).fit(X)
    assert model.history_[-1]["val/objective"] == once.history_[-1]["val/objective"]
    assert model.score(X) != once.score(X)
    big = np.tile(X[:, :2], (6, 1))  # 1,068 rows
    short = {"n_components": 1, "covariance_type": "diag", "max_epochs": 0, "random_state": 0}
    by_default, never = (
        DeepMixture(**short, refit=r).fit(big).score(X[:, :2]) for r in (None, False)
    )
    assert by_default == never
    with pytest.raises(MixvaeError, match="refit is for tables of real values"):
        DeepMixture(recipe="vae", refit=True, max_epochs=1).fit(X)


def test_the_units_of_x_are_those_of_means_scores_and_samples(start: DeepMixture) -> None:
    scale, shift = np.geomspace(1e-3, 1e3, 13), np.arange(13)
    other = DeepMixture(**START).fit(X * scale + shift)
    np.testing.assert_array_equal(other.labels_, start.labels_)
    np.testing.assert_allclose(other.means_, start.means_ * scale + shift, rtol=1e-3)
    np.testing.assert_allclose(other.sample(5)[0], start.sample(5)[0] * scale + shift, rtol=0.02)
    moved = start.score_samples(X[:20]) - np.log(scale).sum()
    np.testing.assert_allclose(other.score_samples(X[:20] * scale + shift), moved, atol=0.1)
    reconstructed = other.reconstruct(X[:20] * scale + shift)
    np.testing.assert_allclose(reconstructed, start.reconstruct(X[:20]) * scale + shift, rtol=0.05)


def test_samples_have_the_models_moments_and_components(start: DeepMixture) -> None:
    new, component = start.sample(20_000)
    assert new.shape == (20_000, 13)
    np.testing.assert_allclose(np.bincount(component) / 20_000, start.weights_, atol=0.015)
    for k in range(3):
        own = new[component == k]
        std = np.sqrt(np.diag(start.covariances_[k]))
        np.testing.assert_allclose((own.mean(0) - start.means_[k]) / std, 0, atol=0.07)
        correlation = np.cov(own.T) / np.outer(std, std)
        expected = start.covariances_[k] / np.outer(std, std)
        np.testing.assert_allclose(correlation, expected, atol=0.1)
    np.testing.assert_array_equal(start.sample(7)[0], start.sample(7)[0])


def test_codes_are_decoded_by_their_components(start: DeepMixture) -> None:
    codes, labels = start.transform(X), start.predict(X)
    decoded = start.inverse_transform(codes, labels)
    # with all directions but one, what is lost is at most a noise scale in each column
    residual = (decoded - X) / X.std(0)
    assert np.sqrt((residual**2).mean()) < 0.5
    centre = start.inverse_transform(np.zeros((3, 12)), [0, 1, 2])
    np.testing.assert_allclose(centre, start.means_, rtol=1e-6)
    with pytest.raises(MixvaeError, match=r"3 components has codes of its own; .* labels"):
        start.inverse_transform(codes)
    with pytest.raises(MixvaeError, match="labels must be 178 whole numbers from 0 to 2"):
        start.inverse_transform(codes, labels + 1)
    with pytest.raises(MixvaeError, match="Z must have 12 columns"):
        start.inverse_transform(codes[:, :3], labels)


def test_a_row_has_the_same_result_alone_and_in_any_order(trained: DeepMixture) -> None:
    order = np.random.default_rng(0).permutation(len(X))
    for name in ("score_samples", "predict_proba", "transform", "reconstruct"):
        method = getattr(trained, name)
        each = method(X)
        np.testing.assert_allclose(method(X[order]), each[order], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(method(X[5:6]), each[5:6], rtol=1e-9, atol=1e-9)


def test_outliers_are_as_many_as_was_said() -> None:
    few = DeepMixture(**START | {"contamination": 0.05}).fit(X)
    assert (few.decision_function(X) < 0).mean() == pytest.approx(0.05, abs=0.01)
    np.testing.assert_allclose(few.decision_function(X), few.score_samples(X) - few.offset_)
    far = X[:1] + 10 * X.std(0)
    assert few.decision_function(far) < -10


def test_the_choice_is_recorded() -> None:
    model = DeepMixture(max_epochs=0, random_state=0).fit(X)
    chosen = [row for row in model.selection_ if row["chosen"]]
    assert len(chosen) == 1
    assert chosen[0]["n_components"] >= model.n_components_
    assert chosen[0]["covariance_type"] == model.recipe_.options["covariance"]
    best = max(model.selection_, key=lambda row: row["log_p"])
    assert best["log_p"] >= chosen[0]["log_p"]
    again = DeepMixture("auto", max_epochs=0, random_state=0).fit(X)
    assert again.selection_ == model.selection_
    assert DeepMixture(**START).fit(X).selection_ is None


def test_of_many_rows_the_choice_is_made_on_the_held_out_ones() -> None:
    """As cross-validation of fewer than 1,000 would not, for their log p(x) is another."""
    x = np.random.default_rng(0).normal(size=(1000, 2)) * 100
    model = DeepMixture(covariance_type="diag", max_epochs=0, random_state=0).fit(x)
    chosen = next(row for row in model.selection_ if row["chosen"])
    assert chosen["log_p"] == pytest.approx(model.lower_bound_, abs=1e-3)
    few = DeepMixture(covariance_type="diag", max_epochs=0, random_state=0).fit(x[:999])
    chosen = next(row for row in few.selection_ if row["chosen"])
    assert chosen["log_p"] == pytest.approx(few.score(x[:999]), abs=0.02)


def test_a_given_number_of_components_has_several_starts() -> None:
    for given, n_init in ((2, 3), ("auto", 1)):
        model = DeepMixture(given, covariance_type="diag", max_epochs=0).fit(X[:, :2])
        assert model.recipe_.options["n_init"] == n_init
    assert DeepMixture(2, n_init=5, max_epochs=0).fit(X[:, :2]).recipe_.options["n_init"] == 5


def test_components_without_rows_are_left_out() -> None:
    rows = np.random.default_rng(0).normal(size=(60, 2))
    rows = np.concatenate([rows, rows + 50])
    with pytest.warns(MixvaeWarning, match="had no row of X and were left out"):
        model = DeepMixture(30, max_epochs=0, random_state=0).fit(rows)
    assert model.n_components_ < 30
    np.testing.assert_array_equal(np.unique(model.labels_), np.arange(model.n_components_))
    np.testing.assert_array_equal(model.labels_, model.predict(rows))
    assert model.weights_.shape == (model.n_components_,)
    assert model.weights_.sum() == pytest.approx(1)


def test_a_component_without_loadings_is_alive() -> None:
    options = {"covariance_type": "diag", "reg_covar": 1e-3, "max_epochs": 0, "n_latent": 12}
    model = DeepMixture(1, random_state=0, **options).fit(X)
    assert list(model.components_["state"]) == ["alive"]
    assert model.components_["kl"][0] < 1e-6


def test_the_components_are_a_frame_and_the_summary_names_them(trained: DeepMixture) -> None:
    assert list(trained.components_) == ["weight", "share", "kl", "active_units", "state"]
    text = trained.summary()
    assert text.startswith("mfa-vae, 2 components")
    assert "178 rows, 13 columns standardised" in text
    assert text.count("alive") == 2
    assert "DeepMixture" in trained._repr_html_()


def test_training_stops_for_want_of_a_gain() -> None:
    model = DeepMixture(**START | {"max_epochs": 20, "patience": 2, "tol": 1e3}).fit(X)
    assert model.converged_
    assert model.n_iter_ == 2
    assert [row["epoch"] for row in model.history_] == [0, 1, 2]


def test_columns_of_zeros_and_ones_have_a_bernoulli_mixture() -> None:
    x = np.random.default_rng(0).random((50, 6)) > 0.5
    options = {"hidden": (8,), "max_epochs": 1, "recipe_options": {"start_epochs": 1}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixvaeWarning)
        for table in (x, x.astype(float), x.astype(np.uint8)):
            model = DeepMixture(2, n_latent=2, random_state=0, **options).fit(table)
            assert model.recipe_.name == "mixture-vae"
            assert model.recipe_.options["likelihood"] == "bernoulli"
            assert set(np.unique(model.sample(20)[0])) <= {0, 1}
    assert (model.score_samples(x[:5]) < 0).all()


def test_bytes_are_numbers_and_unit_intervals_are_standardised() -> None:
    rng = np.random.default_rng(0)
    for table in (rng.integers(0, 256, (60, 3), dtype=np.uint8), rng.random((60, 3))):
        model = DeepMixture(1, max_epochs=0).fit(table)
        assert model.recipe_.name == "mfa-vae"
        assert isinstance(model.data_transform_, Standardization)
    plain = DeepMixture(1, max_epochs=0, standardize=False, covariance_type="diag").fit(X)
    assert set(plain.data_transform_.scale) == {1.0}
    np.testing.assert_allclose(plain.means_[0], X.mean(0), rtol=1e-5)


def test_other_recipes_take_real_tables() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixvaeWarning)
        model = DeepMixture(recipe="vae", hidden=(8,), n_latent=2, max_epochs=1).fit(X)
    assert model.reconstruct(X).shape == model.sample(4)[0].repeat(45, 0)[:178].shape
    assert model.inverse_transform(model.transform(X)).shape == X.shape


@pytest.mark.usefixtures("unchecked")  # NumPy's numbers, as a search gives
def test_parameters_are_searched_and_cloned() -> None:
    model = DeepMixture(max_epochs=0, covariance_type="diag", reg_covar=1e-3, random_state=0)
    search = GridSearchCV(model, {"n_components": [1, 2], "n_latent": np.array([1, 3])}, cv=2)
    search.fit(np.random.default_rng(0).permutation(X))
    assert search.best_score_ > -25
    assert clone(search.best_estimator_).get_params()["covariance_type"] == "diag"


def test_frames(trained: DeepMixture) -> None:
    pandas = pytest.importorskip("pandas")
    data = load_wine(as_frame=True).data
    model = DeepMixture(n_components=2, max_epochs=3, random_state=0).fit(data)
    np.testing.assert_array_equal(model.predict_proba(data), trained.predict_proba(X))
    assert list(model.feature_names_in_) == list(data.columns)
    with pytest.raises(MixvaeError, match="must be in the same order"):
        model.predict(data.iloc[:, ::-1])
    with pytest.raises(MixvaeError, match="now missing:\n- proline"):
        model.predict(data.drop(columns="proline"))
    wrong = data.assign(alcohol=data.alcohol.astype(str), hue=pandas.NA)
    with pytest.raises(MixvaeError, match="text or objects in column"):
        model.predict(wrong)
    assert model.predict(data.assign(hue=np.nan)).shape == (len(data),)
    out = clone(model).set_output(transform="pandas").fit(data).transform(data)
    assert list(out.columns) == [f"deepmixture{i}" for i in range(7)]
    polars = pytest.importorskip("polars")
    np.testing.assert_array_equal(model.predict(polars.from_pandas(data)), model.predict(data))


def with_value(value: float) -> np.ndarray:
    x = X.copy()
    x[3, 2] = value
    return x


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (X[:4], {"n_components": 5}, "Expected n_samples >= n_components but got n_components = 5"),
        (X[:1], {}, "Found array with 1 sample"),
        (X[:, 0], {}, "Reshape your data"),
        (X[:, :0], {}, r"0 feature\(s\)"),
        (np.ones((20, 3)), {"recipe": "mfa-vae"}, "only one value"),
        (with_value(np.nan), {"recipe": "vae"}, "missing values are for .* mfa-vae"),
        (
            np.where(X > 5, 1, with_value(np.nan) * 0),
            {"recipe": "vae"},
            "missing values .* 1 of 2314 are NaN, in",
        ),
        (with_value(np.inf), {}, "finite, and 1 of 2314 are infinite, in column 2"),
        (X + 1j, {}, "Complex data not supported"),
        (X.astype(str), {}, "dtype <U32; give float values"),
        (X, {"n_components": "three"}, "n_components must be a whole number"),
        (X, {"n_components": 0}, "n_components must be at least 1"),
        (X, {"n_components": "auto", "recipe": "vae"}, "'auto' is for tables"),
        (X, {"network": "conv"}, "the recipe 'mfa-vae' has no option network"),
        (X, {"recipe": "vae", "covariance_type": "full"}, "has no option covariance"),
        (X, {"recipe": "vae", "n_init": 3}, "has no option n_init"),
        (X, {"n_latent": 2, "recipe_options": {"n_latent": 2}}, "n_latent is given twice"),
        (X, {"contamination": 0.7}, "contamination must be above 0 and at most 0.5"),
        (X, {"binarize": "threshold", "recipe": "mfa-vae"}, "binarize is for pixels"),
        (X, {"likelihood": "bernoulli"}, "unknown likelihood|likelihood must be"),
        (X, {"covariance_type": "spherical"}, "covariance"),
        (X, {"tol": -1}, "tol must be at least 0"),
        (X, {"standardize": "yes"}, "standardize must be"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_used_is_refused(x: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(MixvaeError, match=message):
        DeepMixture(**{"max_epochs": 0, **options}).fit(x)


def test_one_column_and_constant_and_dependent_columns() -> None:
    one = DeepMixture(2, max_epochs=1, random_state=0).fit(X[:, :1])
    assert one.sample(3)[0].shape == (3, 1)
    constant = np.column_stack([np.full(len(X), 7.0), X[:, :3]])
    with pytest.warns(MixvaeWarning, match="column 0 .* left out"):
        model = DeepMixture(2, max_epochs=0, random_state=0).fit(constant)
    assert (model.sample(5)[0][:, 0] == 7).all()
    assert model.means_.shape == (2, 4)
    assert (model.means_[:, 0] == 7).all()
    assert (model.covariances_[:, 0] == 0).all()
    assert np.isfinite(model.score_samples(constant)).all()
    dependent = np.column_stack([X[:, 0], X[:, :3].sum(1), X[:, 1:3]])
    with pytest.warns(MixvaeWarning, match="linear combination"):
        DeepMixture(2, max_epochs=0, random_state=0).fit(dependent)


def test_criteria_that_count_parameters_say_what_to_use(trained: DeepMixture) -> None:
    for method in (trained.bic, trained.aic):
        with pytest.raises(MixvaeError, match="score"):
            method(X)


def test_images_have_no_offset_unless_asked() -> None:
    x = np.random.default_rng(0).random((30, 4, 4))
    options = {"hidden": (8,), "n_latent": 2, "recipe": "vae", "max_epochs": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixvaeWarning)
        model = DeepMixture(random_state=0, **options).fit(x)
        with pytest.raises(MixvaeError, match="give contamination"):
            model.decision_function(x)
        model.set_params(contamination=0.2).fit(x)
        assert (model.decision_function(x) < 0).mean() == pytest.approx(0.2, abs=0.05)
    assert model.n_features_in_ == 16


def test_pandas_is_not_imported() -> None:
    before = "pandas" in sys.modules
    DeepMixture(2, max_epochs=0).fit(X)
    assert ("pandas" in sys.modules) == before
