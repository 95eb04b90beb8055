"""Callbacks: a user's own, the log, the progress bar, loggers."""

import csv
import io
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from mixvae.errors import MixvaeError, one_of
from mixvae.objectives.objective import is_kl
from mixvae.progress import on_terminal
from mixvae.recipes.values import as_json
from mixvae.run import LOG
from mixvae.storage.files import write_text

from .checkpoints import MONITOR, TrainingState
from .means import with_sum

REDRAWN = 0.2  # seconds between updates of the progress bar, whatever a step takes
HOOKS = ("on_fit_start", "on_step_end", "on_epoch_end", "on_fit_end")
LOGGER = ("log_hyperparams", "log_metrics", "finalize")
INSTEAD = {  # of Lightning's callbacks
    "EarlyStopping": "patience",
    "ModelCheckpoint": "nothing: checkpoints/best.ckpt and last.ckpt are always kept",
    "EMAWeightAveraging": "average='ema'",
    "WeightAveraging": "average='ema' or 'swa'",
    "StochasticWeightAveraging": "average='swa'",
    "GradientAccumulationScheduler": "accumulate",
    "ModelPruning": "mixvae.select",
    "LearningRateMonitor": "nothing: the rate is in the log",
    "ProgressBar": "progress",
    "TQDMProgressBar": "progress",
    "RichProgressBar": "progress",
}


class Callback(Protocol):
    """What may be given as ``callbacks``: an object with one or more of these methods.

    They are called in the first process, with a :class:`TrainingState`; an exception ends the
    training, and the run can be resumed from its last checkpoint. There may also be
    ``on_step_end(state)``, which is called after every batch and adds its time to that of a step.

    Examples
    --------
    Optuna stops trials that do worse than others:

    >>> class OptunaPruning:
    ...     def __init__(self, trial):
    ...         self.trial = trial
    ...
    ...     def on_epoch_end(self, state):
    ...         if state.phase == "main":
    ...             self.trial.report(state.history[-1]["val/objective"], state.epoch)
    ...             state.stop = self.trial.should_prune()
    """

    def on_fit_start(self, state: TrainingState) -> None:
        """Before the first step, or the first one after resuming.

        Parameters
        ----------
        state
            What the run has come to.
        """

    def on_epoch_end(self, state: TrainingState) -> None:
        """After an epoch of any phase and its checkpoint.

        Parameters
        ----------
        state
            What the run has come to; ``state.stop = True`` ends training.
        """

    def on_fit_end(self, state: TrainingState) -> None:
        """After the last step.

        Parameters
        ----------
        state
            What the run has come to; the best epoch's weights are not yet back in the model.
        """


def listeners(logger: Any, callbacks: Any, *, progress: bool) -> list[Any]:
    """All callbacks of a run, a user's own last; refuses those that could not be called."""
    display = [Bar() if on_terminal() else Lines()] if progress else []
    return [LogFile(), *display, *_loggers(logger), *_callbacks(callbacks)]


def _callbacks(given: Any) -> list[Any]:
    """A user's callbacks, one or several, in a list."""
    callbacks = list(given) if isinstance(given, Sequence) else [] if given is None else [given]
    for callback in callbacks:
        name = type(callback).__name__
        _refuse_lightnings(callback, name)
        hooks = [hook for hook in dir(callback) if hook.startswith("on_")]
        if not hooks:
            raise MixvaeError(f"the callback {name} has none of the methods {', '.join(HOOKS)}.")
        for hook in hooks:
            one_of(f"method of the callback {name}", hook, HOOKS)
    return callbacks


def _refuse_lightnings(callback: Any, name: str) -> None:
    """Refuse a callback of Lightning's Trainer, with what mixvae has in its place."""
    kinds = type(callback).__mro__
    if any(kind.__module__.startswith(("lightning.", "pytorch_lightning")) for kind in kinds):
        found = [INSTEAD[kind.__name__] for kind in kinds if kind.__name__ in INSTEAD]
        instead = found[0] if found else "an object with on_epoch_end(state), see docs/training.md"
        raise MixvaeError(
            f"{name} is a callback of Lightning's Trainer, which mixvae does not use. In its "
            f"place: {instead}."
        )


