"""Missing values in tables of several kinds of columns: data, start, densities, imputation."""

import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from torch import Tensor

import mixvae
from mixvae import DeepMixture, MixvaeError, MixvaeWarning, data
from mixvae.cli import main
from mixvae.data import MixedColumns
from mixvae.data.filling import filled
from mixvae.evaluation import impute
from mixvae.evaluation.marginal_likelihood.by_component import log_joint
from mixvae.initialization import expectation_maximization
from mixvae.initialization.column_mixture import ColumnMixture, MixtureOfColumns
from mixvae.initialization.real_features import RealFeatures
from mixvae.likelihoods import ColumnKinds, ColumnLikelihood

pytestmark = pytest.mark.filterwarnings("ignore:.*missing at random:mixvae.MixvaeWarning")

COLUMNS = (("normal", 1), ("bernoulli", 1), ("categorical", 3), ("ordinal", 3), ("poisson", 1))
GRID = np.linspace(-15, 15, 3001)
VALUES = [GRID, range(2), range(3), range(3), range(80)]  # of each column
HOLES = torch.tensor(
    [
        [0.5, torch.nan, 1, 2, 3],
        [-1, 1, torch.nan, torch.nan, 0],
        [torch.nan, 0, 2, 1, 5],
        [0.2, 0, torch.nan, 0, torch.nan],
        [torch.nan, torch.nan, 0, torch.nan, 1],
    ],
    dtype=torch.float64,
)


@pytest.fixture(scope="module")
def small() -> Any:
    """A model of one-dimensional codes that is nowhere at its start."""
    torch.manual_seed(0)
    built = mixvae.build(
        "mfa-vae", (5,), columns=COLUMNS, n_components=2, n_latent=1, hidden=(4,), missing=True
    )
    for parameter in built.model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    built.model.double().eval()
    return built


def exact(model: Any, x: Tensor) -> Tensor:
    """log p(x, k) of observed entries, by quadrature over the code."""
    nodes, weights = hermegauss(60)
    z = torch.from_numpy(nodes)[:, None, None, None]
    log_w = torch.from_numpy(np.log(weights / weights.sum()))[:, None]
    with torch.no_grad():
        pi = model.weights.generate(1)[0].log()
        each = [
            model.decoder.of_component(z.expand(-1, len(x), -1, -1), k).log_prob(x[:, None])[..., 0]
            for k in range(2)
        ]
    return torch.stack([(log_w + own).logsumexp(0) for own in each], 1) + pi


def completions(row: Tensor) -> tuple[Tensor, list[int]]:
    """All rows that have the observed entries of this one, and the columns that are missing."""
    missing = row.isnan().nonzero().flatten().tolist()
    rows = torch.tensor(list(product(*(VALUES[i] for i in missing))), dtype=torch.float64)
    found = row.repeat(len(rows), 1)
    found[:, missing] = rows
    return found, missing


def by_enumeration(model: Any, row: Tensor) -> float:
    """log p of the observed entries, by sums and a quadrature over the others."""
    rows, missing = completions(row)
    log_step = float(np.log(GRID[1] - GRID[0])) if 0 in missing else 0.0
    return float(exact(model, rows).logsumexp((0, 1))) + log_step


# Densities


def test_log_p_of_a_row_with_holes_is_that_of_complete_rows_summed(small: Any) -> None:
    expected = [by_enumeration(small.model, row) for row in HOLES]
    np.testing.assert_allclose(exact(small.model, HOLES).logsumexp(1), expected, atol=1e-6)
    joint, found = log_joint(small.model, HOLES, 4000)
    assert ((found.log_prob - torch.tensor(expected)).abs() < 4 * found.standard_error + 1e-3).all()
    np.testing.assert_allclose(joint, exact(small.model, HOLES), atol=0.12)


def test_the_bound_of_incomplete_rows_is_one(small: Any) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        bound = sum(small.objective.bound(small.model(HOLES.repeat(2000, 1))).values())
    mean = bound.reshape(2000, -1).mean(0)
    log_p = exact(small.model, HOLES).logsumexp(1)
    assert (mean < log_p + 0.05).all()
    assert (mean > log_p - 3).all()


