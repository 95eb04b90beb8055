"""A search as aligned plain text."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .space import short

if TYPE_CHECKING:
    from .choice import Candidate, Chosen
    from .metric import Target
    from .result import Search

MOST_ROWS = 30
USE = ("in_use", "effective_components")


def text(search: "Search") -> str:
    """The table of a search, and what was chosen.

    Parameters
    ----------
    search
        From :func:`mixvae.search`.

    Returns
    -------
    str
        Lines that end with a newline.
    """
    plan, target = search.plan, search.target
    rows = search.rows
    head = ["trial", *plan.space, "state", target.label, "worse than the best by"]
    has_k = "n_components" in plan.space
    head += [] if has_k else ["K"]
    head += ["in use", "effective", "epochs"]
    body = [_cells(row, list(plan.space), with_k=not has_k) for row in rows[:MOST_ROWS]]
    seeds = f", {len(plan.seeds)} seeds" if len(plan.seeds) > 1 else ""
    title = f"{plan.recipe}: {target.label} of validation rows{seeds}; ± is a standard error"
    left_out = [f"... and {len(rows) - MOST_ROWS} more, in table.csv"] * (len(rows) > MOST_ROWS)
    notes = [
        f"note: trial {row['trial']}: {row['note']}" for row in rows[:MOST_ROWS] if row["note"]
    ]
    chosen = [search.chosen.reason, f"run: {search.run_folder}"]
    return "\n".join([title, "", *_aligned([head, *body]), *left_out, "", *notes, *chosen]) + "\n"


def _cells(row: Mapping[str, Any], options: Sequence[str], *, with_k: bool) -> list[str]:
    found = [str(row["trial"]), *(short(row[name]) for name in options), row["state"]]
    found += [_with_error(row["value"], row["error"])]
    found += [_with_error(row["difference"], row["difference_error"])]
    found += ["" if row["K"] is None else str(row["K"])] if with_k else []
    found += [f"{row[key]:.1f}" if row[key] is not None else "" for key in USE]
    return [*found, str(row["epochs"])]


def _with_error(value: float | None, error: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if error is None else f"{value:.3f} ± {error:.3f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    width = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(cell.rjust(w) for cell, w in zip(row, width, strict=True)).rstrip()
        for row in rows
    ]


def table(candidates: Sequence["Candidate"], chosen: "Chosen", target: "Target", split: str) -> str:
    """Runs that exist, compared by their number of components.

    Parameters
    ----------
    candidates
        Their figures.
    chosen
        What was chosen.
    target
        The figure that they are compared by.
    split
        The rows.

    Returns
    -------
    str
        Lines that end with a newline.
    """
    found = {one.number: one for one in candidates}
    head = ["K", target.label, "worse than the best by", "in use", "effective", "run"]
    body = []
    for one in chosen.estimates:
        own = found[one.number].measured
        cells = [str(one.n_components), _with_error(one.value, one.error)]
        cells += [_with_error(one.difference, one.difference_error)]
        for key in USE:
            cells.append(f"{sum(getattr(m, key) for m in own) / len(own):.1f}")
        body.append([*cells, " ".join(one.options["runs"])])
    title = f"{target.label} of {split} rows; ± is a standard error"
    return "\n".join([title, "", *_aligned([head, *body]), "", chosen.reason]) + "\n"
