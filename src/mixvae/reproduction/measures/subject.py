"""A trained run, as measures receive it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mixvae.data import Dataset
from mixvae.experiments.item import Data
from mixvae.run import TRAINING, Run, read_json

from ..jobs import Job


@dataclass(frozen=True)
class Subject:
    """A trained run, as measures receive it.

    Parameters
    ----------
    job
        What the run is.
    run
        The run.
    data
        Its data.
    load
        Reads other data.
    """

    job: Job
    run: Run
    data: Dataset
    load: Callable[[Data], Dataset]

    @property
    def batch_size(self) -> int:
        """Rows at a time, as in training, since some statistics depend on it."""
        return int(self.settings["batch_size"])

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that the run was trained with."""
        return read_json(self.run.folder, TRAINING)
