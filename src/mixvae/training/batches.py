"""Batches out of one tensor in memory, whole batches at a time, in an order that can be resumed."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mixvae.errors import MixvaeError, at_least
from mixvae.seeding import seed_of

SMALL = 0.1  # of a GPU's free memory, which data may take


class Batch(NamedTuple):
    """Rows x, and their classes y if the model is conditional."""

    x: Tensor
    y: Tensor | None


class ShuffledBatches:
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
        self.epoch = epoch  # counted from 0

    def set_epoch(self, epoch: int) -> None:
        """Shuffle as for this epoch, counted from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n // (self.batch_size * self.world)

    def __iter__(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(seed_of(self.seed, self.epoch))
        order = torch.randperm(self.n, generator=generator)
        mine = order[self.rank :: self.world]
        return iter(mine.split(self.batch_size)[: len(self)])


def even_batches(n: int, batch_size: int) -> Sequence[Tensor]:
    """Index batches of all n in order, whose sizes differ by one at most: none is a remnant."""
    return torch.arange(n).tensor_split(-(-n // batch_size))


class Batches:
    """Data on a device in the batches of rows that ``order`` names.

    Where a GPU has room, all of the data are on it from the beginning, so that no step waits for a
    copy; elsewhere each batch is copied there.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor | None,
        order: ShuffledBatches | Sequence[Tensor],
        device: torch.device | None = None,
    ) -> None:
        self.device = device
        if device is not None and device.type == "cuda" and has_room(device, x, y):
            x, y = x.to(device), None if y is None else y.to(device)
        self.x, self.y, self.order = x, y, order

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        for rows in self.order:
            here = rows.to(self.x.device, non_blocking=True)
            x = self.x.index_select(0, here)  # three times as fast as by square brackets
            y = None if self.y is None else self.y[here]
            if self.device is not None and x.device.type != self.device.type:
                x, y = x.to(self.device), None if y is None else y.to(self.device)
            yield Batch(x, y)


def has_room(gpu: torch.device, *data: Tensor | None) -> bool:
    """Whether data take but a small part of a GPU's free memory."""
    free, _ = torch.cuda.mem_get_info(gpu)
    return sum(t.nbytes for t in data if t is not None) <= SMALL * free
