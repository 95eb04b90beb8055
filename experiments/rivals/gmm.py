"""GMM: Gaussian mixture of pixels (scikit-learn), whose covariance validation images choose.

Pixels are integers, and a density of them has no upper limit: to each, uniform noise of a level's
width is added, and the mean log density is then a lower bound on the log probability of the levels
(Theis et al., ICLR 2016, eq. 3). No paper's table quotes it.
"""

import warnings
from collections.abc import Callable
from math import log
from typing import Any

import numpy as np
import torch
from experiments.rivals.system import LogPx, System, Trained
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor

from mixvae.data import Dataset

SIZES = {"diag": 50, "full": 3}  # components
LARGE = 1000  # pixels: beyond, covariances are diagonal
ROWS_EACH = 20  # training images for each component, at least
ALL = {"mnist": 30, "omniglot": 30, "frey": 30, "cifar10": 30}  # iterations of EM, at most
BOUND = "bound: density of dequantised pixels"


def n_levels(data: Dataset) -> int:
    """2 for binary pixels, else 256."""
    return 2 if data.is_binary else 256


def dequantised(x: Tensor, n: int) -> np.ndarray:
    """Pixels as rows, in [0, 1], with uniform noise of a level's width."""
    levels = (x.flatten(1).double() * (n - 1)).round()
    return ((levels + torch.rand_like(levels)) / n).numpy()


def fit(kind: Callable[..., Any], data: Dataset, epochs: int) -> Trained:
    """The mixture of best validation log density, of one or two covariances."""
    n, seed = n_levels(data), int(torch.randint(2**31, ()))
    x, val = (dequantised(s.x, n) for s in (data.seen("train"), data.val))
    found = {}
    for covariance, k in SIZES.items():
        if covariance == "diag" or x.shape[1] <= LARGE:
            k = max(1, min(k, len(x) // ROWS_EACH))
            mixture = kind(
                n_components=k, covariance_type=covariance, max_iter=epochs, random_state=seed
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # few iterations are intended
                found[covariance] = mixture.fit(x)
    chosen = max(found, key=lambda name: found[name].score(val))
    best = found[chosen]

    def log_px(x: Tensor) -> LogPx:
        log_p = best.score_samples(dequantised(x, n)) - data.train.x[0].numel() * log(n)
        return LogPx(float(log_p.mean()), None, BOUND)

    def sample(m: int) -> Tensor:
        y = torch.from_numpy(best.sample(m)[0])[torch.randperm(m)]
        return (y * n).floor().clamp(0, n - 1).div(n - 1).float().view(m, *data.x_shape)

    details = {"covariance": chosen, "n_components": best.n_components}
    n_parameters = sum(a.size for a in (best.means_, best.covariances_, best.weights_))
    return Trained(n_parameters, sample=sample, log_px=log_px, details=details)


def train(data: Dataset, epochs: int) -> Trained:
    """A mixture by expectation maximisation."""
    return fit(GaussianMixture, data, epochs)


SYSTEM = System("gmm", train, epochs=ALL, binary=True)
