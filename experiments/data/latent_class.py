"""Tables of categories: held-out log p and clusters of the deep mixture and latent class models.

    python -m experiments.data.latent_class --data-dir DIR

The tables are DIR/NAME.csv: mushroom has 22 categories, housevotes 16 votes, mammographic an age,
two categories and two ordered ones. A fifth of the rows, other ones for each seed, is for testing;
rows with a category that no training row has are left out of it, as no model gives them a
probability. The last column, the class, is shown to no model.

- "latent class": StepMix's, with categories and a normal age, of 1 to 50 classes as validation rows
  say (a fifth of the others), from three starts, fitted to all rows that are not for testing.
- "start": `DeepMixture` with max_epochs=0, the mixture of columns that it starts from, with the
  number of components that it chooses. "DeepMixture": with its default arguments.

"log p" is in nats a test row, and the gain is over StepMix's model, paired by rows, with its
standard error over rows. "accuracy" and "nmi" compare classes with clusters of all rows, where as
many components as classes are asked for. Figures are means over seeds.
"""

import time
import warnings
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from experiments.lines import Lines, table_options
from experiments.run import ROOT, commit
from experiments.tables.clusters import accuracy
from numpy.typing import NDArray
from sklearn.metrics import normalized_mutual_info_score
from stepmix.stepmix import StepMix

from mixvae import DeepMixture, MixvaeWarning

