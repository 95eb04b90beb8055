"""What every system gives: how it is trained, and what can be measured of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mixvae.data import Dataset

Quoted = tuple[str, str]  # name of a paper's table in mixvae.experiments, and of its row
Sampler = Callable[[int], Tensor]
BATCH = 100


@dataclass(frozen=True)
class LogPx:
    """Mean log p(x) of test images, nats: its error, and what the number is.

    The error is that of an estimated log Z, not that over images; None where there is none.
    """

    mean: float
    error: float | None
    what: str


@dataclass(frozen=True)
class Trained:
    """A trained system: functions for the figures that it has."""

    n_parameters: int
    sample: Sampler | None = None
    """From a number to so many images in [0, 1]."""
    reconstruct: Callable[[Tensor], Tensor] | None = None
    """From images to reconstructions."""
    log_px: Callable[[Tensor], LogPx] | None = None
    """From test images."""
    accuracy: Callable[[], float] | None = None
    """Of classes of the test images, in %."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Further figures of the system's own."""


@dataclass(frozen=True)
class System:
    """A system of the papers' tables."""

    name: str
    train: Callable[[Dataset, int], Trained]
    """From data and a number of epochs."""
    epochs: Mapping[str, int]
    """Default number of epochs for each data set that the system takes."""
    quoted: Mapping[str, tuple[Quoted, ...]] = field(default_factory=dict)
    """The papers' rows that quote it, by data set."""
    binary: bool = False
    """Whether MNIST and Omniglot are binarised dynamically, as for the papers' log p(x)."""
    n_images: int = 10_000
    """Number of samples that are scored, at most that of the test images."""


def batches(data: Dataset, size: int = BATCH) -> Iterator[Tensor]:
    """One epoch of shuffled training images, those of dynamic binarisation drawn anew."""
    x = data.train.x
    for rows in torch.randperm(len(x)).tensor_split(max(1, len(x) // size)):
        yield torch.bernoulli(x[rows]) if data.binarize == "dynamic" else x[rows]


def count(*modules: nn.Module) -> int:
    """Number of learned scalars."""
    return sum(p.numel() for module in modules for p in module.parameters())


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step of an optimizer."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
