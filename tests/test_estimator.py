"""``mixvae.DeepMixture`` keeps scikit-learn's promises."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from mixvae import DeepMixture, MixvaeError

pytestmark = pytest.mark.filterwarnings("ignore:.*(dead|collapsed|had no row):mixvae.MixvaeWarning")

SMALL = {"max_epochs": 1, "recipe_options": {"hidden": [16], "n_latent": 3}, "random_state": 0}


@pytest.fixture(scope="module")
def X():
    return load_digits().data[:300] / 16


@pytest.fixture(scope="module")
def exact(X):
    return DeepMixture(recipe="mixture-vae", n_components=3, **SMALL).fit(X)


@pytest.fixture(scope="module")
def joint(X):
    return DeepMixture(recipe="m-vae", n_components=3, **SMALL).fit(X)


@pytest.mark.parametrize("name", ["exact", "joint"])
def test_three_lines_on_digits(request, X, name):
    model = request.getfixturevalue(name)
    probability = model.predict_proba(X)
    assert probability.shape == (300, 3)
    np.testing.assert_allclose(probability.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.predict(X), probability.argmax(1))
    np.testing.assert_array_equal(model.labels_, model.predict(X))
    assert model.transform(X).shape == (300, len(model.get_feature_names_out()))
    new, components = model.sample(300)
    assert model.reconstruct(X).shape == new.shape == X.shape
    assert components.shape == (300,)
    assert components.max() < 3
    assert model.n_components_ == 3
    assert model.n_features_in_ == 64
    assert [row["epoch"] for row in model.history_ if row["phase"] == "main"] == [0, 1]


def test_codes_are_the_owners_in_an_exact_mixture_and_side_by_side_in_a_joint_one(exact, joint, X):
    import torch

    x = torch.from_numpy(X[:5]).float()
    for model in (exact, joint):
        codes = model.model_.infer(x)[0].mean.detach().numpy()
        expected = codes.reshape(5, -1)
        if model is exact:
            expected = codes[np.arange(5), model.predict(X[:5])]
        np.testing.assert_allclose(model.transform(X[:5]), expected, atol=1e-6)


def test_a_model_that_chooses_its_components_is_pruned_to_them(X):
    """A prior that lets no component in leaves the best one alone."""
    options = {"hidden": 8, "n_latent": 3, "keep_prior": 1e-9, "beta_dropout": 1e3}
    model = DeepMixture(
        recipe="mvae-gs",
        n_components=3,
        lr=0.5,
        max_epochs=4,
        recipe_options=options,
        random_state=0,
    ).fit(X)
    assert model.n_components_ == 1
    assert model.recipe_.name == "mvae"
    assert model.predict_proba(X).shape == (300, 1)
    assert model.transform(X).shape == (300, 3)


def unreliable():
    """One epoch makes no posterior that importance sampling can rely on."""
    return pytest.warns(UserWarning, match="UNRELIABLE: k-hat above 0.7 for .* annealed importance")


def test_score_is_the_mean_log_likelihood(exact, X):
    each = exact.score_samples(X[:4], n_samples=100)
    assert each.shape == (4,)
    with unreliable():
        each = exact.score_samples(X[:4])
    with unreliable():
        assert exact.score(X[:4]) == pytest.approx(each.mean())


def test_few_grey_levels_are_binomial_and_new_data_must_have_them(exact, X):
    assert exact.recipe_.options["likelihood"] == "binomial"
    assert exact.recipe_.options["n_trials"] == 16
    with pytest.raises(MixvaeError, match=r"k / 16 for k = 0 ... 16; .* use likelihood gaussian"):
        exact.score_samples(X[:4] * 0.99)


def test_the_score_of_a_row_depends_on_what_it_holds_alone(exact, X):
    each = exact.score_samples(X[:6], n_samples=50)
    again = exact.score_samples(np.concatenate([X[3:6], X[5:6], X[5:6]]), n_samples=50)
    np.testing.assert_array_equal(again, each[[3, 4, 5, 5, 5]])


def test_images_keep_their_shape(X):
    images = X.reshape(-1, 8, 8)
    model = DeepMixture(recipe="vae", **SMALL).fit(images)
    assert model.sample(2)[0].shape == (2, 1, 8, 8)
    assert model.reconstruct(images[:2]).shape == (2, 1, 8, 8)
    assert model.predict_proba(images[:2]).tolist() == [[1], [1]]


def test_the_same_random_state_gives_the_same_model(exact, X):
    again = clone(exact).fit(X)
    np.testing.assert_array_equal(again.predict_proba(X), exact.predict_proba(X))
    for one, other in zip(again.sample(4), exact.sample(4), strict=True):
        np.testing.assert_array_equal(one, other)
    other = clone(exact).set_params(random_state=1).fit(X)
    assert not np.array_equal(other.predict_proba(X), exact.predict_proba(X))


def test_nothing_is_left_behind(X, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    DeepMixture(recipe="mixture-vae", **SMALL).fit(X)
    assert not list(tmp_path.iterdir())


def test_clone_keeps_the_parameters_and_forgets_the_fit(exact):
    copy = clone(exact)
    assert copy.get_params() == exact.get_params()
    assert not hasattr(copy, "model_")


def test_a_fitted_model_can_be_pickled(exact, X):
    again = pickle.loads(pickle.dumps(exact))
    np.testing.assert_array_equal(again.predict(X), exact.predict(X))


def test_fit_predict_is_fit_then_predict(exact, X):
    np.testing.assert_array_equal(clone(exact).fit_predict(X), exact.predict(X))


def test_a_search_and_a_pipeline_accept_it(X):
    search = GridSearchCV(
        DeepMixture(recipe="mixture-vae", **SMALL),
        {"n_components": np.array([1, 2])},
        cv=2,
        error_score="raise",
    )
    with unreliable():
        search.fit(X[:80])
    assert search.best_params_["n_components"] in (1, 2)
    pipe = make_pipeline(MinMaxScaler(clip=True), DeepMixture(recipe="mixture-vae", **SMALL))
    assert pipe.fit(X * 16).predict(X * 16).shape == (300,)


@pytest.mark.parametrize("binarize", ["threshold", "dynamic"])
def test_new_data_are_binarised_as_the_training_data(X, binarize):
    model = DeepMixture(recipe="vae", binarize=binarize, **SMALL).fit(X)
    assert model.recipe_.options["likelihood"] == "bernoulli"
    assert np.isfinite(model.score_samples(X[:3], n_samples=100)).all()


@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "transform", "score_samples", "score", "reconstruct"]
)
def test_an_unfitted_model_says_so(X, method):
    with pytest.raises(NotFittedError):
        getattr(DeepMixture(), method)(X)


def test_an_unfitted_model_has_no_samples():
    with pytest.raises(NotFittedError):
        DeepMixture().sample()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "m-vea"}, "Did you mean 'm-vae'"),
        ({"recipe": "vae", "n_components": 3}, "has one component"),
        ({"recipe_options": {"n_latnt": 3}}, "Did you mean 'n_latent'"),
        ({"n_components": 0}, "at least 1"),
        ({"max_epochs": 0}, "max_epochs"),
        ({"validation_fraction": 0}, "validation_fraction"),
        ({"validation_fraction": 1.5}, "validation_fraction"),
        ({"binarize": "thresh"}, "Did you mean 'threshold'"),
    ],
)
def test_what_cannot_be_used_is_refused(unchecked, X, options, message):
    with pytest.raises(MixvaeError, match=message):
        DeepMixture(**{"recipe": "mixture-vae", **SMALL, **options}).fit(X)


def test_data_that_cannot_be_used_are_refused(exact, X):
    with pytest.raises(MixvaeError, match=r"\[0, 1\]"):
        DeepMixture(recipe="mixture-vae", **SMALL).fit(X.reshape(-1, 8, 8) * 16)
    with pytest.raises(MixvaeError, match="X has 10 features, but DeepMixture is expecting 64"):
        exact.predict(X[:, :10])
    with pytest.raises(MixvaeError, match="n_samples"):
        exact.sample(0)


def test_few_rows_have_fewer_latent_dimensions_unless_a_number_is_given() -> None:
    x = np.random.default_rng(0).random((40, 6))
    small = {"hidden": [4], "start_epochs": 1}
    for recipe, options, n_latent in (
        ("mixture-vae", {}, 12),
        ("mixture-vae", {"n_latent": 3}, 3),
        ("gmmp-vae", {"n_pseudo_inputs": 4}, 40),
    ):
        options = (small if recipe == "mixture-vae" else {"hidden": [4]}) | options
        model = DeepMixture(recipe=recipe, n_components=2, max_epochs=1, recipe_options=options)
        assert model.fit(x).recipe_.options["n_latent"] == n_latent


def test_many_rows_have_the_recipes_latent_dimensions() -> None:
    x = np.random.default_rng(0).random((6000, 3))
    options = {"hidden": [4], "start_epochs": 1}
    model = DeepMixture(
        recipe="mixture-vae",
        n_components=2,
        max_epochs=1,
        recipe_options=options,
        batch_size=2000,
    )
    assert model.fit(x).recipe_.options["n_latent"] == 20


@pytest.mark.parametrize(("recipe", "start"), [("vade", {"start": "random"}), ("gmvae", {})])
def test_the_number_of_components_is_that_of_the_priors_clusters(X, recipe, start):
    small = {"n_latent": 2, "hidden": (8,), "max_epochs": 1, "random_state": 0}
    mixture = DeepMixture(3, recipe=recipe, recipe_options=start, **small).fit(X[:100])
    assert mixture.recipe_.options["n_clusters"] == 3
    assert mixture.predict_proba(X[:5]).shape == (5, 3)
    assert mixture.summary().startswith(f"{recipe}, 3 clusters, ")
