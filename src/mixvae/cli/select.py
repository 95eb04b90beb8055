"""``mixvae select``: a smaller model with some of a run's components."""

from pathlib import Path
from shlex import quote
from typing import Any

from mixvae import report
from mixvae.data import Dataset
from mixvae.recipes.building import with_options
from mixvae.recipes.registry import of_run
from mixvae.run import Run, read_recipe
from mixvae.training import fit
from mixvae.training import select as prune

from .inputs import settings_of
from .result import Result
from .runs import open_run, parser_of


def select(argv: list[str]) -> Result | None:
    """Prune a run to the components that component dropout kept, or to those that you name.

    The smaller model is a run folder of its own. Pruned to the components that dropout kept, its
    reconstructions are those of the run; other choices remove components that contribute to them.

      mixvae select runs/mvae-gs-mnist-001
      mixvae select runs/mvae-mnist-001 --keep 0 2 3 --finetune-epochs 5
    """
    parser = parser_of(select)
    parser.add_options("choice of components", prune, only={"keep", "finetune_epochs", "out"})
    parser.add_options("running", fit, only={"progress", "pictures"})
    run, source, values = open_run(parser, argv)
    assert source is not None
    return result_of(select_from(run.folder, source.data, **values))


def select_from(folder: Path, data: Dataset, **options: Any) -> Run:
    """Prune a run, and write the settings that would train the smaller model."""
    before = settings_of(folder)
    if not before:
        return prune(folder, data, **options)
    stored = read_recipe(folder)
    recipe = with_options(of_run(stored["recipe"], str(folder)), stored["options"])
    lost = recipe.options().keys() - recipe.without_dropout().options().keys()
    lost |= {"prune", "finetune_epochs"}
    settings = {key: value for key, value in before.items() if key not in lost}
    return prune(folder, data, settings=settings, **options)


def result_of(run: Run) -> Result | None:
    """A run's metrics, and where its files are; None in the other processes of a training."""
    if not run.metrics:
        return None
    page = f"mixvae report {quote(str(run.folder))}"
    return Result(
        text=f"{report.table(run.metrics)}\nrun: {run.folder}\na page about it: {page}",
        values={"run": run.folder, "recipe": run.recipe.name, "metrics": run.metrics},
        files=run.pictures,
        brief=str(run.folder),
    )