def test_gradients_with_holes_are_those_of_the_values(small: Any) -> None:
    def bound(*_: Tensor) -> Tensor:
        torch.manual_seed(0)
        return sum(small.objective.bound(small.model(HOLES)).values())

    assert torch.autograd.gradcheck(bound, tuple(small.model.parameters()))
    nothing = torch.full_like(HOLES[:1], torch.nan)
    value = sum(small.objective.bound(small.model(nothing)).values()).sum()
    grads = torch.autograd.grad(value, list(small.model.parameters()), allow_unused=True)
    assert all(g is None or g.isfinite().all() for g in grads)


def test_rows_do_not_interact_whatever_is_missing_in_others(small: Any) -> None:
    complete = HOLES.nan_to_num(1)
    both = torch.cat([HOLES, complete])
    with torch.no_grad():
        together = small.model.infer(both)[0]
        for i in range(len(both)):
            alone = small.model.infer(both[i : i + 1])[0]
            torch.testing.assert_close(alone.mean[0], together.mean[i])
            torch.testing.assert_close(alone.stddev[0], together.stddev[i])


def test_the_likelihood_refuses_wrong_values_and_not_missing_ones() -> None:
    likelihood = ColumnLikelihood((5,), ColumnKinds(COLUMNS))
    likelihood.check(HOLES)
    with pytest.raises(MixvaeError, match="codes"):
        likelihood.check(HOLES.masked_fill(HOLES == 2, 7))


# Imputation


def test_imputed_values_are_the_most_probable_and_draws_have_their_frequencies(small: Any) -> None:
    found = impute(small.model, HOLES, 2000)
    drawn = impute(small.model, HOLES, 4000, draws=4000)
    for row, one, draws in zip(HOLES, found, drawn.transpose(0, 1), strict=True):
        rows, missing = completions(row)
        share = exact(small.model, rows).logsumexp(1).softmax(0)
        observed = ~row.isnan()
        assert torch.equal(one[observed], row[observed])
        assert (draws[:, observed] == row[observed]).all()
        for i in missing:
            p = torch.stack([share[rows[:, i] == v].sum() for v in VALUES[i]])
            mean = float(share @ rows[:, i])
            if i == 0:
                spread = float(share @ (rows[:, i] - mean).square()) ** 0.5
                assert abs(float(one[i]) - mean) < 0.1 * spread
                assert abs(float(draws[:, i].mean()) - mean) < 0.1 * spread
                continue
            frequency = torch.stack([(draws[:, i] == v).double().mean() for v in VALUES[i]])
            assert (frequency - p).abs().max() < 0.04
            if i == 4:
                assert abs(float(one[i]) - mean) < 0.55
                assert one[i] == one[i].round()
            else:
                best = p.sort(descending=True)
                assert one[i] == best.indices[0] or best.values[0] - best.values[1] < 0.03


# The start


def test_log_p_of_an_incomplete_row_under_a_mixture_of_columns() -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=(40, 3)), rng.integers(0, 3, 40), rng.poisson(2, 40)])
    kinds = ColumnKinds((*[("normal", 1)] * 3, ("categorical", 3), ("poisson", 1)))
    found = MixtureOfColumns(2, "full", 0.01, kinds=kinds).fit(x)
    rows = x[:4].copy()
    rows[0, [1, 3]] = rows[1, 4] = rows[2, :3] = rows[3, [0, 3, 4]] = np.nan
    for row in rows:
        o = np.flatnonzero(~np.isnan(row[:3]))
        each = found.log_weights.numpy().copy()
        for k in range(2):
            mean, s = found.mean[k, :3].numpy()[o], found.covariances[k].numpy()[np.ix_(o, o)]
            each[k] += multivariate_normal(mean, s).logpdf(row[o]) if o.size else 0
            if not np.isnan(row[3]):
                each[k] += float(found.mean[k, 3:6].log_softmax(0)[int(row[3])])
            if not np.isnan(row[4]):
                rate = float(found.mean[k, 6])
                each[k] += (
                    row[4] * rate - np.exp(rate) - float(torch.lgamma(torch.tensor(row[4] + 1)))
                )
        score = found.score_samples(row[None])[0]
        assert score == pytest.approx(logsumexp(each), abs=1e-6)
        np.testing.assert_allclose(found.predict_proba(row[None])[0], np.exp(each - score))


