"""What the studies of tables by estimators share: a line for each fit, and the table of means."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from experiments.lines import Lines, table_options
from experiments.run import ROOT, commit
from numpy.typing import NDArray

Compute = Callable[["Table", str, int], dict[str, Any]]


@dataclass(frozen=True)
class Table:
    """All rows of a table, with their classes."""

    x: NDArray[np.float64]
    y: NDArray[np.int64]


def run(
    name: str, about: str, tables: Sequence[str], models: Sequence[str], compute: Compute
) -> None:
    """Compute the lines that are missing of results/tables/NAME.csv, then write the table."""
    args = table_options(about, tables=tables, models=models)
    lines = Lines(ROOT / "results/tables" / name)
    for table in args.tables:
        with np.load(args.data_dir / f"{table}.npz") as file:
            data = Table(file["x"].astype(np.float64), file["y"].astype(np.int64))
        for model, seed in product(args.models, args.seeds):
            key = {"table": table, "model": model, "seed": seed}
            if not lines.has(key):
                lines.add(key | compute(data, model, seed) | {"commit": commit()})
    write(lines, about)


def write(lines: Lines, about: str) -> None:
    """The mean and standard deviation over seeds of each table and model."""
    groups: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for line in lines.read():
        groups[line["table"], line["model"]].append(line)
    known = ("table", "model", "seed", "commit", "seconds")
    figures = [name for name in lines.read()[0] if name not in known]
    rows = []
    for key, own in groups.items():
        values = {name: [float(line[name]) for line in own] for name in (*figures, "seconds")}
        spread = {name: np.std(values[name], ddof=len(own) > 1) for name in figures}
        means = [f"{np.mean(values[name]):.3f} ± {spread[name]:.3f}" for name in figures]
        rows.append([*key, *means, f"{np.mean(values['seconds']):.1f}"])
    lines.write(about, ["table", "model", *figures, "seconds"], rows)
