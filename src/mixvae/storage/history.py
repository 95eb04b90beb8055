"""Reading ``log.csv``, row by row: damage to this record must not cost the model."""

import csv
import re
import warnings
from pathlib import Path
from typing import Any

from mixvae.errors import MixvaeError, MixvaeWarning

from .reading import MAX_JSON, read_text

NAME = re.compile(r"[a-z]\w*(/\w+)*")  # of a column
PHASE = re.compile(r"[a-z][a-z -]*")


def read_history(path: Path) -> list[dict[str, Any]]:
    """The epochs in ``log.csv``, a row each; damaged ones are left out with a warning."""
    if not path.exists():
        return []
    history, problem = _read(path)
    if problem:
        warnings.warn(problem, MixvaeWarning, stacklevel=3)
    return history


def _read(path: Path) -> tuple[list[dict[str, Any]], str]:
    """The rows that can be read, and what is wrong with the others, if anything."""
    try:
        lines = read_text(path, MAX_JSON).splitlines()
    except (MixvaeError, OSError) as error:
        return [], f"the run's history is left out: {error}"
    names = lines[0].split(",") if lines else []
    if "epoch" not in names or not all(NAME.fullmatch(name) for name in names):
        return [], (
            f"{path} does not begin with the names of its columns: it is damaged, and the run's "
            "history is left out."
        )
    rows = [_row(names, line) for line in lines[1:]]
    history = [row for row in rows if row is not None]
    if len(history) == len(rows):
        return history, ""
    return history, (
        f"{path} is damaged: {len(rows) - len(history)} of its {len(rows)} rows are not numbers, "
        "and are left out of the run's history."
    )


def _row(names: list[str], line: str) -> dict[str, Any] | None:
    """An epoch's values by column, without empty ones; None unless all are numbers."""
    try:
        (cells,) = csv.reader([line], strict=True)
        values = {name: v for name, v in zip(names, cells, strict=True) if v}
        if not PHASE.fullmatch(values.get("phase", "main")):
            return None
        return {name: v if name == "phase" else float(v) for name, v in values.items()}
    except (ValueError, csv.Error):
        return None
