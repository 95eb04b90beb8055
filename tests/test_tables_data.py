"""Tables of real values: standardised by their training rows, with names, or refused."""

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from scipy.stats import norm
from sklearn.preprocessing import StandardScaler

import mixvae
from mixvae import MixvaeError, MixvaeWarning, data
from mixvae.cli import main
from mixvae.data import Standardization
from mixvae.data.dependence import dependent_columns
from mixvae.data.formats.table_file import read
from mixvae.data.transform_record import read_transform

RNG = np.random.default_rng(0)
N = 60
NUMBERS = {
    "height": 170 + 10 * RNG.normal(size=N),
    "age": RNG.integers(0, 90, N),
    "smoker": RNG.random(N) > 0.5,
}
X = np.column_stack(list(NUMBERS.values()))
NAMES = ("height", "age", "smoker")
SMALL = ["--hidden", "8", "--n-latent", "2", "--batch-size", "16", "--max-epochs", "1"]
QUIET = ["--progress", "false", "--pictures", "false", "--likelihood", "gaussian"]


def frame() -> Any:
    return pd.DataFrame(NUMBERS)


def nullable() -> Any:
    return frame().astype({"height": "Float64", "age": "Int64", "smoker": "boolean"})


def of_arrow_types() -> Any:
    types = {"height": "double[pyarrow]", "age": "int64[pyarrow]", "smoker": "bool[pyarrow]"}
    return nullable().astype(types)


def arrow() -> Any:
    return pa.table({name: pa.array(values) for name, values in NUMBERS.items()})


def polars(**more: Any) -> Any:
    return pytest.importorskip("polars").DataFrame(NUMBERS).with_columns(**more)


# The standardisation


def test_the_training_rows_are_standardised_as_scikit_learn_does() -> None:
    dataset = data.from_arrays(X)
    assert dataset.train.index is not None
    assert dataset.test.index is not None
    scaler = StandardScaler().fit(X[dataset.train.index])
    for split in (dataset.train, dataset.val, dataset.test):
        expected = scaler.transform(X[split.index])
        np.testing.assert_allclose(split.x.numpy(), expected, rtol=1e-6, atol=1e-6)
    assert isinstance(dataset.transform, data.Standardization)
    np.testing.assert_allclose(dataset.transform.mean, scaler.mean_, rtol=1e-14)
    np.testing.assert_allclose(dataset.transform.scale, scaler.scale_, rtol=1e-14)


@pytest.mark.parametrize("options", [{}, {"n_val": 7, "n_test": 5, "seed": 3}, {"y": True}])
def test_held_out_rows_have_no_part_in_mean_and_scale(options: dict[str, Any]) -> None:
    y = RNG.integers(0, 3, N) if options.get("y") else None
    options = {name: value for name, value in options.items() if name != "y"}
    before, x = data.from_arrays(X, y, **options), X.copy()
    x[torch.cat([before.val.index, before.test.index])] *= 1000  # type: ignore[list-item]
    after = data.from_arrays(x, y, **options)
    assert after.transform == before.transform
    assert torch.equal(after.train.x, before.train.x)
    assert not torch.equal(after.test.x, before.test.x)


def test_a_table_is_split_as_images_are() -> None:
    unit = RNG.random((N, 3))
    plain, standardized = data.from_arrays(unit), data.from_arrays(unit, standardize=True)
    for part in ("train", "val", "test"):
        assert torch.equal(getattr(plain, part).index, getattr(standardized, part).index)


def test_the_given_splits_are_standardised_by_the_training_split() -> None:
    dataset = data.from_arrays(X, val=X[:5] + 3, test=X[:4] - 3)
    expected = (X[:4] - 3 - X.mean(0)) / X.std(0)
    np.testing.assert_allclose(dataset.test.x.numpy(), expected, rtol=1e-5)
    assert torch.equal(
        data.from_arrays(X, test=X, val=X).test.x, data.from_arrays(X, val=X[:2], test=X).test.x
    )


def test_large_values_that_differ_little_keep_their_digits() -> None:
    x = 1e9 + RNG.normal(size=(N, 2))
    one = data.Standardization.of(x)
    expected = (x - 1e9 - (x - 1e9).mean(0)) / (x - 1e9).std(0)
    np.testing.assert_allclose(one.apply(x).numpy(), expected, atol=1e-6)


