"""Deep mixtures of tables whose columns are of several kinds: their start, training and use."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import mixvae
from mixvae import DeepMixture, MixvaeError, MixvaeWarning, data
from mixvae.cli import main
from mixvae.evaluation.marginal_likelihood.by_component import log_joint
from mixvae.initialization.column_mixture import ColumnMixture, MixtureOfColumns
from mixvae.likelihoods import ColumnKinds
from mixvae.parts.factor_analysers import FactorAnalysers, ResidualDecoder, ResidualPosterior
from mixvae.pruning import prune

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorials" / "mixed_tables.md"
BLOCKS = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL)
N = 300
Y = np.arange(N) % 2  # the component of each row


def table(n_reals: int = 2) -> Any:
    """Two components, which every column tells apart somewhat."""
    rng = np.random.default_rng(0)
    reals = {f"real {i}": 3 * Y + rng.normal(size=N) for i in range(n_reals)}
    sizes = pd.Categorical.from_codes(
        np.minimum(rng.poisson(0.5 + Y), 3), ["none", "few", "some", "many"], ordered=True
    )
    return pd.DataFrame(
        {
            **reals,
            "visits": rng.poisson(1 + 6 * Y),
            "smoker": rng.random(N) < 0.2 + 0.6 * Y,
            "city": np.array(["Rome", "Oslo", "Lima"])[(rng.random(N) < 0.3) + Y],
            "size": sizes,
        }
    )


KINDS = {"visits": "negative-binomial"}


@pytest.fixture(scope="module")
def some() -> Any:
    return data.from_arrays(table(), Y, kinds=KINDS, name="people")


@pytest.fixture(scope="module")
def fitted() -> Any:
    return DeepMixture(2, likelihood=KINDS, max_epochs=2, random_state=0).fit(table())


def agreement_of(labels: np.ndarray, y: np.ndarray) -> float:
    return float(max((labels == y).mean(), (labels != y).mean()))


def agreement(labels: np.ndarray) -> float:
    return agreement_of(labels, Y)


# The start


def test_a_latent_class_model_is_recovered() -> None:
    rng = np.random.default_rng(0)
    p = np.array([[0.9, 0.8, 0.2, 0.9, 0.7, 0.8], [0.2, 0.3, 0.7, 0.1, 0.2, 0.3]])
    k = (rng.random(20_000) < 0.3).astype(int)
    x = (rng.random((20_000, 6)) < p[k]).astype(float)
    kinds = ColumnKinds((("bernoulli", 1),) * 6)
    found = MixtureOfColumns(2, "diag", kinds=kinds).fit(x)
    order = found.log_weights.argsort(descending=True)
    torch.testing.assert_close(found.mean[order].sigmoid(), torch.from_numpy(p), rtol=0, atol=0.03)
    assert abs(float(found.log_weights[order[0]].exp()) - 0.7) < 0.02


def test_em_of_categories_never_lowers_the_smoothed_likelihood() -> None:
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.integers(0, 3, (200, 4)).astype(float))
    found = ColumnMixture(ColumnKinds((("categorical", 3),) * 4), "diag", 0.0)
    r = torch.from_numpy(rng.dirichlet([1, 1], 200))
    before = -np.inf
    for _ in range(15):
        found._take(mixture_statistics(found, x, r))
        joint = found._log_joint(x)
        prior = torch.stack(
            [  # one row of all rows' frequencies, of each component and column
                (overall * found.mean[:, found.kinds.slices[i]]).sum(1)
                for i, overall in enumerate(
                    mixture_statistics(found, x, r).frequencies(i)[1] for i in range(4)
                )
            ]
        ).sum()
        now = float(joint.logsumexp(1).sum() + prior)
        assert now >= before - 1e-9
        before, r = now, joint.softmax(1)


def mixture_statistics(found: ColumnMixture, x: Any, r: Any) -> Any:
    from mixvae.initialization.column_mixture import _Statistics

    return _Statistics(found.kinds, x, r, x.new_ones(len(x), 1))


def test_log_p_of_a_mixture_of_columns_is_scipys() -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=(30, 2)), rng.poisson(2, 30), rng.integers(0, 3, 30)])
    kinds = ColumnKinds((("normal", 1), ("normal", 1), ("poisson", 1), ("categorical", 3)))
    found = MixtureOfColumns(2, "full", 0.01, kinds=kinds).fit(x)
    each = []
    for k in range(2):
        mean = found.mean[k].numpy()
        log_p = stats.multivariate_normal(mean[:2], found.covariances[k].numpy()).logpdf(x[:, :2])
        log_p += stats.poisson(np.exp(mean[2])).logpmf(x[:, 2])
        log_p += np.log(np.exp(mean[3:]) / np.exp(mean[3:]).sum())[x[:, 3].astype(int)]
        each.append(log_p + float(found.log_weights[k]))
    np.testing.assert_allclose(found.score_samples(x), np.logaddexp(*each), rtol=1e-9)


@pytest.mark.parametrize("name", ["poisson", "negative-binomial", "zero-inflated-poisson"])
def test_the_first_means_of_counts_are_those_of_the_rows(name: str) -> None:
    rng = np.random.default_rng(0)
    zero = (rng.random(5000) < 0.3) if name.startswith("zero") else np.zeros(5000, bool)
    counts = rng.negative_binomial(2, 2 / 7, 5000) if "bin" in name else rng.poisson(5, 5000)
    x = np.where(zero, 0, counts)[:, None].astype(float)
    found = MixtureOfColumns(1, "diag", kinds=ColumnKinds(((name, 1),))).fit(x)
    assert abs(float(found.mean[0, 0].exp()) - 5) < 0.2
    if name == "negative-binomial":  # mean + mean^2 / 2
        log_dispersion = found.likelihood.group(name)[0].log_dispersion.detach()
        assert abs(float(log_dispersion.exp()) - 0.5) < 0.1
    if name.startswith("zero"):
        assert abs(float(found.mean[0, 1].sigmoid()) - 0.3) < 0.03


def test_the_model_starts_as_the_mixture_of_columns(some: Any) -> None:
    built = mixvae.build("mfa-vae", some, n_components=2, n_latent=2, seed=0)
    x = some.train.x.double()
    kind = MixtureOfColumns(
        2, built.recipe.covariance, built.recipe.reg_covar, kinds=built.recipe.kinds
    )
    mixture = kind.fit(x.numpy())
    linear = built.model.decoder.branch.linear
    others = [i for i in range(linear.mean.shape[1]) if i not in (0, 1)]
    with torch.no_grad():
        linear.loadings[:, others] = 0  # the small random ones
    found = log_joint(built.model, x[:20], 1000)[1]
    expected = torch.from_numpy(mixture.score_samples(x[:20].numpy()))
    assert ((found.log_prob - expected).abs() < 4 * found.standard_error + 1e-4).all()
    assert (found.standard_error < 0.03).all()


def test_components_are_those_of_the_rows_at_the_start(some: Any) -> None:
    built = mixvae.build("mfa-vae", some, seed=0)
    assert built.recipe.n_components == 2
    labels = log_joint(built.model, some.test.x, 20)[0].argmax(1).numpy()
    y = some.test.y.numpy()
    assert max((labels == y).mean(), (labels != y).mean()) > 0.95


# The model


def test_the_linear_posterior_reads_real_columns_alone() -> None:
    torch.manual_seed(0)
    linear, x = FactorAnalysers(5, 2, 3), torch.randn(4, 2)
    mean, scale = linear.posterior(x, columns=torch.tensor([1, 3]))
    alone = FactorAnalysers(2, 2, 3)
    with torch.no_grad():
        alone.mean.copy_(linear.mean[:, [1, 3]])
        alone.loadings.copy_(linear.loadings[:, [1, 3]])
        alone.log_scale.copy_(linear.log_scale[:, [1, 3]])
    expected = alone.posterior(x)
    torch.testing.assert_close(mean, expected[0])
    torch.testing.assert_close(scale, expected[1])


def test_without_real_columns_the_linear_posterior_is_the_prior() -> None:
    kinds = (("categorical", 3), ("poisson", 1))
    model = mixvae.build("mfa-vae", (2,), columns=kinds, n_latent=2, seed=0).model
    assert isinstance(model.posterior, ResidualPosterior)
    model.posterior.residual.start_at_zero()
    q_z, _ = model.infer(torch.tensor([[2.0, 5.0]]))
    torch.testing.assert_close(q_z.mean, torch.zeros_like(q_z.mean))
    torch.testing.assert_close(q_z.stddev, torch.ones_like(q_z.mean))


def test_the_bound_is_a_bound(some: Any) -> None:
    built = mixvae.build("mfa-vae", some, n_components=2, n_latent=2, seed=0)
    assert built.objective_is_bound
    built.model.eval()
    torch.manual_seed(0)
    x = some.val.x[:10]
    with torch.no_grad():
        bound = sum(built.objective.bound(built.model(x.repeat(200, 1), 1)).values())
    mean = bound.reshape(200, 10).mean(0)
    exact = log_joint(built.model, x, 2000)[1].log_prob.float()
    assert (mean <= exact + 0.05).all()
    assert (mean > exact - 1).all()


def test_options_of_columns_are_checked(some: Any) -> None:
    with pytest.raises(MixvaeError, match="likelihood student-t is for tables whose columns are"):
        mixvae.build("mfa-vae", (1,), columns=[["poisson", 1]], likelihood="student-t")
    with pytest.raises(MixvaeError, match="x_noise is for tables whose columns are all real"):
        mixvae.build("mfa-vae", (1,), columns=[["poisson", 1]], x_noise=0.1)
    with pytest.raises(MixvaeError, match="Did you mean 'poisson'"):
        mixvae.build("mfa-vae", (1,), columns=[["poison", 1]])
    with pytest.raises(MixvaeError, match="a likelihood for each column"):
        mixvae.build("mfa-vae", (2,), columns=[["poisson", 1]])


def test_a_table_of_real_columns_is_as_without_kinds() -> None:
    x = table()[["real 0", "real 1"]]
    one, other = data.from_arrays(x), data.from_arrays(x, kinds="auto")
    built = [mixvae.build("mfa-vae", d, n_components=2, seed=0) for d in (one, other)]
    assert built[0].options == built[1].options
    for p, q in zip(*(b.model.parameters() for b in built), strict=True):
        torch.testing.assert_close(p, q)


def test_a_run_is_trained_saved_and_read_back(some: Any, tmp_path: Path) -> None:
    small: dict[str, Any] = {"progress": False, "pictures": True, "precision": "32"}
    built = mixvae.build("mfa-vae", some, n_components=2, hidden=(8,), seed=0)
    run = mixvae.fit(
        built, some, max_epochs=2, batch_size=32, seed=0, out=tmp_path / "run", **small
    )
    again = mixvae.load(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "data.json").read_text())["likelihood"] == "columns"
    assert isinstance(again.recipe.model.decoder, ResidualDecoder)
    x = some.test.x[:5]
    one, other = (log_joint(r.recipe.model, x, 20)[1].log_prob for r in (run, again))
    torch.testing.assert_close(one, other)
    assert mixvae.evaluation.evaluate(run.recipe, some.test)["clustering"]["acc"] > 0.9


# The estimator


def test_a_frame_of_several_kinds_is_clustered(fitted: DeepMixture) -> None:
    assert fitted.recipe_.name == "mfa-vae"
    assert agreement(fitted.labels_) > 0.95
    np.testing.assert_array_equal(fitted.predict(table()), fitted.labels_)
    np.testing.assert_allclose(fitted.predict_proba(table()).sum(1), 1)
    assert np.isfinite(fitted.score_samples(table(), n_samples=20)).all()
    text = fitted.summary()
    for line in ("normal: real 0, real 1", "negative-binomial: visits", "ordinal: size"):
        assert line in text


def test_new_rows_have_the_categories_of_the_table(fitted: DeepMixture) -> None:
    new, _ = fitted.sample(200)
    for x in (new, fitted.reconstruct(table()), fitted.inverse_transform(*coded(fitted))):
        frame = pd.DataFrame(x, columns=table().columns)
        assert set(frame["city"]) <= {"Rome", "Oslo", "Lima"}
        assert set(frame["size"]) <= {"none", "few", "some", "many"}
        assert set(frame["smoker"]) <= {True, False}
    assert all(v == int(v) and v >= 0 for v in new[:, 2])  # counts
    assert fitted.score_samples(
        pd.DataFrame(new, columns=table().columns).astype(table().dtypes.to_dict()), n_samples=20
    ).shape == (200,)


def coded(fitted: DeepMixture) -> tuple[np.ndarray, np.ndarray]:
    return fitted.transform(table()), fitted.predict(table())


def test_means_of_components_are_those_of_their_rows(fitted: DeepMixture) -> None:
    for k in range(2):
        own = table()[fitted.labels_ == k]
        assert abs(fitted.means_[k, 0] - own["real 0"].mean()) < 0.4
        assert fitted.means_[k, 4] == own["city"].mode()[0]
    covariance = fitted.covariances_
    assert np.isnan(covariance[:, 4]).all()
    assert np.isfinite(covariance[:, :4, :4]).all()


def test_log_p_is_in_the_units_of_the_table(fitted: DeepMixture) -> None:
    scaled = table().assign(**{"real 0": 1000 * table()["real 0"]})
    other = DeepMixture(2, likelihood=KINDS, max_epochs=2, random_state=0).fit(scaled)
    assert abs(other.score(scaled) - (fitted.score(table()) - np.log(1000))) < 1e-2


def test_rows_that_the_model_does_not_know_are_refused(fitted: DeepMixture) -> None:
    with pytest.raises(MixvaeError, match="city has the category 'Bern'"):
        fitted.predict(table().assign(city="Bern"))
    with pytest.raises(MixvaeError, match="feature names"):
        fitted.predict(table().rename(columns={"city": "town"}))
    with pytest.raises(MixvaeError, match="'student-t' is for all columns"):
        DeepMixture(likelihood="student-t").fit(table())
    with pytest.raises(MixvaeError, match="at least 3 rows"):
        DeepMixture().fit(table()[:2])


def test_unseen_categories_may_be_missing_values() -> None:
    asked = {"likelihood": KINDS, "max_epochs": 0, "random_state": 0}
    one = DeepMixture(2, unseen_categories="missing", **asked).fit(table())
    unknown, missing = table().assign(city="Bern")[:9], table().assign(city=None)[:9]
    with pytest.warns(MixvaeWarning, match="city has the category 'Bern'.* 9 of 9 values"):
        found = one.score_samples(unknown)
    assert np.array_equal(found, one.score_samples(missing))
    with pytest.raises(MixvaeError, match="unseen_categories must be 'error' or 'missing'"):
        DeepMixture().set_params(unseen_categories="other").fit(table())


def test_an_array_of_counts_needs_only_the_name_of_its_likelihood() -> None:
    rng = np.random.default_rng(0)
    x = rng.poisson(1 + 8 * Y[:, None], (N, 4))
    found = DeepMixture(2, likelihood="poisson", max_epochs=1, random_state=0).fit(x)
    assert agreement(found.labels_) > 0.95
    assert found.recipe_.options["columns"] == [["poisson", 1]] * 4
    new = found.sample(10)[0]
    assert new.dtype == np.float64
    assert (new == new.astype(int)).all()
    named = DeepMixture(2, likelihood={0: "poisson"}, max_epochs=0, random_state=0).fit(x)
    assert [name for name, _ in named.recipe_.options["columns"]] == ["poisson", *["normal"] * 3]


@pytest.mark.filterwarnings("ignore:1 of 1 components")
def test_a_vae_of_counts_by_the_estimator() -> None:
    x = np.random.default_rng(0).poisson(3, (60, 4))
    options: dict[str, Any] = {"recipe": "vae", "n_latent": 2, "hidden": (8,), "max_epochs": 1}
    found = DeepMixture(likelihood="negative-binomial", random_state=0, **options).fit(x)
    assert found.recipe_.options["likelihood"] == "negative-binomial"
    assert np.isfinite(found.score_samples(x[:5], n_samples=20)).all()
    with pytest.raises(MixvaeError, match="several kinds"):
        DeepMixture(likelihood={1: "poisson"}, **options).fit(x)


def test_a_component_of_a_mixed_table_is_kept_by_pruning(some: Any) -> None:
    built = mixvae.build("mfa-vae", some, n_components=2, seed=0)
    one = prune(built, [1])
    assert one.options["columns"] == built.options["columns"]
    z = torch.randn(3, 1, 1, one.recipe.n_latent)
    before, after = built.model.decoder.of_component(z, 1), one.model.decoder.of_component(z, 0)
    x = some.val.x[0]
    torch.testing.assert_close(before.log_prob(x), after.log_prob(x))


def test_rows_are_computed_in_parts(monkeypatch: pytest.MonkeyPatch, some: Any) -> None:
    x, kinds = some.train.x.double().numpy(), ColumnKinds(some.transform.kept_kinds)
    found = MixtureOfColumns(2, kinds=kinds).fit(x)
    whole = found.score_samples(x)
    monkeypatch.setattr("mixvae.initialization.column_mixture.VALUES", 100)
    np.testing.assert_allclose(found.score_samples(x), whole)


def test_the_number_of_components_is_chosen() -> None:
    found = DeepMixture(likelihood=KINDS, max_epochs=0, random_state=0).fit(table())
    assert found.n_components_ == 2
    assert found.selection_ is not None


# The command line


def test_a_file_with_text_is_trained_on_and_sampled(tmp_path: Path) -> None:
    table().drop(columns="size").to_csv(tmp_path / "people.csv", index=False)
    out, csv = tmp_path / "run", tmp_path / "new.csv"
    words = ["train", "mfa-vae", "--data", str(tmp_path / "people.csv"), "--out", str(out)]
    words += ["--kinds", "visits=poisson", "--n-components", "2", "--hidden", "8"]
    words += ["--max-epochs", "1", "--batch-size", "32", "--progress", "false"]
    assert main([*words, "--pictures", "false"]) == 0
    assert main(["sample", str(out), "--n", "20", "--out", str(csv)]) == 0
    new = pd.read_csv(csv)
    assert set(new["city"]) <= {"Rome", "Oslo", "Lima"}
    assert (new["visits"] == new["visits"].astype(int)).all()
    assert main(["evaluate", str(out)]) == 0


# The tutorial


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*missing at random:mixvae.MixvaeWarning")
def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in BLOCKS:
        quick = block.replace("random_state=0", "random_state=0, max_epochs=1, n_init=1")
        exec(
            quick.replace("max_epochs=10,", "max_epochs=1, progress=False, pictures=False,"), names
        )
    assert agreement_of(names["cluster"], names["group"]) > 0.9
    assert "poisson: visits" in capsys.readouterr().out
    pd.testing.assert_series_equal(names["filled"].dtypes, names["holes"].dtypes)
    assert names["filled"].notna().all().all()
