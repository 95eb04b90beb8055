"""What a run begins and ends with: an estimate; weights, figures on test data, and pictures."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor

from mixvae import plots
from mixvae.data.dataset import Dataset
from mixvae.evaluation import evaluate
from mixvae.evaluation.latent_operations import pairs
from mixvae.initialization import Phase
from mixvae.parts.labels import Classes
from mixvae.report import write_metrics
from mixvae.run import Run, load_weights, read_json, save_weights
from mixvae.seeding import noise, seed_of
from mixvae.storage.run_folder import METRICS, ORIGIN, WEIGHTS, last_checkpoint, mark_finished

from .checkpoints import TrainingState, best_of, take_best
from .estimate import estimate
from .loop import BEFORE
from .machine import Machine
from .settings import Settings

PICTURES = (
    *("reconstructions.png", "samples.png", "codes.png", "weights.png", "curves.png"),
    *("crossed.png", "dependence.png", "interpolations.png"),
)
PRECISIONS = {"32": "in float32", "bf16": "products in bfloat16", "16": "products in float16"}


def announce(state: TrainingState, data: Dataset, before: Sequence[Phase], device: Any) -> None:
    """Say what will be trained, in which phases, and what it will take."""
    recipe, how = state.recipe, state.settings
    own: dict[str, Any] = {"batch_size": how.batch_size, "epochs": how.max_epochs}
    own |= {"bf16": how.precision == "bf16"}
    y = None if recipe.model.labels.n_classes is None else data.train.y
    expected = estimate(recipe, data.train.x, y, device=device, before=before, **own)
    print(
        f"{recipe.name} on {data.name} ({len(data.train):,} training, {len(data.val):,} "
        f"validation, {len(data.test):,} test examples; {data.transform}), into {state.folder}\n"
        f"{expected}; "
        f"{PRECISIONS[how.precision]}",
        file=sys.stderr,
    )


def conclude(state: TrainingState, data: Dataset, machine: Machine, *, pictures: bool) -> Run:
    """All that comes after the last epoch. What is interrupted in it is done again by resuming."""
    folder, how = state.folder, state.settings
    if last_checkpoint(folder).exists():
        take_best(state.recipe, folder, state)
    else:  # it was never trained, as a pruned model
        load_weights(state.recipe, folder / WEIGHTS)
    recipe = replace(state.recipe, initialization=None)  # which a trained model needs no more
    run, first = Run(folder, recipe, {}, state.history), machine.rank == 0
    if first:
        save_weights(recipe, folder)
    machine.wait()
    if first:
        for name in (METRICS, *PICTURES):  # of earlier weights
            (folder / name).unlink(missing_ok=True)
        with noise(seed_of(how.seed, BEFORE), machine.device):
            run.metrics.update(finish(run, data, how, pictures=pictures))
    return run


def finish(run: Run, data: Dataset, how: Settings, *, pictures: bool) -> dict[str, Any]:
    """Write ``metrics.json`` and the PNG files, then the mark; return the metrics."""
    n_epochs = sum("val/objective" in row and row["epoch"] > 0 for row in run.history)
    metrics: dict[str, Any] = evaluate(run.recipe, data.test, batch_size=how.batch_size) | {
        "split": "test",
        "options": run.recipe.options,
        "data": data.describe(),
        "epochs": n_epochs,
        "best_epoch": _best_epoch(run),
        "seconds": round(sum(row["seconds"] for row in run.history), 1),
        "versions": {name: version(name) for name in ("torch", "lightning")},
    }
    if (run.folder / ORIGIN).exists():
        metrics |= read_json(run.folder, ORIGIN)
    write_metrics(metrics, run.folder / METRICS)
    drawn = draw(run, data, metrics) if pictures else []
    mark_finished(run.folder, n_epochs, [METRICS, *(path.name for path in drawn)])
    return metrics


def _best_epoch(run: Run) -> int | None:
    """Counted from 1, or 0 for the start; None for a run that was not trained, as a pruned one."""
    best = best_of(run.history)
    return None if best is None else int(best["epoch"])


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