def test_stored_units_come_back_with_constant_columns_in_their_place() -> None:
    x = np.insert(X, 1, 7.5, axis=1)
    with pytest.warns(MixvaeWarning, match=r"columns 1 left out|column 1 \(counted from 0\) left"):
        one = data.Standardization.of(x)
    u = one.to_float64(x)
    assert u.dtype == torch.float64
    assert u.shape == (N, 3)
    assert torch.equal(one.apply(x), u.float())
    np.testing.assert_allclose(one.invert(u), x, rtol=1e-14)
    np.testing.assert_allclose(one.invert(u.reshape(3, 20, 3)), x.reshape(3, 20, 4), rtol=1e-14)


def test_densities_in_stored_units_are_those_of_standardised_values_less_the_log_scale() -> None:
    one = data.Standardization.of(X)
    expected = norm.logpdf(X, X.mean(0), X.std(0)).sum(1)
    found = torch.distributions.Normal(0, 1).log_prob(one.to_float64(X)).sum(1) - one.log_scale
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_constant_columns_are_left_out_and_named() -> None:
    table = frame().assign(unit=3, place=0.5)
    with pytest.warns(MixvaeWarning, match="columns unit, place left out, with only one value"):
        dataset = data.from_arrays(table, name="people")
    assert dataset.columns == NAMES
    assert dataset.x_shape == (3,)
    assert torch.equal(dataset.train.x, data.from_arrays(frame()).train.x)
    assert isinstance(dataset.transform, data.Standardization)
    assert dataset.transform.columns == (*NAMES, "unit", "place")
    assert dataset.transform.constant == (False, False, False, True, True)
    assert dataset.transform.mean[3:] == (3, 0.5)


def test_a_column_that_varies_in_held_out_rows_alone_is_constant() -> None:
    table, held = frame(), data.from_arrays(frame()).test.index
    table["rare"] = np.isin(np.arange(N), held).astype(float)
    with pytest.warns(MixvaeWarning, match="column rare left out"):
        assert data.from_arrays(table).columns == NAMES


def test_a_table_of_constants_is_refused() -> None:
    with pytest.raises(MixvaeError, match="all 2 columns have only one value"):
        data.from_arrays(np.full((20, 2), 7.0))


@pytest.mark.parametrize("value", [1e300, 1e-300])
def test_values_without_a_standard_deviation_in_float64_are_refused(value: float) -> None:
    with pytest.raises(MixvaeError, match=r"column 0 .* too large or too close; change the unit"):
        data.Standardization.of(X * [value, 1, 1])


def test_new_rows_beyond_float32_are_refused() -> None:
    with pytest.raises(MixvaeError, match="test: some values are too far"):
        data.from_arrays(X, test=X * 1e100)


# Linear dependence


def one_hot() -> np.ndarray:
    return np.eye(3)[np.arange(N) % 3]


@pytest.mark.parametrize(
    ("x", "n"),
    [
        (np.c_[X, X[:, 1]], 1),
        (np.c_[X, 5 - 2 * X[:, 1]], 1),
        (np.c_[X, X[:, 0] + X[:, 1]], 1),
        (np.c_[X, X[:, :2].astype(np.float32).sum(1)], 1),
        (np.c_[X, one_hot()], 1),
        (np.c_[X, one_hot(), X[:, 0] - X[:, 1]], 2),
        (X, 0),
        (np.c_[X, X[:, 1] + 1e-3 * RNG.normal(size=N)], 0),
        (RNG.normal(size=(20, 30)), 0),  # as many columns as rows always depend on each other
        (RNG.normal(size=(31, 30)), 0),
        (np.repeat(np.c_[X, X[:, 1]], 200, axis=0), 1),  # in several blocks
    ],
)
def test_as_many_columns_are_found_dependent_as_the_rank_lacks(x: np.ndarray, n: int) -> None:
    u = (x - x.mean(0)) / x.std(0)
    found = dependent_columns(u)
    assert len(found) == n
    if len(x) > x.shape[1]:
        rest = np.delete(u, found, axis=1)
        assert np.linalg.matrix_rank(u, tol=1e-4) == np.linalg.matrix_rank(rest) == rest.shape[1]


