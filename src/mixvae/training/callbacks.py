"""What happens around the steps: checkpoints, early stopping, the log, the progress bar."""

import csv
import io
import sys
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning as L
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, TQDMProgressBar

from ..files import write_checkpoint, write_text
from .checkpoints import MONITOR
from .module import History, Listener, TrainingModule, with_sum

REDRAWN = 0.2  # seconds between looks of the progress bar at the terms, whatever a step takes


class StraightToDisk(TorchCheckpointIO):
    """Checkpoints go straight to disk: Lightning's own are made whole in memory first."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        Path(path).parent.mkdir(exist_ok=True)  # not the run folder, if someone removed it
        write_checkpoint(Path(path), checkpoint)


class Checkpoint(ModelCheckpoint):
    """Its key is made once: Lightning asks for it at every hook, of which a step has six."""

    @cached_property
    def state_key(self) -> str:
        return super().state_key


class Last(Checkpoint):
    """``last.ckpt``: the newest epoch, and before the first one the start."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        assert isinstance(pl_module, TrainingModule)
        if not pl_module.history:
            trainer.save_checkpoint(Path(str(self.dirpath)) / "last.ckpt")


class Best(Checkpoint):
    """``best.ckpt``: the weights of the best epoch, none before the warm-up ends."""

    def __init__(self, folder: Path, warmup_epochs: int) -> None:
        super().__init__(
            folder,
            "best",
            monitor=MONITOR,
            mode="max",
            save_weights_only=True,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        self.warmup_epochs = warmup_epochs

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch + 1 >= self.warmup_epochs:
            super().on_train_epoch_end(trainer, pl_module)


class Patience(EarlyStopping):
    """Stop when the objective has not risen for a number of epochs after the warm-up."""

    def __init__(self, patience: int, warmup_epochs: int) -> None:
        super().__init__(MONITOR, patience=patience, mode="max", check_on_train_epoch_end=True)
        self.warmup_epochs = warmup_epochs

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict | {"patience": self.patience})  # which may have grown

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch + 1 >= self.warmup_epochs:
            super().on_train_epoch_end(trainer, pl_module)


class Bar(TQDMProgressBar):
    """A progress bar with the terms of the objective, redrawn by the clock.

    By steps, a slow model's would stand still, and a quick one's be drawn oftener than it is seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self._drawn = 0.0

    @property
    def total_train_batches(self) -> int | float:
        module = self.trainer.lightning_module
        assert isinstance(module, TrainingModule)
        return module.n_batches

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, TrainingModule)
        done = len(pl_module.train_means.values)  # of which Lightning's step may have been many
        if done == self.total_train_batches or time.monotonic() - self._drawn >= REDRAWN:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, done - 1)
            self._drawn = time.monotonic()

    def get_metrics(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        assert isinstance(pl_module, TrainingModule)
        latest = pl_module.train_means.latest()
        terms = {name: f"{float(v):.2f}" for name, v in with_sum(latest).items()}
        if MONITOR in trainer.callback_metrics:
            terms["val"] = f"{float(trainer.callback_metrics[MONITOR]):.2f}"
        return dict(terms)


def log_to(path: Path) -> Listener:
    """Write the history to a CSV file, whole at every epoch so that it never ends in half a row."""

    def write(history: History) -> None:
        columns = list(dict.fromkeys(name for row in history for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
        write_text(path, text.getvalue())

    return write


def print_line(history: History) -> None:
    """One line an epoch, for where there is no terminal to draw a bar in."""
    row = history[-1]
    names = [n for n in row if n.startswith("train/") or n in (MONITOR, "val/elbo")]
    terms = "  ".join(f"{name} {row[name]:.2f}" for name in names)
    print(f"epoch {row['epoch'] + 1:.0f}  {terms}  ({row['seconds']:.1f} s)", file=sys.stderr)