def test_a_latent_class_model_is_recovered_from_incomplete_rows() -> None:
    rng = np.random.default_rng(0)
    p = np.array([[0.9, 0.8, 0.2, 0.9, 0.7, 0.8], [0.2, 0.3, 0.7, 0.1, 0.2, 0.3]])
    k = (rng.random(20_000) < 0.3).astype(int)
    x = (rng.random((20_000, 6)) < p[k]).astype(float)
    x[rng.random(x.shape) < 0.3] = np.nan
    found = MixtureOfColumns(2, "diag", kinds=ColumnKinds((("bernoulli", 1),) * 6)).fit(x)
    order = found.log_weights.argsort(descending=True)
    torch.testing.assert_close(found.mean[order].sigmoid(), torch.from_numpy(p), rtol=0, atol=0.06)
    assert abs(float(found.log_weights[order[0]].exp()) - 0.7) < 0.03


def test_statistics_of_a_column_are_those_of_the_rows_that_have_it() -> None:
    rng = np.random.default_rng(1)
    names = ("poisson", "negative-binomial", "zero-inflated-poisson", "categorical", "ordinal")
    for name in names:
        kinds = ColumnKinds(((name, 3 if name in names[3:] else 1), ("bernoulli", 1)))
        x = torch.from_numpy(rng.integers(0, 3, (100, 2)).clip(0, [2, 1]).astype(float))
        x[:40, 0] = torch.nan
        r = torch.from_numpy(rng.dirichlet([1, 1], 100))
        found = [ColumnMixture(kinds, "diag", 0.0) for _ in range(2)]
        from mixvae.initialization.column_mixture import _Statistics

        with torch.no_grad():
            found[0]._take(_Statistics(kinds, x, r))
            found[1]._take(_Statistics(kinds, x[40:], r[40:]))
        own = kinds.slices[0]
        torch.testing.assert_close(found[0].mean[:, own], found[1].mean[:, own])
        for p, q in zip(*(f.likelihood.parameters() for f in found), strict=True):
            torch.testing.assert_close(p, q)


def test_normals_of_incomplete_columns_are_those_of_em() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 3)) @ np.array([[1, 0.8, 0], [0, 0.6, 0.5], [0, 0, 1.0]])
    x[rng.random(x.shape) < 0.4] = np.nan
    x = x[~np.isnan(x).all(1)]
    expected = expectation_maximization.fit(x, 1, tol=1e-6)
    kinds = ColumnKinds((("normal", 1),) * 3)
    found = MixtureOfColumns(1, "full", 1e-6, kinds=kinds).fit(x)
    np.testing.assert_allclose(found.mean, expected.means_, atol=0.01)
    np.testing.assert_allclose(found.covariances, expected.covariances_, atol=0.03)


def test_em_of_incomplete_rows_never_lowers_the_smoothed_likelihood() -> None:
    from mixvae.initialization.column_mixture import _Statistics

    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.integers(0, 3, (200, 4)).astype(float))
    x[torch.from_numpy(rng.random((200, 4)) < 0.3)] = torch.nan
    found = ColumnMixture(ColumnKinds((("categorical", 3),) * 4), "diag", 0.0)
    r = torch.from_numpy(rng.dirichlet([1, 1], 200))
    before = -np.inf
    for _ in range(15):
        found._take(_Statistics(found.kinds, x, r))
        joint = found._log_joint(x)
        overall = [_Statistics(found.kinds, x, r).frequencies(i)[1] for i in range(4)]
        prior = sum(
            float((f * found.mean[:, found.kinds.slices[i]]).sum()) for i, f in enumerate(overall)
        )
        now = float(joint.logsumexp(1).sum()) + prior
        assert now >= before - 1e-9
        before, r = now, joint.softmax(1)