def test_redundant_columns_are_named_in_one_warning() -> None:
    table = frame().assign(months=lambda t: 12 * t.age, one=1)
    with pytest.warns(MixvaeWarning) as warned:
        data.from_arrays(table)
    messages = [str(w.message) for w in warned]
    assert len(messages) == 2
    assert "column one left out" in messages[0]
    assert messages[1].startswith(("arrays, train: column months can", "arrays, train: column age"))


# Which tables are standardised


@pytest.mark.parametrize(
    ("x", "standardize", "likelihood"),
    [
        (X, "auto", "normal"),
        (X, True, "normal"),
        (RNG.integers(-3, 4, (N, 3)), "auto", "normal"),
        (RNG.integers(0, 9, (N, 3)).astype(np.uint16), "auto", "normal"),
        (RNG.random((N, 3)), "auto", "gaussian"),
        (RNG.random((N, 3)), True, "normal"),
        (RNG.random((N, 3)), False, "gaussian"),
        (RNG.random((N, 3)) > 0.5, "auto", "bernoulli"),
        (RNG.random((N, 3)) > 0.5, True, "normal"),
        (RNG.integers(0, 2, (N, 3)), "auto", "bernoulli"),
        (RNG.integers(0, 255, (N, 3), np.uint8), "auto", "gaussian"),
        (RNG.integers(0, 255, (N, 3), np.uint8), True, "normal"),
        (RNG.random((N, 4, 4)), "auto", "gaussian"),
        (pd.DataFrame(RNG.random((N, 3))), "auto", "gaussian"),
        (pd.DataFrame(RNG.random((N, 3)) > 0.5), "auto", "bernoulli"),
    ],
)
def test_the_values_decide_unless_the_user_does(
    x: Any, standardize: data.Standardize, likelihood: str
) -> None:
    dataset = data.from_arrays(x, standardize=standardize)
    is_normal = likelihood == "normal"
    assert dataset.likelihood == dataset.describe()["likelihood"] == likelihood
    assert isinstance(dataset.transform, data.Standardization) == is_normal
    assert dataset.is_binary == (likelihood == "bernoulli")
    assert dataset.n_trials is None


def test_two_and_few_standardised_values_are_neither_binary_nor_levels() -> None:
    for n in (2, 5):
        dataset = data.from_arrays(RNG.integers(0, n, (N, 3)), standardize=True)
        assert (dataset.is_binary, dataset.n_trials) == (False, None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: data.from_arrays(X, standardize=False), r"must lie in \[0, 1\]"),
        (lambda: data.from_arrays(X[:, :, None], standardize=True), "only tables"),
        (lambda: data.load("digits", standardize=True), "standardize=True is for tables"),
        (lambda: data.from_arrays(X, standardize="yes"), "True, False or 'auto'; got 'yes'"),  # type: ignore[arg-type]
        (lambda: data.from_arrays(X, binarize="threshold"), "binarize=threshold is for values in"),
        (lambda: data.load("digits", label_column="y"), "label_column is of tables"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    unchecked: None, make: Callable[[], Any], message: str
) -> None:
    with pytest.raises(MixvaeError, match=message):
        make()


# Frames


@pytest.mark.parametrize("make", [frame, nullable, of_arrow_types, arrow, polars])
def test_tables_of_all_libraries_are_read_alike(make: Callable[[], Any]) -> None:
    found, expected = data.from_arrays(make()), data.from_arrays(X)
    assert found.columns == NAMES
    assert expected.columns is None
    for part in ("train", "val", "test"):
        assert torch.equal(getattr(found, part).x, getattr(expected, part).x)


def test_names_are_kept_of_tables_that_are_not_standardised() -> None:
    unit = pd.DataFrame(RNG.random((N, 2)), columns=["a", "b"])
    dataset = data.from_arrays(unit).subset(10)
    assert dataset.columns == ("a", "b")
    assert read_transform(dataset.describe()["transform"]) == dataset.transform
    with pytest.raises(
        MixvaeError, match=r"test: expected the columns a, b .* got b, a \(in another"
    ):
        data.from_arrays(unit, test=unit[["b", "a"]])


def test_names_that_are_no_text_are_none() -> None:
    assert data.from_arrays(pd.DataFrame(X)).columns is None


