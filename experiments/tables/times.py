"""Time of fit of the deep mixture and of Gaussian mixtures, from 178 to 18,905 rows.

    python -m experiments.tables.times --data-dir DIR

All rows are fitted: wine has 178 of 13 columns, vowel 990 of 13, segment 2,086 of 18, penbased
10,992 of 16, letter 18,668 of 16 and magic 18,905 of 10. "seconds" are those of a processor in user
mode, on one thread, after a first fit that is not counted, as it imports what is needed.
"DeepMixture" chooses its number of components and trains. "GaussianMixture, same K" has as many
components, and "GaussianMixture, search" the least BIC of 1, 2, 3, 5, 8, ... 50 components, both
with full covariances.
"""

import resource
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from experiments.tables.common import Table, run
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from mixvae import DeepMixture
from mixvae.initialization.gaussian_mixture import NUMBERS

TABLES = ["wine", "vowel", "segment", "penbased", "letter", "magic"]
MODELS = ["DeepMixture", "GaussianMixture, same K", "GaussianMixture, search"]
FIRST_ROWS = 50  # of the fit that is not counted


def gaussian_mixture(x: np.ndarray, k: int, seed: int) -> GaussianMixture:
    """A fitted mixture."""
    return GaussianMixture(k, reg_covar=1e-3, max_iter=200, random_state=seed).fit(x)


def search(x: np.ndarray, seed: int) -> GaussianMixture:
    """The mixture of the least BIC."""
    tried = [gaussian_mixture(x, k, seed) for k in NUMBERS if k <= len(x) // 3]
    return min(tried, key=lambda mixture: mixture.bic(x))


def deep_mixture(x: np.ndarray, seed: int, **options: Any) -> DeepMixture:
    """A fitted deep mixture."""
    return DeepMixture(random_state=seed, **options).fit(x)


def compute(table: Table, model: str, seed: int) -> dict[str, Any]:
    """The figures of one fit."""
    x = table.x
    torch.set_num_threads(1)
    with threadpool_limits(1):
        gaussian_mixture(x[:FIRST_ROWS], 1, seed)
        deep_mixture(x[:FIRST_ROWS], seed, n_components=1, max_epochs=1)
        fit: Callable[[], Any] = lambda: deep_mixture(x, seed)
        if model == "GaussianMixture, search":
            fit = lambda: search(x, seed)
        elif model == "GaussianMixture, same K":
            chosen = deep_mixture(x, seed, max_epochs=0).recipe_.options["n_components"]
            fit = lambda: gaussian_mixture(x, chosen, seed)
        begun = user_seconds()
        fitted = fit()
        spent = user_seconds() - begun
    n_components = getattr(fitted, "n_components_", None) or fitted.n_components
    return {"components": n_components, "seconds": round(spent, 2)}


def user_seconds() -> float:
    """Those of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


if __name__ == "__main__":
    run("times", __doc__ or "", TABLES, MODELS, compute)
