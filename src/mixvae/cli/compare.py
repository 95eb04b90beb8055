"""``mixvae compare``: runs side by side."""

import warnings
from dataclasses import dataclass
from inspect import getdoc
from pathlib import Path

from mixvae.comparison import Comparison, figures
from mixvae.errors import MixvaeError, MixvaeWarning, whole
from mixvae.evaluation.marginal_likelihood.log_likelihood import N_SAMPLES
from mixvae.report.comparison import check_suffix, write
from mixvae.run import load

from .inputs import DATA_OPTIONS, DataOptions
from .parser import Parser, taken
from .pictures import check_folder
from .recipe_files import add_recipes, import_recipes
from .result import Result
from .runs import Part, source_of

MOST_RUNS = 1000


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What is compared, and where the table goes."""

    split: Part | None = None
    """Split of the data; by default test, or all of other data that have no test split."""
    log_likelihood: int = 0
    """Importance samples for each example's log p(x); 0 leaves log p(x), which is slow, out."""
    n_test: int | None = None
    """Use so many examples only, evenly spaced; by default all."""
    reference: int = 0
    """The run that others are compared with, counted from 0."""
    seed: int = 0
    """Seed of all noise."""
    out: str | None = None
    """A .csv, .json or .html file for the table."""


def compare(argv: list[str]) -> Result:
    """Compare runs on the same data: figures with standard errors, and paired differences.

    Differences are from the first run, or from --reference, and paired by example, so that small
    ones can be told from chance. What cannot be compared is said below the table: other data, or a
    density beside a probability.

      mixvae compare runs/vae-mnist-001 runs/mixture-vae-mnist-001
      mixvae compare runs/mfa-vae-* --log-likelihood --n-test 200 --out comparison.html
    """
    parser = Parser("mixvae compare RUN RUN ... [OPTIONS]", f"{getdoc(compare)}")
    add_recipes(parser)
    parser.add_options("comparison", CompareOptions)
    parser.bare("log_likelihood", N_SAMPLES)
    parser.add_options("data; by default each run's own", DataOptions, skip={"subset"})
    parser.unset(*(name for name in DATA_OPTIONS if name != "subset"))
    words, values = parser.read(argv, MOST_RUNS)
    if len(words) < 2:
        raise MixvaeError(f"name two run folders or more: {parser.usage}.")
    import_recipes(argv)
    options = taken(CompareOptions, values)
    whole(0, len(words) - 1, reference=options.reference)
    if options.out is not None:
        check_suffix(Path(options.out))
        check_folder(Path(options.out))
    given = {name: values[name] for name in DATA_OPTIONS if name in values}
    found = []
    for folder in map(Path, words):
        source, run = source_of(folder, given), load(folder)
        if changed := source.changes(folder):
            warnings.warn(f"{folder}: {changed}", MixvaeWarning, stacklevel=2)
        name, rows = source.part(options.split)
        of = f"{source.data.name}, {name}"
        how = {key: getattr(options, key) for key in ("log_likelihood", "n_test", "seed")}
        found.append(figures(run, rows, of, source.data.transform, **how))
    comparison = Comparison(tuple(found), options.reference)
    files = [] if options.out is None else [write(comparison, options.out)]
    return Result(text=str(comparison), values=comparison.to_dict(), files=files)
