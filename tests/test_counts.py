"""Tables of counts: sparse ones and others that are not in memory, library sizes, wide tables."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from scipy import stats
from sklearn.metrics import adjusted_rand_score
from torch.utils.data import DataLoader, TensorDataset

import mixvae
from mixvae import DeepMixture, MixvaeError, MixvaeWarning
from mixvae.cli import main
from mixvae.data import MixedColumns, from_anndata, from_arrays
from mixvae.data.transform_record import read_transform
from mixvae.distributions import NegativeBinomialOfMean
from mixvae.evaluation.marginal_likelihood import by_component
from mixvae.evaluation.marginal_likelihood.by_component import log_joint, responsibilities
from mixvae.initialization.column_mixture import ColumnMixture, MixtureOfColumns
from mixvae.likelihoods import ColumnKinds, ColumnLikelihood
from mixvae.parts.column_features import ColumnFeatures
from mixvae.recipes.mfa_vae import n_latent_of

N, D = 240, 6
Y = np.arange(N) % 2
PROFILES = np.array([[8, 6, 1, 1, 2, 2], [1, 1, 8, 6, 2, 2]])
COUNTS = ("poisson", "negative-binomial", "zero-inflated-poisson")
COUNTS += ("zero-inflated-negative-binomial",)
FAST: dict[str, Any] = {"max_epochs": 1, "hidden": (8,), "refit": False, "random_state": 0}


def counts(seed: int = 0) -> np.ndarray:
    """Rows of two kinds."""
    return np.random.default_rng(seed).poisson(PROFILES[Y])


def memory_map(x: np.ndarray, folder: Path) -> Any:
    np.save(folder / "x.npy", x)
    return np.load(folder / "x.npy", mmap_mode="r")


def parquet(x: np.ndarray, folder: Path) -> Path:
    (folder / "parts").mkdir()
    for i, part in enumerate(np.array_split(x, 3)):
        frame = pd.DataFrame(part, columns=[f"gene {j}" for j in range(x.shape[1])])
        frame.to_parquet(folder / "parts" / f"{i}.parquet")
    return folder / "parts"


SOURCES: dict[str, Any] = {
    "csr_array": lambda x, _: scipy.sparse.csr_array(x),
    "csc_matrix of floats": lambda x, _: scipy.sparse.csc_matrix(x.astype(np.float32)),
    "memory-mapped": memory_map,
    "Dataset": lambda x, _: TensorDataset(torch.from_numpy(x)),
    "DataLoader": lambda x, _: DataLoader(TensorDataset(torch.from_numpy(x)), batch_size=7),
    "Parquet": parquet,
}


@pytest.fixture(scope="module")
def fitted() -> DeepMixture:
    return DeepMixture(2, likelihood="poisson", **FAST).fit(counts())


# Rows that are not in memory


@pytest.mark.parametrize("kind", SOURCES)
def test_counts_that_are_not_in_memory_are_fitted_as_an_array(
    kind: str, tmp_path: Path, fitted: DeepMixture
) -> None:
    x = SOURCES[kind](counts(), tmp_path)
    found = DeepMixture(2, likelihood="poisson", **FAST).fit(x)
    assert adjusted_rand_score(Y, found.labels_) > 0.9
    assert str(found.data_transform_) == "6 columns (6 poisson)"
    assert abs(found.score(x) - fitted.score(counts())) < 0.2
    if kind != "Parquet":  # which has names
        np.testing.assert_allclose(found.predict_proba(x), found.predict_proba(counts()))


@pytest.mark.parametrize("likelihood", COUNTS)
def test_every_likelihood_of_counts_takes_sparse_rows(likelihood: str) -> None:
    x = scipy.sparse.csr_array(counts())
    found = DeepMixture(2, likelihood=likelihood, **FAST).fit(x)
    assert found.recipe_.options["columns"] == [[likelihood, 1]] * D
    assert adjusted_rand_score(Y, found.labels_) > 0.8
    assert np.isfinite(found.score_samples(x[:5], n_samples=20)).all()
    new = found.sample(20)[0]
    assert (new == np.floor(new)).all()


def test_columns_without_counts_are_left_out_with_a_warning() -> None:
    x = counts()
    x[:, 3] = 0
    with pytest.warns(MixvaeWarning, match=r"column 3 \(counted from 0\) left out, with only one"):
        found = DeepMixture(2, likelihood="poisson", **FAST).fit(scipy.sparse.csr_array(x))
    assert found.recipe_.x_shape == (D - 1,)
    assert found.n_features_in_ == D
    assert (found.sample(3)[0][:, 3] == 0).all()
    with pytest.raises(MixvaeError, match="all columns have only one value"):
        DeepMixture(likelihood="poisson").fit(scipy.sparse.csr_array(np.zeros((9, 2))))


@pytest.mark.parametrize(("value", "shown"), [(-1.0, "-1"), (0.5, "0.5")])
def test_what_is_no_count_is_refused_with_its_column(value: float, shown: str) -> None:
    x = counts().astype(float)
    x[7, 4] = value
    message = (
        f"needs whole numbers from 0, and 1 of .* values are not, in column 4 .*such as {shown}"
    )
    for given in (scipy.sparse.csr_array(x), x):
        with pytest.raises(MixvaeError, match=message if given is not x else shown):
            DeepMixture(likelihood="poisson").fit(given)
    fitted = DeepMixture(2, likelihood="poisson", **FAST).fit(scipy.sparse.csr_array(counts()))
    for new in (scipy.sparse.csr_array(x), x):
        with pytest.raises(MixvaeError, match=message):
            fitted.predict(new)
    with pytest.raises(MixvaeError, match="in column gene 4, such as"):
        from_anndata(cells(scipy.sparse.csr_array(x)), kinds="poisson")


def test_kinds_of_single_columns_are_of_tables_in_memory() -> None:
    x = scipy.sparse.csr_array(counts())
    for likelihood in ({0: "poisson"}, "categorical"):
        with pytest.raises(MixvaeError, match="are of tables in memory"):
            DeepMixture(likelihood=likelihood).fit(x)
    with pytest.raises(MixvaeError, match="all columns have one likelihood: one of poisson,"):
        from_arrays(x, kinds="auto")


def cells(x: Any) -> Any:
    obs = pd.DataFrame(index=map(str, range(N)))
    names = pd.Index([f"gene {i}" for i in range(D)])
    return SimpleNamespace(X=x, obs=obs, obsm={}, var_names=names, layers={})


def test_cells_of_anndata_are_counts() -> None:
    data = from_anndata(cells(scipy.sparse.csr_matrix(counts())), kinds="negative-binomial")
    assert isinstance(data.transform, MixedColumns)
    assert data.transform.counts == "negative-binomial"
    assert data.columns == tuple(f"gene {i}" for i in range(D))
    assert torch.equal(data.train.x[:], from_arrays(counts(), kinds="negative-binomial").train.x)
    built = mixvae.build("mfa-vae", data, n_components=2, library_size="median", seed=0)
    sums = counts()[data.train.index].sum(1)
    assert built.recipe.options()["library_size"] == np.median(sums)
    values = json.loads(json.dumps(data.transform.to_dict()))
    assert read_transform(values) == data.transform


def test_a_folder_of_counts_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = parquet(counts(), tmp_path)
    flags = [
        "--n-components",
        "2",
        "--hidden",
        "8",
        "--library-size",
        "median",
        "--pictures",
        "false",
    ]
    out = ["--out", str(tmp_path / "run"), "--max-epochs", "1", "--kinds", "poisson"]
    assert main(["train", "mfa-vae", "--data", str(folder), *flags, *out]) == 0
    capsys.readouterr()
    options = mixvae.load(tmp_path / "run").recipe.options
    assert options["columns"] == [["poisson", 1]] * D
    assert isinstance(options["library_size"], float)


# Library sizes


def test_means_are_multiplied_by_the_library_size() -> None:
    kinds = ColumnKinds((("poisson", 1), ("zero-inflated-negative-binomial", 1), ("normal", 1)))
    one = ColumnLikelihood((3,), kinds, library_size=10.0).double()
    params = torch.tensor(
        [0.3, 1.1, -0.4, 0.2, 0, 0, 0, 0.5], dtype=torch.float64
    )  # then log scales
    x = torch.tensor([[4.0, 2.0, 0.1], [9.0, 0.0, 1.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    found = one(params).log_prob(x).detach()
    size = np.array([0.6, 0.9, 0.1])  # the last has no counts, and is as if it had one
    poisson = stats.poisson(size * np.exp(0.3)).logpmf(x[:, 0])
    mean, zero = size * np.exp(1.1), 1 / (1 + np.exp(0.4))
    counted = (1 - zero) * stats.nbinom(1, 1 / (1 + mean)).pmf(x[:, 1])
    inflated = np.log(zero * (x[:, 1].numpy() == 0) + counted)
    normal = stats.norm(0.2, np.exp(0.5)).logpdf(x[:, 2])
    np.testing.assert_allclose(found, poisson + inflated + normal, rtol=1e-10)
    torch.testing.assert_close(one(params).mean[0], params[0].exp())  # of a typical row


def test_rows_that_are_multiples_of_a_profile_cluster_by_profile_and_not_by_depth() -> None:
    rng = np.random.default_rng(0)
    depth = np.where(rng.random(N) < 0.5, 1, 12)
    x = rng.poisson(depth[:, None] * PROFILES[Y] / 2)
    options: dict[str, Any] = {"likelihood": "poisson", **FAST}
    by_profile = DeepMixture(2, library_size="median", **options).fit(x)
    by_depth = DeepMixture(2, **options).fit(x)
    assert adjusted_rand_score(Y, by_profile.labels_) > 0.9
    assert adjusted_rand_score(depth, by_profile.labels_) < 0.1
    assert adjusted_rand_score(depth, by_depth.labels_) > 0.9
    line = "counts: means are proportional to the row's library size, its sum of counts over "
    assert line in by_profile.summary()
    assert "library" not in by_depth.summary()
    ratio = by_profile.means_ / by_profile.means_.sum(1, keepdims=True)
    expected = PROFILES / PROFILES.sum(1, keepdims=True)
    order = by_profile.predict(x)[:2]  # of rows of either profile
    np.testing.assert_allclose(ratio[order], expected, atol=0.05)


def test_networks_read_counts_over_library_sizes() -> None:
    kinds = ColumnKinds((("poisson", 1), ("poisson", 1), ("bernoulli", 1)))
    x = torch.tensor([[2.0, 6.0, 1.0], [1.0, 3.0, 1.0]])
    found = ColumnFeatures(kinds, library_size=4.0)(x)
    torch.testing.assert_close(
        found[0], torch.tensor([1.0, 3.0, 0.0]).log1p() + torch.tensor([0, 0, 1])
    )
    torch.testing.assert_close(found[0], found[1])


def test_the_first_means_are_those_of_a_row_of_typical_size() -> None:
    rng = np.random.default_rng(0)
    size = np.exp(rng.normal(0, 0.7, 4000))
    mean, dispersion = np.exp(rng.normal(1, 1, 30)), 0.5
    gamma = rng.gamma(1 / dispersion, dispersion, (4000, 30))
    x = rng.poisson(size[:, None] * mean * gamma).astype(float)
    typical = float(mean.sum())  # sums are this times the size, nearly
    kinds = ColumnKinds((("negative-binomial", 1),) * 30)
    found = MixtureOfColumns(1, "diag", kinds=kinds, library_size=typical).fit(x)
    np.testing.assert_allclose(found.mean[0].exp(), mean, rtol=0.1)
    own = found.likelihood.group("negative-binomial")[0].log_dispersion.exp()  # type: ignore[operator]
    np.testing.assert_allclose(own.detach().mean(), dispersion, rtol=0.15)


@pytest.mark.parametrize("likelihood", COUNTS)
def test_a_column_without_counts_in_the_rows_of_the_start_is_started(likelihood: str) -> None:
    x = counts().astype(float)
    x[:, 2] = 0
    found = MixtureOfColumns(2, "diag", kinds=ColumnKinds(((likelihood, 1),) * D)).fit(x)
    assert found.mean.isfinite().all()
    assert np.isfinite(found.score_samples(counts().astype(float))).all()
    assert adjusted_rand_score(Y, found.predict_proba(x).argmax(1)) > 0.7


def test_library_sizes_need_counts() -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    with pytest.raises(MixvaeError, match="library_size is for counts"):
        DeepMixture(2, library_size="median", **FAST).fit(x)
    with pytest.raises(MixvaeError, match="library_size is for counts"):
        mixvae.build("mfa-vae", (1,), columns=[["normal", 1]], library_size=3.0)
    with pytest.raises(MixvaeError, match="is that of training rows; give data"):
        mixvae.build("mfa-vae", (1,), columns=[["poisson", 1]], library_size="median")
    with pytest.raises(MixvaeError, match="a library size is positive"):
        mixvae.build("mfa-vae", (1,), columns=[["poisson", 1]], library_size=-3.0)


def test_a_negative_binomial_shares_its_dispersion() -> None:
    log_mean = torch.randn(5, 4, 3).double().requires_grad_()
    log_dispersion = torch.randn(3).double().requires_grad_()
    x = torch.poisson(torch.full((5, 1, 3), 4.0)).double()
    size = (-log_dispersion).exp().expand_as(log_mean)
    torchs = torch.distributions.NegativeBinomial(size, logits=log_mean + log_dispersion)
    found = NegativeBinomialOfMean(log_mean, log_dispersion).log_prob(x)
    torch.testing.assert_close(found, torchs.log_prob(x))
    parameters = (log_mean, log_dispersion)
    own, others = (torch.autograd.grad(t.sum(), parameters) for t in (found, torchs.log_prob(x)))
    torch.testing.assert_close(own, others)


# Wide tables


def test_the_size_of_codes_is_bounded() -> None:
    assert [n_latent_of(d) for d in (1, 4, 13, 90)] == [1, 2, 7, 54]
    assert n_latent_of(2000) == n_latent_of(200) <= 60


def test_a_wide_tables_mixture_starts_from_principal_components() -> None:
    rng = np.random.default_rng(0)
    y, change = rng.integers(0, 3, 400), rng.normal(0, 1, (3, 150)) * (rng.random((3, 150)) < 0.2)
    x = rng.poisson(np.exp(-0.5 + change[y])).astype(float)
    kinds = ColumnKinds((("poisson", 1),) * 150)
    found = MixtureOfColumns(3, "diag", kinds=kinds).fit(x)
    assert adjusted_rand_score(y, found.predict_proba(x).argmax(1)) > 0.9
    again = MixtureOfColumns(3, "diag", kinds=kinds).fit(x)
    torch.testing.assert_close(again.mean, found.mean)


def test_clear_responsibilities_are_those_of_all_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    found = DeepMixture(3, likelihood="poisson", **FAST).fit(counts())
    x, model = torch.from_numpy(counts(1)).double(), found.model_
    exact = log_joint(model, x, 400)[0].softmax(1)
    torch.testing.assert_close(responsibilities(model, x, 400), exact)
    monkeypatch.setattr(by_component, "WIDE", 1)
    sampled = list(by_component.samples_of(model, x, 400, 0, clear=by_component.CLEAR))
    undecided = torch.cat([part.matters.any(1) for part in sampled])
    assert 0 < undecided.double().mean() < 1
    few = responsibilities(model, x, 400)
    assert few.dtype == torch.float32
    assert float((few.double() - exact).abs().max()) < 0.08


def test_large_tables_in_memory_are_started_from_some_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows: list[int] = []
    fit = ColumnMixture.fit

    def counted(self: Any, x: Any, *rest: Any) -> None:
        rows.append(len(x))
        fit(self, x, *rest)

    monkeypatch.setattr(ColumnMixture, "fit", counted)
    monkeypatch.setattr("mixvae.recipes.mfa_vae.IN_MEMORY", 100)
    monkeypatch.setattr("mixvae.recipes.mfa_vae.START_ROWS", 50)
    monkeypatch.setattr("mixvae.recipes.mfa_vae.START_VALUES", 100)
    weight = np.ones(N)
    weight[:20] = 2
    options: dict[str, Any] = {"likelihood": "poisson", **FAST}
    found = DeepMixture(2, **options).fit(counts(), sample_weight=weight)
    assert rows == [48]
    assert adjusted_rand_score(Y, found.labels_) > 0.8


@pytest.mark.filterwarnings("ignore::mixvae.errors.MixvaeWarning")
def test_wide_real_tables_have_diagonal_starts() -> None:
    x = np.random.default_rng(0).normal(size=(60, 310)) + 3 * (np.arange(60) % 2)[:, None]
    found = DeepMixture(2, **FAST).fit(x)
    assert found.recipe_.options["covariance"] == "diag"
    assert found.recipe_.options["n_latent"] == n_latent_of(310)
    assert adjusted_rand_score(np.arange(60) % 2, found.labels_) == 1


# The tutorial

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorials" / "counts.md"


@pytest.mark.filterwarnings("ignore::mixvae.errors.MixvaeWarning")
def test_the_tutorials_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.S)
    for block in blocks:
        exec(block.replace("random_state=0", "random_state=0, max_epochs=2"), scope)
    assert len(blocks) == 5
    assert adjusted_rand_score(scope["y"], scope["mixture"].labels_) > 0.9
    assert scope["cluster"].shape == scope["log_p"].shape == (600,)
    assert scope["means"].shape == (3, 120)
