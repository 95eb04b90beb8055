"""The list of a run's figures: one pass for all of them, and one entry for a new one."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from cases import Case
from mixvae import report
from mixvae.cli import main
from mixvae.data.dataset import Split
from mixvae.errors import MixvaeError
from mixvae.evaluation import (
    METRICS,
    Batch,
    Figure,
    Metric,
    bounds,
    cluster_probabilities,
    clustering,
    component_health,
    dependence,
    evaluate,
    mean_of,
    reconstruction,
    selection,
)
from mixvae.evaluation.metrics import columns

CASES = [
    Case("vae"),
    Case("iwae"),
    Case("mvae-gs"),
    Case("m-vae"),
    Case("mixture-vae"),
    Case("dlgmm"),
    Case("flow-vae"),
    Case("vade"),
]
N, BATCH = 11, 4


def absolute_error(batch: Batch) -> Tensor:
    return (batch.x - batch.reconstruction).abs().flatten(1).sum(1)


@pytest.fixture
def own_metric() -> Iterator[Metric]:
    metric = Metric("mae", mean_of(absolute_error), "absolute error", higher_is_better=False)
    METRICS.append(metric)
    yield metric
    METRICS.remove(metric)


def split(case: Case) -> Split:
    return Split(case.data(N), torch.arange(N) % 3)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_figures_of_one_pass_are_those_that_each_function_takes_by_itself(case: Case) -> None:
    recipe, data = case.build(), split(case)
    model, x, y = recipe.model, data.x, data.y
    assert y is not None
    found = evaluate(recipe, data, batch_size=BATCH, seed=5)
    how = {"batch_size": BATCH, "seed": 5}
    assert found["bounds"] == bounds(recipe, x, y, **how)
    assert found["reconstruction"] == reconstruction(model, x, y, **how)
    assert repr(found["health"]) == repr(component_health(model, x, y, batch_size=4).to_dict())
    assert ("dependence" in found) == (case.recipe in ("mvae-gs", "m-vae"))
    if "dependence" in found:
        assert found["dependence"] == dependence(model, x, y, **how)
    if "selection" in found:
        assert found["selection"] == selection(model)
    if "clustering" in found:
        clusters = cluster_probabilities(model, x, y, batch_size=BATCH).argmax(-1)
        assert found["clustering"] == clustering(clusters, y)


@pytest.mark.parametrize("case", CASES[:5], ids=str)
def test_all_figures_are_of_one_pass_of_the_encoder(case: Case) -> None:
    recipe, n_rows = case.build(), []
    recipe.model.trunk.register_forward_hook(lambda *args: n_rows.append(len(args[1][0])))
    evaluate(recipe, split(case), batch_size=BATCH)
    assert n_rows == [4, 4, 3]


def test_a_figure_is_the_same_whichever_others_are_taken() -> None:
    recipe, data = CASES[3].build(), split(CASES[3])
    everything = evaluate(recipe, data, batch_size=BATCH)
    for name in ("bounds", "reconstruction", "health", "dependence", "clustering"):
        found = evaluate(recipe, data, batch_size=BATCH, metrics=[name])
        assert [metric.name for metric in METRICS if metric.name in found] == [name]
        assert found[name] == everything[name]


def test_a_metric_that_draws_changes_no_other_figure() -> None:
    recipe, data = CASES[3].build(), split(CASES[3])
    before = evaluate(recipe, data, batch_size=BATCH)
    random = Metric("random", mean_of(lambda batch: torch.rand(len(batch.x))), "a random number")
    METRICS.insert(0, random)
    try:
        after = evaluate(recipe, data, batch_size=BATCH)
        assert {name: after[name] for name in before} == before
        assert after["random"] == evaluate(recipe, data, batch_size=BATCH)["random"]
    finally:
        METRICS.remove(random)


def test_a_metric_that_is_added_to_the_list_is_evaluated_and_reported(
    own_metric: Metric, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, data = CASES[3].build(), split(CASES[3])
    found = evaluate(recipe, data, batch_size=BATCH)
    rows = (data.x - recipe.model.eval().reconstruct(data.x)).abs().flatten(1).sum(1)
    assert found["mae"] == pytest.approx(rows.mean().item(), rel=1e-5)
    assert f"absolute error  {found['mae']:.3f}" in report.table(found)
    assert columns(found)["mae"] == f"{found['mae']:.3f}"
    assert main(["evaluate", "--help"]) == 0
    assert "mae absolute error; lower is better" in " ".join(capsys.readouterr().out.split())


def test_a_metric_of_several_figures_has_a_section_and_its_columns() -> None:
    class Extremes:
        def __init__(self) -> None:
            self.values: list[float] = []

        def add(self, batch: Batch) -> None:
            self.values += absolute_error(batch).tolist()

        def result(self) -> dict[str, float]:
            return {"least": min(self.values), "most": max(self.values)}

    figures = {"least": Figure("least", False), "most": Figure("most", False, "worst", 1)}
    metric = Metric("extremes", lambda subject: Extremes(), "absolute errors", figures=figures)
    METRICS.append(metric)
    try:
        found = evaluate(CASES[0].build(), split(CASES[0]), metrics=["extremes"])
        assert "absolute errors\n  least" in report.table(found)
        assert columns(found)["worst"] == f"{found['extremes']['most']:.1f}"
        assert columns(found)["sse"] == ""
    finally:
        METRICS.remove(metric)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["accuracy"], "metrics must be some of bounds, .*; got 'accuracy'"),
        (["dependence"], "there is no dependence of this model and these data"),
        (["log_likelihood"], "there is no log_likelihood .* Ask for samples"),
    ],
)
def test_a_metric_that_there_is_not_is_refused(names: list[str], said: str) -> None:
    with pytest.raises(MixvaeError, match=said):
        evaluate(CASES[0].build(), split(CASES[0]), metrics=names)


def test_log_likelihood_that_is_asked_for_is_there_beside_metrics_that_are_named() -> None:
    recipe, data = CASES[0].build(), split(CASES[0])
    found = evaluate(recipe, data, log_likelihood=5, metrics=["reconstruction"])
    assert [m.name for m in METRICS if m.name in found] == ["reconstruction", "log_likelihood"]


def test_the_command_takes_the_figures_that_are_named(
    tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = f"{tmp_path}/run"
    small = ["--subset", "64", "--hidden", "8", "--n-latent", "2", "--n-components", "2"]
    how = ["--max-epochs", "1", "--batch-size", "32", "--progress", "false", "--pictures", "false"]
    assert main(["train", "m-vae", "--data", "digits", "--out", folder, *small, *how]) == 0
    capsys.readouterr()
    assert main(["evaluate", folder, "--metrics", "reconstruction", "clustering"]) == 0
    out = capsys.readouterr().out
    assert "SSE, deterministic" in out
    assert "adjusted Rand index" in out
    assert "ELBO" not in out
    assert "effective number" not in out
