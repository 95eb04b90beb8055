"""Classes keep their names: in data sets, in run folders, and for files that lack some of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixvae
from mixvae import MixvaeError, data
from mixvae.cli import main
from mixvae.data.classes import check_class_names
from mixvae.data.dataset import Dataset, Split

N = 60
KINDS = ["crow", "hen", "owl"]


def table(kinds: list[str], n: int = N) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    kind = np.array(kinds)[np.arange(n) % len(kinds)]
    x = rng.normal(size=(n, 3)) + (kind[:, None] == np.array(KINDS)) * 4
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "kind": kind})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run trained on a table of three classes, and a file that has two of them."""
    path = tmp_path_factory.mktemp("birds")
    table(KINDS).to_csv(path / "birds.csv", index=False)
    table(["hen", "owl"]).to_csv(path / "new.csv", index=False)
    table(["hen", "emu"]).to_csv(path / "other.csv", index=False)
    words = ["train", "vae", "--data", str(path / "birds.csv"), "--label-column", "kind"]
    words += ["--hidden", "8", "--n-latent", "2", "--max-epochs", "1", "--out", str(path / "run")]
    assert main(words) == 0
    return path


def test_a_file_keeps_the_names_and_numbers_them_in_order(tmp_path: Path) -> None:
    table(KINDS).to_csv(tmp_path / "birds.csv", index=False)
    found = data.load(tmp_path / "birds.csv", label_column="kind")
    assert found.class_names == ("crow", "hen", "owl")
    assert found.class_name(1) == "hen"
    assert found.describe()["class_names"] == KINDS
    numbers = pd.read_csv(tmp_path / "birds.csv").assign(kind=np.arange(N) % 3 * 10 + 5)
    numbers.to_csv(tmp_path / "numbers.csv", index=False)
    assert data.load(tmp_path / "numbers.csv", label_column="kind").class_names == (5, 15, 25)


def test_text_is_a_label_in_arrays_too() -> None:
    rows = table(KINDS)
    found = data.from_arrays(rows[["a", "b", "c"]], rows["kind"])
    assert found.class_names == ("crow", "hen", "owl")
    again = data.from_arrays(rows[["a", "b", "c"]], np.arange(N) % 3)
    assert again.class_names is None
    assert again.class_name(2) == "label 2"
    assert found.train.y is not None
    assert again.train.y is not None
    assert found.train.y.tolist() == again.train.y.tolist()


def test_a_run_keeps_the_numbers_for_a_file_without_some_of_the_classes(folder: Path) -> None:
    run = mixvae.load(folder / "run")
    assert run.class_names == ("crow", "hen", "owl")
    given = {"transform": run.transform, "class_names": run.class_names, "label_column": "kind"}
    y = data.load(folder / "new.csv", **given).train.y
    assert y is not None
    assert set(y.tolist()) == {1, 2}
    with pytest.raises(MixvaeError, match=r"unknown class 'emu'; .*'crow', 'hen', 'owl'"):
        data.load(folder / "other.csv", **given)
    evaluate = ["evaluate", str(folder / "run"), "--data"]
    assert main([*evaluate, str(folder / "new.csv")]) == 0
    assert main([*evaluate, str(folder / "other.csv")]) == 2


def test_the_report_shows_the_names(folder: Path) -> None:
    words = ["report", str(folder / "run"), "--out", str(folder / "report.html")]
    assert main(words) == 0
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "hen" in text
    assert "label 1" not in text


@pytest.mark.parametrize("names", [["a", "a"], [1, "1"], "ab", [], [None]])
def test_names_that_cannot_be_are_refused(names: object) -> None:
    with pytest.raises(MixvaeError, match="different names"):
        check_class_names(names)


def test_labels_need_as_many_names() -> None:
    one = data.from_arrays(np.random.default_rng(0).random((50, 4)), np.arange(50) % 3)
    splits: tuple[Split, ...] = (one.train, one.val, one.test)
    with pytest.raises(MixvaeError, match=r"labels of train must be 0 \.\.\. 1"):
        Dataset("d", *splits, class_names=("a", "b"))
