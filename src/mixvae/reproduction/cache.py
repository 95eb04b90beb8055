"""Trained runs of experiments and their figures, kept in a folder and made once.

A run lies in ``RECIPE-DATA-DIGEST/run``, beside ``spec.json``, which says what defines it, and
``figures/``, a file for every measure. Whoever works on it holds a lock.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

import torch

import mixvae
from mixvae.data import Dataset
from mixvae.data.download import data_home
from mixvae.errors import MixvaeError
from mixvae.experiments.item import Data
from mixvae.progress import on_terminal
from mixvae.report.tables import write_metrics
from mixvae.run import Run, load, read_json, write_json
from mixvae.storage import lock
from mixvae.storage.run_folder import can_go_on, is_finished

from .jobs import Job, digest, plain
from .measures import MEASURES, Subject
from .provenance import commit

FORMAT = 1
SPEC, RUN, FIGURES = "spec.json", "run", "figures"
KINDS = {"bounds": dict, "reconstruction": dict, "health": dict, "n_components": int}


class InUseError(MixvaeError):
    """Error for a run that another process works on."""


class Cache:
    """Trained runs and their figures.

    Parameters
    ----------
    root
        The folder.
    data_dir
        Folder of the data files; by default MIXVAE_DATA, else the user's cache.
    progress
        Show progress; on a terminal, also of each training.
    """

    def __init__(self, root: Path, data_dir: str | None = None, *, progress: bool = True) -> None:
        self.root, self.data_dir, self.progress = root, data_dir, progress
        self._datasets: dict[Data, Dataset | MixvaeError] = {}

    def dataset(self, data: Data) -> Dataset:
        """A data set, read once; files that could not be downloaded are not tried again.

        Raises
        ------
        MixvaeError
            If its files are missing or damaged.
        """
        if data not in self._datasets:
            try:
                self._datasets[data] = self._read(data)
            except MixvaeError as error:
                self._datasets[data] = error
        found = self._datasets[data]
        if isinstance(found, MixvaeError):
            raise found
        return found

    def _read(self, data: Data) -> Dataset:
        options = {k: v for k, v in asdict(data).items() if k not in ("name", "folder")}
        source = data.name
        if data.folder is not None:
            path = data_home(self.data_dir) / data.folder
            if not path.exists():
                raise MixvaeError(f"{data.name} is not there: put its images in {path}.")
            source = str(path)
        return mixvae.data.load(source, data_dir=self.data_dir, **options)

    def entry(self, job: Job) -> Path:
        """The folder of a job."""
        return self.root / job.name

    def figures(self, job: Job) -> dict[str, Any] | None:
        """The figures of a job; None unless it is trained and measured."""
        entry = self.entry(job)
        found: dict[str, Any] = {}
        if not is_finished(entry / RUN) or self._why_stale(job):
            return None
        for name, arguments in measures_of(job).items():
            content = _figures_in(_path(entry, name, arguments))
            if content is None:
                return None
            found |= content if name == "metrics" else {name: content}
        return found | {"spec": read_json(entry, SPEC)}

    def is_made(self, job: Job) -> bool:
        """Whether a job is trained and measured, and its model can be read for the pictures."""
        if self.figures(job) is None:
            return False
        try:
            self.run(job)
        except MixvaeError:
            return False
        return True

    def run(self, job: Job) -> Run:
        """The trained run of a job.

        Raises
        ------
        MixvaeError
            If its files are damaged, or are those of another run.
        """
        run = load(self.entry(job) / RUN)
        given = {name: value for name, value in job.options.items() if value is not None}
        found = {name: run.recipe.options.get(name) for name in given}
        if run.recipe.name != job.row.recipe or plain(found) != plain(given):
            raise MixvaeError(f"{run.folder} is the run of another recipe, or of other options.")
        return run

    def make(self, job: Job) -> None:
        """Train and measure what is missing of a job.

        Raises
        ------
        InUseError
            If another process works on it.
        MixvaeError
            If the data cannot be read, or the training fails.
        """
        data = self.dataset(job.data)
        with self._own(job) as entry:
            if reason := self._why_stale(job):
                self._move_away(entry, reason)
            content: dict[str, Any] = {"spec": job.spec, "defaults": job.defaults}
            content |= {"format": FORMAT, "version": mixvae.__version__}
            if not (entry / SPEC).exists():
                content |= {"content": data.describe()["content"], "commit": commit()}
                write_json(entry / SPEC, content)
            subject = Subject(job, self._trained(job, entry, data), data, self.dataset)
            for name, arguments in measures_of(job).items():
                path = _path(entry, name, arguments)
                if _figures_in(path) is None:
                    path.parent.mkdir(exist_ok=True)
                    write_metrics(MEASURES[name](subject, **arguments), path)

    @contextmanager
    def _own(self, job: Job) -> Iterator[Path]:
        entry = self.entry(job)
        entry.mkdir(parents=True, exist_ok=True)
        if lock.is_held(entry):
            raise InUseError(f"{entry} is in use by another process.")
        try:
            lock.acquire(entry)
        except MixvaeError as error:  # another process was quicker
            raise InUseError(str(error)) from error
        try:
            yield entry
        finally:
            lock.release(entry)

    def _trained(self, job: Job, entry: Path, data: Dataset) -> Run:
        """The run, trained from where it stopped."""
        folder = entry / RUN
        options: dict[str, Any] = {
            "pictures": False,
            "progress": self.progress and on_terminal(),
        }
        if lock.is_held(folder):
            raise InUseError(f"{folder} is in use by another process.")
        if is_finished(folder):
            try:
                if (run := self.run(job)).metrics:
                    return run
                raise MixvaeError(f"{folder}/metrics.json is missing or damaged.")
            except MixvaeError as error:
                self._move_away(folder, str(error))
        if can_go_on(folder):
            try:
                return mixvae.resume(folder, data, **options)
            except MixvaeError as error:
                self._move_away(folder, str(error))
        if (entry / FIGURES).exists():
            self._move_away(entry / FIGURES, "they are of a run that is gone.")
        torch.manual_seed(job.seed)
        recipe = mixvae.build(str(job.row.recipe), data, **job.options, seed=job.seed)
        settings = self._settings(job)
        return mixvae.fit(recipe, data, out=folder, settings=settings, **options, **job.training)

    def _settings(self, job: Job) -> dict[str, Any]:
        """The options of ``mixvae train`` that train this run, for commands that use the run."""
        data: dict[str, Any] = {} if job.data.folder else {"data": job.data.name}
        data |= {"binarize": job.data.binarize, "n_val": job.data.n_val, "subset": job.data.subset}
        return {"recipe": job.row.recipe} | job.options | data | job.training

    def _why_stale(self, job: Job) -> str:
        """Why an entry cannot be used; empty if it can, or if there is none."""
        entry = self.entry(job)
        if not (entry / SPEC).exists():
            return f"it has no {SPEC}." if (entry / RUN).exists() else ""
        try:
            found = read_json(entry, SPEC)
        except MixvaeError as error:
            return str(error)
        if found.get("format") != FORMAT or found.get("version") != mixvae.__version__:
            return f"it was made by mixvae {found.get('version')}."
        if found.get("spec") != job.spec:
            return f"{SPEC} does not belong to it."
        if changed := _changed(found.get("defaults"), job.defaults):
            return f"the default of {changed} has changed."
        if found.get("content") != self.dataset(job.data).describe()["content"]:
            return f"the content of {job.data.name} has changed."
        return ""

    def _move_away(self, path: Path, reason: str) -> None:
        """Rename what cannot be used, and say so; the lock stays."""
        for number in count(1):
            old = self.root / f"replaced-{number:03d}-{self._name(path)}"
            if not old.exists():
                break
        if path.name in (RUN, FIGURES):
            path.rename(old)
        else:
            old.mkdir()
            for part in (SPEC, RUN, FIGURES):
                if (path / part).exists():
                    (path / part).rename(old / part)
        again = "measured" if path.name == FIGURES else "trained"
        print(f"{again} again: {path}: {reason} Renamed {old.name}.", file=sys.stderr)

    def _name(self, path: Path) -> str:
        return "-".join(path.relative_to(self.root).parts)


def measures_of(job: Job) -> Mapping[str, Mapping[str, Any]]:
    """The measures of a job with their arguments; ``metrics`` is always among them."""
    return {"metrics": dict(job.protocol.evaluation)} | dict(job.item.measures)


def _changed(before: Any, now: Mapping[str, Mapping[str, Any]]) -> str:
    """Name of a default that is no longer the same; new and removed options do not count."""
    if not isinstance(before, Mapping):
        return "its options"
    for kind, values in now.items():
        if not isinstance(earlier := before.get(kind, {}), Mapping):
            return f"the {kind}"
        for name, value in values.items():
            if name in earlier and earlier[name] != value:
                return name
    return ""


def _figures_in(path: Path) -> dict[str, Any] | None:
    """The figures in a file; None where it is missing or, with a message, damaged."""
    if not path.exists():
        return None
    try:
        content = read_json(path.parent, path.name)
        for name, kind in KINDS.items() if path.name.startswith("metrics-") else ():
            if not isinstance(content.get(name), kind):
                raise MixvaeError(f"{name} in {path} is not of the kind that is written there.")
    except MixvaeError as error:
        print(f"measured again: {error}", file=sys.stderr)
        return None
    return content


def _path(entry: Path, name: str, arguments: Mapping[str, Any]) -> Path:
    return entry / FIGURES / f"{name}-{digest(dict(arguments))}.json"