LINES = Lines(ROOT / "results/data/latent_class")
TABLES = ("mushroom", "mammographic", "housevotes")
NUMBERS = (1, 2, 3, 5, 8, 13, 20, 30, 50)  # of latent classes
REAL, ORDERED = ("age",), ("bi_rads", "density")
FIGURES = ("log_p", "gain", "gain_error", "components", "accuracy", "nmi")

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """A table of categories, and which of its rows are for testing."""

    x: pd.DataFrame
    y: NDArray[np.int64]
    train: NDArray[np.int64]
    test: NDArray[np.int64]

    @classmethod
    def read(cls, path: Path, seed: int) -> "Table":
        """Read a table, with a fifth of its rows for testing."""
        frame = pd.read_csv(path)
        x, y = frame.iloc[:, :-1], pd.factorize(frame.iloc[:, -1])[0]
        for name in x:
            if name in ORDERED:
                levels = pd.CategoricalDtype(sorted(x[name].unique()), ordered=True)
                x = x.astype({name: levels})
            elif name not in REAL:
                x = x.astype({name: "category"})
        order = np.random.default_rng(seed).permutation(len(x))
        test, train = np.split(order, [len(x) // 5])
        known = np.all(
            [x[name].iloc[test].isin(set(x[name].iloc[train])) for name in x if name not in REAL], 0
        )
        return cls(x, y, train, test[known])

    @cached_property
    def numbers(self) -> pd.DataFrame:
        """Numbers of the categories in place of their names, and after them the real columns."""
        real = [name for name in self.x if name in REAL]
        codes = self.x.drop(columns=real).apply(lambda own: own.cat.codes)
        return pd.concat([codes, self.x[real]], axis=1).astype(float)

    @property
    def latent_class(self) -> tuple[StepMix, Rows]:
        """StepMix's model, and its log p of test rows."""
        val, rest = np.split(self.train, [len(self.train) // 5])
        tried = [stepmix(self.numbers.iloc[rest], k) for k in NUMBERS]
        best = max(tried, key=lambda model: float(model.score(self.numbers.iloc[val])))
        found = stepmix(self.numbers.iloc[self.train], best.n_components)
        return found, rows_of(found, self.numbers.iloc[self.test])


def stepmix(x: pd.DataFrame, k: int) -> StepMix:
    """A fitted latent class model."""
    n_real = sum(name in REAL for name in x)
    kinds = {"categories": {"model": "categorical", "n_columns": x.shape[1] - n_real}}
    if n_real:
        kinds["real"] = {"model": "gaussian_diag", "n_columns": n_real}
    options = {"max_iter": 500, "n_init": 3, "abs_tol": 1e-6, "progress_bar": 0}
    return StepMix(k, measurement=kinds, random_state=0, **options).fit(x)


def rows_of(model: StepMix, x: pd.DataFrame) -> Rows:
    """log p of each row: StepMix says that of a table, the mean over its rows."""
    return np.array([model.score(x.iloc[[i]]) for i in range(len(x))])


def deep_mixture(table: Table, seed: int, **options: Any) -> tuple[DeepMixture, Rows]:
    """A fitted deep mixture, and its log p of test rows."""
    model = DeepMixture(random_state=seed, **options).fit(table.x.iloc[table.train])
    return model, model.score_samples(table.x.iloc[table.test])


def clusters(table: Table, model: str, seed: int) -> NDArray[np.int64]:
    """The component of each row, of as many as there are classes."""
    k = len(np.unique(table.y))
    if model == "latent class":
        return np.asarray(stepmix(table.numbers, k).predict(table.numbers))
    epochs = {"max_epochs": 0} if model == "start" else {}
    return DeepMixture(k, n_init=3, random_state=seed, **epochs).fit_predict(table.x)


MODELS = ("latent class", "start", "DeepMixture")


def main() -> None:
    """Compute the lines that are missing, then write the table."""
    args = table_options(__doc__ or "", tables=TABLES)
    warnings.simplefilter("ignore", MixvaeWarning)  # that components are empty
    for name, seed in product(args.tables, args.seeds):
        keys = [{"table": name, "model": model, "seed": seed} for model in MODELS]
        if not all(map(LINES.has, keys)):
            table = Table.read(args.data_dir / f"{name}.csv", seed)
            for key, line in zip(keys, lines(table, seed), strict=True):
                if not LINES.has(key):
                    LINES.add(key | line | {"commit": commit()})
            write()
    write()


def lines(table: Table, seed: int) -> list[dict[str, Any]]:
    """The figures of each model."""
    found = []
    base: Rows | None = None
    for name in MODELS:
        begun = time.process_time()
        if name == "latent class":
            model, log_p = table.latent_class
        else:
            model, log_p = deep_mixture(table, seed, **{"max_epochs": 0} if name == "start" else {})
        seconds = time.process_time() - begun
        base = log_p if base is None else base
        gain, labels = log_p - base, clusters(table, name, seed)
        found.append(
            {
                "log_p": f"{log_p.mean():.4f}",
                "gain": f"{gain.mean():.4f}",
                "gain_error": f"{gain.std(ddof=1) / len(gain) ** 0.5:.4f}",
                "components": getattr(model, "n_components_", model.n_components),
                "accuracy": f"{accuracy(table.y, labels):.4f}",
                "nmi": f"{normalized_mutual_info_score(table.y, labels):.4f}",
                "rows": len(table.test),
                "seconds": round(seconds, 1),
            }
        )
    return found


def write() -> None:
    """One row for each table and model: means over seeds."""
    groups: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in LINES.read():
        groups[row["table"], row["model"]].append(row)
    head = ["table", "model", "log p", "gain", "components", "accuracy", "nmi", "seeds", "seconds"]
    body = []
    for key in product(TABLES, MODELS):
        if rows := groups.get(key):
            mean = {name: np.mean([float(row[name]) for row in rows]) for name in FIGURES}
            gain = f"{mean['gain']:+.2f} ± {mean['gain_error']:.2f}"
            k = " ".join(row["components"] for row in rows)
            fits = [f"{mean['accuracy']:.3f}", f"{mean['nmi']:.3f}", str(len(rows))]
            seconds = f"{np.mean([float(row['seconds']) for row in rows]):.0f}"
            body.append([*key, f"{mean['log_p']:.2f}", gain, k, *fits, seconds])
    LINES.write(__doc__ or "", head, body)


if __name__ == "__main__":
    main()
