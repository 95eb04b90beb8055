"""Tables of an experiment's results: CSV with a line for every figure, and Markdown."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mixvae.experiments.item import Column, Row, Scale
from mixvae.report.tables import STATES
from mixvae.storage.files import write_text

from .results import Results, listed, value_at

HEAD = [
    *("row", "figure", "ours", "sd", "seeds", "by_seed", "reported", "comparable", "bound"),
    *("unreliable", "control", "protocol", "recipe", "options", "training", "data"),
    *("parameters", "epochs", "precision", "seconds", "commit", "version"),
]
UNRELIABLE = " UNRELIABLE"
WIDE = 10  # columns, up to which a row of the Markdown table has all figures
COMPONENTS = {  # figures of each component, by heading: where they are, and digits
    "KL (nats)": ("health.kl", 1),
    "active units": ("health.active_units", 0),
    "share": ("health.share", 2),
    "SSE alone": ("health.sse_alone", 1),
}


def write_csv(results: Results, path: Path) -> None:
    """Write every figure with what it is compared with and how it was made."""
    text = io.StringIO()
    writer = csv.DictWriter(text, HEAD, lineterminator="\n")
    writer.writeheader()
    writer.writerows(line for row in results.item.rows for line in _lines(results, row))
    write_text(path, text.getvalue())


def write_markdown(results: Results, path: Path, scale: Scale, pictures: Sequence[str]) -> None:
    """Write the tables for reading, with the pictures that were drawn."""
    item = results.item
    command = f"mixvae reproduce {item.name}"
    command += "" if scale == "cpu" else f" --scale {scale}"
    parts = [f"# {item.name}: {item.title}", item.about, results.protocol.note]
    parts += [text_table(results), _notes(results)]
    if item.components:
        parts.append(_components(results))
    parts += [f"![{item.title}]({name})" for name in pictures]
    parts.append(f"Made by `{command}`; options, seeds and commits are in the CSV.")
    write_text(path, "\n\n".join(part for part in parts if part) + "\n")


def text_table(results: Results) -> str:
    """Ours beside the paper's figures, as a table in Markdown."""
    columns = results.item.columns
    if len(columns) + len(_quoted(results)) <= WIDE:
        return _wide(results)
    head = ["row", "figure", "ours", "paper"]
    lines = [
        [_name(results, row), column.label, _ours(results, row, column), _reported(row, column)]
        for row in _shown(results)
        for column in columns
    ]
    return as_markdown(head, [line for line in lines if line[2] or line[3]])


def as_markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _wide(results: Results) -> str:
    columns, quoted = results.item.columns, _quoted(results)
    head = ["row"]
    for column in columns:
        head += [column.label] + ([f"{column.label}, paper"] if column.label in quoted else [])
    lines = []
    for row in _shown(results):
        line = [_name(results, row)]
        for column in columns:
            line.append(_ours(results, row, column))
            if column.label in quoted:
                line.append(_reported(row, column))
        lines.append(line)
    return as_markdown(head, lines)


def _quoted(results: Results) -> set[str]:
    """Labels of the columns of which the paper has figures."""
    labels = {column.label for column in results.item.columns}
    return {label for row in results.item.rows for label in row.reported if label in labels}


def _shown(results: Results) -> Iterator[Row]:
    """Rows that are trained, or only quoted."""
    for row in results.item.rows:
        if results.is_quoted(row) or results.figures.get(row.name):
            yield row


def _name(results: Results, row: Row) -> str:
    kind = " (control)" if row.control else " (quoted)" if results.is_quoted(row) else ""
    return f"{row.name}{kind}"


def _ours(results: Results, row: Row, column: Column) -> str:
    if results.is_quoted(row):
        return ""
    mark = UNRELIABLE if results.is_unreliable(row, column) else ""
    return f"{results.cell(row, column)}{mark}"


def _reported(row: Row, column: Column) -> str:
    """The paper's figure with its digits, of which there are two or more after the point."""
    value = row.reported.get(column.label, "")
    if not isinstance(value, float):
        return str(value)
    return f"{value:.{max(2, len(str(value).partition('.')[2]))}f}"


