"""Weights of rows: a row of weight 2 counts as two rows, from standardisation to figures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import mixvae
from mixvae import DeepMixture
from mixvae.data import Standardization, from_arrays
from mixvae.data.dataset import Dataset, Split
from mixvae.errors import MixvaeError
from mixvae.estimator.states import quantile
from mixvae.evaluation import component_health, evaluate, log_likelihood
from mixvae.evaluation.marginal_likelihood.log_likelihood import LogLikelihoods
from mixvae.initialization.column_mixture import ColumnMixture
from mixvae.initialization.gaussian_mixture import Mixture, Tried
from mixvae.likelihoods import ColumnKinds
from mixvae.objectives import Objective
from mixvae.training.batches import Batches, ShuffledBatches

X = np.random.default_rng(0).normal(5, 3, (60, 4))
W = np.random.default_rng(1).integers(1, 4, 60).astype(float)
TWICE = X.repeat(W.astype(int), 0)
QUICK: dict[str, Any] = {"progress": False, "pictures": False, "accelerator": "cpu"}
SMALL: dict[str, Any] = {"n_components": 2, "n_latent": 2, "hidden": [8]}


def table(weight: Any = None) -> Dataset:
    return from_arrays(X, name="table", weight=weight)


def test_terms_are_means_of_weight_times_value() -> None:
    objective = Objective(lambda trace, scale: {"term": trace.x[:, 0]})
    model = mixvae.build("vae", (2,), n_latent=1).model
    x, weight = torch.tensor([[1.0, 0], [2.0, 0], [4.0, 0]]), torch.tensor([0.5, 2.0, 0.5])
    found = objective(model, x, weight=weight)["term"]
    assert float(found) == pytest.approx((0.5 + 4 + 2) / 3)


def test_batches_have_the_weighted_mean_of_the_data_on_average() -> None:
    split = Split(torch.from_numpy(X).float(), weight=torch.from_numpy(W).float())
    order = ShuffledBatches(60, 10, seed=0)
    batches = Batches(split.x, None, order, weight=split.relative_weight)
    means = [float((b.weight * b.x[:, 0]).mean()) for b in batches if b.weight is not None]
    assert np.mean(means) == pytest.approx(np.average(X[:, 0], weights=W), rel=1e-5)
    assert len(means) == 6


@pytest.mark.parametrize("name", ["vae", "mfa-vae", "m-vae"])
def test_weights_of_one_change_no_bit(name: str, tmp_path: Path) -> None:
    options = {"mfa-vae": {**SMALL, "start": "random"}, "vae": {"n_latent": 2}}.get(name, {})
    ones = {
        part: replace(split, weight=torch.ones(len(split)))
        for part, split in (("train", table().train), ("val", table().val), ("test", table().test))
    }
    runs = [
        mixvae.fit(
            mixvae.build(name, data, seed=0, **options),
            data,
            out=tmp_path / str(i),
            max_epochs=2,
            batch_size=16,
            **QUICK,
        )
        for i, data in enumerate((table(), replace(table(), **ones)))
    ]
    first, second = (
        [{k: v for k, v in row.items() if k != "seconds"} for row in run.history] for run in runs
    )
    assert first == second
    for a, b in zip(*(run.recipe.model.state_dict().values() for run in runs), strict=True):
        assert torch.equal(a, b)


def test_training_with_weights_differs_and_logs_weighted_means(tmp_path: Path) -> None:
    data = table(W)
    recipe = mixvae.build("mfa-vae", data, seed=0, start="random", **SMALL)
    run = mixvae.fit(recipe, data, out=tmp_path / "run", max_epochs=1, batch_size=16, **QUICK)
    assert run.metrics["weighted"] is True
    plain = evaluate(run.recipe, replace(data.val, weight=None), batch_size=16)["bounds"]
    weighted = evaluate(run.recipe, data.val, batch_size=16)["bounds"]
    assert plain["objective"] != weighted["objective"]


def test_means_are_those_of_repeated_rows() -> None:
    data = table()
    recipe = mixvae.build("mixture-vae", data, seed=0, **SMALL)
    split = Split(data.transform.apply(X), weight=torch.from_numpy(W).float())
    repeated = Split(data.transform.apply(TWICE))
    names = ["reconstruction", "health"]
    one, other = (evaluate(recipe, s, metrics=names) for s in (split, repeated))
    found = one["reconstruction"]["sse_deterministic"]
    assert found == pytest.approx(other["reconstruction"]["sse_deterministic"], rel=1e-5)
    for name in ("kl", "share", "used", "sse_alone", "effective_per_example"):
        assert one["health"][name] == pytest.approx(other["health"][name], rel=1e-5), name
    health = component_health(recipe.model, split.x, weight=split.weight)
    assert health.share.tolist() == pytest.approx(other["health"]["share"], rel=1e-5)


def test_the_mean_of_log_p_is_weighted() -> None:
    data = table()
    model = mixvae.build("mixture-vae", data, seed=0, **SMALL).model
    x, weight = data.transform.apply(X), torch.from_numpy(W)
    found = LogLikelihoods(model, x, 20, None, weight / weight.mean(), seed=0).result()
    each = log_likelihood(model, x, 20, seed=0)
    assert found["mean"] == pytest.approx(np.average(each.log_prob.numpy(), weights=W))
    error = np.sqrt(np.square(W * each.standard_error.numpy()).sum()) / W.sum()
    assert found["mean_error"] == pytest.approx(error)


def test_metrics_without_a_weighted_form_are_left_out_or_refused() -> None:
    y = np.arange(60) % 2
    data = from_arrays(X, y, weight=W)
    recipe = mixvae.build("mixture-vae", data, seed=0, **SMALL)
    assert "clustering" in evaluate(recipe, replace(data.test, weight=None))
    assert "clustering" not in evaluate(recipe, data.test)
    with pytest.raises(MixvaeError, match="has no weighted form"):
        evaluate(recipe, data.test, metrics=["clustering"])


def test_standardisation_is_that_of_repeated_rows() -> None:
    weight = np.concatenate([W, [0.0]])
    one = Standardization.of(np.vstack([X, [[1e9, 0, 0, 0]]]), weight=weight)
    other = Standardization.of(TWICE)
    assert one.mean == pytest.approx(other.mean)
    assert one.scale == pytest.approx(other.scale)


def test_the_standard_error_of_a_choice_is_near_that_of_repeated_rows() -> None:
    log_p = np.random.default_rng(2).normal(size=(2, 400))
    weight = np.tile([1.0, 3.0], 200)
    a, b = (Tried(Mixture(1), values, weight) for values in log_p)
    assert a.mean == pytest.approx(log_p[0].repeat(weight.astype(int)).mean())
    draws = np.random.default_rng(3).normal(size=(4000, 400)) * 2**0.5  # var of a difference is 2
    spread = np.average(draws, 1, weight).std()
    assert a.error(b) == pytest.approx(spread, rel=0.15)


def test_splits_take_hash_and_keep_weights() -> None:
    unit = (X + 10) / 40
    data, without = from_arrays(unit, weight=W), from_arrays(unit)
    parts = (data.train, data.val, data.test)
    weights = torch.cat([s.weight for s in parts if s.weight is not None])
    rows = torch.cat([s.index for s in parts if s.index is not None])
    assert torch.equal(weights, torch.from_numpy(W).float()[rows])
    assert replace(data.train, weight=None).content_hash == without.train.content_hash
    assert data.train.content_hash != without.train.content_hash
    assert data.subset(5).train.weight is not None


def test_equal_weights_are_left_out() -> None:
    assert table(np.full(60, 3)).train.weight is None


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (W[:-1], "one weight for each of the 60 rows"),
        (-W, "at least 0; got -"),
        (np.where(W > 2, np.nan, W), "finite"),
        (0 * W, "all 60 weights are 0"),
        (W[:, None], r"shape \(60, 1\)"),
        (["a"] * 60, "expected an array of numbers"),
    ],
)
def test_other_weights_are_refused(weight: Any, message: str) -> None:
    with pytest.raises(MixvaeError, match=message):
        table(weight)


def test_a_split_checks_its_weights() -> None:
    with pytest.raises(MixvaeError, match="one float32 weight for each of the 3 rows"):
        Split(torch.zeros(3, 2), weight=torch.ones(2))


OWN: dict[str, Any] = {
    "n_components": 2,
    "max_epochs": 2,
    "random_state": 0,
    "recipe_options": {"start": "random", "covariance": "full", "reg_covar": 1e-3},
}


def test_rows_of_weight_0_are_rows_left_out() -> None:
    weight = W * (np.arange(60) % 3 > 0)
    one = DeepMixture(**OWN).fit(X, sample_weight=weight)
    other = DeepMixture(**OWN).fit(X[weight > 0], sample_weight=weight[weight > 0])
    for a, b in zip(
        one.model_.state_dict().values(), other.model_.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b)
    assert np.array_equal(one.weights_, other.weights_)
    assert np.array_equal(
        one.validation_indices_, np.flatnonzero(weight)[other.validation_indices_]
    )
    assert one.labels_.shape == (60,)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (W[:-1], "sample_weight.shape"),
        (-W, "[Nn]egative"),
        (np.where(W > 2, np.inf, W), "infinity"),
        (0 * W, "non-zero|zero weight|weights are 0"),
    ],
)
def test_the_estimator_refuses_other_weights(weight: Any, message: str) -> None:
    with pytest.raises(MixvaeError, match=message):
        DeepMixture(**OWN).fit(X, sample_weight=weight)


def test_a_quantile_with_weights_is_that_of_repeated_values() -> None:
    for fraction in (0.05, 0.1, 0.5):
        repeated = np.quantile(TWICE[:, 0], fraction, method="inverted_cdf")
        assert quantile(X[:, 0], fraction, W) == repeated
    assert quantile(X[:, 0], 0.1, None) == np.percentile(X[:, 0], 10)


def test_mixed_tables_have_weights_too() -> None:
    table = pd.DataFrame({"a": X[:, 0], "kind": np.where(X[:, 1] > 5, "hi", "lo")})
    weighted = from_arrays(table, kinds="auto", weight=W, n_val=10, n_test=10)
    index, transform = weighted.train.index, weighted.transform
    assert index is not None
    assert weighted.train.weight is not None
    assert torch.equal(weighted.train.weight, torch.from_numpy(W).float()[index])
    rows = np.setdiff1d(np.arange(60), torch.cat([weighted.val.index, weighted.test.index]).numpy())
    mean = np.average(X[rows, 0], weights=W[rows])
    assert transform.mean[0] == pytest.approx(mean)


def test_a_weight_of_two_is_two_rows_in_a_mixture_of_columns() -> None:
    kinds = ColumnKinds(
        (("normal", 1), ("categorical", 3), ("negative-binomial", 1), ("ordinal", 3))
    )
    rng = np.random.default_rng(4)
    codes = rng.integers(0, 3, (60, 2))
    columns = [X[:, 0] - 5, codes[:, 0], rng.poisson(4, 60), codes[:, 1]]
    x, w = torch.from_numpy(np.column_stack(columns)), torch.from_numpy(W)
    r = torch.from_numpy(rng.dirichlet([1, 1], 60))
    weighted, repeated = (ColumnMixture(kinds, "full", 1e-3) for _ in range(2))
    weighted.fit(x, r, w)
    repeated.fit(x.repeat_interleave(w.long(), 0), r.repeat_interleave(w.long(), 0))
    torch.testing.assert_close(weighted.mean, repeated.mean)
    torch.testing.assert_close(weighted.covariances, repeated.covariances)
    torch.testing.assert_close(weighted.log_weights, repeated.log_weights)
    assert weighted.score_samples(x.numpy()) == pytest.approx(repeated.score_samples(x.numpy()))


def test_the_search_of_a_large_table_pairs_rows_with_their_own_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: dict[str, Any] = {}

    def search(train: Any, val: Any, *, weights: Any, **more: Any) -> Any:
        found.update(train=train, val=val, weights=weights)
        raise KeyboardInterrupt

    monkeypatch.setattr("mixvae.recipes.mfa_vae.IN_MEMORY", 100)
    monkeypatch.setattr("mixvae.recipes.mfa_vae.START_ROWS", 60)
    monkeypatch.setattr("mixvae.recipes.mfa_vae.START_VALUES", 100)
    monkeypatch.setattr("mixvae.estimator.arguments.search", search)
    x = np.random.default_rng(0).uniform(1, 2, (300, 2))
    with pytest.raises(KeyboardInterrupt):
        mixvae.DeepMixture(standardize=False, random_state=0).fit(x, sample_weight=x[:, 0])
    assert len(found["train"]) < 100
    for rows, weight in zip((found["train"], found["val"]), found["weights"], strict=True):
        ratio = weight[: len(rows)] / rows[:, 0]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
