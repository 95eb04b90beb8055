"""Batch labels, which components do not explain: in data, model, start, estimator and runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.metrics import adjusted_rand_score

import mixvae
from mixvae import DeepMixture
from mixvae.data.batch_labels import batch_numbers
from mixvae.data.dataset import Dataset, Split
from mixvae.errors import MixvaeError
from mixvae.evaluation import evaluate, log_likelihood, responsibilities
from mixvae.evaluation.marginal_likelihood.by_component import log_joint
from mixvae.initialization.batch_mixture import MixtureWithBatches, fit_normals, with_batch
from mixvae.initialization.column_mixture import MixtureOfColumns
from mixvae.initialization.expectation_maximization import Fitted
from mixvae.initialization.gaussian_mixture import Mixture
from mixvae.likelihoods import ColumnKinds

MEANS = np.array([[0.0, 0, 0, 0], [4, 0, 4, 0], [0, 4, 4, 4]])
SHIFTS = np.array([[2.0, -3, 1, 2], [-2, 3, -1, -2]])
SHARES = np.array([0.8, 0.5, 0.2])  # of the first batch, in each cluster: compositions differ


def clusters(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray, Any]:
    """Clusters and batches of n rows."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    return y, (rng.random(n) > SHARES[y]).astype(int), rng


