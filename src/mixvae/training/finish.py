"""The announcement of a run, and its end: weights, figures on test data, and pictures."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor

from mixvae import plots
from mixvae.data.dataset import Dataset
from mixvae.data.rows import Rows
from mixvae.evaluation import evaluate
from mixvae.evaluation.batches import n_clusters
from mixvae.evaluation.data_units import in_data_units
from mixvae.evaluation.latent_operations import pairs
from mixvae.initialization import Phase
from mixvae.parts.labels import BatchLabels
from mixvae.plots.dependence import measured
from mixvae.recipes.building import BuiltRecipe
from mixvae.report import write_metrics
from mixvae.run import Run, load_weights, read_json, save_weights
from mixvae.seeding import noise, seed_of
from mixvae.storage.run_folder import METRICS, ORIGIN, WEIGHTS, last_checkpoint, mark_finished

from .checkpoints import TrainingState, best_of, take_best
from .estimate import estimate
from .loop import BEFORE
from .machine import Machine
from .settings import EvaluateOn, Settings

PICTURES = (
    *("reconstructions.png", "samples.png", "codes.png", "weights.png", "curves.png"),
    *("crossed.png", "dependence.png", "interpolations.png"),
    *("profiles.png", "marginals.png", "pairs.png"),
)
PICTURED_ROWS = 10_000  # of a table that is not in memory
PRECISIONS = {"32": "in float32", "bf16": "products in bfloat16", "16": "products in float16"}


def announce(state: TrainingState, data: Dataset, before: Sequence[Phase], device: Any) -> None:
    """Print what will be trained, in which phases, and the time and memory that it will take."""
    recipe, settings = state.recipe, state.settings
    expected = estimate(
        recipe,
        data.train.x,
        recipe.model.labels.of(data.train),
        batch_size=settings.batch_size,
        epochs=settings.max_epochs,
        bf16=settings.precision == "bf16",
        device=device,
        before=before,
    )
    print(
        f"{recipe.name} on {data.name} ({len(data.train):,} training, {len(data.val):,} "
        f"validation, {len(data.test):,} test examples; {data.transform}), "
        f"{_likelihood(recipe)}into {state.folder}\n"
        f"{expected}; {PRECISIONS[settings.precision]}",
        file=sys.stderr,
    )


def _likelihood(recipe: BuiltRecipe) -> str:
    """The likelihood in a few words, if the recipe has it as an option."""
    name, n_trials = (recipe.options.get(key) for key in ("likelihood", "n_trials"))
    if recipe.options.get("columns"):  # the data's description has each column's
        return ""
    of = f" of {n_trials} trials" if name == "binomial" else ""
    return f"likelihood {name}{of}, " if name else ""


def conclude(
    state: TrainingState,
    data: Dataset,
    machine: Machine,
    *,
    pictures: bool,
    evaluate_on: EvaluateOn = "test",
) -> Run:
    """All that comes after the last epoch. What is interrupted in it is done again by resuming."""
    folder, settings = state.folder, state.settings
    if last_checkpoint(folder).exists():
        take_best(state.recipe, folder, state)
    else:  # it was never trained, as a pruned model
        load_weights(state.recipe, folder / WEIGHTS)
    recipe = replace(state.recipe, initialization=None)  # which a trained model needs no more
    run, is_first = Run(folder, recipe, {}, state.history), machine.rank == 0
    if is_first:
        save_weights(recipe, folder)
    machine.wait()
    if is_first:
        for name in (METRICS, *PICTURES):  # of earlier weights
            (folder / name).unlink(missing_ok=True)
        with noise(seed_of(settings.seed, BEFORE), machine.device):
            given: dict[str, Any] = {"pictures": pictures, "evaluate_on": evaluate_on}
            run.metrics.update(finish(run, data, settings, **given))
    return run


def finish(
    run: Run,
    data: Dataset,
    settings: Settings,
    *,
    pictures: bool,
    evaluate_on: EvaluateOn = "test",
) -> dict[str, Any]:
    """Write ``metrics.json`` and the PNG files, then the mark; return the metrics."""
    own, data = data, replace(data, test=data.val) if evaluate_on == "val" else data
    n_epochs = sum("val/objective" in row and row["epoch"] > 0 for row in run.history)
    best = best_of(run.history)  # None of a run that was not trained, as a pruned one
    found = evaluate(run.recipe, data.test, batch_size=settings.batch_size)
    metrics: dict[str, Any] = in_data_units(found, data.transform, data.test) | {
        "split": evaluate_on,
        "options": run.recipe.options,
        "data": own.describe(),
        "epochs": n_epochs,
        "best_epoch": None if best is None else int(best["epoch"]),  # 0: before the first step
        "seconds": round(sum(row["seconds"] for row in run.history), 1),
        "versions": {name: version(name) for name in ("torch", "lightning")},
    }
    if (run.folder / ORIGIN).exists():
        metrics |= read_json(run.folder, ORIGIN)
    write_metrics(metrics, run.folder / METRICS)
    files = draw(run, data, metrics) if pictures else []
    mark_finished(run.folder, n_epochs, [METRICS, *(path.name for path in files)])
    return metrics


def draw(run: Run, data: Dataset, metrics: Mapping[str, Any]) -> list[Path]:
    """Draw the run folder's pictures, from test data."""
    model, folder = run.recipe.model, run.folder
    x, y = data.test.x[:2000], _labels(run, data, 2000)
    files = _of_table(run, data) if data.is_table else _of_images(run, x, y)
    files += [
        plots.codes(model, x, y, folder / "codes.png", class_names=_names(run, data)),
        plots.weights(model, x, y, folder / "weights.png"),
    ]
    if run.history:  # a pruned model that was not trained has none
        files.append(plots.curves(run.history, folder / "curves.png"))
    if "pairs" in metrics.get("dependence", {}):  # a joint mixture's codes
        dropped = metrics["health"]["dropped"]
        path = folder / "dependence.png"
        if measured(metrics["dependence"]):  # not of a single example
            files.append(plots.dependence(metrics["dependence"], path, dropped=dropped))
        if not data.is_table:
            files += _of_codes(run, x, y)
    return files