def test_features_of_missing_entries_are_missing() -> None:
    x = HOLES.repeat(4, 1)
    x[:5] = HOLES.nan_to_num(1)
    features = RealFeatures(ColumnKinds(COLUMNS), x)(x)
    np.testing.assert_array_equal(np.isnan(features).any(1), x.isnan().any(1))
    np.testing.assert_allclose(np.nanmean(features, 0), 0, atol=1e-9)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_start_is_as_likely_as_its_mixture(share: float) -> None:
    rng = np.random.default_rng(0)
    x = {f"real {i}": rng.normal(size=300) + 3 * Y for i in range(2)}
    x |= {f"binary {i}": rng.random(300) < 0.3 + 0.4 * Y for i in range(12)}
    frame = pd.DataFrame(x)
    frame = frame.mask(rng.random(frame.shape) < share)
    some = data.from_arrays(frame, kinds="auto")
    options: dict[str, Any] = {"n_components": 2, "covariance": "full", "reg_covar": 0.01}
    built = mixvae.build("mfa-vae", some, n_latent=2, seed=0, **options)
    mixture = MixtureOfColumns(2, "full", 0.01, kinds=built.recipe.kinds).fit(
        some.train.x.double().numpy()
    )
    built.model.eval()
    torch.manual_seed(0)
    with torch.no_grad():
        bound = sum(built.objective.bound(built.model(some.val.x.repeat(100, 1))).values())
    expected = mixture.score_samples(some.val.x.double().numpy()).mean()
    assert float(bound.mean()) == pytest.approx(expected, abs=0.008)


# Tables

Y = np.arange(300) % 2
KINDS = {"visits": "poisson"}


def complete() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    codes = np.minimum(rng.poisson(0.3 + 1.5 * Y), 2)
    return pd.DataFrame(
        {
            "height": 4 * Y + rng.normal(size=300),
            "age": (30 + 20 * Y + 5 * rng.normal(size=300)).astype("float32"),
            "visits": pd.array(rng.poisson(1 + 6 * Y), "Int64"),
            "smoker": pd.array(rng.random(300) < 0.15 + 0.7 * Y, "boolean"),
            "city": np.array(["Rome", "Oslo", "Lima"])[(rng.random(300) < 0.3) + Y],
            "size": pd.Categorical.from_codes(codes, ["small", "medium", "large"], ordered=True),
        }
    )


def holes() -> pd.DataFrame:
    missing = np.random.default_rng(1).random((300, 6)) < 0.2
    missing[missing.all(1)] = False
    return complete().mask(missing)


@pytest.fixture(scope="module")
def fitted() -> DeepMixture:
    return DeepMixture(2, likelihood=KINDS, max_epochs=2, random_state=0).fit(holes())


def test_missing_values_of_all_libraries_and_types_are_nan() -> None:
    polars, arrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    frame = holes()
    with pytest.warns(MixvaeWarning, match=r"\d+ of 1,800 values are missing, in columns height"):
        mixed = MixedColumns.of(frame, np.arange(300), KINDS)
    x = mixed.apply(frame)
    np.testing.assert_array_equal(x.isnan(), frame.isna())
    objects = frame.astype(object).where(frame.notna(), None)
    others = [polars.from_pandas(frame), arrow.Table.from_pandas(frame), objects]
    for other in [*others, objects.to_numpy()]:
        torch.testing.assert_close(mixed.apply(other), x, equal_nan=True)
    back = pd.DataFrame(mixed.invert(x), columns=frame.columns)
    np.testing.assert_array_equal(back.isna(), frame.isna())
    assert mixed.apply(frame.assign(city=None))[:, 4].isnan().all()


def test_what_has_no_value_is_refused_by_name() -> None:
    with pytest.raises(MixvaeError, match="all values of column city are missing in the 24"):
        DeepMixture(max_epochs=0).fit(holes().assign(city=None))
    empty = holes()
    empty.loc[[3, 7], :] = None
    with pytest.raises(MixvaeError, match=r"missing in 2 of 300 rows, rows 3, 7 \(counted from 0"):
        DeepMixture(max_epochs=0).fit(empty)
    with pytest.raises(MixvaeError, match=r"columns \[1\] \(counted from 0\) have no observed"):
        MixtureOfColumns(1, kinds=ColumnKinds((("bernoulli", 1),) * 2)).fit(
            np.array([[0, np.nan], [1, np.nan]])
        )


