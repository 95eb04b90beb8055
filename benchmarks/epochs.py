"""An epoch of ``mixvae.fit``, timed from within: logging, progress bar and checkpoints included.

Both sides of a comparison run in turn, each in a process of its own: what one leaves behind (how
memory is kept, threads, caches) is not the other's.
"""

import io
from argparse import Namespace
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness import digit_like, in_turn, now, ratio, settle

import mixvae
from mixvae.data import Dataset, from_arrays
from mixvae.training import TrainingState, loop

Stamps = dict[str, float]


class Watch:
    """When the last epoch began, took its last step, had been validated, and was over."""

    def __init__(self) -> None:
        self.at: Stamps = {}

    def on_step_end(self, state: TrainingState) -> None:
        """Take the time after the last step."""
        if state.batch == state.n_batches:
            self.at["trained"] = now()

    def on_epoch_end(self, state: TrainingState) -> None:
        """The next epoch begins."""
        self.at["begun"], self.at["over"] = self.at.get("over", 0.0), now()

    @contextmanager
    def validation(self) -> Iterator[None]:
        """Take the time after each validation."""
        validate = loop.validate

        def watched(*args: Any) -> Any:
            found = validate(*args)
            self.at["validated"] = now()
            return found

        loop.validate = watched
        try:
            yield
        finally:
            loop.validate = validate


@dataclass
class Epochs:
    """Seconds of one side's epochs: whole, but for validation, and of their steps alone."""

    whole: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)

    @property
    def rest(self) -> list[float]:
        """What comes after the steps: the log, and checkpoints."""
        return [a - b for a, b in zip(self.whole, self.steps, strict=True)]

    def add(self, at: Stamps) -> float:
        """Keep an epoch by its stamps; returns it whole."""
        self.steps.append(at["trained"] - at["begun"])
        self.whole.append(self.steps[-1] + at["over"] - at["validated"])
        return self.whole[-1]


def epochs_in_turn(sides: Mapping[str, "partial[Stamps]"], args: Namespace) -> dict[str, Epochs]:
    """Epochs of every side, in a process of its own; each comes after one that is not counted."""
    kept = {name: Epochs() for name in sides}
    how = (1, get_context("spawn"), settle, (args.threads, args.clock))
    with ExitStack() as ended:
        processes = {name: ended.enter_context(ProcessPoolExecutor(*how)) for name in sides}

        def timed(name: str) -> float:
            return kept[name].add(processes[name].submit(sides[name]).result())

        in_turn({name: partial(timed, name) for name in sides}, args.repeats, warm_up=0)
    return kept


def compared(over: Epochs, under: Epochs, target: str) -> dict[str, str]:
    """The columns of a ratio of epochs, and that of their steps alone."""
    steps = ratio(over.steps, under.steps)["ratio"]
    return ratio(over.whole, under.whole, target) | {"steps": steps}


class Terminal(io.StringIO):
    """Takes a progress bar as a terminal would, and shows nothing."""

    def isatty(self) -> bool:
        return True


@contextmanager
def unseen() -> Iterator[None]:
    """Progress bars run, out of sight."""
    with redirect_stdout(Terminal()), redirect_stderr(Terminal()):
        yield


@cache
def images(rows: int, batch_size: int) -> Dataset:
    """Binary ones; a single batch to validate on, as that is no part of the comparison."""
    x = digit_like(rows)
    return from_arrays(x, val=x[:batch_size], test=x[:2], name="digit-like")


def our_epoch(
    name: str,
    rows: int,
    chosen: dict[str, Any],
    *,
    batch_size: int,
    precision: str,
    device: str = "cpu",
    compile: bool | str = False,
) -> Stamps:
    """The second of two epochs."""
    watch, on = Watch(), "gpu" if device == "cuda" else device
    data = images(rows, batch_size)
    recipe = mixvae.build(name, data, **chosen)
    how: dict[str, Any] = {"batch_size": batch_size, "precision": precision, "compile": compile}
    with TemporaryDirectory() as folder, unseen(), watch.validation():
        how |= {"out": Path(folder, "run"), "accelerator": on, "callbacks": [watch]}
        mixvae.fit(recipe, data, max_epochs=2, pictures=False, **how)
    return watch.at