def held(values: list[Any], **options: Any) -> Any:
    return pa.array((values * N)[:N], **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: frame().assign(k=pd.Categorical(["u"] * N)), "categories in column k .* codes"),
        (lambda: arrow().append_column("k", held(["u"]).dictionary_encode()), "categories in col"),
        (lambda: polars(k=polars().get_columns()[0].cast(str).cast(dtype("Categorical"))), "categ"),
        (lambda: frame().assign(k=pd.date_range("2020", periods=N)), "dates .* in column k"),
        (lambda: frame().assign(k=pd.to_timedelta(range(N))), "dates or times in column k"),
        (lambda: frame().assign(k="u", l="v"), "text or objects in columns k, l cannot"),
        (lambda: frame().assign(k=1j), "complex numbers in column k"),
        (lambda: frame().assign(k=pd.arrays.SparseArray(np.zeros(N))), "sparse values in column k"),
        (lambda: arrow().append_column("k", held([[1]])), "type list.* of column k cannot be used"),
        (lambda: frame().assign(k=np.nan), "all values of column k are missing in the 44 training"),
        (
            lambda: np.where(np.arange(N)[:, None] < 58, X, np.nan),
            r"all values are missing in 2 of 60 rows, rows 58, 59 \(counted from 0\)",
        ),
        (lambda: frame().assign(k=[1, np.inf] * 30), r"30 of 240 are infinite, in column k"),
        (lambda: frame()[[]], r"at least one example, got shape \(60, 0\)"),
        (lambda: frame()[:0], r"at least one example, got shape \(0, 3\)"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_one_line(
    make: Callable[[], Any], message: str
) -> None:
    with pytest.raises(MixvaeError, match=message) as refused:
        data.from_arrays(make())
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: frame().assign(k=[1, np.nan, 0, np.nan] * 15),
        lambda: frame().assign(k=pd.array([1, None, 0, None] * 15, "Int64")),
        lambda: frame().assign(k=pd.array([True, None, False, None] * 15, "boolean")),
        lambda: arrow().append_column("k", held([1, None, 0, None])),
        lambda: arrow().append_column("k", held([True, None, False, None])),
        lambda: polars(k=dtype("Series")([1, None, 0, None] * 15)),
        lambda: polars(k=dtype("Series")([True, None, False, None] * 15)),
        lambda: np.ma.masked_array(
            np.column_stack([X, [1, 5, 0, 5] * 15]), [[0, 0, 0, i % 2] for i in range(60)]
        ),
        lambda: np.column_stack([X, np.array([1, None, 0, None] * 15, float)]),
    ],
)
def test_missing_values_are_nan(make: Callable[[], Any]) -> None:
    with pytest.warns(MixvaeWarning, match=r"\d\d of 176 values are missing, in column") as seen:
        found = data.from_arrays(make(), n_test=8, n_val=8)
    assert "missing at random" in str(seen[0].message)
    for split in (found.train, found.val, found.test):
        assert split.index is not None
        assert not split.x[:, :3].isnan().any()
        assert torch.equal(split.x[:, 3].isnan(), split.index % 2 == 1)
        values = found.transform.invert(split.x)[:, 3]
        np.testing.assert_allclose(
            values[~np.isnan(values)], split.index[split.index % 2 == 0] % 4 == 0, atol=1e-6
        )


def test_the_standardisation_is_that_of_the_observed_values() -> None:
    holes = np.where(np.random.default_rng(0).random(X.shape) < 0.3, np.nan, X)
    with pytest.warns(MixvaeWarning, match="missing at random"):
        found = Standardization.of(holes)
    expected = StandardScaler().fit(holes)
    np.testing.assert_allclose(found.mean, expected.mean_)
    np.testing.assert_allclose(found.scale, expected.scale_)
    x = found.to_float64(holes)
    np.testing.assert_allclose(x, expected.transform(holes))
    np.testing.assert_allclose(found.invert(x), holes)
    logs = np.log(expected.scale_)
    np.testing.assert_allclose(found.log_scales(x), [logs[~np.isnan(r)].sum() for r in holes])


def dtype(name: str) -> Any:
    return getattr(pytest.importorskip("polars"), name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[["age", "height", "smoker"]], r"got age, height, smoker \(in another order\)"),
        (lambda t: t.drop(columns="age"), r"got height, smoker \(missing: age\)"),
        (lambda t: t.assign(x=1), r"\(not among them: x\)"),
        (lambda t: t.rename(columns={"age": "Age"}), r"\(missing: age; not among them: Age\)"),
        (lambda t: t.to_numpy(float)[:, :2], r"rows of 3 columns, .* got shape \(60, 2\)"),
    ],
)
def test_other_columns_than_in_training_are_refused(
    change: Callable[[Any], Any], message: str
) -> None:
    trained = data.from_arrays(frame()).transform
    with pytest.raises(MixvaeError, match=message) as refused:
        data.from_arrays(change(frame()), transform=trained)
    assert "test" in str(refused.value) or "train" in str(refused.value)
    with pytest.raises(MixvaeError, match=message):
        data.from_arrays(frame(), test=change(frame()))