def normals(n: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, clusters and the names of batches."""
    y, b, rng = clusters(n)
    return MEANS[y] + SHIFTS[b] + 0.6 * rng.normal(size=(n, 4)), y, np.array(["a", "b"])[b]


def counts(n: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of counts, with factors of e between batches and their average."""
    y, b, rng = clusters(n)
    log_mean = np.log([[6, 6, 6, 40, 3], [40, 6, 2, 6, 9], [6, 40, 9, 6, 3]])
    log_factor = np.array([[1, -1, 1, 1, -1], [-1, 1, -1, -1, 1]])
    return rng.poisson(np.exp(log_mean[y] + log_factor[b])), y, np.array([7, 3])[b]


def built(batch: Any = None, **options: Any) -> tuple[Any, Any]:
    x, y, names = normals()
    data = mixvae.data.from_arrays(x, y, batch=names if batch is None else batch, name="cells")
    given: dict[str, Any] = {"n_components": 3, "covariance": "full", "reg_covar": 1e-3}
    return mixvae.build("mfa-vae", data, seed=0, hidden=(8,), **given | options), data


@pytest.mark.parametrize("make", [normals, counts])
def test_clusters_are_found_under_a_shift_that_would_hide_them(make: Any) -> None:
    x, y, batch = make()
    options: dict[str, Any] = {"n_components": 3, "max_epochs": 2, "random_state": 0, "n_init": 1}
    options |= {"refit": False, "likelihood": "poisson" if make is counts else None}
    options |= {"covariance_type": "diag", "reg_covar": 1e-3}
    given = DeepMixture(**options).fit(x, batch=batch)
    assert adjusted_rand_score(y, given.labels_) > 0.95
    assert adjusted_rand_score(batch, given.labels_) < 0.25  # what composition alone says of it
    left_out = DeepMixture(**options).fit(x)
    assert adjusted_rand_score(y, left_out.labels_) < 0.6


def test_log_p_is_that_of_the_mixture_with_shifted_means() -> None:
    recipe, data = built(n_latent=3)  # one less than the columns: the start is the mixture itself
    model, x, batch = recipe.model, data.test.x, data.test.batch_label
    linear = model.decoder.branch.linear.requires_grad_(requires_grad=False)
    pi = model.weights.generate(1)[0].detach().double().numpy()
    shift = (linear.shift.value - linear.shift.value.mean(0)).detach().double()
    assert shift.abs().max() > 0.1
    covariance = linear.loadings @ linear.loadings.mT + torch.diag_embed(
        (2 * linear.log_scales).exp()
    )
    expected = np.zeros((len(x), 3))
    for k in range(3):
        for i, b in enumerate(batch.tolist()):
            mean = (linear.mean[k].double() + shift[b]).numpy()
            normal = multivariate_normal(mean, covariance[k].double().numpy())
            expected[i, k] = np.log(pi[k]) + normal.logpdf(x[i])
    model, x = model.double(), x.double()  # whose posterior is exact, so that one sample is enough
    expected = torch.from_numpy(expected).logsumexp(1)
    assert torch.allclose(model(x, 1, batch).log_weight[0], expected, atol=1e-6)
    holes = x.clone()
    holes[:, 1] = torch.nan  # the posterior of what is observed has shifts too
    seen = [0, 2, 3]
    each = [
        multivariate_normal(
            (linear.mean[k] + shift[batch[0]])[seen].numpy(),
            covariance[k].double().numpy()[np.ix_(seen, seen)],
        )
        for k in range(3)
    ]
    log_p = [np.log(pi[k]) + one.logpdf(x[0, seen]) for k, one in enumerate(each)]
    found = model(holes[:1], 1, batch[:1]).log_weight.detach()
    assert float(found) == pytest.approx(np.logaddexp.reduce(log_p), abs=1e-6)


@pytest.mark.parametrize("covariance", ["full", "tied", "diag"])
@pytest.mark.parametrize("holes", [0.0, 0.1])
def test_shifts_maximise_the_likelihood_of_observed_entries(covariance: Any, holes: float) -> None:
    x, _, names = normals()
    x[np.random.default_rng(1).random(x.shape) < holes] = np.nan
    batch = torch.from_numpy((names == "b").astype(int))
    found = fit_normals(Mixture(3, covariance, 1e-6), x, batch, 2, None)
    assert isinstance(found.mixture, Fitted)
    shift = found.shift.clone()
    assert shift.sum(0).abs().max() < 1e-9
    assert np.allclose(shift.numpy(), SHIFTS, atol=0.2)

    def log_p(s: torch.Tensor) -> float:
        return float(found.mixture.score_samples(x - s[batch].numpy()).mean())

    best = log_p(shift)
    assert found.score_samples(with_batch(x, batch)).mean() == pytest.approx(best)
    assert best == pytest.approx(found.mixture.lower_bound_, abs=0.01)
    for b in range(2):
        for d in range(4):
            for step in (0.05, -0.05):
                other = shift.clone()
                other[b, d] += step
                assert log_p(other) < best


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_a_weight_of_two_is_two_rows_and_an_empty_batch_has_no_shift(covariance: Any) -> None:
    x, _, names = normals(120)
    batch = torch.from_numpy(2 * (names == "b"))  # 0 and 2 of 3
    weight = 1.0 + (np.arange(120) % 2)
    twice = np.repeat(np.arange(120), weight.astype(int))
    own = Mixture(1, covariance, 1e-3)
    one = fit_normals(own, x, batch, 3, weight)
    other = fit_normals(own, x[twice], batch[twice], 3, None)
    assert torch.allclose(one.shift, other.shift, atol=1e-8)
    assert one.shift[1].eq(0).all()


def test_shifts_of_columns_of_several_kinds_match_the_means_of_batches() -> None:
    rng = np.random.default_rng(0)
    batch = np.repeat([0, 1], 400)
    of_batch = [
        (0.2, 3.0, 0.3, [0.6, 0.3, 0.1]),
        (-0.4, 8.0, 0.8, [0.1, 0.2, 0.7]),
    ]
    x = np.concatenate(
        [
            np.column_stack(
                [
                    rng.normal(mean, 1, 400),
                    rng.poisson(rate, 400),
                    rng.random(400) < p,
                    rng.choice(3, 400, p=shares),
                ]
            )
            for mean, rate, p, shares in of_batch
        ]
    )
    kinds = ColumnKinds((("normal", 1), ("poisson", 1), ("bernoulli", 1), ("categorical", 3)))
    how = MixtureWithBatches(
        1, "diag", 1e-6, of=lambda *a: MixtureOfColumns(*a, kinds=kinds), n_batches=2
    )
    found = how.fit(with_batch(x, batch))
    params = found.mixture.mean[0] + found.shift
    for b in range(2):
        rows = x[batch == b]
        shares = [(rows[:, 3] == c).mean() for c in range(3)]
        expected = [rows[:, 0].mean(), np.log(rows[:, 1].mean())]
        expected.append(np.log(rows[:, 2].mean() / (1 - rows[:, 2].mean())))
        assert params[b, :3].numpy() == pytest.approx(expected, abs=0.01)
        assert params[b, 3:].softmax(0).numpy() == pytest.approx(shares, abs=0.01)
    parts = found.score_samples(with_batch(x[:400], batch[:400]))
    rows = x[:400]
    normal = -0.5 * np.log(2 * np.pi * float(found.mixture.covariances[0, 0, 0]))
    rest = rows[:, 0] - float(params[0, 0])
    expected = normal - 0.5 * rest**2 / float(found.mixture.covariances[0, 0, 0])
    others = found.mixture.likelihood.pixels(torch.cat([params[0], torch.zeros(6)])).log_prob(
        torch.from_numpy(rows)
    )
    assert parts == pytest.approx(expected + others[:, 1:].sum(1).numpy(), abs=1e-6)


def test_networks_read_the_batch_and_no_batch_is_special() -> None:
    model = mixvae.build("mfa-vae", (4,), n_batches=3, n_components=2, n_latent=2, seed=0).model
    linear, x = model.decoder.branch.linear, torch.randn(1, 4).expand(3, 4)
    torch.nn.init.normal_(linear.shift.value)
    assert linear.shift(torch.eye(3)).sum(0).abs().max() < 1e-5
    each = torch.arange(3)
    with torch.no_grad():
        q_z, _ = model.infer(x, each)
        r = q_z.mean - linear.posterior(x - linear.shift(torch.eye(3)))[0]
        z = torch.zeros(1, 3, 2, 2)
        f = model.decode(z, torch.ones(1, 3, 2), each).mean[0] - linear.mean
        f = f - linear.shift(torch.eye(3)).unsqueeze(1)
    assert (r[0] - r[1]).abs().max() > 1e-3
    assert (f[0] - f[1]).abs().max() > 1e-3
    with pytest.raises(MixvaeError, match="trained with batch labels: give the batch"):
        model(x)
    with pytest.raises(MixvaeError, match=r"knows the batches 0 ... 2, and was given 3"):
        model(x, y=torch.tensor([0, 1, 3]))


def test_one_batch_and_none_are_the_model_without() -> None:
    one, data = built(["only"] * 300)
    assert one.options["n_batches"] is None  # as of runs that are older than the option
    assert data.batch_names == ("only",)
    with pytest.raises(MixvaeError, match="n_batches is 3, and cells has 2; leave it out"):
        built(n_batches=3)
    x, y, _ = normals()
    none = mixvae.build("mfa-vae", mixvae.data.from_arrays(x, y), **one.options, seed=0)
    assert all(
        torch.equal(a, b)
        for a, b in zip(one.model.parameters(), none.model.parameters(), strict=True)
    )


def test_a_run_with_batches_resumes_bit_for_bit_and_keeps_their_names(tmp_path: Path) -> None:
    options: dict[str, Any] = {"batch_size": 32, "progress": False, "pictures": False, "seed": 0}
    recipe, data = built()
    whole = mixvae.fit(recipe, data, out=tmp_path / "whole", max_epochs=3, **options)
    first = mixvae.fit(built()[0], data, out=tmp_path / "parts", max_epochs=2, **options)
    parts = mixvae.resume(first.folder, data, max_epochs=3, progress=False, pictures=False)
    for a, b in zip(whole.recipe.model.parameters(), parts.recipe.model.parameters(), strict=True):
        assert torch.equal(a, b)
    loaded = mixvae.load(parts.folder)
    assert loaded.batch_names == ("a", "b")
    found = evaluate(loaded.recipe, data.test, log_likelihood=500)
    assert found["bounds"]["elbo"] == pytest.approx(parts.metrics["bounds"]["elbo"], abs=0.01)
    assert found["clustering"]["ari"] > 0.9
    estimate = log_joint(loaded.recipe.model, data.test.x, 500, data.test.batch_label)[1]
    assert found["log_likelihood"]["mean"] == pytest.approx(estimate.mean, abs=0.05)
    renamed = mixvae.data.from_arrays(*normals()[:2], batch=np.where(normals()[2] == "a", 1, 2))
    assert "batches were ['a', 'b'], are [1, 2]" in renamed.differences(data.describe())
    with pytest.raises(MixvaeError, match="batches were"):
        mixvae.resume(parts.folder, renamed, max_epochs=4, progress=False, pictures=False)


def test_new_data_are_numbered_by_the_names_of_training() -> None:
    _, data = built()
    x, _, names = normals()
    new = mixvae.data.from_arrays(
        x[:20], batch=["b"] * 20, batch_names=data.batch_names, transform=data.transform
    )
    assert new.train.batch_label is not None
    assert new.train.batch_label.eq(1).all()
    assert new.batch_names == ("a", "b")
    with pytest.raises(MixvaeError, match=r"unknown batch 'c'; those .* are 'a', 'b'"):
        mixvae.data.from_arrays(x, batch=["c", *names[1:]], batch_names=("a", "b"))
    with pytest.raises(MixvaeError, match="unknown batch 'c'"):
        mixvae.data.from_arrays(x, batch=names, val=(x[:3], None, None, ["a", "b", "c"]))
    with pytest.raises(MixvaeError, match="rows of all splits labels, or neither; val does not"):
        mixvae.data.from_arrays(x, batch=names, val=x[:3])


BAD = [
    (["a", "b"], "one name for each of the 3 rows"),
    (["a", None, "b"], "the batch of row 1 is missing"),
    (pd.Series(["a", pd.NA, "b"], dtype="string"), "the batch of row 1 is missing"),
    (np.array([1, np.nan, 2]), "named by text or whole numbers; got 1.0 in row 0"),
    ([True, False, True], "named by text or whole numbers; got True"),
    ([["a"], ["b"], ["c"]], "one name for each of the 3 rows"),
    (3.5, "batch must name the batch of each row"),
]


@pytest.mark.parametrize(("batch", "message"), BAD)
def test_batches_that_are_no_names_are_refused(batch: Any, message: str) -> None:
    with pytest.raises(MixvaeError, match=message):
        batch_numbers(batch, 3, "X")


def test_names_are_sorted_and_one_stands_for_all_rows() -> None:
    numbers, names = batch_numbers(pd.Categorical(["x", "b", "x"]), 3, "X")
    assert (numbers.tolist(), names) == ([1, 0, 1], ("b", "x"))
    assert batch_numbers(np.array([10, 2]), 2, "X")[1] == (2, 10)
    assert batch_numbers(["b", 3], 2, "X")[1] == (3, "b")
    assert batch_numbers("b", 2, "X", ("a", "b"))[0].tolist() == [1, 1]


@pytest.fixture(scope="module")
def fitted() -> DeepMixture:
    x, _, names = normals()
    options: dict[str, Any] = {"covariance_type": "full", "reg_covar": 1e-3, "refit": False}
    return DeepMixture(3, max_epochs=2, random_state=0, **options).fit(x, batch=names)


def test_every_method_reads_the_batch(fitted: DeepMixture) -> None:
    x, _, names = normals()
    assert fitted.batches_ == ("a", "b")
    assert "log p(x | batch); batches are 'a', 'b'" in fitted.summary()
    assert np.array_equal(fitted.predict(x, batch=names), fitted.labels_)
    assert fitted.score(x, batch=names) > fitted.score(x, batch=names[::-1]) + 1
    assert fitted.score(x, batch=names) == fitted.score_samples(x, names).mean()
    z, k = fitted.transform(x, names), fitted.labels_
    assert np.abs(fitted.transform(x, "a") - z).max() > 0.1
    to_a, to_b = (fitted.inverse_transform(z, k, batch) for batch in ("a", "b"))
    assert np.allclose((to_a - to_b).mean(0), SHIFTS[0] - SHIFTS[1], atol=0.5)
    assert np.sqrt(((fitted.reconstruct(x, names) - x) ** 2).mean()) < 0.8
    sampled = [fitted.sample(300, batch)[0].mean(0) for batch in ("a", "b")]
    assert np.allclose(sampled[0] - sampled[1], SHIFTS[0] - SHIFTS[1], atol=1)
    mixed = fitted.sample(4, ["a", "b", "a", "b"])[0]
    assert mixed.shape == (4, 4)
    order = [int(np.abs(fitted.means_ - m).sum(1).argmin()) for m in MEANS]
    assert np.allclose(fitted.means_[order], MEANS, atol=0.5)
    assert np.allclose(fitted.covariances_.mean(0).diagonal(), 0.36, atol=0.15)
    holes = x.copy()
    holes[:, 0] = np.nan
    error = fitted.impute(holes, names)[:, 0] - x[:, 0]
    assert np.sqrt((error**2).mean()) < 0.9
    assert fitted.impute(holes[:5], names[:5], draws=2).shape == (2, 5, 4)
    assert (fitted.decision_function(x, names) < 0).mean() == pytest.approx(0.1, abs=0.03)


CALLS = ["predict", "predict_proba", "transform", "score_samples", "score", "reconstruct"]


@pytest.mark.parametrize("name", [*CALLS, "decision_function", "impute", "partial_fit"])
def test_batches_are_required_where_fit_had_them(fitted: DeepMixture, name: str) -> None:
    x, _, names = normals()
    call = getattr(fitted, name)
    with pytest.raises(MixvaeError, match=r"give batch, .*known are 'a', 'b'"):
        call(x)
    with pytest.raises(MixvaeError, match="unknown batch 'c'"):
        call(x, batch=["c", *names[1:]])
    with pytest.raises(MixvaeError, match="one name for each of the 300 rows"):
        call(x, batch=names[:5])


def test_batches_are_refused_where_fit_had_none_or_the_model_reads_none() -> None:
    x, _, names = normals(60)
    plain = DeepMixture(2, max_epochs=0, random_state=0).fit(x)
    with pytest.raises(MixvaeError, match="fitted without batch"):
        plain.predict(x, batch=names)
    with pytest.raises(MixvaeError, match=r"give batch, .*of each row"):
        DeepMixture(2, max_epochs=0, random_state=0).fit(x, batch=names).sample(3)
    with pytest.raises(MixvaeError, match="with the recipe mfa-vae"):
        DeepMixture(2, recipe="mixture-vae", max_epochs=1).fit(x > 1, batch=names)
    data = mixvae.data.from_arrays(x, batch=names)
    with pytest.raises(MixvaeError, match="has batch labels, which this model"):
        mixvae.fit("vae", data, max_epochs=1)


def test_passes_warm_starts_and_weights_keep_the_batches() -> None:
    x, y, names = normals(200)
    weight = np.where(np.arange(200) % 10 == 0, 0, 1 + np.arange(200) % 2)
    options: dict[str, Any] = {"covariance_type": "diag", "reg_covar": 1e-3, "n_init": 1}
    mixture = DeepMixture(3, max_epochs=1, random_state=0, **options)
    codes = mixture.fit_transform(x, None, weight, names)
    assert np.array_equal(codes, mixture.transform(x, names))
    mixture.partial_fit(x[:100], batch=names[:100])
    mixture.set_params(warm_start=True).fit(x, batch=names)
    assert adjusted_rand_score(y, mixture.labels_) > 0.95
    with pytest.raises(MixvaeError, match="give batch"):
        mixture.fit(x)


def test_rows_that_are_not_in_memory_have_batches_too(tmp_path: Path) -> None:
    x, y, names = normals()
    np.save(tmp_path / "x.npy", x)
    rows = np.load(tmp_path / "x.npy", mmap_mode="r")
    options: dict[str, Any] = {"covariance_type": "diag", "reg_covar": 1e-3, "n_init": 1}
    mixture = DeepMixture(3, max_epochs=1, refit=False, random_state=0, **options)
    mixture.fit(rows, batch=names)
    assert adjusted_rand_score(y, mixture.labels_) > 0.95
    assert np.array_equal(mixture.predict(rows, names), mixture.predict(x, names))


def test_labels_and_names_of_a_data_set_belong_together() -> None:
    x = torch.zeros(4, 2)
    with pytest.raises(MixvaeError, match="one int64 batch label for each of the 4 rows"):
        Split(x, batch_label=torch.zeros(3, dtype=torch.long))
    split = Split(x, batch_label=torch.tensor([0, 1, 2, 0]))
    with pytest.raises(MixvaeError, match=r"must be 0 ... 1, as there are 2 names; got 0 to 2"):
        Dataset("x", split, split, split, batch_names=("a", "b"))
    with pytest.raises(MixvaeError, match="must be different names"):
        Dataset("x", split, split, split, batch_names=("a", "b", "a"))


def test_the_command_line_names_a_column_of_batches(tmp_path: Path) -> None:
    from mixvae.cli import main

    x, y, names = normals()
    frame = pd.DataFrame(x, columns=list("pqrs")).assign(kind=y, donor=names)
    frame.to_csv(tmp_path / "cells.csv", index=False)
    run = tmp_path / "run"
    words = ["train", "mfa-vae", "--data", str(tmp_path / "cells.csv"), "--batch-column", "donor"]
    words += ["--label-column", "kind", "--n-components", "3", "--covariance", "diag"]
    words += ["--reg-covar", "0.001", "--hidden", "8", "--max-epochs", "1", "--progress", "false"]
    assert main([*words, "--out", str(run)]) == 0
    assert mixvae.load(run).batch_names == ("a", "b")
    assert (run / "pairs.png").exists()
    frame[frame.donor == "b"].to_csv(tmp_path / "new.csv", index=False)  # its batch is number 1
    codes = tmp_path / "codes.csv"
    assert main(["encode", str(run), "--data", str(tmp_path / "new.csv"), "--out", str(codes)]) == 0
    found = pd.read_csv(codes)
    assert adjusted_rand_score(found.label, found.cluster) > 0.95
    assert main(["sample", str(run), "--n", "4", "--out", str(tmp_path / "s.csv")]) == 0
    assert list(pd.read_csv(tmp_path / "s.csv")) == list("pqrs")
    frame.assign(donor="z").to_csv(tmp_path / "other.csv", index=False)
    assert main(["evaluate", str(run), "--data", str(tmp_path / "other.csv")]) != 0
    with pytest.raises(MixvaeError, match=r"no column 'doner' of batches\. Did you mean 'donor'"):
        mixvae.data.load(tmp_path / "cells.csv", batch_column="doner")
    with pytest.raises(MixvaeError, match="batch_column is of one table"):
        mixvae.data.load("digits", batch_column="donor")


def test_responsibilities_and_log_likelihood_take_the_batch_as_y() -> None:
    recipe, data = built()
    x, batch = data.test.x[:4], data.test.batch_label[:4]
    one = responsibilities(recipe.model, x, batch)
    assert one.shape == (4, 3)
    found = log_likelihood(recipe.model, x, 300, y=batch).log_prob
    expected = log_joint(recipe.model, x, 300, batch)[1].log_prob
    assert torch.allclose(found.double(), expected, atol=0.05)


def test_clusters_are_found_in_many_columns_of_counts() -> None:
    y, b, rng = clusters(400)
    base = rng.normal(-1.0, 1.0, 300)
    log_mean = base + (rng.random((3, 300)) < 0.15) * rng.normal(0, 1.5, (3, 300))
    log_factor = rng.normal(0, 0.7, (2, 300))
    x = rng.poisson(np.exp(log_mean[y] + log_factor[b])).astype(float)
    x = x[:, x.var(0) > 0]
    kinds = ColumnKinds((("negative-binomial", 1),) * x.shape[1])

    def of(*options: Any) -> MixtureOfColumns:
        return MixtureOfColumns(*options, kinds=kinds)

    found = MixtureWithBatches(3, "diag", 1e-3, of=of).fit(with_batch(x, b))
    labels = found.log_joint(x, torch.from_numpy(b)).argmax(1)
    assert adjusted_rand_score(y, labels) > 0.98
    left_out = of(3, "diag", 1e-3).fit(x).predict_proba(x).argmax(1)
    assert adjusted_rand_score(y, left_out) < 0.7
