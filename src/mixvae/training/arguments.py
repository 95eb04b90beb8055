"""What ``fit`` and ``resume`` are given: names that are refused, functions, and who watches."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import Signature
from pathlib import Path
from typing import Any

from mixvae.errors import MixvaeError, one_of, unknown

from .callbacks import Bar, Lines, LogFile, check_logger, loggers_of
from .compiling import check_compiler
from .machine import Machine
from .optimizers import OPTIMIZERS, SCHEDULES, MakeOptimizer, Schedule, chosen
from .settings import Compile

HIDDEN = {"others", "settings"}  # arguments that are no settings
INSTEAD = {  # of options of Lightning's Trainer
    "accumulate_grad_batches": "accumulate",
    "gradient_clip_val": "clip",
    "gradient_clip_algorithm": "clip_by",
    "max_steps": "max_epochs",
    "max_time": "a callback that sets state.stop",
    "limit_train_batches": "data.subset(n)",
    "overfit_batches": "data.subset(n)",
    "fast_dev_run": "max_epochs=1 with data.subset(n)",
    "enable_progress_bar": "progress",
    "default_root_dir": "out",
}


@dataclass(frozen=True)
class Watched:
    """How a training is watched, which changes nothing of what the weights become."""

    logger: Any
    callbacks: list[Any]
    progress: bool
    pictures: bool
    compile: Compile

    def check(self, machine: Machine) -> None:
        """Refuse what cannot work, before anything is written."""
        check_logger(self.logger)
        if not isinstance(self.compile, bool):
            one_of("compile", self.compile, ("reduce-overhead",))
        if self.compile:
            check_compiler(machine.device)

    def listeners(self, folder: Path) -> list[Any]:
        """All that is told how training goes, a user's own last."""
        shown = [Bar() if sys.stderr.isatty() else Lines()] if self.progress else []
        return [LogFile(), *shown, *loggers_of(self.logger, folder), *self.callbacks]


def refuse(name: str, given: Mapping[str, Any], known: Signature, fixed: Signature) -> None:
    """Refuse arguments of other names, those of Lightning's Trainer with what is in their place."""
    for option in given:
        if option in INSTEAD:
            raise MixvaeError(
                f"{option} is an option of Lightning's Trainer, which mixvae does not use; use "
                f"{INSTEAD[option]}."
            )
        if option in fixed.parameters:
            raise MixvaeError(
                f"{option} cannot be changed when a run is resumed, as the rest would be another "
                "run; start a new one."
            )
        raise unknown(f"argument of {name}", option, known.parameters.keys() - HIDDEN)


def functions_of(
    optimizer: str, own: Any, lr_schedule: str, own_schedule: Any
) -> tuple[MakeOptimizer, Schedule]:
    """What the names stand for: something known, or what was given."""
    make = chosen("optimizer", optimizer, own, OPTIMIZERS)
    return make, chosen("lr_schedule", lr_schedule, own_schedule, SCHEDULES)
