"""Imputation of ten real tables with 10, 30 and 50% of their entries missing.

    python -m experiments.data.imputation --data-dir DIR

The tables are DIR/NAME.npz with rows x, standardised, and a mask "test". Entries are missing
completely at random, in training and test rows alike, other ones for each seed; a row keeps at
least one. Every model is fitted to the incomplete training rows, and fills in the incomplete test
rows, of which nothing else is shown to it.

- "mean": of the observed entries of a column. "kNN": scikit-learn's KNNImputer, of 10 neighbours.
  "iterative": scikit-learn's IterativeImputer, of at most 30 rounds.
- "factor analysers": the mixture fitted by EM to the observed entries, whose number of components,
  covariance and regularisation have the best log p of observed entries of held-out training rows
  (DeepMixture with max_epochs=0, where deep mixtures start). "DeepMixture": trained from there.

"rmse" is of the missing entries of test rows, in standard deviations of their columns. "log p" is
that of the observed entries of a test row, the gain is over the mixture of factor analysers, paired
by rows, and its error is the standard error over rows. "coverage" is the share of missing entries
within the middle nine tenths of 200 draws, which should be 0.9. Figures are means over seeds.
"""

import os
import time
import warnings
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from experiments.lines import Lines
from experiments.run import ROOT, commit
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from mixvae import DeepMixture, MixvaeWarning

LINES = Lines(ROOT / "results/data/imputation")
TABLES = ("wine", "vowel", "wdbc", "movement_libras", "segment", "satimage", "optdigits")
TABLES += ("penbased", "magic", "letter")
SHARES = (0.1, 0.3, 0.5)
DRAWS = 200
FIGURES = ("rmse", "log_p", "gain", "gain_error", "coverage")

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A table with missing entries, and the mixture of factor analysers fitted to it."""

    train: Rows
    test: Rows
    """Incomplete rows."""
    truth: Rows
    """The test rows before anything was removed."""
    seed: int

    @classmethod
    def read(cls, path: Path, share: float, seed: int) -> "Case":
        """Read a table, and remove entries."""
        with np.load(path) as file:
            x, test = file["x"].astype(np.float64), file["test"]
        random = np.random.default_rng(seed)
        missing = random.random(x.shape) < share
        kept = random.integers(0, x.shape[1], len(x))
        missing[np.arange(len(x)), kept] &= ~missing.all(1)
        holes = np.where(missing, np.nan, x)
        return cls(holes[~test], holes[test], x[test], seed)

    @cached_property
    def start(self) -> DeepMixture:
        """The mixture of factor analysers."""
        return DeepMixture(max_epochs=0, random_state=self.seed).fit(self.train)

    @cached_property
    def start_log_p(self) -> Rows:
        """Its log p of the observed entries of each test row."""
        return self.start.score_samples(self.test)

    def rmse(self, filled: Rows) -> float:
        """Of the missing entries of test rows, in standard deviations of the columns."""
        scale = self.truth.std(0)
        error = (filled - self.truth) / np.where(scale > 0, scale, 1)
        return float(np.sqrt(np.square(error[np.isnan(self.test)]).mean()))


def by_imputer(make: Callable[[int], Any]) -> Callable[[Case], dict[str, float]]:
    """The figures of one of scikit-learn's imputers."""

    def figures(case: Case) -> dict[str, float]:
        imputer = make(case.seed).fit(case.train)
        return {"rmse": case.rmse(imputer.transform(case.test))}

    return figures


def by_mixture(case: Case, mixture: DeepMixture) -> dict[str, float]:
    """The figures of a mixture."""
    log_p = mixture.score_samples(case.test)
    gain = log_p - case.start_log_p
    draws = mixture.impute(case.test, draws=DRAWS)
    low, high = np.quantile(draws, (0.05, 0.95), axis=0)
    inside = (low <= case.truth) & (case.truth <= high)
    return {
        "rmse": case.rmse(mixture.impute(case.test)),
        "log_p": float(log_p.mean()),
        "gain": float(gain.mean()),
        "gain_error": float(gain.std(ddof=1) / len(gain) ** 0.5),
        "coverage": float(inside[np.isnan(case.test)].mean()),
    }


def deep(case: Case) -> DeepMixture:
    """The deep mixture, from the mixture of factor analysers."""
    chosen = next(one for one in case.start.selection_ or [] if one["chosen"])
    options = {name: chosen[name] for name in ("n_components", "covariance_type", "reg_covar")}
    return DeepMixture(**options, random_state=case.seed).fit(case.train)


MODELS: dict[str, Callable[[Case], dict[str, float]]] = {
    "mean": by_imputer(lambda seed: SimpleImputer()),
    "kNN": by_imputer(lambda seed: KNNImputer(n_neighbors=10)),
    "iterative": by_imputer(lambda seed: IterativeImputer(max_iter=30, random_state=seed)),
    "factor analysers": lambda case: by_mixture(case, case.start),
    "DeepMixture": lambda case: by_mixture(case, deep(case)),
}


def main() -> None:
    """Compute the lines that are missing, then write the table."""
    args = arguments()
    warnings.simplefilter("ignore", MixvaeWarning)  # that values are missing
    warnings.simplefilter("ignore", ConvergenceWarning)
    for table, share, seed in product(args.tables, args.shares, args.seeds):
        case = Case.read(args.data_dir / f"{table}.npz", share, seed)
        for model in args.models:
            key = {"table": table, "missing": share, "model": model, "seed": seed}
            if not LINES.has(key):
                LINES.add(key | line(case, model) | {"commit": commit()})
                write()
    write()


def line(case: Case, model: str) -> dict[str, Any]:
    """The figures of a model; empty where it has none."""
    begun = time.process_time()
    found = MODELS[model](case)
    seconds = round(time.process_time() - begun, 1)
    figures = {name: f"{found[name]:.4f}" if name in found else "" for name in FIGURES}
    return figures | {"seconds": seconds}


def write() -> None:
    """One row for each table, share and model: means over seeds."""
    groups: dict[tuple[str, float, str], list[dict[str, str]]] = defaultdict(list)
    for row in LINES.read():
        groups[row["table"], float(row["missing"]), row["model"]].append(row)

    def mean(rows: list[dict[str, str]], name: str, digits: int) -> str:
        values = [float(row[name]) for row in rows if row[name]]
        return f"{np.mean(values):.{digits}f}" if values else ""

    head = ["table", "missing", "model", "rmse", "log p", "gain", "coverage", "seeds", "seconds"]
    body = []
    for key in product(TABLES, SHARES, MODELS):
        if rows := groups.get(key):
            gain = " ± ".join(mean(rows, name, 2) for name in ("gain", "gain_error"))
            gain = gain if any(row["gain"] for row in rows) else ""
            figures = [mean(rows, "rmse", 3), mean(rows, "log_p", 2), gain]
            figures += [mean(rows, "coverage", 3), str(len(rows)), mean(rows, "seconds", 0)]
            body.append([key[0], f"{key[1]:.0%}", key[2], *figures])
    LINES.write(__doc__ or "", head, body)


def arguments() -> Namespace:
    """What the command line asks for."""
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("MIXVAE_DATA"))
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--shares", nargs="+", type=float, choices=SHARES, default=SHARES)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    args = parser.parse_args()
    if args.data_dir is None:
        parser.error("give the folder of the tables, --data-dir DIR, or set MIXVAE_DATA")
    return args


if __name__ == "__main__":
    main()
