"""A report on trained runs: one HTML page that needs nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape
from importlib.metadata import version
from importlib.resources import files
from itertools import count
from pathlib import Path
from string import Template

from mixvae.comparison import Comparison
from mixvae.comparison import figures as figures_of
from mixvae.data import Dataset
from mixvae.data.dataset import SplitName
from mixvae.errors import MixvaeError, is_a, one_of, seeds, whole
from mixvae.evaluation.marginal_likelihood.log_likelihood import MAX_SAMPLES
from mixvae.run import Run
from mixvae.storage.files import write_text

from .cards import cards
from .codes_map import codes_map
from .comparison import cells
from .confusion import confusion
from .examined import Examined, examine
from .examples import outliers, reconstructions
from .html import section, table, tag, text
from .overview import curves, figures, trained
from .predictive import predictive

MOST_RUNS = 8
MOST_BYTES = 10_000_000
MOST_ROWS = 5000
N_ROWS, N_SAMPLES = 500, 500
SECTIONS: dict[str, tuple[str, Callable[[Examined, str], str]]] = {
    "trained": ("What was trained", trained),
    "figures": ("Bound and log p(x)", figures),
    "training": ("Training", curves),
    "components": ("Components", cards),
    "labels": ("Labels", confusion),
    "map": ("Map of the codes", codes_map),
    "outliers": ("Outliers", outliers),
    "reconstructions": ("Reconstructions", reconstructions),
    "checks": ("Predictive checks", predictive),
}


def write_report(
    runs: Run | Sequence[Run],
    data: Dataset | Sequence[Dataset],
    out: str | Path | None = None,
    *,
    split: SplitName = "test",
    n_rows: int = N_ROWS,
    log_likelihood: int = N_SAMPLES,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = False,
) -> Path:
    """Write a report on trained runs: one HTML page that opens from disk and needs no network.

    It has what was trained and the command that makes it again; the bound, objective and log p(x),
    each marked as valid, not a bound or unreliable; training curves; a card for each component;
    components against labels; a map of the codes; outliers; reconstructions; and posterior
    predictive checks. What does not apply to a model is said in a line.

    Parameters
    ----------
    runs
        A run, or several to compare, from :func:`mixvae.fit` or :func:`mixvae.load`.
    data
        The data of all runs, or those of each.
    out
        The HTML file; by default ``report.html`` in the folder of the one run, or for several runs
        in the current folder, or the next free name (``report-2.html``) if it exists.
    split
        Which rows of the data.
    n_rows
        Rows that are shown, evenly spaced; several runs share them out.
    log_likelihood
        Importance samples for log p(x) of each of these rows; 0 leaves it out, as it is slow.
    seed
        Seed of all noise.
    overwrite
        Replace ``out`` if it exists.
    progress
        Show a progress bar while log p(x) is estimated.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    MixvaeError
        For data that are not of the runs' shape, more than 8 runs, a file that exists or cannot be
        written, and a page above 10 MB.
    """
    every = [runs] if isinstance(runs, Run) else list(runs)
    each = [data] * len(every) if isinstance(data, Dataset) else list(data)
    for run in every:
        is_a(Run, "such as mixvae.load(folder)", run=run)
    if len(each) != len(every):
        raise MixvaeError(f"data must be one Dataset, or {len(every)}, one a run; got {len(each)}.")
    check_number(len(every))
    one_of("split", split, ("train", "val", "test"))
    whole(2, MOST_ROWS, n_rows=n_rows)
    whole(0, MAX_SAMPLES, log_likelihood=log_likelihood)
    seeds(seed=seed)
    path = free_path(out, [run.folder for run in every], overwrite=overwrite)
    found = [
        examine(
            run,
            own,
            split,
            n_rows=max(2, n_rows // len(every)),
            n_samples=log_likelihood,
            seed=seed,
            progress=progress,
        )
        for run, own in zip(every, each, strict=True)
    ]
    page = html(found)
    if (size := len(page.encode())) > MOST_BYTES:
        raise MixvaeError(
            f"the report would have {size / 1e6:.0f} MB, and a page is to stay under "
            f"{MOST_BYTES / 1e6:.0f}; name fewer runs, or fewer rows (n_rows)."
        )
    write_text(path, page)
    return path


def check_number(n: int) -> None:
    """Raise a MixvaeError for no run, or too many."""
    if not 1 <= n <= MOST_RUNS:
        raise MixvaeError(
            f"a report is on 1 to {MOST_RUNS} runs; got {n}. mixvae compare makes a table of more."
        )


def free_path(out: str | Path | None, folders: Sequence[Path], *, overwrite: bool) -> Path:
    """Where a report goes; raises where it cannot go there, before anything is computed."""
    if out is None:
        folder = folders[0] if len(folders) == 1 else Path()
        names = (f"report{f'-{i}' if i > 1 else ''}.html" for i in count(1))
        path = (
            folder / "report.html"
            if overwrite
            else folder / next(name for name in names if not (folder / name).exists())
        )
    else:
        path = Path(out)
        if path.suffix != ".html":
            raise MixvaeError(f"the report is an .html file; got {path}.")
        if not path.parent.is_dir():
            raise MixvaeError(f"{path}: there is no folder {path.parent}; make it first.")
        if path.is_dir() or (path.exists() and not overwrite):
            raise MixvaeError(f"{path} exists; give another name, or overwrite it (--overwrite).")
    _check_writable(path)
    return path


def _check_writable(path: Path) -> None:
    """Raise a MixvaeError where no file can be made beside ``path``."""
    probe = path.with_name(f".{path.name}.probe")
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise MixvaeError(
            f"cannot write {path}: {error.strerror}; name a file in another folder (--out)."
        ) from error


def html(found: Sequence[Examined]) -> str:
    """The page."""
    several = len(found) > 1
    names = [f"{one.run.recipe.name} on {one.data.name}" for one in found]
    title = f"Report on {len(found)} runs" if several else f"Report: {names[0]}"
    body, nav = [], []
    if several:
        body.append(_differences(found))
        nav.append(_link("differences", "Differences"))
    for i, (one, name) in enumerate(zip(found, names, strict=True)):
        anchor = f"run{i}"
        heading = f"Run {i}: {name}" if several else name
        parts = [text("h2", heading, id=anchor), text("p", f"Run folder: {one.run.folder}")]
        parts += [part(one, anchor) for _, part in SECTIONS.values()]
        body.append(tag("div", "".join(parts), class_="run"))
        if several:
            nav.append(_link(anchor, heading))
        else:
            nav += [_link(f"{anchor}-{key}", words) for key, (words, _) in SECTIONS.items()]
    source = files("mixvae.report")
    return Template(source.joinpath("page.html").read_text("utf-8")).substitute(
        title=escape(title),
        style=source.joinpath("page.css").read_text("utf-8"),
        script=source.joinpath("page.js").read_text("utf-8"),
        nav="".join(nav),
        body="\n".join(body),
        footer=escape(f"Written by mixvae {_version()}. This page needs no network."),
    )


def _version() -> str:
    from mixvae import __version__

    return f"{__version__} with torch {version('torch')}"


def _link(anchor: str, words: str) -> str:
    return tag("li", text("a", words, href=f"#{anchor}"))


def _differences(found: Sequence[Examined]) -> str:
    """The runs' figures and paired differences, on the rows that are shown."""
    compared = []
    for one in found:
        name, n = f"{one.data.name}, {one.split}", len(one.rows)
        own = figures_of(
            one.run, one.data.seen(_split(one)), name, one.data.transform, n_test=n, seed=one.seed
        )
        values = dict(own.values)
        caveat = None
        if one.estimate is not None and one.score is not None:
            values["log_likelihood"] = one.score.numpy()
            caveat = one.estimate.caveat
        compared.append(replace(own, values=values, caveat=caveat))
    comparison = Comparison(tuple(compared))
    head, *rows = cells(comparison)
    of = dict.fromkeys(run.data for run in compared)
    caption = (
        f"{len(found[0].rows):,} examples each of {' / '.join(of)}; differences are from run 0, "
        "paired by example; ± is a standard error over examples; * is unreliable"
    )
    notes = [text("p", f"note: {note}") for note in comparison.notes()]
    return section(
        "differences", "Differences between the runs", table(head, rows, caption), *notes, level=2
    )


def _split(one: Examined) -> SplitName:
    names: dict[str, SplitName] = {"train": "train", "val": "val", "test": "test"}
    return names[one.split]
