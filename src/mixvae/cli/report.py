"""``mixvae report``: a page about runs."""

import warnings
from dataclasses import dataclass
from inspect import getdoc
from pathlib import Path

from mixvae.data import Dataset
from mixvae.data.dataset import SplitName
from mixvae.errors import MixvaeError, MixvaeWarning
from mixvae.report.page import N_ROWS, N_SAMPLES, check_number, free_path, write_report
from mixvae.run import Run, load

from .inputs import DATA_OPTIONS, DataOptions
from .parser import Parser, taken
from .recipe_files import add_recipes, import_recipes
from .result import Result
from .runs import source_of

MOST_WORDS = 1000


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What the page shows, and where it goes."""

    out: str | None = None
    """The .html file; by default report.html in the run folder, for several runs in the current
    folder, or the next free name."""
    overwrite: bool = False
    """Replace the file if it exists."""
    split: SplitName = "test"
    """Split of the data."""
    n_rows: int = N_ROWS
    """Number of examples to show, evenly spaced; several runs share them out."""
    log_likelihood: int = N_SAMPLES
    """Importance samples for each example's log p(x); 0 leaves log p(x), which is slow, out."""
    seed: int = 0
    """Seed of all noise."""
    progress: bool = True
    """Show a progress bar while log p(x) is estimated."""


def report(argv: list[str]) -> Result:
    """Write a page about a run, or about several to compare: one HTML file, without a network.

    It has the command that makes the run again, bound and log p(x) with what they are worth,
    training curves, a card for each component, a map of the codes, outliers, reconstructions and
    posterior predictive checks. docs/report.md explains each.

      mixvae report runs/mixture-vae-digits-001
      mixvae report runs/vae-mnist-001 runs/mixture-vae-mnist-001 --out both.html
    """
    parser = Parser("mixvae report RUN [RUN ...] [OPTIONS]", f"{getdoc(report)}")
    add_recipes(parser)
    parser.add_options("the page", ReportOptions)
    parser.add_options("data; by default each run's own", DataOptions, skip={"subset"})
    parser.unset(*(name for name in DATA_OPTIONS if name != "subset"))
    words, values = parser.read(argv, MOST_WORDS)
    if not words:
        raise MixvaeError(f"name a run folder, such as runs/m-vae-digits-001: {parser.usage}.")
    check_number(len(words))
    import_recipes(argv)
    options = taken(ReportOptions, values)
    given = {name: values[name] for name in DATA_OPTIONS if name in values}
    folders = [Path(word) for word in words]
    runs: list[Run] = []
    data: list[Dataset] = []
    for folder in folders:
        source, run = source_of(folder, given), load(folder)
        if not runs:  # before data of the other runs are read
            free_path(options.out, folders, overwrite=options.overwrite)
        if changed := source.changes(folder):
            warnings.warn(f"{folder}: {changed}", MixvaeWarning, stacklevel=2)
        runs.append(run)
        data.append(source.data)
    path = write_report(runs, data, **vars(options))
    return Result(values={"runs": folders, "page": path}, files=[path])
