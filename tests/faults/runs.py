"""Small runs that the faults are done to, and what of a run must not differ."""

import json
from pathlib import Path
from typing import Any

from tests.faults import forked

TINY = ("--data", "digits", "--subset", "200", "--n-latent", "2", "--seed", "3")
COMMON = (*TINY, "--batch-size", "50", "--progress", "false")
RECIPES = {  # a recipe of one phase, one that is pretrained and split, one with component dropout
    "vae": ("vae", *COMMON, "--hidden", "16", "--max-epochs", "4"),
    "mixture-vae": (
        *("mixture-vae", *COMMON, "--hidden", "16", "16", "--n-components", "3"),
        *("--start-epochs", "3", "--max-epochs", "3"),
    ),
    "mvae-gs": ("mvae-gs", *COMMON, "--hidden", "16", "--n-components", "3", "--max-epochs", "3"),
}


def train(recipe: str, folder: Path, limit: float = 120.0) -> forked.Outcome:
    """An uninterrupted run."""
    return forked.run(
        forked.command("train", *RECIPES[recipe], "--out", str(folder)),
        cwd=folder.parent,
        limit=limit,
    )


def resume(folder: Path, limit: float = 120.0) -> forked.Outcome:
    """What a user does after an interruption."""
    return forked.run(
        forked.command("train", "--resume", str(folder), "--progress", "false"),
        cwd=folder.parent,
        limit=limit,
    )


def content(folder: Path) -> dict[str, Any]:
    """Weights, figures without times, history, and the names of the files."""
    metrics = json.loads((folder / "metrics.json").read_text())
    for name in ("seconds", "versions"):
        metrics.pop(name, None)
    rows = [line.split(",") for line in (folder / "log.csv").read_text().splitlines()]
    timed = {i for i, name in enumerate(rows[0]) if "seconds" in name}
    return {
        "weights": (folder / "model.safetensors").read_bytes(),
        "metrics": metrics,
        "history": [[v for i, v in enumerate(row) if i not in timed] for row in rows],
        "files": sorted(p.name for p in folder.iterdir() if p.name[0] != "."),
    }


def differences(found: Path, expected: dict[str, Any]) -> list[str]:
    """Which parts of a run differ from the uninterrupted one's."""
    try:
        ours = content(found)
    except (OSError, ValueError) as error:
        return [f"incomplete ({type(error).__name__}: {error})"]
    return [name for name, value in expected.items() if ours[name] != value]
