"""Outliers of four tables with a rare class: area under the ROC curve of each detector's score.

    python -m experiments.tables.outliers --data-dir DIR

All rows are scored by a detector that was fitted to all of them, without labels. "DeepMixture"
chooses its number of components for the density of held-out rows.
"""

import time
from typing import Any

import numpy as np
from experiments.tables.common import Table, run
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor

from mixvae import DeepMixture

TABLES = [
    f"outliers-{name}" for name in ("page-blocks0", "shuttle-c0-vs-c4", "abalone19", "ecoli4")
]
MODELS = ["IsolationForest", "LocalOutlierFactor", "GaussianMixture", "DeepMixture"]
MODELS += ["DeepMixture, K = 2"]
SIZES = (1, 2, 5, 10)  # of the Gaussian mixture, whose number of components has the least BIC


def inlier_scores(x: np.ndarray, model: str, seed: int) -> np.ndarray:
    """A score of each row, lower for outliers."""
    if model == "IsolationForest":
        return IsolationForest(random_state=seed).fit(x).score_samples(x)
    if model == "LocalOutlierFactor":
        return LocalOutlierFactor(20).fit(x).negative_outlier_factor_
    if model == "GaussianMixture":
        tried = [GaussianMixture(k, reg_covar=1e-3, random_state=seed).fit(x) for k in SIZES]
        return min(tried, key=lambda mixture: mixture.bic(x)).score_samples(x)
    n_components = 2 if model == "DeepMixture, K = 2" else None
    return DeepMixture(n_components, random_state=seed).fit(x).score_samples(x)


def compute(table: Table, model: str, seed: int) -> dict[str, Any]:
    """The figures of one fit."""
    scale = table.x.std(0)
    x = (table.x - table.x.mean(0))[:, scale > 0] / scale[scale > 0]
    started = time.process_time()
    auc = roc_auc_score(table.y, -inlier_scores(x, model, seed))
    return {"auc": round(float(auc), 4), "seconds": round(time.process_time() - started, 1)}


if __name__ == "__main__":
    run("outliers", __doc__ or "", TABLES, MODELS, compute)
