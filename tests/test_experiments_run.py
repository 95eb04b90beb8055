"""Rows of a study's table that stand in its CSV are kept as long as they are declared the same."""

import csv
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "experiments" / "run.py"
OPTIONS = {"hidden": [8], "n_latent": 2, "n_samples": 1}
TRAINING = {"seed": 0, "max_epochs": 3}


def declared(**changed: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"name": "VAE, 0", "recipe": "vae", "options": {"hidden": [8]}}
    return row | {"training": {"max_epochs": 3}} | changed


@pytest.mark.parametrize(
    ("row", "stays"),
    [
        (declared(), True),
        (declared(name="VAE, 1"), False),
        (declared(recipe="iwae"), False),
        (declared(options={"hidden": [9]}), False),
        (declared(options={"width": 1}), False),
        (declared(training={"max_epochs": 4}), False),
    ],
)
def test_a_row_of_the_csv_stays_if_it_is_declared_as_it_was_trained(
    row: dict[str, Any], stays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("experiments_run", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    run = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, run)
    spec.loader.exec_module(run)
    monkeypatch.setattr(run, "ROOT", tmp_path)
    table = run.Table(Path("study/one.py"), "Title.", {}, {}, [row], ["elbo"])
    path = tmp_path / "results" / "study" / "one.csv"
    path.parent.mkdir(parents=True)
    values = {"row": "VAE, 0", "elbo": "-90.5", "recipe": "vae"}
    values |= {"options": json.dumps(OPTIONS), "training": json.dumps(TRAINING)}
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(values))
        writer.writeheader()
        writer.writerow(values)
    run.write(table, tmp_path / "runs")
    text = path.with_suffix(".md").read_text() if path.with_suffix(".md").exists() else ""
    assert ("| VAE, 0 | -90.5 |" in text) == stays
    assert list(run.kept(table)) == (["VAE, 0"] if stays else [])