def test_an_incomplete_table_is_clustered_and_filled_in(fitted: DeepMixture) -> None:
    assert fitted.recipe_.options["missing"]
    agreement = (fitted.labels_ == Y).mean()
    assert max(agreement, 1 - agreement) > 0.95
    frame, truth = holes(), complete()
    found, missing = fitted.impute(frame), frame.isna()
    pd.testing.assert_series_equal(found.dtypes, frame.dtypes)
    assert not found.isna().any().any()
    pd.testing.assert_frame_equal(found.mask(missing), frame)
    for column in ("smoker", "city"):
        own = missing[column]
        assert (found[column] == truth[column])[own].mean() > truth[
            column
        ].value_counts().max() / 300
    drawn = fitted.impute(frame, draws=2)
    assert len(drawn) == 2
    for one in drawn:
        pd.testing.assert_series_equal(one.dtypes, frame.dtypes)
        pd.testing.assert_frame_equal(one.mask(missing), frame)
    assert not drawn[0].equals(drawn[1])
    fitted.score_samples(drawn[0], n_samples=20)  # values that the columns can have
    with pytest.warns(UserWarning, match="feature names"):
        array = fitted.impute(frame.astype(object).to_numpy())
    assert array[0].tolist() == found.iloc[0].tolist()


def test_frames_of_other_libraries_come_back(fitted: DeepMixture) -> None:
    polars, arrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    expected = fitted.impute(holes())
    table = polars.from_pandas(holes())
    found = fitted.impute(table)
    assert found.schema == table.schema
    assert found["city"].to_list() == expected["city"].tolist()
    assert found["visits"].to_list() == expected["visits"].tolist()
    other = arrow.Table.from_pandas(holes())
    found = fitted.impute(other)
    assert found.schema.types == other.schema.types
    assert found.column("size").to_pylist() == expected["size"].tolist()


def test_a_frame_of_numbers_comes_back_too() -> None:
    frame = pd.DataFrame({0: [1.5, np.nan], "a": pd.array([1, None], "Int64")}, index=[5, 9])
    found = filled(frame, np.array([[0, 0], [2.25, 2.6]]))
    expected = pd.DataFrame({0: [1.5, 2.25], "a": pd.array([1, 3], "Int64")}, index=[5, 9])
    pd.testing.assert_frame_equal(found, expected)


def test_new_rows_may_miss_anything_and_have_no_new_category(fitted: DeepMixture) -> None:
    nothing = holes().iloc[:1].mask(np.ones((1, 6), dtype=bool))
    np.testing.assert_allclose(fitted.predict_proba(nothing)[0], fitted.weights_, atol=0.03)
    assert fitted.score(nothing) == pytest.approx(0, abs=0.1)
    assert fitted.impute(nothing).notna().all().all()
    with pytest.raises(MixvaeError, match=r"'Bern', which the .*make them missing: None"):
        fitted.predict(holes().assign(city="Bern"))


def test_a_model_of_complete_rows_reads_incomplete_ones() -> None:
    found = DeepMixture(2, likelihood=KINDS, max_epochs=0, random_state=0).fit(complete())
    assert not found.recipe_.options["missing"]
    assert found.impute(holes()).notna().all().all()
    pd.testing.assert_frame_equal(found.impute(complete()), complete())


# Zeros and ones


def zeros_and_ones() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = (rng.random((300, 8)) < np.where(Y[:, None], 0.85, 0.15)).astype(float)
    missing = rng.random(x.shape) < 0.2
    missing[missing.all(1)] = False
    return x, np.where(missing, np.nan, x)


