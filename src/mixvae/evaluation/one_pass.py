"""One pass over the data for any number of metrics.

What several metrics need of a batch (the encoder's output, the trace of a sample, the trace at the
means) is computed once, when the first of them asks for it.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float, Float64
from torch import Tensor
from torch.distributions import Distribution

from mixvae.data.rows import TensorOrRows
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes
from mixvae.seeding import Noise
from mixvae.trace import Trace

from .batches import batches, evaluating, weighted_sum


class Batch:
    """Batch of the data, and the model's posteriors and traces for it.

    Parameters
    ----------
    model
        A model in evaluation mode.
    x
        (B, *X), on the model's device.
    y
        (B,), the classes of x, for a conditional model.
    p_z
        The model's prior.
    noises
        By the number of samples S, the source of noise of passes with S samples.
    weight
        (B,), the weights of the rows, relative to the mean over all data; None where all are 1.
    """

    def __init__(
        self,
        model: MixtureVAE,
        x: Float[Tensor, "B *X"],
        y: Classes | None,
        p_z: Distribution,
        noises: Mapping[int, Noise],
        weight: Float[Tensor, " B"] | None = None,
    ) -> None:
        self.model, self.x, self.y, self.weight = model, x, y, weight
        self._p_z, self._noises = p_z, noises
        self._traces: dict[int, Trace] = {}

    @property
    def n(self) -> float:
        """Sum of the weights; without, the number of rows."""
        return len(self.x) if self.weight is None else float(self.weight.double().sum())

    def total(self, values: Float[Tensor, "B *X"]) -> Float64[Tensor, "*X"]:
        """Sum of one value for each x, times its weight, in float64 on the CPU."""
        return weighted_sum(values, self.weight)

    @cached_property
    def posteriors(self) -> tuple[Distribution, Distribution]:
        """Posteriors q(z | x, k), batch (B, K), and q(w | x), batch (B,)."""
        return self.model.infer(self.x, self.y)

    @cached_property
    def mean_trace(self) -> Trace:
        """Trace with codes and weights at their means."""
        return self.model.at_means(self.x, *self.posteriors, self.y, self._p_z)

    @cached_property
    def reconstruction(self) -> Float[Tensor, "B *X"]:
        """Reconstruction by the mixture from the mean trace."""
        return self.model.family.mean(self.mean_trace).squeeze(0)

    @cached_property
    def responsibilities(self) -> Float[Tensor, "B K"]:
        """Responsibility of each component for each x, at the mean trace."""
        return self.model.family.responsibilities(self.mean_trace)

    def trace(self, n_samples: int) -> Trace:
        """Trace with so many samples, the same for all metrics that use this number."""
        if n_samples not in self._traces:
            self._traces[n_samples] = self.draw(n_samples)
        return self._traces[n_samples]

    def draw(self, n_samples: int) -> Trace:
        """Trace with new samples, which no other metric shares."""
        with self._noises[n_samples]:
            return self.model.draw(self.x, *self.posteriors, n_samples, self.y, self._p_z)


Values = Callable[[Batch], Float[Tensor, " B"]]  # one value for each x


@runtime_checkable
class Accumulator(Protocol):
    """Metric of data in batches.

    Batches are added in the order of the data, in evaluation mode and without gradients. One that
    takes weights of rows into account (:class:`~mixvae.evaluation.Metric`, ``weighted``) divides a
    :meth:`Batch.total` by a sum of :attr:`Batch.n`.
    """

    def add(self, batch: Batch) -> None:
        """Add a batch."""

    def result(self) -> Any:
        """Values over all batches: a number, or a mapping for JSON."""


def accumulate(
    model: MixtureVAE,
    x: TensorOrRows,
    y: Classes | None,
    accumulators: Sequence[Accumulator],
    *,
    batch_size: int = 500,
    seed: int = 0,
    weight: Float[Tensor, " N"] | None = None,
) -> None:
    """Add all of x, in even batches, to every accumulator.

    Passes of S samples have a source of noise for each S, and each accumulator has one for its own
    sampling, all seeded by ``seed``: a metric does not depend on which others are computed.
    """
    noise_of_each = [Noise(seed) for _ in accumulators]
    with evaluating(model, seed):
        p_z = model.prior(model.encode)
        noises: Mapping[int, Noise] = defaultdict(lambda: Noise(seed))
        start = 0
        for x_batch, y_batch in batches(model, x, y, batch_size):
            own = None if weight is None else weight[start : start + len(x_batch)]
            start += len(x_batch)
            batch = Batch(model, x_batch, y_batch, p_z, noises, own)
            for accumulator, noise in zip(accumulators, noise_of_each, strict=True):
                with noise:
                    accumulator.add(batch)


class Averages:
    """Accumulator of the mean over all x of a function of a batch with values (B,)."""

    def __init__(self, values: Values) -> None:
        self.values, self.total, self.n = values, 0.0, 0.0

    def add(self, batch: Batch) -> None:
        self.total += float(batch.total(self.values(batch)))
        self.n += batch.n

    def result(self) -> float:
        return self.total / self.n