def test_a_trained_runs_transform_is_used_as_it_is() -> None:
    trained = data.from_arrays(frame()).transform
    for new in (frame()[:20] * 2, frame()[:20].to_numpy(float) * 2):
        dataset = data.from_arrays(new, transform=trained, standardize=False)
        assert dataset.transform is trained
        assert dataset.train.index is not None
        rows = X[:20][dataset.train.index] * 2
        assert torch.equal(dataset.train.x, trained.apply(rows))


# Records


def test_columns_of_few_values_are_named_as_their_density_has_no_upper_limit() -> None:
    levels = np.arange(100) % 2
    table = pd.DataFrame({"height": RNG.normal(size=100), "level": levels, "of_99": levels})
    table.loc[0, "of_99"] = np.nan
    with pytest.warns(MixvaeWarning) as caught:
        data.Standardization.of(table.to_numpy(), tuple(table))
    texts = [str(one.message) for one in caught]
    assert [text for text in texts if "few distinct values" in text] == [
        next(text for text in texts if text.startswith("x: column level: few distinct values"))
    ]


def test_a_standardisation_survives_json_exactly() -> None:
    with pytest.warns(MixvaeWarning, match="left out"):
        named = data.Standardization.of(np.c_[X / 3, np.ones(N)], tuple("abcd"))
    for one in (named, data.Standardization.of(X)):
        assert read_transform(json.loads(json.dumps(one.to_dict()))) == one


def test_records_of_earlier_runs_are_read() -> None:
    assert read_transform({"scale": 255.0}) == data.Transform(255)


GOOD = {"columns": ["a"], "mean": [0.0], "scale": [1.0], "constant": [False]}


@pytest.mark.parametrize(
    "change",
    [
        {"mean": [0.0, 1.0]},
        {"mean": ["0"]},
        {"mean": [float("nan")]},
        {"mean": None},
        {"scale": [0.0]},
        {"scale": [-1.0]},
        {"constant": [True]},
        {"constant": [0]},
        {"columns": [1]},
        {"columns": "a"},
        {"columns": ["a", "b"]},
        {"more": 1},
        {"mean": [], "scale": [], "constant": [], "columns": []},
    ],
)
def test_damaged_records_are_refused(unchecked: None, change: dict[str, Any]) -> None:
    read_transform(GOOD)
    with pytest.raises(MixvaeError, match="a data set's transform must have"):
        read_transform(GOOD | change)


def test_damaged_names_of_a_plain_transform_are_refused(unchecked: None) -> None:
    for columns in ([1], "a", 3):
        with pytest.raises(MixvaeError, match="transform"):
            read_transform({"scale": 1.0, "columns": columns})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            frame().rename(columns={"age": "years"}),
            "columns were height, age, smoker, are height, y",
        ),
        (frame() * 2, "is 3 columns standardised by other means or standard deviations"),
        (X / 1000, "columns were height, age, smoker, are without names"),
    ],
)
def test_the_differences_of_another_table_are_said_in_short(table: Any, message: str) -> None:
    record = data.from_arrays(frame()).describe()
    assert record == json.loads(json.dumps(record))
    assert data.from_arrays(frame()).differences(record) == ""
    assert message in data.from_arrays(table).differences(record)


# Files


WRITE: dict[str, Callable[[Any, Path], None]] = {
    "t.csv": lambda t, path: t.to_csv(path, index=False),
    "t.tsv": lambda t, path: t.to_csv(path, index=False, sep="\t"),
    "t.csv.gz": lambda t, path: t.to_csv(path, index=False),
    "t.parquet": lambda t, path: t.to_parquet(path),
}
CLASSES = np.array(["wren", "auk", "jay"])[np.arange(N) % 3]


