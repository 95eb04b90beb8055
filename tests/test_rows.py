"""Tables that are not in memory as an array give what arrays give, some rows at a time."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import mixvae
from mixvae import DeepMixture
from mixvae.data import Rows, from_arrays
from mixvae.data.sources import CHUNK, ArraySource, Source
from mixvae.data.survey import survey
from mixvae.errors import MixvaeError
from mixvae.evaluation import evaluate

RNG = np.random.default_rng(0)
X = RNG.normal(3, 2, (120, 3)) + np.where(RNG.random((120, 1)) < 0.5, 9, 0)
QUICK: dict[str, Any] = {"progress": False, "pictures": False, "accelerator": "cpu"}
SMALL: dict[str, Any] = {"n_components": 2, "n_latent": 2, "hidden": [8]}


class Stream(IterableDataset[Any]):
    """Rows of X that can only be iterated over."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter(torch.from_numpy(X))


def memory_map(folder: Path) -> Any:
    np.save(folder / "x.npy", X)
    return np.load(folder / "x.npy", mmap_mode="r")


def parquet(folder: Path) -> Path:
    for i, part in enumerate(np.split(X, [50, 90])):
        pd.DataFrame(part, columns=list("abc")).to_parquet(folder / f"part-{i}.parquet")
    return folder


KINDS: dict[str, Callable[[Path], Any]] = {
    "memory-mapped": memory_map,
    "csr": lambda _: scipy.sparse.csr_matrix(X),
    "csc": lambda _: scipy.sparse.csc_matrix(X),
    "sparse array": lambda _: scipy.sparse.coo_array(X),
    "dataset": lambda _: TensorDataset(torch.from_numpy(X), torch.zeros(120)),
    "loader": lambda _: DataLoader(TensorDataset(torch.from_numpy(X)), batch_size=7, shuffle=True),
    "stream": lambda _: Stream(),
    "stream in batches": lambda _: DataLoader(Stream(), batch_size=7),
}


