"""Simulated cells: five types in two batches, counted in 2,000 genes, and who finds the types.

    python -m experiments.data.counts

20,000 cells of five types (35, 25, 20, 12 and 8% of the cells), in two batches of equal size that
are independent of the types. Counts are negative binomial with means that are a product of

- the cell's size, log-normal with a standard deviation of 0.5;
- the gene's level, log-normal with a standard deviation of 1.2, such that some 9% of all counts are
  above zero, with a median sum of about 220 a cell;
- for each type, one in ten genes changed by a factor, log-normal with a standard deviation of 1;
- in the second batch, all genes changed by a factor, log-normal with a standard deviation of 0.5.

The dispersions of genes are log-normal about 0.5. The matrix is sparse. All methods are told that
there are five clusters, none is told the types.

- "negative-binomial", "poisson": DeepMixture with this likelihood and library sizes; "batch given":
  told each cell's batch too.
- "normal on log1p", "k-means", "GaussianMixture": of the logarithm of 1 + x / s, s being the sum of
  a cell's counts over the median sum. The first is DeepMixture of the columns as they are; the
  others are scikit-learn's, of the first 50 principal components.

"ari" is the adjusted Rand index with the types, "ari of batches" that with the batches, which
should be 0. Seconds are of one core. Figures are means and standard deviations over seeds, which
are of the data and of the methods.
"""

import time
from argparse import ArgumentParser
from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import scipy.sparse
from experiments.lines import Lines
from experiments.run import ROOT, commit
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from mixvae import DeepMixture

N_TYPES = 5
SHARES = (0.35, 0.25, 0.2, 0.12, 0.08)
MODELS = ["negative-binomial, batch given", "negative-binomial", "poisson", "normal on log1p"]
MODELS += ["k-means", "GaussianMixture"]
FIGURES = ("ari", "ari_batches")
PARTS = 1000  # cells simulated at a time


@dataclass(frozen=True)
class Cells:
    """Counts of cells (N, D), with their types and batches."""

    x: Any
    y: NDArray[np.int64]
    batch: NDArray[np.int64]

    def log_values(self) -> NDArray[np.float32]:
        """log(1 + x / s) for library sizes s, dense."""
        size = np.maximum(np.asarray(self.x.sum(1)), 1)
        scaled = self.x.multiply((np.median(size) / size).reshape(-1, 1)).toarray()
        return np.log1p(scaled.astype(np.float32))


def simulate(n: int, d: int, seed: int) -> Cells:
    """Cells as this module says."""
    rng = np.random.default_rng(seed)
    level = rng.normal(-2.9, 1.2, d)
    change = np.where(rng.random((N_TYPES, d)) < 0.1, rng.normal(0, 1, (N_TYPES, d)), 0)
    of_batch = np.stack([np.zeros(d), rng.normal(0, 0.5, d)])
    dispersion = np.exp(rng.normal(np.log(0.5), 0.5, d))
    y, batch = rng.choice(N_TYPES, n, p=SHARES), rng.integers(0, 2, n)
    size = np.exp(rng.normal(0, 0.5, n))
    parts = []
    for rows in np.array_split(np.arange(n), -(-n // PARTS)):
        mean = size[rows, None] * np.exp(level + change[y[rows]] + of_batch[batch[rows]])
        counts = rng.poisson(mean * dispersion * rng.gamma(1 / dispersion, size=mean.shape))
        parts.append(scipy.sparse.csr_array(counts.astype(np.float32)))
    return Cells(scipy.sparse.vstack(parts, "csr"), y, batch)


def clusters(cells: Cells, model: str, seed: int) -> NDArray[np.int64]:
    """The cluster of each cell."""
    if model in ("k-means", "GaussianMixture"):
        scores = PCA(50, random_state=seed).fit_transform(cells.log_values())
        if model == "k-means":
            return KMeans(N_TYPES, n_init=10, random_state=seed).fit_predict(scores)
        return GaussianMixture(N_TYPES, n_init=3, random_state=seed).fit_predict(scores)
    if model == "normal on log1p":
        return DeepMixture(N_TYPES, random_state=seed).fit(cells.log_values()).labels_
    likelihood, _, given = model.partition(", ")
    mixture = DeepMixture(N_TYPES, likelihood=likelihood, library_size="median", random_state=seed)
    if given:
        return mixture.fit(cells.x, batch=cells.batch).predict(cells.x, batch=cells.batch)
    return mixture.fit(cells.x).labels_


def compute(cells: Cells, model: str, seed: int) -> dict[str, Any]:
    """The figures of one fit."""
    started = time.process_time()
    found = clusters(cells, model, seed)
    seconds = time.process_time() - started
    ari = [adjusted_rand_score(true, found) for true in (cells.y, cells.batch)]
    each = {name: round(float(v), 4) for name, v in zip(FIGURES, ari, strict=True)}
    return each | {"seconds": round(seconds, 1)}


def write(lines: Lines) -> None:
    """The mean and standard deviation over seeds of each model."""
    groups: dict[str, list[dict[str, str]]] = defaultdict(list)
    for line in lines.read():
        groups[line["model"]].append(line)
    rows = []
    for model, own in groups.items():
        values = {name: [float(line[name]) for line in own] for name in (*FIGURES, "seconds")}
        spread = {name: np.std(values[name], ddof=len(own) > 1) for name in FIGURES}
        means = [f"{np.mean(values[name]):.3f} ± {spread[name]:.3f}" for name in FIGURES]
        rows.append([model, *means, f"{np.mean(values['seconds']):.0f}"])
    lines.write(__doc__ or "", ["model", "ari", "ari of batches", "seconds"], rows)


def main() -> None:
    """Compute the lines that are missing of the CSV, then write the table."""
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--size", nargs=2, type=int, default=[20_000, 2_000], metavar=("N", "D"))
    parser.add_argument("--out", default=ROOT / "results/data/counts", help="path of both files")
    args = parser.parse_args()
    lines = Lines(ROOT / args.out)
    for seed, model in product(args.seeds, args.models):
        key = {"model": model, "seed": seed}
        if not lines.has(key):
            cells = simulate(*args.size, seed)
            lines.add(key | compute(cells, model, seed) | {"commit": commit()})
    write(lines)


if __name__ == "__main__":
    main()
