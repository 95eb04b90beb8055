"""``mixvae.search``: spaces, the choice of K, stopping, resuming, and the command."""

import csv
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import mixvae
from mixvae import MixvaeError, data
from mixvae.cli import main
from mixvae.evaluation import evaluate, log_likelihood
from mixvae.model_search import Range, choose_run, plan, resume_search, running
from mixvae.model_search.choice import Candidate, choose
from mixvae.model_search.measure import Measured, read_rows, write_rows
from mixvae.model_search.metric import target_of
from mixvae.model_search.sampler import propose
from mixvae.model_search.space import Choice, from_json, grid, parse, space_of, to_json
from mixvae.model_search.stopping import Watch, below_median, curve, rounds
from mixvae.model_search.trials import Trials

RNG = np.random.default_rng(0)
SMALL: dict[str, Any] = {"hidden": [8], "n_latent": 2, "start": "random"}
QUICK: dict[str, Any] = {"max_epochs": 2, "batch_size": 32, "progress": False, "n_samples": 130}
LOG_P, SSE = target_of("log_likelihood"), target_of("sse")
DIGITS = ["--data", "digits", "--subset", "64", "--hidden", "8", "--max-epochs", "1"]
DIGITS += ["--samples", "0", "--metric", "elbo", "--n-rows", "9"]


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return few(64)


def few(n: int) -> data.Dataset:
    """Digits with 12 rows to validate and to test on, as log p(x) takes long."""
    whole = data.load("digits").subset(n)
    rest = {"val": whole.val.take(torch.arange(12)), "test": whole.test.take(torch.arange(12))}
    return replace(whole, **rest)


def search(digits: data.Dataset, out: Path, space: Any = None, **changed: Any) -> Any:
    space = {"n_components": [1, 2]} if space is None else space
    given = QUICK | {"options": SMALL, "n_rows": 10} | changed
    return mixvae.search("mixture-vae", digits, space, out=out, **given)


@pytest.fixture(scope="module")
def found(digits: data.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return search(digits, tmp_path_factory.mktemp("search") / "whole")


def measured(values: Any, k: int = 2, name: str = "log_likelihood") -> Measured:
    return Measured(float(np.mean(values)), k, k, float(k), [1 / k] * k, {name: values})


# -- spaces


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n_latent=2:64:log", ("n_latent", Range(2, 64, log=True))),
        ("--n-latent=16:64:16", ("n_latent", Range(16, 64, step=16))),
        ("lr=1e-4:1e-2", ("lr", Range(1e-4, 1e-2))),
        ("k=2,5,5", ("k", Choice((2, 5)))),
        ("hidden=[9,9],[5]", ("hidden", Choice(((9, 9), (5,))))),
        ("start=split,random", ("start", Choice(("split", "random")))),
        ("clip=null,1.5", ("clip", Choice((None, 1.5)))),
    ],
)
def test_a_dimension_is_read_from_its_text(text: str, expected: Any) -> None:
    assert parse(text) == expected
    assert from_json(json.loads(json.dumps(to_json(dict([expected]))))) == dict([expected])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("n_latent", "--space takes NAME=LOW:HIGH"),
        ("lr=2:1", "a range must rise"),
        ("lr=0:1:log", "log range begins above 0"),
        ("lr=a:b", "a range is LOW:HIGH"),
        ("lr=1:2:5", "step of a range"),
        ("lr=1:2:3:4", "a range is LOW:HIGH"),
    ],
)
def test_a_text_that_is_no_dimension_is_refused(text: str, words: str) -> None:
    with pytest.raises(MixvaeError, match=words):
        parse(text)


def test_a_grid_has_every_point_once_and_one_point_is_no_space() -> None:
    points = list(grid(space_of({"a": [1, 2, 2], "b": np.array([3, 4]).tolist()})))
    assert points == [{"a": a, "b": b} for a in (1, 2) for b in (3, 4)]
    with pytest.raises(MixvaeError, match="has one point"):
        space_of({"a": [1]})


# -- the choice