def _notes(results: Results) -> str:
    """Why rows cannot be compared with the paper's, each reason once, and rows not trained."""
    reasons: dict[str, list[str]] = {}
    for row in _shown(results):
        if row.reported and not results.is_quoted(row):
            reasons.setdefault(_comparable(results, row), []).append(row.name)
    every = {row.name for row in _shown(results) if row.reported and not results.is_quoted(row)}
    lines = [
        f"- {_verdict(column.comparable)} ({column.label})."
        for column in results.item.columns
        if column.comparable != "yes" and column.label in _quoted(results)
    ]
    for reason, names in reasons.items():
        of = "all rows" if set(names) == every else "; ".join(names)
        lines.append(f"- {_verdict(reason)} ({of}).")
    if absent := [name for name, seeds in results.figures.items() if not seeds]:
        lines.append(f"- Declared and not trained here: {'; '.join(absent)}.")
    return "\n".join(lines)


def _verdict(comparable: str) -> str:
    """Whether figures can be compared with the paper's, as words."""
    if comparable == "yes":
        return "Comparable with the paper's figures"
    return f"Not comparable with the paper's figures: {comparable.removeprefix('no: ')}"


def _components(results: Results) -> str:
    """State of the components of the first seed."""
    head = ["row", *COMPONENTS, "state"]
    lines = []
    for row in results.trained:
        figures = results.figures[row.name][0]
        health = figures.get("health") or {}
        if figures.get("n_components", 1) > 1:
            cells = [_numbers(value_at(figures, p), digits) for p, digits in COMPONENTS.values()]
            lines.append([_name(results, row), *cells, _state(health)])
    if not lines:
        return ""
    states = "; ".join(f"{name}: {meaning}" for name, meaning in STATES.items())
    return f"State of each component (first seed). {states}.\n\n{as_markdown(head, lines)}"


def _state(health: dict[str, Any]) -> str:
    found = [f"{len(health[name])} {name}" for name in STATES if health.get(name)]
    return ", ".join(found) or "all alive"


def _numbers(values: Any, digits: int) -> str:
    return listed(values, digits) if isinstance(values, Sequence) else ""


def _lines(results: Results, row: Row) -> Iterator[dict[str, Any]]:
    """A line of the CSV for every figure of a row that is ours or the paper's."""
    seeds = results.figures.get(row.name, [])
    for column in results.item.columns:
        cell, reported = results.cell(row, column), row.reported.get(column.label, "")
        if not cell.values and (reported == "" or not results.is_quoted(row)):
            continue
        line = {
            "row": row.name,
            "figure": column.label,
            "reported": reported,
            "comparable": _comparable(results, row, column) if reported != "" else "",
            "control": "yes" if row.control else "",
        }
        if seeds:
            line |= {
                "ours": cell.mean,
                "sd": cell.deviation,
                "seeds": len(cell.values),
                "by_seed": " ".join(f"{v:.{cell.digits + 2}f}" for v in cell.numbers),
                "bound": _bound(column, seeds[0]),
                "unreliable": "yes" if results.is_unreliable(row, column) else "",
                **_how(results, row),
            }
        yield line


def _comparable(results: Results, row: Row, column: Column | None = None) -> str:
    """Whether a row's figures, or one of them, can be compared with the paper's."""
    if column is not None and column.comparable != "yes":
        return column.comparable
    return row.comparable if results.is_quoted(row) else results.job(row).comparable


def _bound(column: Column, figures: dict[str, Any]) -> str:
    if column.bound != "objective":
        return column.bound
    return "yes" if value_at(figures, "bounds.objective_is_bound") else "no"


def _how(results: Results, row: Row) -> dict[str, Any]:
    """How a row was made."""
    seeds = results.figures[row.name]
    first, spec = seeds[0], seeds[0]["spec"]
    job = results.job(row)
    return {
        "protocol": results.protocol.note,
        "recipe": row.recipe,
        "options": json.dumps(job.options),
        "training": json.dumps(job.training | {"seed": None}, sort_keys=True),
        "data": json.dumps(spec["spec"]["data"]),
        "parameters": first.get("n_parameters", ""),
        "epochs": first.get("epochs", ""),
        "precision": first.get("precision", ""),
        "seconds": first.get("seconds", ""),
        "commit": " ".join(dict.fromkeys(f["spec"].get("commit", "") for f in seeds)),
        "version": spec.get("version", ""),
    }
