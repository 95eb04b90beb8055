"""Batches out of one tensor in memory, whole batches at a time, in an order that can be resumed."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ..errors import MixvaeError, at_least


def seed_of(*numbers: int) -> int:
    """One 64-bit seed of several numbers: a step's noise depends on nothing but these.

    So a resumed run draws what the uninterrupted one would have, and no random state is stored.
    """
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


class Rows(Dataset[Tensor]):
    """A tensor whose item is a whole batch: ``rows[index]`` with a tensor of indices."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Tensor) -> Tensor:
        return self.x[index]


class ShuffledBatches(Sampler[Tensor]):
    """Index batches of one epoch, shuffled by (seed, epoch), dealt out to ``world`` processes.

    A last batch that is not full is left out: its rows come in other epochs.
    """

    def __init__(
        self, n: int, batch_size: int, seed: int, *, rank: int = 0, world: int = 1, epoch: int = 0
    ) -> None:
        at_least(1, batch_size=batch_size)
        if batch_size * world > n:
            raise MixvaeError(
                f"batch_size {batch_size}{f' on {world} processes' if world > 1 else ''} is larger "
                f"than the {n} training examples; use at most {n // world}."
            )
        self.n, self.batch_size, self.seed, self.rank, self.world = n, batch_size, seed, rank, world
        self.epoch = epoch  # a resumed run's first: Lightning opens its loader before it says

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n // (self.batch_size * self.world)

    def __iter__(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(seed_of(self.seed, self.epoch))
        order = torch.randperm(self.n, generator=generator)
        mine = order[self.rank :: self.world]
        return iter(mine.split(self.batch_size)[: len(self)])


def training_batches(x: Tensor, sampler: ShuffledBatches) -> DataLoader[Tensor]:
    """The loader of one epoch after another."""
    return DataLoader(Rows(x), sampler=sampler, batch_size=None)


def even_batches(x: Tensor, batch_size: int) -> DataLoader[Tensor]:
    """All of x in order, in batches whose sizes differ by one at most, none of them a remnant."""
    n_batches = -(-len(x) // batch_size)
    return DataLoader(x.tensor_split(n_batches), batch_size=None)  # type: ignore[arg-type]
