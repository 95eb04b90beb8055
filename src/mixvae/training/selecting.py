"""``select``: a run's chosen components as a run of their own, trained on if that is asked for."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from .. import run as folders
from ..data.dataset import Dataset
from ..errors import at_least, is_a
from ..pruning import kept_by, prune
from ..run import Run
from .fitting import Options, begin, claimed, new_run, process
from .precision import chosen_precision
from .settings import Settings, check

PRUNED = "pruned"


def select(
    folder: str | Path,
    data: Dataset,
    *,
    keep: Sequence[int] | None = None,
    finetune_epochs: int = 0,
    out: str | Path | None = None,
    progress: bool = True,
    pictures: bool = True,
    settings: dict[str, Any] | None = None,
    **trainer_options: Any,
) -> Run:
    """Prune a run to the components that it chose; the smaller model is a run folder of its own.

    Args:
        folder: the run folder; it is left as it is.
        data: the data that the run was trained on.
        keep: components to keep, counted from 0; by default those that component dropout kept.
        finetune_epochs: epochs to train the smaller model for, as the run was but without warm-up.
        out: the new run folder, which must be new or empty; by default ``pruned`` in the run's.
        progress: as in :func:`fit`.
        pictures: as in :func:`fit`.
        settings: as in :func:`fit`; the recipe and its options become the new ones.
        trainer_options: as in :func:`fit`.

    Raises:
        MixvaeError: as :func:`mixvae.prune` and :func:`fit`.
    """
    from .finish import finish

    is_a((str, Path), "the run folder's path", folder=folder)
    is_a(Dataset, "the run's, from mixvae.data.load", data=data)
    at_least(0, finetune_epochs=finetune_epochs)
    whole = folders.load(folder)
    kept = kept_by(whole.recipe, keep)
    small = prune(whole.recipe, kept)
    if settings is not None:
        own = {key: value for key, value in small.options.items() if key in settings}
        own |= {} if small.name == whole.recipe.name else {"recipe": small.name}
        settings = settings | own
    out = whole.folder / PRUNED if out is None else Path(out)
    origin = {"recipe": whole.recipe.name, "n_components": whole.recipe.n_components, "kept": kept}
    start = {"settings": settings, "origin": {"pruned_from": origin}}
    how = Settings.load(whole.folder, warmup_epochs=0)
    if finetune_epochs:
        how = _changed(how, {"max_epochs": finetune_epochs} | trainer_options)
        rest = {k: v for k, v in trainer_options.items() if k not in asdict(how)}
        logger, compile = rest.pop("logger", "csv"), rest.pop("compile", False)
        options = Options(logger, progress, pictures, compile, rest)
        return new_run(small, data, how, options, out=out, **start)
    check(small, data)
    with claimed(out, small.name) as new:
        run = Run(new, small)
        if process() == 0:
            begin(small, data, run.folder, how, **start)
            folders.save_weights(small, run.folder)
            run.metrics.update(finish(run, data, how, pictures=pictures))
    return run


def _changed(how: Settings, given: dict[str, Any]) -> Settings:
    """Settings with those of the given options that they have."""
    given = {name: value for name, value in given.items() if name in asdict(how)}
    if "precision" in given:
        accelerator = given.get("accelerator", "auto")
        given["precision"] = chosen_precision(given["precision"], accelerator, process())
    return replace(how, **given)