@pytest.fixture(params=KINDS)
def given(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return KINDS[request.param](tmp_path)


def test_splits_and_transform_are_those_of_an_array(given: Any) -> None:
    one, other = from_arrays(given), from_arrays(X)
    assert isinstance(one.train.x, Rows)
    for name in ("train", "val", "test"):
        a, b = getattr(one, name), getattr(other, name)
        assert torch.allclose(a.x[:], b.x, atol=1e-6), name
        assert torch.equal(a.index, b.index)
    assert one.likelihood == other.likelihood == "normal"


def test_a_folder_of_parquet_is_one_table(tmp_path: Path) -> None:
    data = mixvae.data.load(parquet(tmp_path))
    assert data.columns == ("a", "b", "c")
    assert torch.allclose(data.val.x[:], from_arrays(X).val.x, atol=1e-6)


def test_a_folder_of_parquet_may_have_a_column_of_labels(tmp_path: Path) -> None:
    frame = pd.DataFrame(X, columns=list("abc")).assign(kind=["x", "y"] * 60)
    frame[:60].to_parquet(tmp_path / "0.parquet")
    frame[60:].to_parquet(tmp_path / "1.parquet")
    data = mixvae.data.load(tmp_path, label_column="kind")
    assert data.columns == ("a", "b", "c")
    assert data.n_classes == 2
    assert data.train.y is not None
    assert data.train.index is not None
    assert torch.equal(data.train.y, data.train.index % 2)


def test_training_and_evaluation_are_those_of_an_array_bit_for_bit(
    given: Any, tmp_path: Path
) -> None:
    array = from_arrays(X, name="x")
    runs = []
    for i, x in enumerate((X, given)):
        data = from_arrays(x, name="x", transform=array.transform)
        recipe = mixvae.build("mfa-vae", data, seed=0, **SMALL)
        runs.append(
            mixvae.fit(
                recipe, data, out=tmp_path / f"run-{i}", max_epochs=2, batch_size=16, **QUICK
            )
        )
    a, b = ([{k: v for k, v in r.items() if k != "seconds"} for r in run.history] for run in runs)
    assert a == b
    skipped = ("seconds", "data", "best_epoch")
    a_, b_ = ({k: v for k, v in run.metrics.items() if k not in skipped} for run in runs)
    assert a_ == b_


def test_the_estimator_takes_them(given: Any) -> None:
    options = {"n_components": 2, "max_epochs": 1, "random_state": 0}
    one, other = DeepMixture(**options).fit(given), DeepMixture(**options).fit(X)
    assert one.means_ == pytest.approx(other.means_, rel=1e-4)  # but for rounding
    assert one.lower_bound_ == pytest.approx(other.lower_bound_, abs=1e-4)
    assert np.array_equal(one.validation_indices_, other.validation_indices_)
    for method in ("score_samples", "predict_proba", "transform", "reconstruct"):
        of = getattr(one, method)
        assert np.array_equal(of(given), of(X)), method
    assert np.array_equal(one.labels_, one.predict(X))
    assert one.n_features_in_ == 3


def test_the_estimator_takes_a_folder_of_parquet_and_its_names(tmp_path: Path) -> None:
    mixture = DeepMixture(n_components=2, max_epochs=1, random_state=0).fit(parquet(tmp_path))
    assert mixture.feature_names_in_.tolist() == ["a", "b", "c"]
    frame = pd.DataFrame(X, columns=list("abc"))
    assert mixture.score_samples(tmp_path) == pytest.approx(mixture.score_samples(frame))
    other = tmp_path / "other"
    other.mkdir()
    frame.rename(columns={"a": "d"}).to_parquet(other / "0.parquet")
    with pytest.raises(MixvaeError, match="missing: a; not among them: d"):
        mixture.predict(other)


def test_weights_zeros_and_parts_work_with_sparse_rows() -> None:
    sparse = scipy.sparse.csr_matrix(X)
    options: dict[str, Any] = {
        "n_components": 2,
        "max_epochs": 1,
        "random_state": 0,
        "recipe_options": {"start": "random"},
    }
    weight = np.arange(120) % 3.0
    one = DeepMixture(**options).fit(sparse, sample_weight=weight)
    other = DeepMixture(**options).fit(X, sample_weight=weight)
    assert one.weights_ == pytest.approx(other.weights_, abs=1e-4)
    for mixture, x in ((one, sparse), (other, X)):
        mixture.partial_fit(x[:50], sample_weight=weight[:50])
    for a, b in zip(one.model_.parameters(), other.model_.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.filterwarnings("ignore::mixvae.MixvaeWarning")
def test_zeros_and_ones_are_bernoulli() -> None:
    binary = (RNG.random((200, 30)) < 0.2).astype(np.uint8)
    data = from_arrays(scipy.sparse.csr_matrix(binary))
    assert data.likelihood == "bernoulli"
    assert torch.equal(data.train.x[:], from_arrays(binary).train.x)
    mixture = DeepMixture(max_epochs=1, random_state=0, n_latent=2, hidden=(8,))
    assert mixture.fit(scipy.sparse.csr_matrix(binary)).recipe_.name == "mixture-vae"


def test_statistics_of_chunks_are_those_of_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.column_stack([X, np.full(120, 7), 1e6 + X[:, 0]])
    source, train = ArraySource(x), np.sort(RNG.permutation(120)[:100])
    monkeypatch.setattr(Source, "chunk", 11)
    weight = RNG.random(120)
    for w in (None, weight):
        found = survey(source, train, where="x", weight=w)
        own = None if w is None else w[train]
        mean = np.average(x[train], 0, own)
        assert found.mean == pytest.approx(mean, rel=1e-12)
        assert found.scale == pytest.approx(
            np.sqrt(np.average((x[train] - mean) ** 2, 0, own)), rel=1e-9, abs=1e-12
        )
        assert found.constant.tolist() == [False, False, False, True, False]
    assert (found.least, found.greatest) == (x.min(), x.max())


def test_constant_and_dependent_columns_are_told() -> None:
    x = scipy.sparse.csr_matrix(np.column_stack([X, np.zeros(120), X[:, 0] + X[:, 1]]))
    with pytest.warns(mixvae.MixvaeWarning) as warned:
        data = from_arrays(x)
    text = " ".join(str(w.message) for w in warned)
    assert "column 3 (counted from 0) left out" in text
    assert "linear combination" in text
    assert data.x_shape == (4,)


def test_a_run_goes_on_with_the_same_rows_and_no_others(tmp_path: Path) -> None:
    folder, given = tmp_path / "run", TensorDataset(torch.from_numpy(X))
    data = from_arrays(given)
    recipe = mixvae.build("mfa-vae", data, seed=0, **SMALL)
    mixvae.fit(recipe, data, out=folder, max_epochs=1, batch_size=16, **QUICK)
    again = from_arrays(DataLoader(given, batch_size=3))
    run = mixvae.resume(folder, again, max_epochs=2, **QUICK)
    assert [row["epoch"] for row in run.history] == [0, 1, 2]
    with pytest.raises(MixvaeError, match="the content of train"):
        mixvae.resume(folder, from_arrays(TensorDataset(torch.from_numpy(X[:100]))), **QUICK)
    other = from_arrays(TensorDataset(torch.from_numpy(X[::-1].copy())))
    with pytest.raises(MixvaeError, match="the content of"):
        mixvae.resume(folder, other, **QUICK)


class Shrinking(TensorDataset):
    """A Dataset whose length is told by a list."""

    def __init__(self, n: list[int]) -> None:
        super().__init__(torch.from_numpy(X))
        self.n = n

    def __len__(self) -> int:
        return self.n[0]


def test_a_dataset_that_changes_its_length_is_refused() -> None:
    n = [120]
    data = from_arrays(Shrinking(n))
    n[0] = 60
    with pytest.raises(MixvaeError, match="had 120 rows and has 60"):
        data.train.x[:4]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (scipy.sparse.csr_matrix(np.where(X > 14, np.nan, X)), "missing values"),
        (scipy.sparse.csr_matrix(np.where(X > 14, np.inf, X)), "infinite"),
        (scipy.sparse.csr_matrix(X + 1j), "real numbers"),
        (TensorDataset(torch.zeros(4, 2, 2)), r"shape \(2, 2\)"),
        (TensorDataset(torch.zeros(0, 2)), "at least one row"),
        ([0], "expected"),
    ],
)
def test_what_cannot_be_used_is_refused(x: Any, message: str) -> None:
    with pytest.raises(MixvaeError, match=message):
        from_arrays(x)