def _of_table(run: Run, data: Dataset) -> list[Path]:
    """Pictures of a table's columns."""
    model, folder, x = run.recipe.model, run.folder, data.test.x
    x = x[:PICTURED_ROWS] if isinstance(x, Rows) else x
    y = _labels(run, data, len(x))
    given: dict[str, Any] = {"y": y, "transform": data.transform}
    files = [plots.marginals(model, x, folder / "marginals.png", **given)]
    if n_clusters(model) > 1:
        files.append(plots.profiles(model, x, folder / "profiles.png", **given))
    if x.shape[1] > 1:
        files.append(plots.pairs(model, x, folder / "pairs.png", **given))
    return files


def _labels(run: Run, data: Dataset, n: int) -> Tensor | None:
    """What colours the first test rows: the labels that the model reads, else their classes."""
    read = run.recipe.model.labels.of(data.test)
    y = data.test.y if read is None else read
    return None if y is None else y[:n]


def _names(run: Run, data: Dataset) -> tuple[str | int, ...] | None:
    """The names of :func:`_labels`."""
    batches = isinstance(run.recipe.model.labels, BatchLabels)
    return data.batch_names if batches else data.class_names


def _of_images(run: Run, x: Tensor, y: Tensor | None) -> list[Path]:
    """Reconstructions and samples, as images."""
    model, folder = run.recipe.model, run.folder
    return [
        plots.reconstructions(model, x, folder / "reconstructions.png", y=y),
        plots.samples(model, folder / "samples.png"),
    ]


def _of_codes(run: Run, x: Tensor, y: Tensor | None) -> list[Path]:
    """Exchanged and interpolated codes, decoded to images."""
    model, folder = run.recipe.model, run.folder
    files = [plots.crossed(model, x, folder / "crossed.png", y=y)]
    start, end, y = pairs(model, x, y)
    if len(start):  # few data may have no two x of one class
        path = folder / "interpolations.png"
        files.append(plots.interpolations(model, start, end, path, y=y, crossed=True))
    return files
