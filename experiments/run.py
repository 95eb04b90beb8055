"""Train the rows of a table, and write them as CSV and Markdown under results/.

    python experiments/run.py experiments/mixing/mnist.py --data-dir DIR

A table is a Python file of declarations: DATA, TRAINING and ROWS (see ``Table``). A row that has
been trained is not trained again, so an interrupted table goes on where it stopped, and ``--shard
1/2`` and ``--shard 2/2`` in two processes share one table. The table is written afresh after
every row, from the rows there are: those with a run folder, and those in the CSV whose recipe,
options and training are still the declared ones.
"""

import argparse
import csv
import json
import runpy
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any

import torch

import mixvae
from mixvae import data
from mixvae.evaluation import evaluate, representation
from mixvae.evaluation.metrics import columns
from mixvae.report import write_metrics
from mixvae.run import CHECKPOINTS, METRICS, read_json, write_json
from mixvae.storage.run_folder import is_finished
from mixvae.training.selecting import PRUNED

ROOT = Path(__file__).resolve().parent.parent
ROW = "row.json"
NOT_CLEAN = "-dirty"


@dataclass(frozen=True)
class Table:
    """What a declaration file says."""

    path: Path
    title: str  # its docstring
    data: Mapping[str, Any]  # arguments of mixvae.data.load, and subset
    training: Mapping[str, Any]  # arguments of mixvae.fit
    rows: Sequence[Mapping[str, Any]]  # name, recipe, options; paper, training and evaluation
    columns: Sequence[str]
    evaluation: Mapping[str, Any] = field(default_factory=dict)  # arguments of evaluate
    representation: Mapping[str, Any] = field(default_factory=dict)  # of representation, and data

    @classmethod
    def read(cls, path: Path) -> "Table":
        """Run the declarations."""
        said = runpy.run_path(str(path))
        return cls(
            path.resolve().relative_to(ROOT),
            said["__doc__"].strip(),
            said["DATA"],
            said["TRAINING"],
            said["ROWS"],
            said["COLUMNS"],
            said.get("EVALUATION", {}),
            said.get("REPRESENTATION", {}),
        )