def test_values_outside_the_unit_interval_are_refused_where_nothing_scales_them() -> None:
    with pytest.raises(MixvaeError, match=r"must lie in \[0, 1\]"):
        from_arrays(scipy.sparse.csr_matrix(X), standardize=False)
    with pytest.raises(MixvaeError, match="binarize=threshold is for"):
        from_arrays(scipy.sparse.csr_matrix(X), binarize="threshold")
    unit = from_arrays(scipy.sparse.csr_matrix(np.clip(X, 0, 1)))
    with pytest.raises(MixvaeError, match="is for pixels in memory"):
        replace(unit, binarize="threshold")


def test_a_fitted_estimator_refuses_missing_values_in_sparse_rows() -> None:
    mixture = DeepMixture(n_components=2, max_epochs=0, random_state=0).fit(X)
    with pytest.raises(MixvaeError, match=r"NaN|missing|finite"):
        mixture.predict(scipy.sparse.csr_matrix(np.where(X > 14, np.nan, X)))


def test_parquet_files_have_the_same_columns(tmp_path: Path) -> None:
    frame = pd.DataFrame(X, columns=list("abc"))
    frame.to_parquet(tmp_path / "0.parquet")
    frame[["b", "a", "c"]].to_parquet(tmp_path / "1.parquet")
    with pytest.raises(MixvaeError, match=r"1.parquet: expected the columns a, b, c"):
        mixvae.data.load(tmp_path)
    (tmp_path / "1.parquet").write_bytes(b"PAR1")
    with pytest.raises(MixvaeError, match=r"1\.parquet: expected a Parquet file"):
        mixvae.data.load(tmp_path)


LIMITED = """
import resource, sys
import numpy as np
import mixvae
x = np.load(sys.argv[1], mmap_mode="r")
small = mixvae.data.from_arrays(np.random.default_rng(0).normal(9, 2, (600, x.shape[1])), name="x")
options = dict(n_components=2, n_latent=2, hidden=[8], covariance="diag", reg_covar=1e-3)
fitting = dict(max_epochs=1, batch_size=500, progress=False, pictures=False, accelerator="cpu")
recipe = mixvae.build("mfa-vae", small, seed=0, **options)
mixvae.fit(recipe, small, out=sys.argv[2] + "/warm-up", **fitting | {"batch_size": 50})
now = next(line for line in open("/proc/self/status") if line.startswith("VmData"))
limit = 1024 * int(now.split()[1]) + 2**20 * int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    np.array(x)
    sys.exit("the limit is too high to tell anything")
except MemoryError:
    pass
data = mixvae.data.from_arrays(x, name="x")
recipe = mixvae.build("mfa-vae", data, seed=0, **options)
run = mixvae.fit(recipe, data, out=sys.argv[2] + "/run", **fitting)
print(run.metrics["n"], run.metrics["bounds"]["elbo"])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts all memory on Linux alone")
def test_a_table_larger_than_the_memory_that_a_process_may_have(tmp_path: Path) -> None:
    n, d = 160_000, 300  # 192 MB in float32
    array = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (n, d))
    block = np.random.default_rng(0).normal(9, 2, (10_000, d)).astype(np.float32)
    for start in range(0, n, len(block)):
        array[start : start + len(block)] = block
    del array
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "x.npy"), str(tmp_path), "150"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("32000 ")


def test_a_chunk_has_at_most_so_many_values() -> None:
    assert ArraySource(np.zeros((10, 4))).chunk * 4 <= CHUNK
    source = ArraySource(np.zeros((3, 4)))
    assert [len(rows) for rows, _ in source.chunks()] == [3]


def test_evaluation_takes_some_rows(tmp_path: Path) -> None:
    data = from_arrays(memory_map(tmp_path))
    recipe = mixvae.build("mixture-vae", data, seed=0, **SMALL)
    assert evaluate(recipe, data.test, n_test=7, log_likelihood=10)["n"] == 7


TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorials" / "larger_than_memory.md"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::mixvae.errors.MixvaeWarning")
def test_the_tutorials_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.S)
    for block in blocks:
        exec(block.replace("20_000", "2_000"), scope)
    assert len(blocks) == 6
    assert isinstance(scope["data"].train.x, Rows)
    assert [row["epoch"] for row in scope["run"].history] == [0, 1, 2, 3]
    assert scope["parts"].n_iter_ == 4
    assert scope["cluster"].shape == (2_000,)
