"""One pass over the data for any number of figures: each takes in the batches, then says its own.

What several figures need of a batch (the encoder's output, the trace of a draw, the trace at the
means) is made when the first one asks for it, and once.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes
from mixvae.seeding import Noise
from mixvae.trace import Trace

from .batches import batches, evaluating


class Batch:
    """Some rows of the data, and what the model makes of them.

    Args:
        model: in evaluation mode.
        x: (B, *X), on the model's device.
        y: (B,), for a conditional model.
        p_z: the model's prior.
        noises: by the number of samples S, what draws of S samples take their noise from.
    """

    def __init__(
        self,
        model: MixtureVAE,
        x: Float[Tensor, "B *X"],
        y: Classes | None,
        p_z: Distribution,
        noises: Mapping[int, Noise],
    ) -> None:
        self.model, self.x, self.y = model, x, y
        self._p_z, self._noises = p_z, noises
        self._traces: dict[int, Trace] = {}

    @cached_property
    def posteriors(self) -> tuple[Distribution, Distribution]:
        """q(z | x, k), batch (B, K), and q(w | x), batch (B,)."""
        return self.model.infer(self.x, self.y)

    @cached_property
    def mean_trace(self) -> Trace:
        """The pass with codes and weights at their means."""
        return self.model.at_means(self.x, *self.posteriors, self.y, self._p_z)

    @cached_property
    def reconstruction(self) -> Float[Tensor, "B *X"]:
        """The mixture's deterministic reconstruction."""
        return self.model.family.mean(self.mean_trace).squeeze(0)

    @cached_property
    def responsibilities(self) -> Float[Tensor, "B K"]:
        """How far each component answers for each x."""
        return self.model.family.responsibilities(self.mean_trace)

    def trace(self, n_samples: int) -> Trace:
        """A pass with so many samples, the same for all who ask for that number."""
        if n_samples not in self._traces:
            self._traces[n_samples] = self.draw(n_samples)
        return self._traces[n_samples]

    def draw(self, n_samples: int) -> Trace:
        """A pass with samples of its own."""
        with self._noises[n_samples]:
            return self.model.draw(self.x, *self.posteriors, n_samples, self.y, self._p_z)


Values = Callable[[Batch], Float[Tensor, " B"]]  # one value of each x


@runtime_checkable
class Accumulator(Protocol):
    """Figures of data that come in batches."""

    def add(self, batch: Batch) -> None:
        """Take a batch in; gradients are off."""

    def result(self) -> Any:
        """The figures of all batches: a number, or a mapping that JSON can hold."""


def accumulate(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    y: Classes | None,
    accumulators: Sequence[Accumulator],
    *,
    batch_size: int = 500,
    seed: int = 0,
) -> None:
    """Hand all of x, in even batches, to every accumulator.

    Draws of S samples have noise from ``seed``, and so has each accumulator what else it draws: a
    figure is the same whichever others are taken beside it.
    """
    own = [Noise(seed) for _ in accumulators]
    with evaluating(model, seed):
        p_z = model.prior(model.encode)
        noises: Mapping[int, Noise] = defaultdict(lambda: Noise(seed))
        for part, labels in batches(model, x, y, batch_size):
            batch = Batch(model, part, labels, p_z, noises)
            for accumulator, noise in zip(accumulators, own, strict=True):
                with noise:
                    accumulator.add(batch)


class Averages:
    """The mean over all x of a function of a batch that gives one value an x, (B,)."""

    def __init__(self, values: Values) -> None:
        self.values, self.total, self.n = values, 0.0, 0

    def add(self, batch: Batch) -> None:
        values = self.values(batch)
        self.total += float(values.cpu().double().sum())
        self.n += len(values)

    def result(self) -> float:
        return self.total / self.n
