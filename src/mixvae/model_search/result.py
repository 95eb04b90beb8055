"""The result of a search: the table of its trials, the chosen one, and its figures on test rows."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mixvae.comparison import FIGURES
from mixvae.data import Dataset
from mixvae.errors import MixvaeError
from mixvae.evaluation import evaluate
from mixvae.evaluation.data_units import in_data_units
from mixvae.plots import ComponentCount, component_counts
from mixvae.recipes.building import class_of
from mixvae.report.tables import finite
from mixvae.run import Run, load, read_json, write_json
from mixvae.storage.files import write_text

from .choice import Candidate, Chosen, Estimate, choose, combined, over_seeds, weighted_mean
from .metric import Target
from .plan import Plan
from .space import plain
from .trials import Trial, TrialRun, Trials

TABLE, RESULT, PICTURE, TEST = "table.csv", "result.json", "component_counts.png", "test.json"
SHOWN_FAILURES = 3


@dataclass(frozen=True, eq=False, repr=False)
class Search:
    """A search that has ended; ``str`` gives its table and what was chosen.

    Attributes
    ----------
    folder
        The search folder.
    plan
        What was searched.
    target
        The figure of validation rows that trials were compared by.
    trials
        All trials, in their order.
    candidates
        The finished ones with their figures.
    chosen
        What was chosen, and why.
    test
        Figures of the chosen run on test rows, as :func:`mixvae.evaluation.evaluate` gives them;
        None where they were not asked for.
    """

    folder: Path
    plan: Plan
    target: Target
    trials: list[Trial]
    candidates: list[Candidate]
    chosen: Chosen
    test: dict[str, Any] | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The options of the chosen trial."""
        return dict(self.trials[self.chosen.pick].options)

    @property
    def run_folder(self) -> Path:
        """The run folder of the chosen trial: of several seeds, the one with the best figure."""
        return self.folder / best_run(self.trials[self.chosen.pick], self.target).folder

    @cached_property
    def run(self) -> Run:
        """The chosen run, loaded."""
        return load(self.run_folder, recipes=[class_of(self.plan.recipe)])

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The table: a row for each trial, from the best to the worst, then the others."""
        estimates = {one.number: one for one in self.chosen.estimates}
        order = [*estimates, *(t.number for t in self.trials if t.number not in estimates)]
        found = {one.number: one for one in self.candidates}
        return [self._row(self.trials[n], estimates.get(n), found.get(n)) for n in order]

    def plot(self, path: str | Path) -> Path:
        """Draw K against the figures of validation rows, with the chosen K.

        Parameters
        ----------
        path
            PNG file to write.

        Returns
        -------
        Path
            The written file.
        """
        return plot(self.candidates, self.chosen, self.target, path)

    def __str__(self) -> str:
        """The table as aligned plain text, and what was chosen."""
        from .text import text

        return text(self)

    def _row(
        self, trial: Trial, estimate: Estimate | None, candidate: Candidate | None
    ) -> dict[str, Any]:
        found = [] if candidate is None else candidate.measured
        state = trial.state
        if trial.number == self.chosen.pick:
            state = "chosen"  # type: ignore[assignment]
        elif trial.number == self.chosen.best:
            state = "best"  # type: ignore[assignment]
        row: dict[str, Any] = {"trial": trial.number, **plain(trial.options), "state": state}
        row["K"] = None if estimate is None else estimate.n_components
        row |= {
            key: None if estimate is None else getattr(estimate, key)
            for key in ("value", "error", "difference", "difference_error")
        }
        row["in_use"] = float(np.mean([one.in_use for one in found])) if found else None
        effective = [one.effective_components for one in found]
        row["effective_components"] = float(np.mean(effective)) if found else None
        for name in FIGURES:
            row[name] = None if candidate is None else (candidate.mean(name) or (None,))[0]
        row["epochs"] = sum(run.epochs for run in trial.runs)
        caveats = [one.caveat for one in found if one.caveat]
        row["note"] = trial.note or (f"log p(x) {caveats[0]}" if caveats else "")
        return row


def conclude(trials: Trials, plan: Plan, target: Target) -> Search:
    """The result of a search folder whose trials have ended.

    Raises a MixvaeError where no trial was finished, with the first reasons.
    """
    candidates = trials.candidates()
    if not candidates:
        notes = [trial.note for trial in trials.all if trial.note][:SHOWN_FAILURES]
        raise MixvaeError(
            f"no trial of the search {trials.folder} was finished: {' | '.join(notes)}"
        )
    chosen = choose(candidates, target, one_standard_error=plan.one_standard_error)
    return Search(trials.folder, plan, target, trials.all, candidates, chosen)


def write(search: Search) -> None:
    """Write ``table.csv``, ``result.json`` and, of several K, ``component_counts.png``."""
    text = io.StringIO()
    rows = search.rows
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: "" if v is None else v for k, v in row.items()} for row in rows)
    write_text(search.folder / TABLE, text.getvalue())
    content = {
        "metric": search.target.name,
        "run": str(search.run_folder.relative_to(search.folder)),
        "options": plain(search.options),
        "reason": search.chosen.reason,
        "trials": rows,
    }
    write_json(search.folder / RESULT, finite(content))
    if len({one.n_components for one in search.candidates}) > 1:
        search.plot(search.folder / PICTURE)


def final_figures(
    search: Search, data: Dataset, n_samples: int, *, progress: bool = False
) -> dict[str, Any]:
    """Figures of the chosen run on test rows: computed once, and kept in ``test.json``.

    If another run was chosen before, of fewer trials, it is named in ``earlier``.
    """
    path, run = search.folder / TEST, str(search.run_folder.relative_to(search.folder))
    before = read_json(search.folder, TEST) if path.exists() else {}
    if before.get("run") == run:
        return before
    found = evaluate(search.run.recipe, data.test, log_likelihood=n_samples, progress=progress)
    metrics = finite(in_data_units(found, data.transform, data.test))
    earlier = [*before.get("earlier", []), *([before["run"]] if before else [])]
    content = {"run": run, "split": "test", "data": data.describe(), "earlier": earlier}
    write_json(path, metrics | content)
    return dict(metrics | content)


def best_run(trial: Trial, target: Target) -> TrialRun:
    """The run of a trial's seed with the best figure."""
    return max(trial.runs, key=lambda run: target.sign * (run.figures or {})["value"])


