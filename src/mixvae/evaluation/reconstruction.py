"""Reconstruction errors: squared errors, summed over the entries of x."""

from math import sqrt

from jaxtyping import Float
from torch import Tensor

from mixvae.errors import whole
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes

from .one_pass import Batch, accumulate


def reconstruction(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    y: Classes | None = None,
    *,
    n_samples: int = 1,
    batch_size: int = 500,
    seed: int = 0,
) -> dict[str, float]:
    """Squared errors of reconstructions, summed over the entries of x and averaged over examples.

    Parameters
    ----------
    model
        A model, in any mode, to which it returns.
    x
        (N, *X), pixels in [0, 1], or rows of a table, whose missing values (NaN) have no error.
    y
        (N,), the classes of x, for a conditional model.
    n_samples
        Number S of stochastic reconstructions of each x.
    batch_size
        Rows at a time; the noise depends on it.
    seed
        Seed of the noise.

    Returns
    -------
    errors
        ``sse``, the mean squared error of S stochastic reconstructions (the papers' "MSE" on
        MNIST, at S = 1); ``sse_deterministic``, with codes and weights at their means; ``rmse``,
        the root of ``sse`` (the papers' "RMSE" on colour images).

    Raises
    ------
    MixvaeError
        For fewer than one sample, a batch size under 1, or data that the model does not take.
    """
    accumulator = Reconstruction(n_samples)
    accumulate(model, x, y, [accumulator], batch_size=batch_size, seed=seed)
    return accumulator.result()


class Reconstruction:
    """Accumulator of :func:`reconstruction`."""

    def __init__(self, n_samples: int = 1) -> None:
        whole(1, n_samples=n_samples)
        self.n_samples, self.n = n_samples, 0.0
        self.stochastic = self.deterministic = 0.0

    def add(self, batch: Batch) -> None:
        self.n += batch.n
        self.deterministic += _sse(batch, batch.reconstruction)
        for i in range(self.n_samples):  # one at a time: memory does not grow with S
            t = batch.draw(1) if i else batch.trace(1)  # the first is shared with other metrics
            self.stochastic += _sse(batch, t.family.mean(t).squeeze(0))

    def result(self) -> dict[str, float]:
        sse = self.stochastic / self.n_samples / self.n
        deterministic = self.deterministic / self.n
        return {"sse": sse, "sse_deterministic": deterministic, "rmse": sqrt(sse)}


def _sse(batch: Batch, mean: Float[Tensor, "B *X"]) -> float:
    """Sum of the squared errors of a batch, without missing values."""
    errors = (batch.x - mean).masked_fill(batch.x.isnan(), 0).square()
    return float(batch.total(errors.flatten(1).sum(1)))
