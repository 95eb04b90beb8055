"""A trained run, as measures receive it."""

from collections.abc import Callable
from dataclasses import dataclass

from mixvae.data import Dataset
from mixvae.experiments.item import Data
from mixvae.run import Run

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
        return int(self.job.training["batch_size"])
