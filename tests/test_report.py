"""Metrics as text and as JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mixvae import report
from mixvae.data.dataset import Split
from mixvae.evaluation import evaluate
from mixvae.recipes import build
from mixvae.report.shown import cell

METRICS: dict[str, Any] = {
    "recipe": "m-vae",
    "data": {"name": "digits"},
    "n_components": 2,
    "n_parameters": 1234567,
    "n": 1797,
    "bounds": {
        "objective/log_lik": -80.125,
        "objective/kl_z": -12.25,
        "objective/dhsic": -0.0042,
        "objective": -92.3792,
        "objective_is_bound": False,
        "elbo": -104.5,
    },
    "reconstruction": {"sse": 7.5, "sse_deterministic": 6.25, "rmse": 2.7386},
    "health": {
        "kl": [25.21, 0.031],
        "active_units": [12, 0],
        "share": [0.9, 0.1],
        "used": [1.0, 0.0],
        "sse_alone": [7.9, 52.7],
        "effective_components": 1.2195,
        "effective_per_example": 1.25,
        "n_latent": 20,
        "dead": [1],
        "warning": "1 of 2 components is dead",
    },
    "clustering": {"acc": 0.42, "nmi": 0.33, "ari": 0.21},
    "representation": {
        "component_0": {"mlp_accuracy_percent": 96.25, "knn_3_error_percent": 4.5},
    },
    "log_likelihood": {
        "mean": -99.875,
        "mean_error": 0.03,
        "bits_per_dim": 0.1838,
        "n_samples": 5000,
        "ess_mean": 812.3,
        "ess_min": 1.5,
        "k_hat_max": 0.81,
        "k_hat_above": 0.0126,
        "warning": "k-hat is above 0.7 for some",
    },
}


def line(text: str, start: str) -> list[str]:
    """The words of the only line that starts so."""
    (found,) = [row for row in text.splitlines() if row.strip().startswith(start)]
    return found.split()


def test_the_table_has_the_figures_where_they_belong() -> None:
    text = report.table(METRICS)
    assert text.startswith("m-vae (1,234,567 parameters) on 1,797 examples of digits\n")
    assert line(text, "log_lik") == ["log_lik", "-80.12"]
    assert line(text, "kl_z") == ["kl_z", "12.25", "subtracted"]
    assert line(text, "dhsic") == ["dhsic", "-0.004"]
    assert line(text, "ELBO")[1] == "-104.50"
    assert line(text, "log p(x)")[2:5] == ["-99.88", "±", "0.030,"]
    assert line(text, "bits per dimension")[-1] == "0.184"
    assert line(text, "samples an example")[-1] == "5,000"
    assert line(text, "effective samples")[2:] == ["812.30", "of", "5,000;", "least", "1.500"]
    above = " ".join(line(text, "Pareto k-hat")[3:])
    assert above == "0.810 above 0.7 for 1.3% of examples"
    assert line(text, "SSE, deterministic")[-1] == "6.250"
    assert line(text, "0 ") == ["0", "25.21", "12/20", "0.900", "1.000", "7.900", "alive"]
    assert line(text, "1 ") == ["1", "0.031", "0/20", "0.100", "0.000", "52.70", "dead"]
    assert "1.220 overall, 1.250 for one x" in text
    assert line(text, "accuracy")[-1] == "0.420"
    assert line(text, "component 0")[2:] == ["96.25", "4.500"]
    assert " ".join(line(text, "codes ")[1:]) == "MLP accuracy 3NN error"
    assert "\n\nwarning: 1 of 2 components is dead\n" in text
    assert text.endswith("\n\nwarning: k-hat is above 0.7 for some\n")


def test_the_table_says_of_objective_elbo_and_log_p_whether_each_is_a_bound() -> None:
    text = report.table(METRICS)
    objective = line(text, "objective (maximised)")
    assert " ".join(objective[2:]) == "-92.38 not guaranteed to be a bound on log p(x)"
    assert " ".join(line(text, "ELBO")[2:]) == "a lower bound on log p(x)"
    assert " ".join(line(text, "log p(x)")[-6:]) == "sampling: a lower bound in expectation"
    bounds = {"objective": -3.0, "objective_is_bound": True}
    text = report.table({"bounds": bounds})
    assert " ".join(line(text, "objective (maximised)")[3:]) == "a lower bound on log p(x)"


def test_a_component_is_called_by_its_state_and_the_state_is_explained() -> None:
    columns = {"kl": [9.0, 8.0, 7.0, 0.1], "active_units": [2, 0, 2, 2], "used": [0.25] * 4}
    columns |= {"share": [0.25] * 4, "sse_alone": [1.0] * 4}
    states = {"dropped": [2], "collapsed": [1], "dead": [3]}
    text = report.table({"health": METRICS["health"] | columns | states})
    found = [line(text, f"{k} ")[-1] for k in range(4)]
    assert found == ["alive", "collapsed", "dropped", "dead"]
    assert "dropped: removed by component dropout" in text
    assert "dropped:" not in report.table(METRICS)


def test_columns_are_aligned() -> None:
    rows = report.table(METRICS).splitlines()
    start = rows.index("components (counted from 0)")
    head, first, second = rows[start + 1 : start + 4]
    assert len(head) == len(first) == len(second)
    assert first.index("12/20") + len("12/20") == second.index("0/20") + len("0/20")
    assert head.index("active units") + len("active units") == first.index("12/20") + len("12/20")


def test_what_the_metrics_lack_is_left_out() -> None:
    few = {key: METRICS[key] for key in ("recipe", "n", "bounds")}
    text = report.table(few)
    assert text.startswith("m-vae on 1,797 examples\n")
    for absent in ("components", "clustering", "reconstruction", "log p(x)  ", "warning"):
        assert absent not in text
    assert report.table({}) == "model on 0 examples\n"


def test_a_missing_elbo_is_a_dash_with_its_reason() -> None:
    bounds = {
        "objective": -1.0,
        "elbo": None,
        "elbo_note": "the likelihood is not a normalised density",
    }
    assert line(report.table({"bounds": bounds}), "ELBO")[1:4] == ["--", "the", "likelihood"]


@pytest.mark.parametrize(
    ("name", "options"), [("vae", {}), ("m-vae", {}), ("mixture-vae", {"n_components": 1})]
)
def test_what_evaluate_finds_is_tabulated_and_written(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    recipe = build(name, (6,), hidden=[8], n_latent=2, likelihood="gaussian", **options)
    split = Split(torch.rand(20, 6), torch.arange(20) % 2)
    metrics = evaluate(recipe, split, log_likelihood=1)  # whose standard error is NaN
    assert "± --" in report.table(metrics)
    report.write_metrics(metrics, tmp_path / "metrics.json")
    again = json.loads((tmp_path / "metrics.json").read_text())
    assert again["log_likelihood"]["mean_error"] is None
    assert again["bounds"] == metrics["bounds"]
    assert report.table(again) == report.table(metrics)


def test_nan_and_infinity_are_written_as_null_at_any_depth(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    nan, inf = float("nan"), float("inf")
    report.write_metrics({"a": nan, "b": [1.5, -inf, {"c": (inf, 2)}], "d": "NaN"}, path)
    text = path.read_text()
    assert json.loads(text) == {"a": None, "b": [1.5, None, {"c": [None, 2]}], "d": "NaN"}
    assert "Infinity" not in text


def test_writing_replaces_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    report.write_metrics({"n": 1}, path)
    report.write_metrics({"n": 2}, path)
    assert json.loads(path.read_text()) == {"n": 2}
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_not_json_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    report.write_metrics({"n": 1}, path)
    with pytest.raises(TypeError):
        report.write_metrics({"n": object()}, path)
    assert json.loads(path.read_text()) == {"n": 1}


def test_values_of_a_table_are_written_as_a_reader_writes_them() -> None:
    assert [cell(v) for v in (62263.4, 1234.5, 0.12345, 1e12, np.nan, "Rome", 3)] == [
        *("62263", "1234", "0.1235", "1e+12", "missing", "Rome", "3"),
    ]
