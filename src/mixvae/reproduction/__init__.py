"""Reproduction of the papers' tables and figures; :mod:`mixvae.experiments` declares them."""

import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mixvae.errors import MixvaeError, is_a, one_of, unknown, whole
from mixvae.experiments import find
from mixvae.experiments.item import Item, Row, Scale
from mixvae.progress import progress as bar
from mixvae.storage import lock
from mixvae.storage.run_folder import partials

from .cache import Cache, InUseError
from .index import write_index
from .jobs import Job, jobs_of
from .pictures import draw
from .results import Results
from .tables import text_table, write_csv, write_markdown

__all__ = ["SCALES", "reproduce"]

SCALES: tuple[Scale, ...] = ("quick", "cpu", "paper")
SECONDS = 5.0  # between two looks at a run that another process works on


def reproduce(
    items: Sequence[str],
    *,
    scale: Scale = "cpu",
    seeds: int | None = None,
    row: Sequence[str] = (),
    data_dir: str | Path | None = None,
    runs: str | Path = "runs/reproduce",
    out: str | Path | None = None,
    progress: bool = True,
) -> list[Path]:
    """Train and measure what tables and figures of the papers need, and write them.

    Each item becomes ``PAPER/ITEM.csv``, ``.md`` and pictures, written anew after every run. Runs
    are kept and shared between items: one that exists is not trained again, and one that was
    interrupted goes on. Several processes may work on one folder of runs.

    Parameters
    ----------
    items
        Names such as "mvae/table6", a paper such as "mvae" for all of its items, or "all".
    scale
        quick: seconds an item, on the digits of scikit-learn, to see that everything works; cpu:
        some 20 to 60 minutes an item on one core, few epochs or part of the data; paper: the
        paper's own protocol.
    seeds
        Number of seeds, from 0; by default the scale's.
    row
        Names of rows, which every item must have; by default all.
    data_dir
        Folder of the data files; by default MIXVAE_DATA, else the user's cache.
    runs
        Folder in which runs are kept.
    out
        Folder of the results; by default "results", with another scale than cpu "results-SCALE".
    progress
        Show progress bars, or lines where there is no terminal.

    Returns
    -------
    list of Path
        The Markdown files.

    Raises
    ------
    MixvaeError
        For an unknown item, scale or row, and where no row of an item could be trained because data
        are missing.

    Examples
    --------
    >>> import mixvae
    >>> names = list(mixvae.experiments.ITEMS)
    >>> len(names), names[:2]
    (46, ['m-vae/fig1', 'm-vae/fig2'])
    """
    one_of("scale", scale, SCALES)
    is_a((str, Path), "a folder", runs=runs)
    if seeds is not None:
        whole(1, seeds=seeds)
    chosen = find(items)
    folder = Path(out) if out is not None else Path(_folder(scale))
    cache = Cache(Path(runs), None if data_dir is None else str(data_dir), progress=progress)
    plan = []
    for item in chosen:
        protocol = item.protocols[scale]
        plan.append((item, protocol, _rows(item, row), seeds or protocol.seeds))
    written, missing, failed, told = [], [], [], set[str]()
    for item, protocol, rows, n_seeds in plan:
        results = Results(item, protocol, n_seeds, cache)
        available, reasons = _available(results, rows)
        for reason, names in reasons.items():
            which = "all rows" if len(names) == len(rows) else "; ".join(names)
            why = f"as above: {reason.partition(':')[0]}" if reason in told else reason
            print(f"{item.name}: left out {which}: {why}", file=sys.stderr)
            told.add(reason)
        if not available and not all(map(results.is_quoted, rows)):
            missing.append(item.name)
            continue
        (folder / item.paper).mkdir(parents=True, exist_ok=True)  # or fail before the training
        jobs = list(jobs_of(item, protocol, available, n_seeds))
        failed += _work(results, jobs, folder, scale)
        written.append(_write(replace(results), folder, scale, final=True))
    if failed:
        runs_failed = "1 run" if len(failed) == 1 else f"{len(failed)} runs"
        raise MixvaeError(f"{runs_failed} failed: {'; '.join(failed)}. The others are written.")
    if missing and not written:
        raise MixvaeError(f"the data of {', '.join(missing)} are missing: give --data-dir.")
    return written


def _folder(scale: Scale) -> str:
    return "results" if scale == "cpu" else f"results-{scale}"


def _rows(item: Item, names: Sequence[str]) -> list[Row]:
    """The rows of these names, or all."""
    known = [row.name for row in item.rows]
    for name in names:
        if name not in known:
            raise unknown(f"row of {item.name}", name, known)
    return [row for row in item.rows if not names or row.name in names]


def _available(results: Results, rows: Sequence[Row]) -> tuple[list[Row], dict[str, list[str]]]:
    """Rows whose data are there; of the others, names by reason."""
    available: list[Row] = []
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if results.is_quoted(row):
            continue
        try:
            results.data(row)
        except MixvaeError as error:
            reasons.setdefault(str(error), []).append(row.name)
        else:
            available.append(row)
    return available, reasons


def _work(results: Results, jobs: Sequence[Job], folder: Path, scale: Scale) -> list[str]:
    """Make the runs of an item, and write its tables after each; return what failed, and why."""
    item, cache = results.item, results.cache
    todo = deque(job for job in jobs if not cache.is_made(job))
    held: set[str] = set()
    failed = []
    with bar(item.name, len(todo), unit="run", show=cache.progress and bool(todo)) as advance:
        while todo:
            job = todo.popleft()
            try:
                cache.make(job)
            except InUseError as error:
                todo.append(job)
                if job.name not in held:
                    print(f"{job} is left to another process: {error}", file=sys.stderr)
                held.add(job.name)
                if held >= {other.name for other in todo}:
                    time.sleep(SECONDS)
                continue
            except MixvaeError as error:
                print(f"{job} failed: {error}", file=sys.stderr)
                failed.append(f"{job} ({error})")
            except OSError as error:
                error.__notes__ = [f"The same command goes on with {job}"]
                raise
            except KeyboardInterrupt:
                again = f"the same command goes on with {job}"
                print(f"\nruns are kept in {cache.root}; {again}", file=sys.stderr)
                raise KeyboardInterrupt from None
            advance(1)
            _write(replace(results), folder, scale)  # which reads the figures anew
    return failed


def _write(results: Results, folder: Path, scale: Scale, *, final: bool = False) -> Path:
    """Write the tables, and in the end the pictures and the page of all results."""
    item = results.item
    out = folder / item.paper
    pictures = draw(results, out, item.short, scale) if final else []
    write_csv(results, out / f"{item.short}.csv")
    page = out / f"{item.short}.md"
    write_markdown(results, page, scale, pictures)
    if final:
        for path, process in partials(out).items():
            if lock.process_start(process) is None:  # it was killed
                path.unlink(missing_ok=True)
        write_index(folder)
        print(f"{item.name}: {item.title}\n{results.protocol.note}\n\n{text_table(results)}\n")
        print(f"written: {page}\n")
    return page
