"""``DeepMixture`` that goes on from an earlier fit: warm starts, and rows that come in parts."""

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mixvae import DeepMixture
from mixvae.errors import MixvaeError

RNG = np.random.default_rng(0)
MEANS = np.array([[0, 0, 0], [30, 0, 10], [0, 40, 20]])
X = MEANS[RNG.integers(0, 3, 1200)] + RNG.normal(0, 3, (1200, 3))
NEW = MEANS[RNG.integers(0, 3, 300)] + RNG.normal(0, 3, (300, 3))
OWN: dict[str, Any] = {
    "n_components": 3,
    "n_latent": 2,
    "hidden": (16,),
    "batch_size": 20,
    "lr": 1e-2,
    "random_state": 0,
}
RANDOM = OWN | {"recipe_options": {"start": "random"}}


pytestmark = pytest.mark.filterwarnings("ignore::mixvae.MixvaeWarning")


def weights(mixture: DeepMixture) -> list[torch.Tensor]:
    return [w.clone() for w in mixture.model_.state_dict().values()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(*pair) for pair in zip(a, b, strict=True))


def test_a_warm_start_goes_on_from_the_model() -> None:
    mixture = DeepMixture(max_epochs=2, warm_start=True, **OWN).fit(X)
    before, bound, transform = weights(mixture), mixture.lower_bound_, mixture.data_transform_
    mixture.set_params(lr=1e-12).fit(X)  # whose steps change nothing
    assert mixture.lower_bound_ == pytest.approx(bound, abs=1e-3)
    for a, b in zip(before, weights(mixture), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    mixture.set_params(lr=1e-2).fit(2 * X)  # of other means and scales, which are not looked at
    assert mixture.data_transform_ == transform
    assert not same(before, weights(mixture))


def test_without_warm_start_a_second_fit_begins_anew() -> None:
    mixture = DeepMixture(max_epochs=1, **OWN).fit(X)
    first = weights(mixture)
    assert same(first, weights(mixture.fit(X)))


def test_a_warm_start_keeps_the_number_of_components_it_chose() -> None:
    mixture = DeepMixture(max_epochs=1, warm_start=True, random_state=0).fit(X[:200])
    k, selection = mixture.n_components_, mixture.selection_
    mixture.fit(NEW[:100, :] * 0.5)
    assert (mixture.n_components_, mixture.selection_) == (k, selection)


def test_a_warm_start_refuses_another_model_and_other_columns() -> None:
    frame = pd.DataFrame(X[:100], columns=list("abc"))
    mixture = DeepMixture(max_epochs=1, warm_start=True, **OWN).fit(frame)
    with pytest.raises(MixvaeError, match="feature names"):
        mixture.fit(frame[["b", "a", "c"]])
    with pytest.raises(MixvaeError, match="missing"):
        mixture.fit(frame[["a", "b"]])
    with pytest.raises(MixvaeError, match="n_components was 3; got 5"):
        mixture.set_params(n_components=5).fit(frame)


def test_the_first_part_is_a_fit_of_one_epoch() -> None:
    one = DeepMixture(**OWN).partial_fit(X[:300])
    other = DeepMixture(max_epochs=1, **OWN).fit(X[:300])
    assert same(weights(one), weights(other))
    assert one.max_epochs is None


@pytest.mark.slow
def test_parts_come_near_a_fit_of_all_rows() -> None:
    whole = DeepMixture(max_epochs=6, **RANDOM).fit(X).score(NEW)
    mixture = DeepMixture(**RANDOM)
    scores = []
    for i in range(6 * 4):
        mixture.partial_fit(X[i % 4 * 300 :][:300])
        if i in (0, 23):
            scores.append(mixture.score(NEW))
    assert scores[0] < whole - 0.5
    assert scores[1] > whole - 0.2


def test_parts_keep_transform_components_and_the_optimizers_state() -> None:
    mixture = DeepMixture(**OWN).partial_fit(X[:300])
    transform = mixture.data_transform_
    mixture.partial_fit(5 * X[300:600])
    other = pickle.loads(pickle.dumps(mixture))  # made by this test
    anew = pickle.loads(pickle.dumps(mixture))
    anew._passes = None
    for one in (mixture, other, anew):
        one.partial_fit(X[600:900])
    assert mixture.data_transform_ == transform
    assert mixture.n_components_ == 3
    assert same(weights(mixture), weights(other))
    assert not same(weights(mixture), weights(anew))
    assert mixture.n_iter_ == 3
    assert mixture.labels_.shape == (300,)
    assert [row["phase"] for row in mixture.history_[-2:]] == ["partial", "partial"]


def test_a_part_may_have_one_row_and_weights() -> None:
    mixture = DeepMixture(**OWN).partial_fit(X[:300])
    mixture.partial_fit(X[300:301])
    before = pickle.loads(pickle.dumps(mixture))  # made by this test
    mixture.partial_fit(X[:40], sample_weight=np.arange(40.0))
    before.partial_fit(X[:40])
    assert not same(weights(mixture), weights(before))


def test_parts_have_the_columns_of_the_first() -> None:
    frame = pd.DataFrame(X[:100], columns=list("abc"))
    mixture = DeepMixture(**OWN).partial_fit(frame)
    with pytest.raises(MixvaeError, match="feature names"):
        mixture.partial_fit(frame[["b", "a", "c"]])
    with pytest.raises(MixvaeError, match=r"all values are missing in \d+ of 100 rows"):
        mixture.partial_fit(frame.where(frame > 0))
    mixture.partial_fit(frame.mask(np.eye(100, 3, dtype=bool)))
    assert all(w.isfinite().all() for w in weights(mixture))
