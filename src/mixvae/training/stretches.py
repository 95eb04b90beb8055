"""Many steps to one of Lightning's, whose own share of the smallest models' steps is a seventh."""

import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NoReturn, cast

import lightning as L
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch.optim.lr_scheduler import LRScheduler

from .batches import Batch, Batches
from .module import TrainingModule, drop_gradients

STRETCH = 0.05  # seconds, after which Lightning has its turn
HARDWARE = {"accelerator", "devices", "num_nodes", "strategy"}
BATCH_HOOKS = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
)


def in_stretches(
    trainer: L.Trainer, options: Collection[str], callbacks: Sequence[L.Callback]
) -> bool:
    """Whether nobody looks at single steps: one device, and no options of Lightning's but that.

    A user's callbacks are no obstacle unless they have hooks for batches, or are Lightning's own.
    """
    return (
        type(trainer.strategy) is SingleDeviceStrategy
        and not trainer.loggers
        and set(options) <= HARDWARE | {"callbacks"}
        and not any(map(_sees_steps, callbacks))
    )


def _sees_steps(callback: L.Callback) -> bool:
    kinds = [kind for kind in type(callback).__mro__ if kind is not L.Callback]
    return any(kind.__module__.startswith("lightning.") for kind in kinds) or any(
        is_overridden(hook, callback, L.Callback) for hook in BATCH_HOOKS
    )


class Stretches(Batches):
    """Batches that are left of an epoch, again and again until there are none.

    It has no length: how many stretches an epoch is made of depends on the clock.
    """

    def __iter__(self) -> Iterator[Iterator[Batch]]:  # type: ignore[override]
        over = False

        def to_the_end() -> Iterator[Batch]:
            nonlocal over
            yield from self.batches()
            over = True

        rest = to_the_end()
        while not over:
            yield rest

    def __len__(self) -> NoReturn:
        raise TypeError("stretches are not counted")  # which Lightning takes for an answer


class StretchModule(TrainingModule):
    """Takes steps until a stretch is over; the weights become what they would one by one.

    Lightning calls this manual optimisation.
    """

    def __init__(self, *args: Any, n_batches: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.automatic_optimization = False
        self._n_batches = n_batches

    @property
    def n_batches(self) -> int:
        return self._n_batches

    @property
    def n_steps(self) -> int:
        epochs = self.trainer.max_epochs
        assert epochs is not None
        return epochs * self.n_batches

    def training_step(self, batches: Iterator[Batch], _: int) -> None:  # type: ignore[override]
        adam = cast(LightningOptimizer, self.optimizers())
        curve = cast(LRScheduler | None, self.lr_schedulers())
        end = time.perf_counter() + STRETCH
        # Lightning's autocast, around all of this, is for the objective alone
        with torch.autocast(self.device.type, enabled=False):
            for batch in batches:
                here = super().transfer_batch_to_device(batch, self.device, 0)
                with self.trainer.precision_plugin.forward_context():
                    loss = self.loss(here, len(self.train_means.values))
                self.manual_backward(loss)
                adam.step()
                drop_gradients(adam.optimizer)
                if curve is not None:
                    curve.step()
                if time.perf_counter() >= end:
                    break

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        self.configure_gradient_clipping(optimizer)

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        if not isinstance(batch, Batch):  # but a stretch, whose batches do not exist yet
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)
