"""RBF network: Gaussian units at the centres of k-means, and a linear classifier (scikit-learn).

Moody & Darken (Neural Computation 1989): each unit's width is the distance to the nearest other
centre. No paper's table quotes it; its accuracy stands beside those of classifiers of codes.
"""

import warnings

import numpy as np
from experiments.rivals.system import System, Trained
from sklearn.cluster import MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import euclidean_distances

from mixvae.data import Dataset
from mixvae.errors import MixvaeError

CENTRES = 1000
PENALTY = 100.0  # scikit-learn's C
ALL = {"mnist": 100, "omniglot": 100, "cifar10": 100}  # iterations of the classifier, at most


def train(data: Dataset, epochs: int) -> Trained:
    """An RBF network for the classes."""
    if data.train.y is None or data.test.y is None:
        raise MixvaeError(f"rbf is a classifier, and {data.name} has no labels; take other data.")
    rows = lambda x: x.flatten(1).double().numpy()
    x, y = rows(data.train.x), data.train.y.numpy()
    centres = MiniBatchKMeans(min(CENTRES, len(x)), n_init=1, random_state=0).fit(x)
    centres = np.unique(centres.cluster_centers_, axis=0)
    apart = euclidean_distances(centres) + np.diag(np.full(len(centres), np.inf))
    width = apart.min(1).clip(1e-3) if len(centres) > 1 else np.ones(1)
    units = lambda x: np.exp(-0.5 * (euclidean_distances(x, centres) / width) ** 2)
    linear = LogisticRegression(C=PENALTY, max_iter=epochs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        linear.fit(units(x), y)

    def accuracy() -> float:
        return 100 * float(linear.score(units(rows(data.test.x)), data.test.y.numpy()))

    n_parameters = centres.size + len(width) + linear.coef_.size + linear.intercept_.size
    return Trained(n_parameters, accuracy=accuracy, details={"n_centres": len(centres)})


SYSTEM = System("rbf", train, epochs=ALL)
