"""What the studies of tables share: the tables, and figures that are kept line by line."""

import csv
import subprocess
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TABLES = [
    *("wine", "vowel", "wdbc", "movement_libras", "segment"),
    *("satimage", "optdigits", "penbased", "magic", "letter"),
]


@dataclass(frozen=True)
class Table:
    """A table with its classes, and which rows are for test."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.int64]
    test: NDArray[np.bool_] | None


def read(folder: Path, name: str) -> Table:
    """A table of the folder ``tables`` in the data folder."""
    with np.load(folder / "tables" / f"{name}.npz") as file:
        test = file.get("test")
        return Table(name, file["x"].astype(np.float64), file["y"].astype(np.int64), test)


def options(description: str, models: list[str], tables: list[str]) -> Namespace:
    """The command line's options."""
    parser = ArgumentParser(description=description)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with tables/NAME.npz")
    parser.add_argument(
        "--out", type=Path, required=True, help="CSV file, to which lines are added"
    )
    parser.add_argument("--tables", nargs="+", default=tables, choices=tables)
    parser.add_argument("--models", nargs="+", default=models, choices=models)
    parser.add_argument("--seeds", type=int, default=3, help="seeds from 0 (default: 3)")
    return parser.parse_args()


def run(given: Namespace, compute: Callable[[Table, str, int], dict[str, Any]]) -> None:
    """Add a line for each table, model and seed that the file does not have."""
    lines = list(_lines(given.out))
    known = {(line["table"], line["model"], int(line["seed"])) for line in lines}
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip()
    for name in given.tables:
        table = read(given.data_dir, name)
        for model in given.models:
            for seed in range(given.seeds):
                if (name, model, seed) in known:
                    continue
                figures = compute(table, model, seed)
                line = {"table": name, "model": model, "seed": seed} | figures
                _append(given.out, line | {"commit": commit})
                print(*(f"{k} {v}" for k, v in line.items()), sep=", ", flush=True)


def _lines(path: Path) -> Iterator[dict[str, str]]:
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            yield from csv.DictReader(file)


def _append(path: Path, line: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(line))
        if new:
            writer.writeheader()
        writer.writerow(line)
