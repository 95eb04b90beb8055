"""``mixvae.compare``: figures of runs, and paired differences."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import mixvae
from mixvae import MixvaeError, data
from mixvae.cli import main
from mixvae.comparison import Compared, Comparison, Difference
from mixvae.evaluation import evaluate, log_likelihood
from mixvae.report.comparison import cells, write

QUICK: dict[str, Any] = {"max_epochs": 1, "batch_size": 32, "pictures": False, "progress": False}
SMALL: dict[str, Any] = {"hidden": [8], "n_latent": 2}
RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, 50))
WEIGHT = RNG.uniform(0.5, 2, size=50)


def compared(name: str = "a", values: Any = A, **options: Any) -> Compared:
    given: dict[str, Any] = {"content": "0", "is_discrete": True} | options
    return Compared(name, "vae", 10, 3, 2, 1, "digits, test", values={"elbo": values}, **given)


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits").subset(80)


@pytest.fixture(scope="module")
def runs(digits: data.Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[mixvae.Run]:
    out = tmp_path_factory.mktemp("runs")
    recipes = {"one": mixvae.build("vae", digits, **SMALL)}
    recipes["two"] = mixvae.build("mvae-gs", digits, n_components=2, hidden=8, n_latent=2)
    return [mixvae.fit(one, digits, out=out / name, **QUICK) for name, one in recipes.items()]


def test_a_difference_is_that_of_pairs() -> None:
    found = Comparison((compared(), compared("b", A + 0.1))).figure(compared("b", A + 0.1), "elbo")
    assert found is not None
    assert found.error == pytest.approx(A.std(ddof=1) / 50**0.5)
    assert (found.difference, found.difference_error) == pytest.approx((0.1, 0), abs=1e-9)
    other = compared("b", B)
    found = Comparison((compared(), other)).figure(other, "elbo")
    assert found is not None
    assert found.difference == pytest.approx((B - A).mean())
    assert found.difference_error == pytest.approx((B - A).std(ddof=1) / 50**0.5)


def test_weights_of_rows_count_in_means_and_differences() -> None:
    other = compared("b", B, weight=WEIGHT)
    found = Comparison((compared(weight=WEIGHT), other)).figure(other, "elbo")
    assert found is not None
    assert found.mean == pytest.approx(np.average(B, weights=WEIGHT))
    assert found.difference == pytest.approx(np.average(B - A, weights=WEIGHT))
    alike = compared("b", B, weight=np.full(50, 3.0))
    plain = Comparison((compared(), compared("b", B)))
    expected = plain.figure(plain.runs[1], "elbo")
    found = Comparison((compared(), alike)).figure(alike, "elbo")
    assert vars(found) == pytest.approx(vars(expected))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (compared("b", content="1"), "b: no difference, as it is of other rows than a"),
        (compared("b", is_discrete=False), "b: no difference, as it is of a density, and a has a"),
    ],
)
def test_what_cannot_be_compared_has_no_difference_and_a_note(other: Compared, words: str) -> None:
    comparison = Comparison((compared(), other))
    found = comparison.figure(other, "elbo")
    assert found is not None
    assert found.difference is None
    assert any(note.startswith(words) for note in comparison.notes())
    assert words in str(comparison)


def test_the_reference_is_the_run_that_is_asked_for() -> None:
    comparison = Comparison((compared(), compared("b", B)), reference=1)
    first = comparison.figure(comparison.runs[0], "elbo")
    assert first is not None
    assert first.difference == pytest.approx((A - B).mean())
    assert "differences from b" in str(comparison)


def test_figures_are_those_of_evaluate(digits: data.Dataset, runs: list[mixvae.Run]) -> None:
    comparison = mixvae.compare(runs, digits, log_likelihood=150, n_test=10)
    for run, one in zip(runs, comparison.runs, strict=True):
        expected = evaluate(run.recipe, digits.test, log_likelihood=150, n_test=10)
        bound, sse = comparison.figure(one, "elbo"), comparison.figure(one, "sse")
        log_p = comparison.figure(one, "log_likelihood")
        assert None not in (bound, sse, log_p)
        assert isinstance(bound, Difference)
        assert bound.mean == pytest.approx(expected["bounds"]["elbo"], rel=1e-5)
        assert isinstance(sse, Difference)
        assert sse.mean == pytest.approx(expected["reconstruction"]["sse_deterministic"], rel=1e-5)
        assert isinstance(log_p, Difference)
        assert log_p.mean == pytest.approx(expected["log_likelihood"]["mean"])
        assert (one.n_epochs, one.n_components) == (1, run.recipe.n_components)


def test_a_standardised_table_is_compared_in_the_units_of_its_data(tmp_path: Path) -> None:
    x = RNG.normal(size=(120, 3)) * [1, 10, 100]
    table = data.from_arrays(x)
    recipes = [mixvae.build("mfa-vae", table, n_components=k, hidden=[8]) for k in (1, 2)]
    made = [mixvae.fit(one, table, out=tmp_path / str(i), **QUICK) for i, one in enumerate(recipes)]
    found = mixvae.compare(made, table, log_likelihood=200, n_test=5).runs[1]
    some = table.test.take(torch.arange(5) * len(table.test) // 5)
    scaled = log_likelihood(made[1].recipe.model, some.x, 200).log_prob.numpy()
    assert isinstance(table.transform, data.Standardization)
    np.testing.assert_allclose(found.values["log_likelihood"], scaled - table.transform.log_scale)


def test_files_hold_every_figure(tmp_path: Path) -> None:
    comparison = Comparison((compared(), compared("<b>", B)))
    rows = list(csv.DictReader(write(comparison, tmp_path / "a.csv").read_text().splitlines()))
    assert float(rows[1]["elbo_difference"]) == pytest.approx((B - A).mean())
    assert rows[0]["elbo_difference"] == rows[0]["sse_mean"] == ""
    found = json.loads(write(comparison, tmp_path / "a.json").read_text())
    assert found["runs"][1]["elbo"]["difference"] == pytest.approx((B - A).mean())
    page = write(comparison, tmp_path / "a.html").read_text()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert all(cell in page for cell in cells(comparison)[1])
    with pytest.raises(MixvaeError, match=r"out must end with \.csv, \.json, \.html"):
        write(comparison, tmp_path / "a.txt")


def test_wrong_arguments_are_refused(digits: data.Dataset, runs: list[mixvae.Run]) -> None:
    with pytest.raises(MixvaeError, match="at least two runs; got 1"):
        mixvae.compare(runs[:1], digits)
    with pytest.raises(MixvaeError, match="one Dataset, or 2, one a run; got 3"):
        mixvae.compare(runs, [digits] * 3)
    with pytest.raises(MixvaeError, match="reference"):
        mixvae.compare(runs, digits, reference=2)


def test_the_command_compares_runs_on_their_own_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pd.DataFrame(RNG.normal(size=(90, 2)), columns=["a", "b"]).to_csv(tmp_path / "t.csv")
    folders = [str(tmp_path / name) for name in ("one", "two")]
    train = ["--data", str(tmp_path / "t.csv"), "--max-epochs", "1", "--progress", "false"]
    for folder, k in zip(folders, "12", strict=True):
        given = [*train, "--n-components", k, "--pictures", "false", "--out", folder]
        assert main(["train", "mfa-vae", *given]) == 0
    capsys.readouterr()
    assert main(["compare", *folders, "--out", str(tmp_path / "out.csv")]) == 0
    out = capsys.readouterr().out
    assert "differences from " + folders[0] in out
    assert (tmp_path / "out.csv").exists()
    assert main(["compare", *folders, "--json", "--reference", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["reference"] == folders[1]
    assert found["runs"][0]["elbo"]["difference"] is not None
    assert main(["compare", folders[0]]) == 2
    assert "name two run folders or more" in capsys.readouterr().err
    assert main(["compare", *folders, "--out", "here.txt"]) == 2