@pytest.mark.parametrize("name", WRITE)
def test_files_are_read_as_their_content(tmp_path: Path, name: str) -> None:
    WRITE[name](frame().assign(bird=CLASSES), tmp_path / name)
    found = data.load(tmp_path / name, label_column="bird", n_val=9, seed=2)
    y = np.array([2, 0, 1])[np.arange(N) % 3]  # in the order auk, jay, wren
    expected = data.from_arrays(frame(), y, n_val=9, seed=2)
    assert found.name == name
    assert found.columns == NAMES
    assert found.transform == expected.transform
    assert found.describe()["content"] == expected.describe()["content"]


@pytest.mark.parametrize(
    "labels", [[3, 10, 5], [0.5, 2.5, 1.5], [False, True, True], ["a", "c", "b"]]
)
def test_classes_of_any_type_are_numbered_in_sorted_order(tmp_path: Path, labels: list) -> None:
    table = frame().assign(label=labels * 20)
    for name, write in WRITE.items():
        write(table, tmp_path / name)
        parts = data.read_source(tmp_path / name, label_column="label")[1]
        assert parts.train.y is not None
        assert parts.train.y.tolist() == [sorted(set(labels)).index(v) for v in labels] * 20


@pytest.mark.parametrize(
    ("content", "label", "message"),
    [
        (
            "a,class\n1,2\n3,4",
            "clas",
            "no column 'clas' .* Did you mean 'class'. Its columns: a, cl",
        ),
        ("a,b\n1,u\n3,", "b", "1 of 2 labels in the column b are missing"),
        ("a,b\n1,u\n3,v", None, "text or objects in column b cannot be used"),
        ("a,b\n1,2\n,\n3,4", None, "all values are missing in 1 of 3 rows, row 1"),
        ("", None, "expected a table .* cannot be read: No columns"),
        ("a\n1,2\n3,4,5,6", None, "expected a table .* cannot be read"),
        ("a,b\n1,2,3\n4,5,6", None, "expected a table .* Length of header .* not match"),
        ("0,1", None, r"at least one example, got shape \(0, 2\)"),
    ],
)
def test_files_that_cannot_be_used_are_refused_in_one_line(
    tmp_path: Path, content: str, label: str | None, message: str
) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(MixvaeError, match=message) as refused:
        data.load(tmp_path / "t.csv", label_column=label)
    assert "\n" not in str(refused.value)


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(MixvaeError, match=r"t\.parquet: expected a table .* cannot be read"):
        data.load(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("lines", "warned"),
    [
        ("5.1,0.2,0.2\n4.9,3.0,1.5\n4.7,3.2,1.3\n", True),
        ("47,100,27\n0,89,12\n3,88,13\n", True),
        ("1e-3,2,-.5\n1,2,3\n4,5,1\n", True),
        ("0,1,2\n5.1,3.5,1.4\n4.9,3.0,1.5\n", False),
        ("a,b1,2\n5.1,3.5,1.4\n4.9,3.0,1.5\n", False),
    ],
)
def test_warns_of_a_csv_file_whose_first_line_holds_numbers(
    lines: str, warned: bool, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text(lines)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(tmp_path / "t.csv")
    assert any("first line" in str(w.message) for w in caught) == warned


def test_without_pandas_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame().to_csv(tmp_path / "t.csv", index=False)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MixvaeError, match=r"pandas .*pip install 'mixvae\[tables\]'"):
        data.load(tmp_path / "t.csv")


