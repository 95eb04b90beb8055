"""The trials of a search and their state, kept in plain JSON after every change."""

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from mixvae.errors import MixvaeError
from mixvae.run import read_json, write_json
from mixvae.storage.history import read_history
from mixvae.storage.run_folder import LOG

from .choice import Candidate
from .measure import Measured
from .space import Point, plain, tuples

TRIALS, FOLDERS, ROWS = "trials.json", "trials", "rows"
State = Literal["waiting", "training", "paused", "trained", "stopped", "finished", "failed"]
OVER = ("stopped", "finished", "failed")


@dataclass
class TrialRun:
    """A point trained with one seed: an ordinary run folder.

    Attributes
    ----------
    seed
        Of its training.
    folder
        Of the run, in the search folder.
    state
        waiting, training, paused (between rounds), trained (but not yet measured), stopped (as
        worse than others), finished, or failed.
    epochs
        Of the model's own training.
    note
        Why it was stopped, or failed.
    figures
        Of validation rows, once it is finished.
    """

    seed: int
    folder: str
    state: State = "waiting"
    epochs: int = 0
    note: str = ""
    figures: dict[str, Any] | None = None


@dataclass
class Trial:
    """A point of the space, trained with every seed.

    Attributes
    ----------
    number
        Counted from 0.
    options
        The point.
    runs
        One for each seed.
    """

    number: int
    options: Point
    runs: list[TrialRun] = field(default_factory=list)

    @property
    def state(self) -> State:
        """finished where all runs are, stopped or failed where one is, else waiting."""
        states = {run.state for run in self.runs}
        for state in ("failed", "stopped"):
            if state in states:
                return state  # type: ignore[return-value, unused-ignore]
        return "finished" if states == {"finished"} else "waiting"

    @property
    def note(self) -> str:
        """Why it was stopped, or failed."""
        return next((run.note for run in self.runs if run.note), "")


class Trials:
    """All trials of a search folder.

    Parameters
    ----------
    folder
        The search folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.all: list[Trial] = []
        if (folder / TRIALS).exists():
            self._read()

    def add(self, options: Point, seeds: tuple[int, ...]) -> Trial:
        """A new trial of a point."""
        number = len(self.all)
        runs = [TrialRun(seed, self._name(number, seed, seeds)) for seed in seeds]
        self.all.append(Trial(number, options, runs))
        self.save()
        return self.all[-1]

    def find(self, options: Point) -> Trial | None:
        """The trial of a point, if there is one."""
        return next((trial for trial in self.all if trial.options == options), None)

    def save(self) -> None:
        """Write the state, whole or not at all."""
        content = [asdict(trial) | {"options": plain(trial.options)} for trial in self.all]
        write_json(self.folder / TRIALS, {"trials": content})

    def path(self, run: TrialRun) -> Path:
        """The run folder of a trial's run."""
        return self.folder / run.folder

    def rows(self, run: TrialRun) -> Path:
        """The CSV file of a run's figures of rows."""
        return self.folder / ROWS / f"{Path(run.folder).name}.csv"

    def history(self, run: TrialRun) -> list[dict[str, Any]]:
        """The epochs of a run's own training."""
        rows = read_history(self.path(run) / LOG)
        return [row for row in rows if row.get("phase") == "main"]

    def candidates(self) -> list[Candidate]:
        """The finished trials with their figures."""
        found = []
        for trial in self.all:
            if trial.state == "finished":
                own = [Measured.read(run.figures or {}, self.rows(run)) for run in trial.runs]
                found.append(Candidate(trial.number, trial.options, own))
        return found

    def _name(self, number: int, seed: int, seeds: tuple[int, ...]) -> str:
        return f"{FOLDERS}/{number:03d}" + (f"-seed-{seed}" if len(seeds) > 1 else "")

    def _read(self) -> None:
        content = read_json(self.folder, TRIALS)
        try:
            for one in content["trials"]:
                runs = [TrialRun(**run) for run in one["runs"]]
                for run in runs:
                    _check_inside(run.folder)
                options = {name: tuples(value) for name, value in one["options"].items()}
                self.all.append(Trial(one["number"], options, runs))
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise MixvaeError(
                f"{self.folder / TRIALS} holds no trials of a search: {error}."
            ) from error


def _check_inside(folder: str) -> None:
    """Raise a ValueError for a run that is not in the search folder, which is not to be changed."""
    if not re.fullmatch(rf"{FOLDERS}/[0-9]+(-seed-[0-9]+)?", folder):
        raise ValueError(f"{folder!r} is no folder of a trial")