def test_errors_are_paired_and_the_smallest_k_within_one_of_them_is_chosen() -> None:
    x, noise = RNG.normal(scale=9, size=(1, 60)), RNG.normal(size=(3, 60))
    noise -= noise.mean(1, keepdims=True)
    near = 0.9 * noise[1].std(ddof=1) / 60**0.5
    rows = [x[0] - 8 + noise[0], x[0] - near + noise[1], x[0]]
    each = [Candidate(i, {"n_components": k}, [measured(r, k)]) for i, (k, r) in
            enumerate(zip((1, 2, 5), rows, strict=True))]  # fmt: skip
    chosen = choose(each, LOG_P)
    assert (chosen.best, chosen.pick) == (2, 1)
    assert chosen.of(1).difference == pytest.approx(near)
    assert chosen.of(1).difference_error == pytest.approx(near / 0.9)
    assert chosen.of(1).error == pytest.approx(rows[1].std(ddof=1) / 60**0.5)
    assert chosen.reason.startswith(
        "K = 2 is the smallest K within one standard error of the best, K = 5: its log p(x) is "
    )
    assert choose(each, LOG_P, one_standard_error=False).pick == 2
    far = [each[0], Candidate(1, {}, [measured(x[0] - 1.2 * near + noise[1], 2)]), each[2]]
    assert choose(far, LOG_P).pick == 2
    assert "K = 2 comes closest" in choose(far, LOG_P).reason
    assert "largest K that was tried" in choose(far, LOG_P).reason


def test_what_is_minimised_is_best_where_it_is_smallest() -> None:
    each = [
        Candidate(k, {}, [measured(np.full(9, 1.0) * k + RNG.normal(size=9) / 99, k, "sse")])
        for k in (1, 2)
    ]
    chosen = choose(each, SSE)
    assert (chosen.best, chosen.pick) == (1, 1)
    assert (chosen.of(2).difference or 0) > 0
    assert "the smallest K that was tried" in chosen.reason


def test_errors_over_seeds_add_to_those_over_rows() -> None:
    a, b = RNG.normal(size=(2, 30))
    best = Candidate(0, {}, [measured(a + 5), measured(a + 6)])
    other = Candidate(1, {}, [measured(b), measured(b + 3)])
    estimate = choose([best, other], LOG_P).of(1)
    over_rows = (a - b).std(ddof=1) / 30**0.5
    assert estimate.difference_error == pytest.approx((over_rows**2 + 0.5**2 + 1.5**2) ** 0.5)
    assert "Errors are over rows and seeds" in choose([best, other], LOG_P).reason
    one = [Candidate(k, {}, [Measured(float(k), k, k, 1.0, [1.0], {})]) for k in (1, 2)]
    chosen = choose(one, target_of("nmi"))
    assert chosen.pick == 2
    assert "one seed gives no standard error" in chosen.reason


def test_metrics_are_named_as_in_the_registry() -> None:
    assert target_of("nmi").name == "clustering.nmi"
    assert target_of("reconstruction.rmse").sign == -1
    with pytest.raises(MixvaeError, match=r"unknown metric 'nmj'.*Known: auto, log_likelihood"):
        target_of("nmj")


# -- stopping


def test_the_median_rule_compares_at_the_same_epoch() -> None:
    others = [{1: 1.0, 2: 5.0}, {1: 2.0, 2: 6.0}, {1: 3.0}, {1: 4.0, 2: 9.0}]
    assert below_median({2: 5.5}, others, 2) == 6.0
    assert below_median({2: 6.5}, others, 2) is None
    assert below_median({2: 0.0}, others[:3], 2) is None  # only two of them came so far
    rows = [{"epoch": e, "val/elbo": v} for e, v in enumerate([1.0, 3.0, 2.0, float("nan")])]
    assert curve(rows) == {0: 1.0, 1: 3.0, 2: 3.0, 3: 3.0}


