"""The trials of a search, trained one after the other, or in the rounds of successive halving."""

import sys
import time
import warnings
from collections.abc import Mapping
from math import ceil
from typing import Any

from mixvae.data import Dataset
from mixvae.errors import MixvaeError, MixvaeWarning
from mixvae.progress import on_terminal
from mixvae.recipes.building import class_of
from mixvae.run import load
from mixvae.storage.lock import is_held
from mixvae.storage.run_folder import can_go_on, is_finished
from mixvae.training import fit, resume
from mixvae.training.checkpoints import waited

from .measure import Measure, write_rows
from .plan import DEFAULTS, Plan
from .sampler import check_installed, propose
from .space import grid, in_words, plain
from .stopping import ETA, Curve, Watch, curve, rounds, survivors
from .trials import OVER, Trial, TrialRun, Trials


class Runner:
    """Trains what a search folder lacks.

    Parameters
    ----------
    plan
        What is searched.
    data
        The data.
    measure
        What is computed of each run.
    trials
        The state, which is written after every change.
    settings
        Options of the command line that all trials share, for their ``config.yaml``.
    progress, pictures
        As of :func:`mixvae.fit`.
    """

    def __init__(
        self,
        plan: Plan,
        data: Dataset,
        measure: Measure,
        trials: Trials,
        settings: Mapping[str, Any] | None = None,
        *,
        progress: bool = True,
        pictures: bool = False,
    ) -> None:
        self.plan, self.data, self.measure, self.trials = plan, data, measure, trials
        self.settings, self.progress, self.pictures = settings, progress, pictures
        self.started, self.trained = time.monotonic(), 0

    def run(self) -> None:
        """Train and measure all that is left."""
        if not self.plan.is_grid:
            check_installed()
        for point in grid(self.plan.space) if self.plan.is_grid else ():
            if self.trials.find(point) is None:
                self.trials.add(point, self.plan.seeds)
        self._end_stopped()
        if self.plan.stopping == "halving":
            self._halve()
            return
        for trial in self.trials.all:
            self._run_all(trial)
        while not self.plan.is_grid and (new := self._propose()) is not None:
            self._run_all(new)

    @property
    def n_trials(self) -> int:
        """The number of trials in all."""
        return len(self.trials.all) if self.plan.is_grid else self.plan.n_trials or 0

    def _propose(self, *, random: bool = False) -> Trial | None:
        """The next trial of a sampled space; None at its end."""
        if len(self.trials.all) >= self.n_trials:
            return None
        values = {one.number: one.value for one in self.trials.candidates()}
        sign = self.measure.target.sign
        tried = [
            (trial.options, sign * values[trial.number] if trial.number in values else None)
            for trial in self.trials.all
        ]
        point = propose(self.plan.space, tried, self.plan.sampler_seed, random=random)
        return None if point is None else self.trials.add(point, self.plan.seeds)

    def _run_all(self, trial: Trial) -> None:
        """Train a trial with every seed, until one is stopped or fails."""
        for run in trial.runs:
            if trial.state == "waiting" and run.state not in OVER:
                others = self._curves(trial) if self.plan.stopping == "median" else []
                self._train(trial, run, None, others)
                self._measure(trial, run)

    def _halve(self) -> None:
        """Successive halving: the best third of each round goes on."""
        while not self.plan.is_grid and self._propose(random=True) is not None:
            pass
        for i, share in enumerate(rounds(self.n_trials)):
            alive = [trial for trial in self.trials.all if trial.state not in ("stopped", "failed")]
            for trial in alive:
                limit = None if share == 1 else max(1, ceil(share * self._epochs(trial)))
                for run in trial.runs:
                    if trial.state == "waiting" and run.state not in OVER:
                        self._train(trial, run, limit, [])
                        if share == 1:
                            self._measure(trial, run)
            if share < 1:
                self._keep_best(i, share)

    def _keep_best(self, i: int, share: float) -> None:
        """Stop all but the best of a round, whose number depends on that of all trials alone."""
        scores = {}
        for trial in self.trials.all:
            if trial.state not in ("stopped", "failed"):
                curves = [curve(self.trials.history(run)) for run in trial.runs]
                epoch = max(1, ceil(share * self._epochs(trial)))
                scores[trial.number] = sum(c[min(epoch, max(c))] for c in curves) / len(curves)
        kept = survivors(scores, ceil(self.n_trials / ETA ** (i + 1)))
        gone = [trial for trial in self.trials.all if trial.number in scores.keys() - set(kept)]
        for trial in gone:
            for run in trial.runs:
                run.state = "stopped"
                run.note = f"not among the best {len(kept)} after {run.epochs} epochs"
        if gone:
            self.trials.save()
            numbers = ", ".join(str(trial.number) for trial in gone)
            self.say(f"round {i + 1}: trials {numbers} stopped; {len(kept)} go on")

    def _train(self, trial: Trial, run: TrialRun, limit: int | None, others: list[Curve]) -> None:
        """Train a run, or go on with it, up to a limit of epochs."""
        folder, epochs = self.trials.path(run), self._epochs(trial)
        done = max(curve(self.trials.history(run)), default=0)
        over = self._is_over(trial, run, done)
        if run.state == "trained" or (over and is_finished(folder)):
            run.state = "trained"
            return
        if limit and (done > limit or (done == limit and is_finished(folder))):
            return  # it has been in this round
        if is_held(folder):
            raise MixvaeError(f"the run {folder} is in use by another process; wait until it ends.")
        self._announce(trial, run, limit)
        run.state, run.note = "training", ""
        self.trials.save()

        def stopped(epoch: int, why: str) -> None:
            run.state, run.epochs, run.note = "stopped", epoch, why
            self.trials.save()

        how: dict[str, Any] = {
            "callbacks": [Watch(limit, others, stopped)],
            "progress": self.progress and on_terminal(),
            "pictures": self.pictures,
            "evaluate_on": "val",
        }
        training = self.plan.split(trial.options)[1]
        how |= {k: training[k] for k in ("compile", "accelerator") if k in training}
        try:
            if can_go_on(folder):
                n = max(1, done) if limit and done >= limit else epochs
                resume(folder, self.data, max_epochs=n, recipes=self._recipes(), **how)
            else:
                built = self.plan.build(trial.options, self.data, run.seed)
                settings = self._settings(trial, run)
                own = training | how | {"seed": run.seed, "settings": settings}
                fit(built, self.data, out=folder, **own)
        except (MixvaeError, RuntimeError) as error:  # not finite, or not enough memory
            self._fail(trial, run, error)
            return
        done = max(curve(self.trials.history(run)), default=0)
        run.epochs = done
        if run.state == "training":  # the callback has not stopped it
            run.state = "trained" if self._is_over(trial, run, done) else "paused"
        self.trials.save()
        if run.state in OVER and run.note and run.epochs:
            self.say(f"trial {trial.number} stopped after {done} epochs: {run.note}")

    def _measure(self, trial: Trial, run: TrialRun) -> None:
        """Compute a trained run's figures of validation rows."""
        if run.state not in ("trained", "paused"):  # paused: a callback of ours has no limit here
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", MixvaeWarning)
                own = load(self.trials.path(run), recipes=self._recipes())
            rows, name = self.data.seen("val"), f"{self.data.name}, val"
            found = self.measure(own, rows, self.data.transform, name)
        except (MixvaeError, RuntimeError) as error:
            self._fail(trial, run, error)
            return
        write_rows(self.trials.rows(run), found.rows)
        run.figures, run.state = found.to_dict(), "finished"
        self.trials.save()
        self.trained += 1
        label = self.measure.target.label
        self.say(
            f"trial {trial.number}: {label} {found.value:.3f} of validation rows{self._left()}"
        )

    def _end_stopped(self) -> None:
        """Write the last files of runs that were stopped, and killed while these were written."""
        for trial in self.trials.all:
            for run in trial.runs:
                folder = self.trials.path(run)
                if run.state == "stopped" and can_go_on(folder) and not is_finished(folder):
                    given: dict[str, Any] = {"max_epochs": max(1, run.epochs), "pictures": False}
                    given |= {"progress": False, "evaluate_on": "val"}
                    resume(folder, self.data, recipes=self._recipes(), **given)

    def _fail(self, trial: Trial, run: TrialRun, error: Exception) -> None:
        run.state, run.note = "failed", " ".join(str(error).split())
        self.trials.save()
        self.say(f"trial {trial.number} failed: {run.note}")

    def _is_over(self, trial: Trial, run: TrialRun, done: int) -> bool:
        """Whether a run's epochs, or its patience, are over."""
        patience = self._training(trial)["patience"]
        history = self.trials.history(run)
        tired = patience is not None and bool(history) and waited(history) >= patience
        return done >= self._epochs(trial) or tired

    def _curves(self, trial: Trial) -> list[Curve]:
        """The bounds of other trials' runs."""
        others = [other for other in self.trials.all if other.number != trial.number]
        found = [curve(self.trials.history(run)) for other in others for run in other.runs]
        return [one for one in found if one]

    def _training(self, trial: Trial) -> dict[str, Any]:
        return DEFAULTS | self.plan.split(trial.options)[1]

    def _epochs(self, trial: Trial) -> int:
        return int(self._training(trial)["max_epochs"])

    def _recipes(self) -> list[Any]:
        return [class_of(self.plan.recipe)]

    def _settings(self, trial: Trial, run: TrialRun) -> dict[str, Any] | None:
        """The options by which the command line would train the run."""
        if self.settings is None:
            return None
        own = {"seed": run.seed, "pictures": self.pictures}
        return dict(self.settings) | plain(trial.options) | own

    def _announce(self, trial: Trial, run: TrialRun, limit: int | None) -> None:
        epochs = self._epochs(trial)
        until = f"up to epoch {limit} of {epochs}" if limit else f"{epochs} epochs"
        seed = f", seed {run.seed}" if len(self.plan.seeds) > 1 else ""
        self.say(
            f"trial {trial.number} ({trial.number + 1} of {self.n_trials}): "
            f"{in_words(trial.options)}{seed}, {until}, into {self.trials.path(run)}"
        )

    def _left(self) -> str:
        """How long the rest will take, as long as the runs so far took on average."""
        n = self.n_trials * len(self.plan.seeds)
        over = sum(run.state in OVER for trial in self.trials.all for run in trial.runs)
        if self.plan.stopping == "halving" or not n - over:
            return ""
        seconds = (time.monotonic() - self.started) / self.trained * (n - over)
        amount = f"{seconds / 60:.0f} min" if seconds >= 100 else f"{seconds:.0f} s"
        return f"; about {amount} left for {n - over} more"

    def say(self, text: str) -> None:
        """A line of progress on standard error."""
        if self.progress:
            print(text, file=sys.stderr)