def _loggers(given: Any) -> list["Logged"]:
    """Loggers by name or as they are, one or several; log.csv is written whatever they are."""
    loggers = []
    for logger in given if isinstance(given, list | tuple) else [given]:
        if isinstance(logger, str):
            one_of("logger", logger, ("csv", "tensorboard"))
        elif logger not in (None, False):
            missing = [name for name in LOGGER if not hasattr(logger, name)]
            if missing:
                raise MixvaeError(
                    f"a logger needs the methods {', '.join(LOGGER)}, as Lightning's have; "
                    f"{type(logger).__name__} has no {missing[0]}."
                )
        if logger not in ("csv", None, False):
            loggers.append(Logged(logger))
    return loggers


class LogFile:
    """Writes the history to log.csv, whole at every epoch so that it never ends in half a row."""

    def on_epoch_end(self, state: TrainingState) -> None:
        if state.epoch == 0:  # its row comes with the next: until then there is nothing to keep
            return
        columns = list(dict.fromkeys(name for row in state.history for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(state.history)
        write_text(state.folder / LOG, text.getvalue())


class Lines:
    """One line an epoch, for where there is no terminal to draw a bar in."""

    def on_epoch_end(self, state: TrainingState) -> None:
        row = state.history[-1]
        names = [n for n in row if n.startswith("train/") or n in (MONITOR, "val/elbo")]
        terms = "  ".join(f"{name} {_shown(name, row[name])}" for name in names)
        place = f"{state.phase}, epoch {state.epoch} of {state.n_epochs}"
        print(f"{place}  {terms}  ({row['seconds']:.1f} s)", file=sys.stderr)


class Bar:
    """A progress bar with the phase and the terms of the objective, updated by the clock.

    Updated by steps, a slow model's would stand still, and a fast one's cost time for nothing.
    """

    def __init__(self) -> None:
        self.bar: Any = None
        self._updated = 0.0

    def on_step_end(self, state: TrainingState) -> None:
        if state.batch == state.n_batches or time.monotonic() - self._updated >= REDRAWN:
            if self.bar is None or self.bar.total != state.n_batches:
                self.bar = tqdm(total=state.n_batches, dynamic_ncols=True, leave=False)
            self.bar.n = state.batch
            self.bar.set_description(f"{state.phase} {state.epoch + 1}/{state.n_epochs}", False)
            self.bar.set_postfix(self.terms(state), refresh=True)
            self._updated = time.monotonic()

    def on_epoch_end(self, state: TrainingState) -> None:
        if self.bar is not None:
            self.bar.reset()

    def on_fit_end(self, state: TrainingState) -> None:
        if self.bar is not None:
            self.bar.close()

    def terms(self, state: TrainingState) -> dict[str, str]:
        """The last step's terms, and the objective on validation data."""
        latest = with_sum(state.means.latest())
        terms = {name: _shown(name, float(value)) for name, value in latest.items()}
        if state.history and MONITOR in state.history[-1]:
            terms["val"] = f"{state.history[-1][MONITOR]:.2f}"
        return terms


def _shown(name: str, value: float) -> str:
    """A term's value; KL terms, which are subtracted in the objective, are shown positive."""
    return f"{0.0 - value if is_kl(name.removeprefix('train/')) else value:.2f}"


class Logged:
    """Tells a Lightning logger, or an object with its methods, the settings and each epoch."""

    def __init__(self, logger: Any) -> None:
        self.logger = logger

    def on_fit_start(self, state: TrainingState) -> None:
        if self.logger == "tensorboard":
            from lightning.fabric.loggers import TensorBoardLogger

            self.logger = TensorBoardLogger(state.folder, name="", version="tensorboard")
        options = {"recipe": state.recipe.name} | state.recipe.options | vars(state.settings)
        try:
            self.logger.log_hyperparams(options)
        except NotImplementedError:  # Lightning Fabric's CSVLogger
            self._write(options)

    def on_epoch_end(self, state: TrainingState) -> None:
        row = {k: v for k, v in state.history[-1].items() if isinstance(v, int | float)}
        prefix = "" if state.phase == state.settings.phase else f"{state.phase}/"
        self.logger.log_metrics({f"{prefix}{k}": v for k, v in row.items()}, step=row["step"])

    def on_fit_end(self, state: TrainingState) -> None:
        self.logger.finalize("success")

    def _write(self, options: dict[str, Any]) -> None:
        """Write the settings beside the metrics, as hparams.yaml, of a logger with a folder."""
        import yaml

        folder = getattr(self.logger, "log_dir", None)
        if folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
            plain = {name: as_json(value) for name, value in options.items()}
            write_text(Path(folder) / "hparams.yaml", yaml.safe_dump(plain, sort_keys=False))
