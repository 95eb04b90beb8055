"""Batches out of one tensor in memory, whole batches at a time, in an order that can be resumed."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ..errors import MixvaeError, at_least
from ..seeding import seed_of


class Batch(NamedTuple):
    """Rows x, and their classes y if the model is conditional."""

    x: Tensor
    y: Tensor | None


class Rows(Dataset[Batch]):
    """Data whose item is a whole batch: ``rows[index]`` with a tensor of indices."""

    def __init__(self, x: Tensor, y: Tensor | None) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Tensor) -> Batch:
        x = self.x.index_select(0, index)  # three times as fast as by square brackets
        return Batch(x, None if self.y is None else self.y[index])


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


def training_batches(rows: Rows, sampler: ShuffledBatches) -> DataLoader[Batch]:
    """The loader of one epoch after another."""
    return DataLoader(rows, sampler=sampler, batch_size=None)


def even_batches(rows: Rows, batch_size: int) -> DataLoader[Batch]:
    """All rows in order, in batches whose sizes differ by one at most, none of them a remnant."""
    n_batches = -(-len(rows) // batch_size)
    order = torch.arange(len(rows)).tensor_split(n_batches)
    return DataLoader(rows, sampler=order, batch_size=None)
