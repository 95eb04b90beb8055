"""Lightning's Trainer and our module, put together for one run."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from ..data.dataset import Dataset
from ..errors import MixvaeError, whole
from ..recipes.building import BuiltRecipe
from ..run import CHECKPOINTS, LOG
from .batches import ShuffledBatches
from .callbacks import Bar, Best, Last, Patience, StraightToDisk, log_to, print_line
from .module import TrainingModule
from .settings import Compile, Settings
from .stretches import StretchModule, in_stretches

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def check_hardware(options: dict[str, Any]) -> None:
    """Refuse accelerators, devices and strategies that Lightning cannot give, in one message."""
    _check_devices(options)
    quietly = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    try:
        with quiet():
            L.Trainer(**quietly | options | {"callbacks": callbacks_of(options)})
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        raise MixvaeError(f"Lightning's Trainer cannot be made of {options}: {error}") from error


def _check_devices(options: Mapping[str, Any]) -> None:
    """Refuse what Lightning would start on a CPU: any number of processes."""
    devices, cores = options.get("devices", 1), os.cpu_count() or 1
    if isinstance(devices, str) and devices.replace("_", "").lstrip("-").isdigit():
        devices = int(devices)
    whole(1, num_nodes=options.get("num_nodes", 1))
    on_cpu = options.get("accelerator", "auto") == "cpu" or not torch.cuda.is_available()
    most = max(2, cores)  # two, wherever it may be, to try what several processes do
    if isinstance(devices, int) and on_cpu and devices > most:
        raise MixvaeError(
            f"devices is {devices}, which on a CPU are processes, and there are {cores} cores "
            f"here; use at most {most}."
        )


def n_processes(options: Mapping[str, Any]) -> int:
    """How many processes will train together, as far as options say; else 1."""
    devices = options.get("devices", 1)
    if isinstance(devices, str):
        devices = int(devices) if devices.isdigit() else 1
    n = len(devices) if isinstance(devices, Sequence) else max(1, int(devices))
    return n * int(options.get("num_nodes", 1))


def check_compiler(accelerator: str) -> None:
    """Refuse to compile where torch.compile cannot: on a CPU it needs a C++ compiler.

    That takes some seconds, most of them for loading what the run needs anyway.
    """
    device = "cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu"
    try:
        torch.compile(torch.sin)(torch.zeros(2, device=device))
    except Exception as error:  # it has dozens of kinds
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise MixvaeError(
            f"torch.compile does not work here ({reason}). Install a C++ compiler, such as g++ or "
            "clang++ (another one is named by the environment variable CXX), or leave compile out."
        ) from error


def callbacks_of(options: Mapping[str, Any]) -> list[L.Callback]:
    """The callbacks among a Trainer's options, one or several, in a list of our own."""
    given = options.get("callbacks") or []
    return [given] if isinstance(given, L.Callback) else list(given)


def make_trainer(
    folder: Path, settings: Settings, logger: Any, progress: bool, options: Mapping[str, Any]
) -> L.Trainer:
    """The Trainer; ``options`` are Lightning's own and win over ours."""
    terminal = sys.stderr.isatty()
    warmup, checkpoints = settings.warmup_epochs, folder / CHECKPOINTS
    callbacks = callbacks_of(options)
    if settings.patience is not None:
        callbacks.append(Patience(settings.patience, warmup))
    callbacks += [Best(checkpoints, warmup), Last(checkpoints)]
    bar = any(isinstance(callback, ProgressBar) for callback in callbacks)
    if progress and terminal and not bar:
        callbacks.append(Bar())
        bar = True
    ours: dict[str, Any] = {
        "max_epochs": settings.max_epochs,
        "precision": PRECISIONS[settings.precision],
        "enable_progress_bar": bar,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,  # ShuffledBatches deals the rows out itself
        "default_root_dir": folder,
        "plugins": [StraightToDisk()],
    }
    rest = {"callbacks": callbacks, "logger": make_logger(logger, folder)}
    return L.Trainer(**(ours | dict(options) | rest))


def make_module(
    recipe: BuiltRecipe,
    data: Dataset,
    folder: Path,
    settings: Settings,
    trainer: L.Trainer,
    progress: bool,
    compile: Compile,
    first_epoch: int,
    options: Mapping[str, Any],
) -> tuple[TrainingModule, ShuffledBatches]:
    """The module, and the order of the data in this process."""
    sampler = ShuffledBatches(
        len(data.train),
        settings.batch_size,
        settings.seed,
        rank=trainer.global_rank,
        world=trainer.world_size,
        epoch=first_epoch,
    )
    lines = [print_line] if progress and not sys.stderr.isatty() else []
    stretches = in_stretches(trainer, options, callbacks_of(options))
    make = partial(StretchModule, n_batches=len(sampler)) if stretches else TrainingModule
    module = make(
        recipe,
        lr=settings.lr,
        lr_schedule=settings.lr_schedule,
        seed=settings.seed,
        warmup_steps=settings.warmup_epochs * len(sampler),
        clip=settings.clip,
        binarize=data.binarize == "dynamic",
        compile=compile,
        check_every=1 if trainer.strategy.root_device.type == "cpu" else 50,
        listeners=[log_to(folder / LOG), *lines],
    )
    return module, sampler


def make_logger(logger: Any, folder: Path) -> Any:
    """A Lightning logger, by name or as it is; log.csv is written whatever it is."""
    if logger == "csv":
        return False
    if logger != "tensorboard":
        return logger
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(folder, name="", version="tensorboard")


@contextmanager
def quiet() -> Iterator[None]:
    """Without Lightning's notes on hardware, workers and processes; its errors stay."""
    loggers = [logging.getLogger(n) for n in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
