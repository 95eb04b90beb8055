"""What a run begins and ends with: an estimate; weights, figures on test data, and pictures."""

import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor

from .. import plots
from ..data.dataset import Dataset
from ..evaluation import evaluate
from ..labels import Classes
from ..operations import pairs
from ..recipes.building import BuiltRecipe
from ..report import write_metrics
from ..run import Run, load_weights, read_json, save_weights
from ..run_folder import METRICS, ORIGIN, WEIGHTS, last_checkpoint, mark_finished
from .checkpoints import take_best
from .estimate import estimate
from .settings import Settings

PICTURES = (
    *("reconstructions.png", "samples.png", "codes.png", "weights.png", "curves.png"),
    *("crossed.png", "dependence.png", "interpolations.png"),
)
PRECISIONS = {"32": "in float32", "bf16": "products in bfloat16", "16": "products in float16"}


def announce(recipe: BuiltRecipe, data: Dataset, folder: Path, how: Settings) -> None:
    """Say what will be trained, and what it will take."""
    expected = estimate(
        recipe,
        data.train.x,
        None if recipe.model.labels.n_classes is None else data.train.y,
        batch_size=how.batch_size,
        epochs=how.max_epochs,
        bf16=how.precision == "bf16",
    )
    print(
        f"{recipe.name} on {data.name} ({len(data.train):,} training, {len(data.val):,} "
        f"validation, {len(data.test):,} test examples; {data.transform}), into {folder}\n"
        f"{expected}; "
        f"{PRECISIONS[how.precision]}",
        file=sys.stderr,
    )


def conclude(run: Run, data: Dataset, how: Settings, pictures: bool, *, first: bool) -> Run:
    """All that comes after the last epoch. What is interrupted in it is done again by resuming.

    ``first``: whether this is the first of the processes that train together, which writes.
    """
    if last_checkpoint(run.folder).exists():
        take_best(run.recipe, run.folder)
    else:  # it was never trained, as a pruned model
        load_weights(run.recipe, run.folder / WEIGHTS)
    if first:
        save_weights(run.recipe, run.folder)
        for name in (METRICS, *PICTURES):  # of earlier weights
            (run.folder / name).unlink(missing_ok=True)
        run.metrics.update(finish(run, data, how, pictures=pictures))
    return run


def finish(run: Run, data: Dataset, how: Settings, *, pictures: bool) -> dict[str, Any]:
    """Write ``metrics.json`` and the PNG files, then the mark; return the metrics."""
    metrics: dict[str, Any] = evaluate(run.recipe, data.test, batch_size=how.batch_size) | {
        "split": "test",
        "options": run.recipe.options,
        "data": data.describe(),
        "epochs": len(run.history),
        "best_epoch": _best_epoch(run),
        "seconds": round(sum(row["seconds"] for row in run.history), 1),
        "versions": {name: version(name) for name in ("torch", "lightning")},
    }
    if (run.folder / ORIGIN).exists():
        metrics |= read_json(run.folder, ORIGIN)
    write_metrics(metrics, run.folder / METRICS)
    drawn = draw(run, data, metrics) if pictures else []
    mark_finished(run.folder, len(run.history), [METRICS, *(path.name for path in drawn)])
    return metrics


def _best_epoch(run: Run) -> int | None:
    """Counted from 1; None for a run that was not trained, as a pruned one."""
    final = [row for row in run.history if row["kl_scale"] == 1]
    best = max(final, key=lambda row: row["val/objective"], default=None)
    return None if best is None else int(best["epoch"]) + 1


def draw(run: Run, data: Dataset, metrics: Mapping[str, Any]) -> list[Path]:
    """The run folder's pictures, from test data."""
    model, folder = run.recipe.model, run.folder
    x, y = data.test.x[:2000], None if data.test.y is None else data.test.y[:2000]
    drawn = [
        plots.reconstructions(model, x, folder / "reconstructions.png", y=y),
        plots.samples(model, folder / "samples.png"),
        plots.codes(model, x, y, folder / "codes.png"),
        plots.weights(model, x, y, folder / "weights.png"),
    ]
    if run.history:  # a pruned model that was not trained has none
        drawn.append(plots.curves(run.history, folder / "curves.png"))
    if "pairs" in metrics.get("dependence", {}):  # a joint mixture's codes, of several images
        drawn += _draw_joint(run, x, y, metrics)
    return drawn


def _draw_joint(run: Run, x: Tensor, y: Classes | None, metrics: Mapping[str, Any]) -> list[Path]:
    """What K codes at once make worth seeing."""
    model, folder, dropped = run.recipe.model, run.folder, metrics["health"]["dropped"]
    drawn = [
        plots.crossed(model, x, folder / "crossed.png", y=y),
        plots.dependence(metrics["dependence"], folder / "dependence.png", dropped=dropped),
    ]
    start, end, classes = pairs(model, x, y)
    if len(start):  # few data may have no two x of one class
        path = folder / "interpolations.png"
        drawn.append(plots.interpolations(model, start, end, path, y=classes, crossed=True))
    return drawn
