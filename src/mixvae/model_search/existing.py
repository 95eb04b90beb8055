"""The choice among runs that exist: the same figures, rule and picture as of a search."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mixvae.data import Dataset
from mixvae.errors import MixvaeError, is_a
from mixvae.recipes.values import as_json
from mixvae.run import Run

from .choice import Candidate, Chosen, choose
from .measure import N_ROWS, N_SAMPLES, measure_of
from .metric import AUTO, Target
from .result import plot
from .text import table


@dataclass(frozen=True, eq=False, repr=False)
class Counts:
    """Runs compared by their number of components; ``str`` gives the table.

    Attributes
    ----------
    candidates
        Their figures; runs that differ in the seed alone are one.
    target
        The figure that they are compared by.
    chosen
        What was chosen, and why.
    split
        The rows.
    """

    candidates: list[Candidate]
    target: Target
    chosen: Chosen
    split: str

    def plot(self, path: str | Path) -> Path:
        """Draw K against the figures, with the chosen K.

        Parameters
        ----------
        path
            PNG file to write.

        Returns
        -------
        Path
            The written file.
        """
        return plot(self.candidates, self.chosen, self.target, path, f"{self.split} rows")

    def __str__(self) -> str:
        """The table as aligned plain text, and what was chosen."""
        return table(self.candidates, self.chosen, self.target, self.split)


def choose_run(
    runs: Sequence[Run],
    data: Dataset,
    *,
    split: Literal["val", "test", "train"] = "val",
    metric: str = AUTO,
    n_samples: int = N_SAMPLES,
    n_rows: int | None = N_ROWS,
    one_standard_error: bool = True,
) -> Counts:
    """Compare runs that exist as a search does, by the number of their components.

    Parameters
    ----------
    runs
        From :func:`mixvae.fit` or :func:`mixvae.load`, trained on these data.
    data
        The data.
    split
        The rows that they are compared on; a choice is made on val.
    metric, n_samples, n_rows, one_standard_error
        As of :func:`mixvae.search`.

    Returns
    -------
    Counts
        Print it for the table, and ``plot`` it.

    Raises
    ------
    MixvaeError
        For fewer than two runs, runs of other data, and a metric that one of them lacks.
    """
    if len(runs) < 2:
        raise MixvaeError(f"choose among at least two runs; got {len(runs)}.")
    for run in runs:
        is_a(Run, "such as mixvae.load(folder)", run=run)
        if run.recipe.x_shape != data.x_shape:
            raise MixvaeError(
                f"the run {run.folder} is of x of shape {run.recipe.x_shape}; {data.name} has "
                f"{data.x_shape}."
            )
    measure = measure_of(metric, n_samples, n_rows, [run.recipe for run in runs], data)
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(f"{run.recipe.to_dict()}", []).append(run)
    candidates = []
    for number, own in enumerate(groups.values()):
        rows = data.seen(split)
        found = [measure(run, rows, data.transform, f"{data.name}, {split}") for run in own]
        point = {"runs": as_json(tuple(str(run.folder) for run in own))}
        candidates.append(Candidate(number, point, found))
    chosen = choose(candidates, measure.target, one_standard_error=one_standard_error)
    return Counts(candidates, measure.target, chosen, split)