def test_label_columns_are_of_tables_alone(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(MixvaeError, match="label_column is of tables"):
        data.load(tmp_path / "x.npy", label_column="y")


# Masks of test rows


def test_a_mask_in_an_npz_file_marks_the_test_rows(tmp_path: Path) -> None:
    mask, y = np.arange(N) % 4 == 1, np.arange(N) % 5
    np.savez(tmp_path / "set.npz", x=X, y=y, test=mask)
    dataset = data.load(tmp_path / "set.npz", n_val=9)
    expected = data.from_arrays(X[~mask], y[~mask], test=(X[mask], y[mask]), n_val=9)
    assert dataset.describe()["content"] == expected.describe()["content"]
    assert dataset.transform == expected.transform
    for split in (dataset.train, dataset.val, dataset.test):
        assert torch.equal(split.x, dataset.transform.apply(X[split.index]))
    parts = data.read_source(tmp_path / "set.npz")[1]
    every = data.all_of(parts)
    assert torch.equal(every.x, parts.transform.apply(X))
    assert every.y is not None
    assert every.index is not None
    assert every.y.tolist() == y.tolist()
    assert every.index.tolist() == list(range(N))


@pytest.mark.parametrize("more", [{"test": np.ones(7, bool)}, {"y_test": np.zeros(3, int)}])
def test_a_mask_that_does_not_fit_is_refused(tmp_path: Path, more: dict[str, Any]) -> None:
    np.savez(tmp_path / "set.npz", **({"x": X, "test": np.arange(N) < 9} | more))
    with pytest.raises(
        MixvaeError, match="test as a mask of test rows must have an entry for each"
    ):
        data.load(tmp_path / "set.npz")


# Runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table t.csv and a run on it."""
    path = tmp_path_factory.mktemp("tables")
    frame().assign(bird=CLASSES, unit=1).to_csv(path / "t.csv", index=False)
    argv = ["train", "vae", "--data", str(path / "t.csv"), "--label-column", "bird"]
    argv += ["--standardize", "true", "--n-val", "9", *SMALL, *QUIET, "--out", str(path / "run")]
    assert main(argv) == 0
    return path


def test_a_run_remembers_the_table_and_how_it_was_standardised(folder: Path) -> None:
    settings = (folder / "run" / "config.yaml").read_text()
    assert "standardize: true" in settings
    assert "label_column: bird" in settings
    with pytest.warns(MixvaeWarning, match="column unit left out"):
        expected = data.load(folder / "t.csv", label_column="bird", n_val=9)
    assert mixvae.load(folder / "run").transform == expected.transform
    assert json.loads((folder / "run" / "data.json").read_text()) == expected.describe()


def test_evaluate_reads_the_same_table_again(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(folder / "run"), "--out", str(tmp_path / "m.json")]) == 0
    assert "warning: the data" not in capsys.readouterr().err
    found = json.loads((tmp_path / "m.json").read_text())
    trained = json.loads((folder / "run" / "metrics.json").read_text())
    assert found["bounds"] == trained["bounds"]
    assert found["data"]["transform"]["columns"] == [*NAMES, "unit"]


def test_new_rows_are_standardised_as_in_training(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One row is a table too; its own mean and standard deviation have no part."""
    table = pd.read_csv(folder / "t.csv")
    argv = ["encode", str(folder / "run"), "--out"]
    assert main([*argv, str(tmp_path / "all.npz"), "--split", "all"]) == 0
    table[:5].drop(columns="bird").to_csv(tmp_path / "new.csv", index=False)
    new = ["--data", str(tmp_path / "new.csv")]
    assert main([*argv, str(tmp_path / "new.npz"), *new]) == 2
    assert "no column 'bird' of labels" in capsys.readouterr().err
    assert main([*argv, str(tmp_path / "new.npz"), *new, "--label-column", "null"]) == 0
    codes = [np.load(tmp_path / name)["codes"] for name in ("all.npz", "new.npz")]
    np.testing.assert_allclose(codes[1], codes[0][:5], atol=1e-6)


def test_another_table_is_refused_with_what_differs(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame().assign(bird=CLASSES).to_csv(tmp_path / "t.csv", index=False)
    assert main(["evaluate", str(folder / "run"), "--data", str(tmp_path / "t.csv")]) == 2
    error = capsys.readouterr().err
    assert "expected the columns height, age, smoker, unit in this order" in error
    assert "(missing: unit)" in error


def test_a_run_goes_on_with_its_table_and_with_no_other(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        MixvaeError, match="columns were height, age, smoker, unit, are height, age"
    ):
        mixvae.resume(folder / "run", data.from_arrays(frame()), max_epochs=2)
    argv = ["train", "--resume", str(folder / "run"), "--max-epochs", "2", "--progress", "false"]
    assert main(argv) == 0
    assert mixvae.load(folder / "run").history[-1]["epoch"] == 2


def test_training_says_in_its_first_line_that_the_table_was_standardised(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["train", "vae", "--data", str(folder / "t.csv"), "--label-column", "bird", *SMALL]
    argv += ["--likelihood", "gaussian", "--pictures", "false", "--out", str(tmp_path / "run")]
    assert main(argv) == 0
    error = capsys.readouterr().err
    assert "test examples; 3 columns standardised, 1 constant left out)" in error
    assert "mixvae: warning: t.csv, train: column unit left out, with only one value" in error