def plot(
    candidates: Sequence[Candidate], chosen: Chosen, target: Target, path: str | Path,
    of: str = "validation rows",
) -> Path:  # fmt: skip
    """Draw K against the figures of candidates."""
    by_number = {one.number: one for one in candidates}
    best, pick = by_number[chosen.best], by_number[chosen.pick]
    ordered = [by_number[one.number] for one in chosen.estimates]
    ordered.sort(key=lambda one: one.number != chosen.pick)  # the chosen one before its equals
    counts = [_count(one, best, target) for one in ordered]
    given = {"chosen": pick.n_components, "best": best.n_components}
    labels = {target.name: target.label}
    return component_counts(counts, path, of=of, labels=labels, **given)


def _count(one: Candidate, best: Candidate, target: Target) -> ComponentCount:
    """A candidate for the picture; errors are those of its difference from the best."""
    figures: dict[str, tuple[float, float | None]] = {}
    for name in FIGURES:
        rows, its = one.rows(name), best.rows(name)
        if rows is not None and its is not None:
            mean = weighted_mean(rows, one.weight)[0]
            of_seeds = [
                over_seeds([weighted_mean(m.rows[name], own.weight)[0] for m in own.measured])
                for own in (one, best)
            ]
            paired = weighted_mean(rows - its, one.weight)[1]
            error = None if one is best else combined(paired, *of_seeds)
            figures[name] = (mean, error)
    if not target.by_row:
        figures[target.name] = (one.value, combined(one.seed_error, best.seed_error))
    each = [m.effective_components for m in one.measured]
    return ComponentCount(
        n_components=one.n_components,
        figures=figures,
        effective=(float(np.mean(each)), over_seeds(each)),
        in_use=float(np.mean([m.in_use for m in one.measured])),
        shares=one.measured[0].shares,
    )
