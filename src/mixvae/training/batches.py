"""Batches out of one tensor in memory, whole batches at a time, in an order that can be resumed."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mixvae.data.rows import TensorOrRows
from mixvae.seeding import seed_of

SMALL = 0.1  # of a GPU's free memory, which data may take


class Batch(NamedTuple):
    """Rows x, their classes y if the model is conditional, and their weights if they have any."""

    x: TensorOrRows
    y: Tensor | None
    weight: Tensor | None = None


class ShuffledBatches:
    """Index batches of one epoch, shuffled by (seed, epoch), dealt out to ``world`` processes.

    A last batch that is not full is left out: its rows come in other epochs.
    """

    def __init__(
        self, n: int, batch_size: int, seed: int, *, rank: int = 0, world: int = 1, epoch: int = 0
    ) -> None:
        self.n, self.batch_size, self.seed, self.rank, self.world = n, batch_size, seed, rank, world
        self.epoch = epoch  # counted from 0; set it to shuffle as for another

    def __len__(self) -> int:
        return self.n // (self.batch_size * self.world)

    def __iter__(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(seed_of(self.seed, self.epoch))
        order = torch.randperm(self.n, generator=generator)[self.rank :: self.world]
        return iter(order.split(self.batch_size)[: len(self)])


def even_batches(n: int, batch_size: int) -> Sequence[Tensor]:
    """Index batches of all n in order, whose sizes differ by one at most: none is a remnant."""
    return torch.arange(n).tensor_split(-(-n // batch_size))


class Batches:
    """Data on a device in the batches of rows that ``order`` names.

    Where a GPU has room, all of the data are on it from the beginning, so that no step waits for a
    copy; elsewhere each batch is copied there. Weights are relative to their mean.
    """

    def __init__(
        self,
        x: TensorOrRows,
        y: Tensor | None,
        order: ShuffledBatches | Sequence[Tensor],
        device: torch.device | None = None,
        weight: Tensor | None = None,
    ) -> None:
        self.order, self.device = order, device
        in_memory = isinstance(x, Tensor) and device is not None and device.type == "cuda"
        kept = in_memory and device is not None and has_room(device, x, y)
        self.x, self.y, self.weight = _moved(Batch(x, y, weight), device if kept else None)

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        for rows in self.order:
            rows = rows.to(self.x.device, non_blocking=True)
            x = self.x.index_select(0, rows)  # three times as fast as by square brackets
            others = (None if t is None else t[rows] for t in (self.y, self.weight))
            yield _moved(Batch(x, *others), self.device)


def _moved(batch: Batch, device: torch.device | None) -> Batch:
    """The rows on a device, if one is named and they are not there yet."""
    if device is None or batch.x.device.type == device.type:
        return batch
    x, *others = batch
    return Batch(x.to(device), *(None if t is None else t.to(device) for t in others))


def has_room(gpu: torch.device, *data: Tensor | None) -> bool:
    """Whether data take but a small part of a GPU's free memory."""
    free, _ = torch.cuda.mem_get_info(gpu)
    return sum(t.nbytes for t in data if t is not None) <= SMALL * free
