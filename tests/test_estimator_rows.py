"""``DeepMixture`` on new data: a row's result is its own, and columns keep their names."""

import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from mixvae import DeepMixture, MixvaeError
from mixvae.data.dataset import draw_rows

pytestmark = pytest.mark.filterwarnings("ignore:.*(dead|collapsed|had no row):mixvae.MixvaeWarning")
SMALL = {"max_epochs": 1, "recipe_options": {"hidden": [16], "n_latent": 3}, "random_state": 0}
METHODS = ["predict_proba", "transform", "reconstruct"]
ROUNDING = 1e-5  # of float32, and of products of other sizes; 2e-6 was the most that was seen


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    digits: np.ndarray = load_digits().data[:120] / 16
    return digits


@pytest.fixture(scope="module", params=["none", "threshold", "dynamic"])
def model(request: pytest.FixtureRequest, X: np.ndarray) -> DeepMixture:
    return DeepMixture(recipe="mixture-vae", n_components=3, binarize=request.param, **SMALL).fit(X)


def test_a_rows_score_depends_on_its_content_and_the_seed_alone(
    model: DeepMixture, X: np.ndarray
) -> None:
    each = model.score_samples(X[:6], n_samples=50)
    np.testing.assert_array_equal(model.score_samples(X[3:6], n_samples=50), each[3:])
    np.testing.assert_array_equal(model.score_samples(X[:6][::-1], n_samples=50), each[::-1])
    np.testing.assert_array_equal(model.score_samples(X[[4, 4, 4]], n_samples=50), each[[4, 4, 4]])


@pytest.mark.parametrize("method", METHODS)
def test_a_rows_result_does_not_depend_on_place_company_or_batch(
    model: DeepMixture, X: np.ndarray, method: str
) -> None:
    call = getattr(model, method)
    each = call(X)
    order = np.random.default_rng(0).permutation(len(X))
    for rows in (slice(3, 6), slice(0, 1), slice(None, None, -1), order, [4, 4, 4]):
        np.testing.assert_allclose(call(X[rows]), each[rows], rtol=0, atol=ROUNDING)


def test_pixels_are_drawn_by_their_grey_levels_and_each_row_by_itself() -> None:
    grey = torch.full((2000, 64), 0.25)
    grey[:, 0] = torch.linspace(0, 1, 2000)  # each row another
    drawn = draw_rows(grey, 0)
    assert set(drawn.unique().tolist()) == {0, 1}
    # 126,000 draws: the standard error is 0.0012; of a column of 2,000, 0.0097
    assert abs(drawn[:, 1:].mean() - 0.25) < 0.006
    assert (drawn[:, 1:].mean(0) - 0.25).abs().max() < 0.05
    rows = torch.stack([drawn[:-1, 1:].flatten(), drawn[1:, 1:].flatten()])
    assert abs(torch.corrcoef(rows)[0, 1]) < 0.02  # standard error 0.003
    assert torch.equal(draw_rows(grey.flip(0)[5:9], 0), drawn.flip(0)[5:9])
    assert not torch.equal(draw_rows(grey, 1), drawn)


class Frame:
    """The least that there is to a DataFrame: values and the columns' names."""

    def __init__(self, values: np.ndarray, columns: list[str]) -> None:
        self.values, self.columns, self.shape = values, columns, values.shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype)


@pytest.fixture
def frame(monkeypatch: pytest.MonkeyPatch) -> Any:
    """pandas' DataFrame where pandas is installed; it is never needed."""
    if find_spec("pandas") is not None:
        import pandas

        return pandas.DataFrame

    def names(x: Any) -> np.ndarray | None:
        return np.array(x.columns, object) if isinstance(x, Frame) else None

    monkeypatch.setattr("sklearn.utils.validation._get_feature_names", names)
    return Frame


def test_a_data_frames_columns_are_remembered_and_others_refused(frame: Any, X: np.ndarray) -> None:
    names = [f"p{i:02d}" for i in range(64)]
    model = DeepMixture(recipe="vae", **SMALL).fit(frame(X, columns=names))
    assert list(model.feature_names_in_) == names
    same = frame(X, columns=names)
    plain = DeepMixture(recipe="vae", **SMALL).fit(X)
    np.testing.assert_array_equal(model.transform(same), plain.transform(X))
    for columns, message in (
        (names[::-1], "must be in the same order"),
        (["q", *names[1:]], r"(?s)unseen at fit time:\n- q\n.* now missing:\n- p00"),
        (names[:-1], "now missing:\n- p63"),
        ([*names, "extra"], "unseen at fit time:\n- extra"),
    ):
        other = frame(np.resize(X, (len(X), len(columns))), columns=columns)
        for method in ["predict", "score_samples", "score", *METHODS]:
            with pytest.raises(MixvaeError, match=message):
                getattr(model, method)(other)


@pytest.mark.parametrize("names", [list(range(64)), [("a", i) for i in range(64)]])
def test_columns_whose_names_are_no_text_are_refused_in_another_order(
    names: list[Any], monkeypatch: pytest.MonkeyPatch, X: np.ndarray
) -> None:
    # pandas has such names, of which scikit-learn remembers nothing
    monkeypatch.setattr("sklearn.utils.validation._get_feature_names", lambda x: None)
    model = DeepMixture(recipe="vae", **SMALL).fit(Frame(X, names))
    np.testing.assert_array_equal(model.transform(Frame(X, names)), model.transform(X))
    for method in ["predict", "score_samples", "score", *METHODS]:
        with pytest.raises(MixvaeError, match="in this order, as in fit"):
            getattr(model, method)(Frame(X[:, ::-1], names[::-1]))


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_random_state_that_cannot_be_one_is_refused(seed: int, X: np.ndarray) -> None:
    with pytest.raises(MixvaeError, match=r"random_state must be .* got "):
        DeepMixture(recipe="vae", **SMALL | {"random_state": seed}).fit(X)


def test_names_on_one_side_alone_are_warned_of(frame: Any, X: np.ndarray) -> None:
    named = frame(X, columns=[f"p{i:02d}" for i in range(64)])
    model = DeepMixture(recipe="vae", **SMALL).fit(named)
    with pytest.warns(UserWarning, match="X does not have valid feature names, but DeepMixture"):
        model.predict(X)
    model.fit(X)
    assert not hasattr(model, "feature_names_in_")
    with pytest.warns(UserWarning, match="X has feature names, but DeepMixture was fitted without"):
        model.predict(named)


def test_pandas_is_not_imported(X: np.ndarray) -> None:
    before = "pandas" in sys.modules
    DeepMixture(recipe="vae", **SMALL).fit(X).predict(X)
    assert ("pandas" in sys.modules) == before
