"""Clusters of ten tables at K = the number of classes: accuracy and NMI.

    python -m experiments.tables.clusters --data-dir DIR

All rows of a table are clustered, without labels. Each method has one fit a seed: k-means with ten
starts, Gaussian mixtures with three, and `DeepMixture` from the better of a full and a diagonal
Gaussian mixture by its own validation rows.
"""

import time
from typing import Any

import numpy as np
from experiments.tables.common import Table, run
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score
from sklearn.mixture import GaussianMixture

from mixvae import DeepMixture

TABLES = ["wine", "vowel", "wdbc", "movement_libras", "segment", "satimage", "optdigits"]
TABLES += ["penbased", "magic", "letter"]
MODELS = ["k-means", "GaussianMixture, full", "GaussianMixture, diag", "DeepMixture"]


def labels(table: Table, model: str, seed: int) -> np.ndarray:
    """The cluster of each row."""
    k = len(np.unique(table.y))
    if model == "k-means":
        return KMeans(k, n_init=10, random_state=seed).fit_predict(table.x)
    if model == "DeepMixture":
        return DeepMixture(n_components=k, n_init=3, random_state=seed).fit_predict(table.x)
    kind = model.partition(", ")[2]
    mixture = GaussianMixture(
        k, covariance_type=kind, n_init=3, reg_covar=1e-3, random_state=seed, max_iter=200
    )
    return mixture.fit_predict(table.x)


def accuracy(y: np.ndarray, found: np.ndarray) -> float:
    """Share of rows in the class of their cluster, matched one to one."""
    counts = np.zeros((found.max() + 1, y.max() + 1))
    np.add.at(counts, (found, y), 1)
    return float(counts[linear_sum_assignment(-counts)].sum() / len(y))


def compute(table: Table, model: str, seed: int) -> dict[str, Any]:
    """The figures of one fit."""
    started = time.process_time()
    found = labels(table, model, seed)
    seconds = time.process_time() - started
    y = np.unique(table.y, return_inverse=True)[1]
    return {
        "accuracy": round(accuracy(y, found), 4),
        "nmi": round(float(normalized_mutual_info_score(y, found)), 4),
        "seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    run("clusters", __doc__ or "", TABLES, MODELS, compute)
