"""Imputation of ten real tables and three of categories, 10, 30 and 50% of the entries missing.

    python -m experiments.data.imputation --data-dir DIR

The real tables are DIR/NAME.npz with rows x, standardised, and a mask "test". The others are
DIR/NAME.csv without their last column, the class, and a quarter of the rows are test rows:
mammographic (an age, ordered and unordered categories), housevotes and mushroom (categories alone).
Entries are missing completely at random, in training and test rows alike, other ones for each seed;
a row keeps at least one. Every model is fitted to the incomplete training rows, and fills in the
incomplete test rows, of which nothing else is shown to it.

- "mean": of the observed entries of a column. "kNN": scikit-learn's KNNImputer, of 10 neighbours.
  "iterative": scikit-learn's IterativeImputer, of at most 30 rounds. They are given categories as
  columns of 0 and 1, of which the largest is taken; of means that is the mode. For "iterative" the
  first column of each is left out: with all, each is found exactly from those that it starts with.
- "mixture": the mixture of factor analysers fitted by EM to the observed entries, whose number of
  components, covariance and regularisation have the best log p of observed entries of held-out
  training rows (DeepMixture with max_epochs=0, where deep mixtures start); categories are
  independent given the component. "DeepMixture": trained from there.

"rmse" is of the missing numbers of test rows, in standard deviations of their columns, "accuracy"
that of the missing categories. "log p" is that of the observed entries of a test row, the gain is
over the mixture, paired by rows, and its error is the standard error over rows. "coverage" is the
share of missing numbers within the middle nine tenths of 200 draws, which should be 0.9. Figures
are means over seeds; seconds are of one core.
"""

import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from experiments.data.incomplete import MIXED, REAL, Case, Figures, case_of
from experiments.lines import Lines, table_options
from experiments.run import ROOT, commit
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from mixvae import DeepMixture, MixvaeWarning

LINES = Lines(ROOT / "results/data/imputation")
TABLES = (*REAL, *MIXED)
SHARES = (0.1, 0.3, 0.5)
FIGURES = ("rmse", "accuracy", "log_p", "gain", "gain_error", "coverage")


def by_mixture(case: Case, mixture: DeepMixture) -> Figures:
    """The figures of a mixture."""
    log_p = mixture.score_samples(case.test)
    gain = log_p - case.start_log_p
    return {
        **case.errors(mixture.impute(case.test)),
        "log_p": float(log_p.mean()),
        "gain": float(gain.mean()),
        "gain_error": float(gain.std(ddof=1) / len(gain) ** 0.5),
        **case.coverage(mixture),
    }


def deep(case: Case) -> DeepMixture:
    """The deep mixture, from the mixture without networks."""
    chosen = next(one for one in case.start.selection_ or [] if one["chosen"])
    options = {name: chosen[name] for name in ("n_components", "covariance_type", "reg_covar")}
    return DeepMixture(**options, random_state=case.seed).fit(case.train)


def iterative(seed: int) -> IterativeImputer:
    """scikit-learn's IterativeImputer."""
    return IterativeImputer(max_iter=30, random_state=seed)


MODELS: dict[str, Callable[[Case], Figures]] = {
    "mean": lambda case: case.by_imputer(SimpleImputer()),
    "kNN": lambda case: case.by_imputer(KNNImputer(n_neighbors=10)),
    "iterative": lambda case: case.by_imputer(iterative(case.seed), redundant=False),
    "mixture": lambda case: by_mixture(case, case.start),
    "DeepMixture": lambda case: by_mixture(case, deep(case)),
}


def main() -> None:
    """Compute the lines that are missing, then write the table."""
    args = table_options(__doc__ or "", tables=TABLES, shares=SHARES, models=list(MODELS))
    warnings.simplefilter("ignore", MixvaeWarning)  # that values are missing
    warnings.simplefilter("ignore", ConvergenceWarning)
    for table, share, seed in product(args.tables, args.shares, args.seeds):
        case = case_of(args.data_dir, table, share, seed)
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

    head = ["table", "missing", "model", "rmse", "accuracy", "log p", "gain", "coverage"]
    head += ["seeds", "seconds"]
    body = []
    for key in product(TABLES, SHARES, MODELS):
        if rows := groups.get(key):
            gain = " ± ".join(mean(rows, name, 2) for name in ("gain", "gain_error"))
            gain = gain if any(row["gain"] for row in rows) else ""
            figures = [mean(rows, "rmse", 3), mean(rows, "accuracy", 3)]
            figures += [mean(rows, "log_p", 2), gain]
            figures += [mean(rows, "coverage", 3), str(len(rows)), mean(rows, "seconds", 0)]
            body.append([key[0], f"{key[1]:.0%}", key[2], *figures])
    LINES.write(__doc__ or "", head, body)


if __name__ == "__main__":
    main()