def test_a_run_is_not_stopped_before_it_has_weights_nor_early_nor_at_its_end() -> None:
    def state(epoch: int, best: Any, phase: str = "main") -> Any:
        history = [{"phase": "main", "epoch": e, "val/elbo": -9.0} for e in range(epoch + 1)]
        settings = SimpleNamespace(phase="main")
        given = {"best": best, "phase": phase, "settings": settings, "history": history}
        return SimpleNamespace(epoch=epoch, n_epochs=8, stop=False, **given)

    others = [dict.fromkeys(range(9), 0.0)] * 3
    for epoch, best, phase, stops in [
        (3, {}, "main", True),
        (3, None, "main", False),
        (2, {}, "main", False),
        (8, {}, "main", False),
        (3, {}, "start", False),
    ]:
        now = state(epoch, best, phase)
        Watch(None, others).on_epoch_end(now)
        assert now.stop == stops


def test_bad_trials_are_stopped_by_the_median(digits: data.Dataset, tmp_path: Path) -> None:
    space = {"lr": [3e-2, 2e-2, 1e-2, 1e-9]}
    how = {"stop": "median", "max_epochs": 5, "options": {**SMALL, "n_components": 1}}
    out = search(digits, tmp_path / "s", space, test=False, n_samples=0, metric="elbo", **how)
    assert [trial.state for trial in out.trials] == ["finished"] * 3 + ["stopped"]
    assert out.trials[3].runs[0].epochs == 3
    assert "below the others' median" in out.rows[-1]["note"]
    assert mixvae.load(out.folder / out.trials[3].runs[0].folder).complete
    assert not (out.folder / "test.json").exists()


def test_successive_halving_ends_with_the_weights_of_one_training(
    digits: data.Dataset, tmp_path: Path
) -> None:
    assert rounds(4) == [1 / 9, 1 / 3, 1.0]
    space = {"lr": [1e-9, 3e-2, 1e-8, 1e-7]}
    options = {**SMALL, "n_components": 1}
    how = {"stop": "halving", "max_epochs": 6, "metric": "elbo", "n_samples": 0, "test": False}
    out = search(digits, tmp_path / "s", space, options=options, **how)
    assert [trial.runs[0].state for trial in out.trials].count("finished") == 1
    assert out.options == {"lr": 3e-2}
    assert sorted(trial.runs[0].epochs for trial in out.trials) == [1, 1, 2, 6]
    quick = {"max_epochs": 6, "batch_size": 32, "lr": 3e-2, "progress": False, "pictures": False}
    whole = mixvae.fit(
        mixvae.build("mixture-vae", digits, seed=0, **options), digits, out=tmp_path / "w", **quick
    )
    ours, its = out.run.recipe.model.state_dict(), whole.recipe.model.state_dict()
    assert all(torch.equal(ours[name], its[name]) for name in its)
    again = search(digits, tmp_path / "s", space, options=options, **how)
    assert [t.runs for t in again.trials] == [t.runs for t in out.trials]


# -- searches


