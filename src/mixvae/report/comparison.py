"""Runs side by side: aligned text, CSV, JSON and HTML."""

import csv
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from mixvae.comparison import FIGURES, Comparison, Difference
from mixvae.errors import MixvaeError
from mixvae.storage.files import write_text

from .tables import write_metrics

LABELS = {
    "log_likelihood": "log p(x)",
    "elbo": "bound on log p(x)",
    "sse": "squared error",
}
SUFFIXES = (".csv", ".json", ".html")
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em;max-width:75em}"
    "table{border-collapse:collapse}th,td{padding:.3em .8em;text-align:right;"
    "border-bottom:1px solid #ccc}th:first-child,td:first-child,th:nth-child(2),"
    "td:nth-child(2){text-align:left}caption{text-align:left;padding:.5em 0}"
)


def text(comparison: Comparison) -> str:
    """A comparison as aligned plain text.

    Parameters
    ----------
    comparison
        From :func:`mixvae.compare`.

    Returns
    -------
    str
        Lines that end with a newline.
    """
    head, *rows = cells(comparison)
    width = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(w) if i < 2 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, width, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]
    return "\n".join([_title(comparison), "", *lines, *_notes(comparison)]) + "\n"


def write(comparison: Comparison, path: str | Path) -> Path:
    """Write a comparison as a table for a spreadsheet, as JSON, or as a page.

    Parameters
    ----------
    comparison
        From :func:`mixvae.compare`.
    path
        A file that ends with .csv, .json or .html.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    MixvaeError
        For another suffix.
    """
    path = Path(path)
    check_suffix(path)
    if path.suffix == ".json":
        write_metrics(comparison.to_dict(), path)
    else:
        write_text(path, _csv(comparison) if path.suffix == ".csv" else _html(comparison))
    return path


def check_suffix(path: Path) -> None:
    """Raise a MixvaeError unless a comparison can be written to such a file."""
    if path.suffix not in SUFFIXES:
        raise MixvaeError(f"out must end with {', '.join(SUFFIXES)}; got {str(path)!r}.")


def cells(comparison: Comparison) -> list[list[str]]:
    """The table's head and rows as text; the figures that no run has are left out."""
    names = [name for name in FIGURES if any(name in run.values for run in comparison.runs)]
    head = ["run", "recipe", "parameters", "epochs", "components in use"]
    rows = [head + [part for name in names for part in (LABELS[name], "difference")]]
    for run in comparison.runs:
        use = f"{run.in_use} of {run.n_components}"
        row = [run.name, run.recipe, f"{run.n_parameters:,}", str(run.n_epochs), use]
        for name in names:
            marked = name == "log_likelihood" and run.caveat is not None
            row += _figure(comparison.figure(run, name), marked)
        rows.append(row)
    return rows


def _figure(found: Difference | None, unreliable: bool) -> list[str]:
    """A figure and its difference; * marks one that is not reliable."""
    if found is None:
        return ["", ""]
    mean = f"{found.mean:.2f} ± {found.error:.2f}{'*' if unreliable else ''}"
    if found.difference is None:
        return [mean, ""]
    return [mean, f"{found.difference:+.2f} ± {found.difference_error:.2f}"]


def _title(comparison: Comparison) -> str:
    data = dict.fromkeys(run.data for run in comparison.runs)
    runs = comparison.runs
    n = dict.fromkeys(f"{len(next(iter(run.values.values()))):,}" for run in runs)
    return (
        f"{' / '.join(n)} examples of {' / '.join(data)}; differences from "
        f"{runs[comparison.reference].name}, paired by example; ± is a standard error over examples"
    )


def _notes(comparison: Comparison) -> list[str]:
    notes = comparison.notes()
    return ["", *(f"note: {note}" for note in notes)] if notes else []


def _csv(comparison: Comparison) -> str:
    """One row a run; of each figure mean, error, difference and its error."""
    found = comparison.to_dict()
    plain = [key for key in found["runs"][0] if key not in FIGURES]
    parts = ("mean", "error", "difference", "difference_error")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(plain + [f"{name}_{part}" for name in FIGURES for part in parts])
    for row in found["runs"]:
        figures = [row.get(name, {}).get(part) for name in FIGURES for part in parts]
        writer.writerow(["" if v is None else v for v in [*(row[key] for key in plain), *figures]])
    return out.getvalue()


def _html(comparison: Comparison) -> str:
    """A page that needs nothing else."""
    head, *rows = cells(comparison)
    notes = "".join(f"<p>{escape(note)}</p>" for note in comparison.notes())
    body = "".join(f"<tr>{_tags('td', row)}</tr>" for row in rows)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>mixvae: comparison</title>'
        f"<style>{STYLE}</style><h1>Comparison of runs</h1><table>"
        f"<caption>{escape(_title(comparison))}</caption>"
        f"<thead><tr>{_tags('th', head)}</tr></thead><tbody>{body}</tbody></table>{notes}</html>\n"
    )


def _tags(tag: str, row: Sequence[str]) -> str:
    return "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row)