def main() -> None:
    """Train this process's share of the rows, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("table", type=Path, help="a declaration file, such as mixing/mnist.py")
    parser.add_argument("--data-dir", help="folder of the data files; else MIXVAE_DATA")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs/experiments")
    parser.add_argument("--shard", default="1/1", help="i/n: every n-th row, from the i-th")
    parser.add_argument("--only", action="append", metavar="ROW", help="a row by name; repeatable")
    parser.add_argument("--judge-again", action="store_true", help="measure trained rows afresh")
    parser.add_argument("--write-only", action="store_true", help="write the table, train nothing")
    args = parser.parse_args()
    table = Table.read(args.table)
    runs = args.runs / table.path.parent.name / table.path.stem
    first, step = (int(n) for n in args.shard.split("/"))
    if not args.write_only:
        dataset = load(table.data, args.data_dir)
        labelled = load(table.representation.get("data", {}), args.data_dir, dataset)
        rows = [row for row in table.rows if not args.only or row["name"] in args.only]
        for row in rows[first - 1 :: step]:
            folder = runs / slug(row["name"])
            if not (folder / ROW).exists():
                if row["name"] in kept(table):
                    continue
                train(table, row, folder, dataset, labelled)
            elif args.judge_again:
                judge(table, row, mixvae.load(folder), dataset, labelled)
            write(table, runs)
    write(table, runs)


def load(
    described: Mapping[str, Any], data_dir: str | None, default: data.Dataset | None = None
) -> data.Dataset:
    """The data of a description, with so many training images only as its ``subset`` says."""
    options = dict(described)
    if not options and default is not None:
        return default
    subset = options.pop("subset", None)
    dataset = data.load(**options, data_dir=data_dir)
    return dataset if subset is None else dataset.subset(subset)


def train(
    table: Table,
    row: Mapping[str, Any],
    folder: Path,
    dataset: data.Dataset,
    labelled: data.Dataset,
) -> None:
    """Train and judge one row, from where it stopped if it did."""
    settings = {"seed": 0} | dict(table.training) | row.get("training", {})
    taken = None  # processor time, where it was trained in one go
    if is_finished(folder):
        run = mixvae.load(folder)
    elif (folder / CHECKPOINTS / "last.ckpt").exists():
        run = mixvae.resume(folder, dataset, pictures=False)
    else:
        torch.manual_seed(settings["seed"])
        recipe = mixvae.build(row["recipe"], dataset, **row["options"])
        start = time.process_time()
        run = mixvae.fit(recipe, dataset, out=folder, pictures=False, **settings)
        taken = round(time.process_time() - start)
    if table.evaluation or table.representation or "evaluation" in row:
        judge(table, row, run, dataset, labelled)
    if run.recipe.model.dropout is not None:
        rmtree(folder / PRUNED, ignore_errors=True)  # begun and not finished
        mixvae.select(folder, dataset, pictures=False)
    how = {"commit": commit(), "training": settings, "processor_seconds": taken}
    write_json(folder / ROW, how)


def judge(
    table: Table,
    row: Mapping[str, Any],
    run: mixvae.Run,
    dataset: data.Dataset,
    labelled: data.Dataset,
) -> None:
    """Measure a trained row on test data, and its codes on labelled data, as the table asks."""
    how = {"batch_size": table.training["batch_size"]} | dict(table.evaluation)
    how |= row.get("evaluation", {})
    metrics = run.metrics | evaluate(run.recipe, dataset.test, **how)
    if how := {name: v for name, v in table.representation.items() if name != "data"}:
        found = representation(run.recipe.model, labelled.train, labelled.test, **how)
        metrics["representation"] = found
    write_metrics(metrics, run.folder / METRICS)


def write(table: Table, runs: Path) -> None:
    """Write results/FOLDER/TABLE.csv and .md from the rows that have been trained."""
    before = kept(table)
    rows = [figures(row, runs / slug(row["name"])) or before.get(row["name"]) for row in table.rows]
    rows = [row for row in rows if row]
    if not rows:
        return
    path = results(table)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    shown = ["row", *table.columns]
    lines = [shown, ["---"] * len(shown)]
    lines += [[str(row.get(name, "")) for name in shown] for row in rows]
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    command = f"python experiments/run.py {table.path} --data-dir DIR"
    text = f"{table.title}\n\n{body}\n\nMade by `{command}`; everything else is in the CSV.\n"
    path.with_suffix(".md").write_text(text)


def results(table: Table) -> Path:
    """The table as CSV."""
    return ROOT / "results" / table.path.parent.name / f"{table.path.stem}.csv"


def kept(table: Table) -> dict[str, dict[str, str]]:
    """The rows of the CSV, by name, that are still declared as they were trained."""
    if not results(table).exists():
        return {}
    with results(table).open(newline="") as file:
        lines = {line["row"]: line for line in csv.DictReader(file)}
    known = [row for row in table.rows if row["name"] in lines]
    same = [row["name"] for row in known if is_as_declared(lines[row["name"]], row, table)]
    return {name: lines[name] for name in same}


def is_as_declared(line: Mapping[str, str], row: Mapping[str, Any], table: Table) -> bool:
    """Whether a line of the CSV has the recipe, options and training of a declared row."""
    had = json.loads(line["options"])
    same = all(name in had and had[name] == value for name, value in row["options"].items())
    settings = {"seed": 0} | dict(table.training) | row.get("training", {})
    return same and line["recipe"] == row["recipe"] and json.loads(line["training"]) == settings


def figures(row: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """One line of the table, or nothing if the row has not been trained."""
    if not (folder / ROW).exists():
        return {}
    how, metrics = read_json(folder, ROW), read_json(folder, METRICS)
    codes = metrics.get("representation") or {}
    pruned = read_json(folder / PRUNED, METRICS) if (folder / PRUNED).exists() else {}
    return {
        "row": row["name"],
        "paper": row.get("paper") or "",
        "claimed": row.get("claimed") or "",
        **columns(metrics),
        "sse_pruned": f"{pruned['reconstruction']['sse']:.2f}" if pruned else "",
        "parameters": metrics["n_parameters"],
        "parameters_pruned": pruned.get("n_parameters", ""),
        "dead": len(metrics["health"]["dead"]),
        "svm": numbers([code["svm_accuracy_percent"] for code in codes.values()], 1),
        "knn_sample": knn_errors(codes.get("sample", {})),
        "knn_mean": knn_errors(codes.get("mean", {})),
        "epochs": metrics["epochs"],
        "best_epoch": metrics["best_epoch"],
        "seconds": round(sum(row["seconds"] for row in mixvae.load(folder).history)),
        "processor_seconds": how.get("processor_seconds") or "",
        "recipe": row["recipe"],
        "options": json.dumps(metrics["options"]),
        "training": json.dumps(how["training"]),
        "commit": how["commit"],
    }


def numbers(values: Sequence[float | None], digits: int) -> str:
    """A list in one cell; a dash for what is not a number."""
    return " ".join("-" if value is None else f"{value:.{digits}f}" for value in values)


def knn_errors(figures: Mapping[str, float]) -> str:
    """In %, by rising number of neighbours."""
    return numbers([v for name, v in figures.items() if name.endswith("error_percent")], 2)


def slug(name: str) -> str:
    """A row's name as a folder's."""
    return "".join(c if c.isalnum() else "-" for c in name.lower())


def commit() -> str:
    """The revision that is checked out, marked if files differ from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    state = subprocess.run([*git, "status", "--porcelain", "src"], capture_output=True, text=True)
    return head.stdout.strip() + (NOT_CLEAN if state.stdout else "")


if __name__ == "__main__":
    main()