def test_trials_are_compared_on_validation_rows_and_one_is_tested_once(
    digits: data.Dataset, found: Any
) -> None:
    for trial in found.trials:
        folder = found.folder / trial.runs[0].folder
        metrics = json.loads((folder / "metrics.json").read_text())
        run = mixvae.load(folder)
        expected = evaluate(run.recipe, digits.val, batch_size=32)
        assert metrics["split"] == "val"
        assert metrics["reconstruction"]["sse"] == expected["reconstruction"]["sse"]
        some = digits.val.x[torch.arange(10) * len(digits.val) // 10]
        log_p = log_likelihood(run.recipe.model, some, 130).log_prob.numpy()
        candidate = next(one for one in found.candidates if one.number == trial.number)
        np.testing.assert_array_equal(candidate.measured[0].rows["log_likelihood"], log_p)
        assert candidate.value == pytest.approx(log_p.mean())
    assert found.target.name == "log_likelihood"
    test = json.loads((found.folder / "test.json").read_text())
    expected = evaluate(found.run.recipe, digits.test, log_likelihood=130)
    assert test["log_likelihood"]["mean"] == expected["log_likelihood"]["mean"]
    assert (test["split"], test["earlier"]) == ("test", [])
    table = list(csv.DictReader((found.folder / "table.csv").read_text().splitlines()))
    assert {row["n_components"] for row in table} == {"1", "2"}
    assert found.chosen.reason in str(found)
    assert (found.folder / "component_counts.png").read_bytes()[:4] == b"\x89PNG"


def test_a_finished_trial_is_never_run_again(
    digits: data.Dataset, found: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: Any, **given: Any) -> None:
        raise AssertionError

    for name in ("fit", "resume", "load"):
        monkeypatch.setattr(running, name, never)
    monkeypatch.setattr("mixvae.model_search.result.evaluate", never)  # nor tested again
    before = {path: path.read_bytes() for path in found.folder.rglob("*.json")}
    for again in (search(digits, found.folder), resume_search(found.folder, digits)):
        assert again.chosen == found.chosen or again.rows == found.rows
        assert again.test == found.test
    assert {path: path.read_bytes() for path in found.folder.rglob("*.json")} == before


@pytest.mark.parametrize("place", ["epoch", "measure"])
def test_a_search_that_is_stopped_goes_on_to_the_same_result(
    digits: data.Dataset, found: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def interrupt(self: Any, state: Any, *rest: Any) -> None:
        if place == "measure" or (state.recipe.n_components == 2 and state.epoch == 1):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        target = (Watch, "on_epoch_end") if place == "epoch" else (running, "write_rows")
        patch.setattr(*target, interrupt)
        with pytest.raises(KeyboardInterrupt) as stop:
            search(digits, tmp_path / "s")
    assert stop.value.args == (str(tmp_path / "s"),)
    states = [run["runs"][0]["state"] for run in json.loads(
        (tmp_path / "s" / "trials.json").read_text())["trials"]]  # fmt: skip
    assert states == (["finished", "training"] if place == "epoch" else ["trained", "waiting"])
    again = resume_search(tmp_path / "s", digits, progress=False)
    assert again.rows == found.rows
    assert not (tmp_path / "s" / "train.lock").exists()


def test_a_trial_that_fails_is_noted_and_the_others_go_on(
    digits: data.Dataset, tmp_path: Path
) -> None:
    how: dict[str, Any] = {"metric": "elbo", "n_samples": 0, "test": False}
    space = {"lr": [1e30, 1e-3]}
    out = search(digits, tmp_path / "s", space, **how)
    assert [trial.state for trial in out.trials] == ["failed", "finished"]
    assert f"note: trial 0: {out.trials[0].note}" in str(out)
    assert out.chosen.pick == 1
    with pytest.raises(MixvaeError, match=r"no trial of the search .* was finished: [a-z]+ "):
        search(digits, tmp_path / "t", {"lr": [1e30, 1e31]}, **how)


def test_a_model_without_log_p_is_compared_by_what_it_has(
    digits: data.Dataset, tmp_path: Path
) -> None:
    how = QUICK | {"max_epochs": 1, "n_samples": 3, "seeds": (0, 1), "options": {"hidden": [8]}}
    out = mixvae.search("wae-mmd", digits, {"n_latent": [2, 3]}, out=tmp_path / "s", **how)
    assert out.target.name == "bounds.objective"
    assert [len(trial.runs) for trial in out.trials] == [2, 2]
    assert out.run_folder.name in {f"{t:03d}-seed-{s}" for t in (0, 1) for s in (0, 1)}
    assert all(one.error is not None for one in out.chosen.estimates)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"space": {"n_component": [1, 2]}}, "unknown option of mixture-vae.*n_components"),
        ({"space": {"n_components": [1, "two"]}}, "n_components must be a whole number"),
        ({"space": {"n_components": [0, 2]}}, "n_components must be at least 1"),
        ({"space": {"lr": [1e-3, -1.0]}}, "lr must be positive"),
        ({"space": {"optimizer": ["adam", "adamm"]}}, "unknown optimizer 'adamm'"),
        ({"space": {"n_components": [2]}}, "has one point"),
        ({"space": {"n_latent": "2:64"}}, "has a range; say how many"),
        ({"options": {"n_components": 3}}, "given twice"),
        ({"metric": "lpips"}, "unknown metric"),
        ({"metric": "image_scores.samples.fid"}, "cannot be computed.*features"),
        ({"stop": "soon"}, "unknown stop"),
        ({"seeds": (1, 1)}, "different ones"),
        ({"devices": 2}, "unknown option"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_trained(
    digits: data.Dataset, tmp_path: Path, unchecked: None, given: Any, words: str
) -> None:
    with pytest.raises(MixvaeError, match=words):
        search(digits, tmp_path / "s", **given)
    assert not (tmp_path / "s").exists()


def test_a_folder_of_another_search_or_of_no_search_is_refused(
    digits: data.Dataset, found: Any, tmp_path: Path
) -> None:
    with pytest.raises(MixvaeError, match=r"is another search: its training is .*max_epochs.*3"):
        search(digits, found.folder, max_epochs=3)
    with pytest.raises(MixvaeError, match="started on other data than digits"):
        search(few(70), found.folder)
    with pytest.raises(MixvaeError, match="is not empty, and is no search"):
        search(digits, found.run_folder)
    with pytest.raises(MixvaeError, match="is not a search folder"):
        resume_search(tmp_path, digits)


@pytest.mark.parametrize("folder", ["../other", "/tmp/other", "trials/../../other", "trials"])
def test_a_search_folder_names_no_run_elsewhere(folder: str, tmp_path: Path) -> None:
    run = {"seed": 0, "folder": folder}
    trial = {"number": 0, "options": {"n_components": 1}, "runs": [run]}
    (tmp_path / "trials.json").write_text(json.dumps({"trials": [trial]}))
    with pytest.raises(MixvaeError, match="is no folder of a trial"):
        Trials(tmp_path)


def test_figures_that_are_not_whole_are_said(tmp_path: Path) -> None:
    write_rows(tmp_path / "000.csv", {"elbo": RNG.normal(size=5)})
    with pytest.raises(MixvaeError, match="figures of 000 are not whole"):
        Measured.read({"value": 1.0}, tmp_path / "000.csv")


def test_rows_are_kept_exactly(tmp_path: Path) -> None:
    rows = {"elbo": RNG.normal(size=5), "weight": RNG.uniform(size=5)}
    write_rows(tmp_path / "rows" / "a.csv", rows)
    assert all((read_rows(tmp_path / "rows" / "a.csv")[k] == v).all() for k, v in rows.items())
    (tmp_path / "b.csv").write_text("row,bound\n0,1\n")
    with pytest.raises(MixvaeError, match="holds no figures"):
        read_rows(tmp_path / "b.csv")


# -- Optuna


def test_points_are_proposed_from_the_trials_before_and_again_the_same() -> None:
    pytest.importorskip("optuna")
    space = space_of({"lr": "1e-4:1e-1:log", "n": "2:64", "hidden": [[8], [9, 9]]})
    tried: list[tuple[dict[str, Any], float | None]] = []
    for i in range(14):
        point = propose(space, tried, 0)
        assert point is not None
        assert 1e-4 <= point["lr"] <= 1e-1
        assert isinstance(point["n"], int)
        assert point["hidden"] in ((8,), (9, 9))
        assert propose(space, tried, 0) == point
        tried.append((point, None if i == 3 else -abs(point["n"] - 20.0)))
    assert propose(space, tried, 1) != propose(space, tried, 0)
    small = space_of({"a": [1, 2]})
    assert propose(small, [({"a": 1}, 0.0), ({"a": 2}, 0.0)], 0) is None


def test_a_search_of_ranges_goes_on_with_more_trials(digits: data.Dataset, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    space = {"lr": Range(1e-4, 1e-1, log=True), "n_components": [1, 2]}
    how: dict[str, Any] = {"metric": "elbo", "n_samples": 0, "max_epochs": 1, "test": False}
    first = search(digits, tmp_path / "s", space, n_trials=2, **how)
    more = resume_search(tmp_path / "s", digits, n_trials=3, test=False, progress=False)
    whole = search(digits, tmp_path / "w", space, n_trials=3, **how)
    assert [t.options for t in first.trials] == [t.options for t in whole.trials][:2]
    assert more.rows == whole.rows


def test_without_optuna_there_is_a_pip_line(
    digits: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MixvaeError, match=r"pip install 'mixvae\[search\]'"):
        search(digits, tmp_path / "s", {"lr": "1e-4:1e-1:log"}, n_trials=2)


# -- runs that exist, and the command


def test_runs_that_exist_are_compared_as_those_of_a_search(
    digits: data.Dataset, found: Any, tmp_path: Path
) -> None:
    runs = [mixvae.load(found.folder / trial.runs[0].folder) for trial in found.trials]
    counts = choose_run(runs, digits, n_samples=130, n_rows=10)
    expected = {one.n_components: one.value for one in found.chosen.estimates}
    assert {one.n_components: one.value for one in counts.chosen.estimates} == expected
    assert counts.plot(tmp_path / "k.png").stat().st_size > 10_000
    with pytest.raises(MixvaeError, match="at least two runs; got 1"):
        choose_run(runs[:1], digits)


def test_the_command_searches_goes_on_and_compares_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "s")
    argv = ["search", "mixture-vae", *DIGITS, "--n-components", "1", "2", "--n-latent", "2"]
    assert main([*argv, "--out", out]) == 0
    said = capsys.readouterr()
    assert "trial 1 (2 of 2): n_components 2, 1 epochs, into " in said.err
    assert f"search: {out}" in said.out
    assert "bound on log p(x)" in said.out
    assert main(["search", "--resume", out, "--progress", "false"]) == 0
    assert capsys.readouterr().out == said.out
    runs = [f"{out}/trials/{i:03d}" for i in (0, 1)]
    picture = str(tmp_path / "k.png")
    assert (
        main(["search", "--runs", *runs, "--samples", "0", "--metric", "elbo", "--out", picture])
        == 0
    )
    assert "K = " in capsys.readouterr().out
    assert main(["train", "--resume", runs[0], "--max-epochs", "2", "--pictures", "false"]) == 0
    metrics = json.loads((Path(runs[0]) / "metrics.json").read_text())
    assert (metrics["split"], metrics["epochs"]) == ("test", 2)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "name a recipe first"),
        (["vae", "--n-components", "2", "5"], "unknown option --n-components"),
        (["mixture-vae", "--n-components", "2", "five"], "--n-components takes int; got 'five'"),
        (["mixture-vae", "--space", "n_latent=2:6.5", "--trials", "2"], "--n-latent takes int"),
        (["mixture-vae", "--space", "n_latnt=2:6"], "unknown option of mixture-vae"),
        (["mixture-vae", "--space", "data=a,b"], "unknown option of mixture-vae"),
        (["mixture-vae", "--n-components", "2"], "has one point"),
        (["mixture-vae", "--space", "n_latent=2:6"], "say how many points of it to try"),
        (["mixture-vae", "--seeds", "0", "x", "--lr", "1", "2"], "--seeds takes int"),
        (["--resume", "nowhere"], "nowhere is not a search folder"),
        (["--runs", "nowhere"], "name two run folders or more"),
    ],
)
def test_wrong_commands_get_one_line(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    own = DIGITS if argv and not argv[0].startswith("--") else []
    assert main(["search", *argv, *own]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error
    assert list(tmp_path.iterdir()) == []


def test_the_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "mixture-vae", "--help"]) == 0
    text = capsys.readouterr().out
    for words in ("--n-components", "--space", "--resume", "--runs", "one standard error"):
        assert words in text


# -- the page

PAGE = Path(__file__).parents[1] / "docs" / "choosing_k.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_pages_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "\n".join(BLOCKS)
    for words, quick in {
        'load("digits")': 'load("digits").subset(64)',
        "max_epochs=20": "max_epochs=1",
        '"hidden": [100]': '"hidden": [8], "start_epochs": 1',
        "n_samples=200": "n_samples=20, n_rows=3",
        'out="search"': 'out="search", test=False',
        "[2, 5, 10]": "[1, 2]",
    }.items():
        assert words in text
        text = text.replace(words, quick)
    exec(compile(text, str(PAGE), "exec"), {})


def test_defaults_of_training_are_those_of_fit() -> None:
    assert plan.DEFAULTS["max_epochs"] == 50
    assert "callbacks" not in plan.DEFAULTS
