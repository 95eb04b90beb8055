"""Peak memory of training on a sparse table: 20,000 rows of 2,000 columns, 5% of them not 0.

    python benchmarks/sparse_memory.py

prints the sizes of the table, sparse and dense, and the largest resident memory of the process.
"""

import resource
import time
from tempfile import TemporaryDirectory

import numpy as np
import scipy.sparse

import mixvae
from mixvae.evaluation import log_joint

ROWS, COLUMNS, DENSITY, KINDS = 20_000, 2_000, 0.05, 5


def table(seed: int = 0) -> scipy.sparse.csr_array:
    """Rows of five kinds, each with more of other columns."""
    source = np.random.default_rng(seed)
    kind = source.integers(0, KINDS, ROWS)
    parts = []
    for rows in np.array_split(np.arange(ROWS), 20):
        likely = 1 + 4 * (np.arange(COLUMNS) % KINDS == kind[rows][:, None])
        holds = source.random((len(rows), COLUMNS)) < DENSITY * likely / likely.mean()
        values = holds * source.gamma(2, 1, (len(rows), COLUMNS)).astype(np.float32)
        parts.append(scipy.sparse.csr_array(values))
    return scipy.sparse.csr_array(scipy.sparse.vstack(parts))


def peak() -> float:
    """Largest resident memory of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Make the table, train for two epochs, estimate log p(x), and print what it took."""
    x = table()
    size = (x.data.nbytes + x.indices.nbytes + x.indptr.nbytes) / 2**20
    print(f"{x.shape[0]:,} x {x.shape[1]:,}, {x.nnz / np.prod(x.shape):.1%} not 0")
    print(f"{size:.0f} MB sparse, {8 * np.prod(x.shape) / 2**20:.0f} MB as float64")
    print(f"peak before training: {peak():.0f} MB")
    started = time.perf_counter()
    data = mixvae.data.from_arrays(x, name="sparse")
    options = {"n_components": KINDS, "covariance": "diag", "reg_covar": 1e-2}
    recipe = mixvae.build("mfa-vae", data, seed=0, n_latent=5, hidden=[32], **options)
    with TemporaryDirectory() as folder:
        run = mixvae.fit(recipe, data, out=folder, max_epochs=2, batch_size=256, pictures=False)
    print(f"peak after two epochs: {peak():.0f} MB; {time.perf_counter() - started:.0f} s")
    print(f"ELBO of test rows: {run.metrics['bounds']['elbo']:.1f} nats")
    log_joint(run.recipe.model, data.test.x[:200], 50)
    print(f"peak after log p(x) of 200 rows: {peak():.0f} MB")


if __name__ == "__main__":
    main()