def test_incomplete_zeros_and_ones_are_a_table_of_bernoulli_columns() -> None:
    x, incomplete = zeros_and_ones()
    found = DeepMixture(2, max_epochs=1, random_state=0).fit(incomplete)
    assert found.recipe_.name == "mfa-vae"
    assert found.recipe_.options["columns"] == [["bernoulli", 1]] * 8
    assert max((found.labels_ == Y).mean(), (found.labels_ != Y).mean()) > 0.95
    values = found.impute(incomplete)
    assert values.dtype == np.float64
    missing = np.isnan(incomplete)
    np.testing.assert_array_equal(values[~missing], x[~missing])
    assert (values == x)[missing].mean() > 0.75
    np.testing.assert_array_equal(found.predict(x).shape, (300,))
    found.partial_fit(x).partial_fit(incomplete)
    found.set_params(warm_start=True, max_epochs=1).fit(x)
    assert found.recipe_.name == "mfa-vae"
    frame = pd.DataFrame(incomplete).astype("boolean")
    by_frame = DeepMixture(2, max_epochs=0, random_state=0).fit(frame)
    assert set(by_frame.impute(frame).dtypes) == {pd.BooleanDtype()}


@pytest.mark.filterwarnings("ignore:.* components are dead")
def test_complete_zeros_and_ones_stay_what_they_were() -> None:
    x, incomplete = zeros_and_ones()
    found = DeepMixture(2, max_epochs=1, hidden=(8,), random_state=0).fit(x)
    assert found.recipe_.name == "mixture-vae"
    with pytest.raises(MixvaeError, match="missing values are for"):
        found.predict(incomplete)
    with pytest.raises(MixvaeError, match="kinds='bernoulli'"):
        data.from_arrays(incomplete)
    assert data.from_arrays(incomplete, kinds="bernoulli").train.x.isnan().any()


# The command line


def test_a_table_is_filled_in_by_the_command_line(
    tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    table = holes().drop(columns="size").assign(y=Y, height=complete()["height"])
    table.to_csv("people.csv", index=False)
    small = ["--max-epochs", "1", "--batch-size", "32", "--n-components", "2", "--hidden", "8"]
    named = ["--data", "people.csv", "--kinds", "visits=poisson", "--label-column", "y"]
    assert main(["train", "mfa-vae", *named, *small, "--pictures", "false"]) == 0
    run = "runs/mfa-vae-people-001"
    assert main(["impute", run, "--out", "full.csv"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "full.csv"
    full, given = pd.read_csv("full.csv"), pd.read_csv("people.csv")
    assert full.columns.tolist() == given.columns.tolist()
    assert full["visits"].dtype == np.int64
    assert full.notna().all().all()
    observed = given.notna()
    assert (full[observed].astype(object) == given[observed].astype(object))[
        observed
    ].sum().sum() == (observed.sum().sum())
    assert main(["impute", run, "--out", "full.csv"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["impute", run, "--out", "full.csv", "--overwrite", "--seed", "1"]) == 0
    given.drop(columns="y").head(4).to_parquet("new.parquet")
    assert main(["impute", run, "--data", "new.parquet", "--draws", "3", "--out", "d.parquet"]) == 0
    drawn = pd.read_parquet("d.parquet")
    assert drawn.columns.tolist() == ["draw", "row", *given.columns.drop("y")]
    assert drawn["draw"].tolist() == np.repeat(range(3), 4).tolist()
    assert drawn.notna().all().all()
    assert main(["impute", run, "--data", "new.parquet"]) == 0
    assert Path(f"{run}/impute-data-new.csv").exists()
    assert main(["impute", run, "--data", "x.npy"]) == 2
    assert main(["impute", run, "--out", "x.png"]) == 2
    given.rename(columns={"city": "town"}).to_csv("other.csv", index=False)
    assert main(["impute", run, "--data", "other.csv"]) == 2
    assert re.search(r"missing: city; not among them: town", capsys.readouterr().err)


def test_other_recipes_are_refused_by_the_command_line(
    tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    pd.DataFrame(zeros_and_ones()[0]).to_csv("x.csv", index=False)
    options = ["--max-epochs", "1", "--hidden", "4", "--pictures", "false"]
    assert main(["train", "vae", "--data", "x.csv", *options]) == 0
    assert main(["impute", "runs/vae-x-001"]) == 2
    assert "missing values are modelled by the recipe mfa-vae; got vae" in capsys.readouterr().err
