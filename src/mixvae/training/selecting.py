"""``select``: a run's chosen components as a run of their own, trained on if that is asked for."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mixvae import run as folders
from mixvae.data.dataset import Dataset
from mixvae.errors import at_least, is_a
from mixvae.pruning import kept_by, prune
from mixvae.run import Run
from mixvae.storage.run_folder import new_folder

from .checks import check
from .fitting import begin, fit
from .machine import process
from .settings import Settings

PRUNED = "pruned"
FINETUNING = "fine-tuning"  # the phase's name in the history


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
    **options: Any,
) -> Run:
    """Prune a run to the components that it chose; the smaller model is a run folder of its own.

    Parameters
    ----------
    folder
        The run folder; it is left as it is.
    data
        The data that the run was trained on.
    keep
        Components to keep, counted from 0; by default those that component dropout kept.
    finetune_epochs
        Epochs to train the smaller model for, as the run was but without warm-up.
    out
        The new run folder, which must be new or empty; by default ``pruned`` in the run's.
    progress
        Show a progress bar, or lines where there is no terminal.
    pictures
        End with the run folder's pictures.
    settings
        As in :func:`fit`; the recipe and its options become the new ones.
    **options
        Options of training, as in :func:`fit`.

    Returns
    -------
    Run
        The smaller model's run.

    Raises
    ------
    MixvaeError
        As :func:`mixvae.prune` and :func:`fit`.
    """
    from .finish import finish

    is_a((str, Path), "the run folder's path", folder=folder)
    is_a(Dataset, "the run's, from mixvae.data.load", data=data)
    at_least(0, finetune_epochs=finetune_epochs)
    run = folders.load(folder)
    kept = kept_by(run.recipe, keep)
    small = prune(run.recipe, kept)
    if settings is not None:
        own = {key: value for key, value in small.options.items() if key in settings}
        own |= {} if small.name == run.recipe.name else {"recipe": small.name}
        settings = settings | own
    out = run.folder / PRUNED if out is None else Path(out)
    origin = {"recipe": run.recipe.name, "n_components": run.recipe.n_components, "kept": kept}
    start: dict[str, Any] = {"settings": settings, "origin": {"pruned_from": origin}}
    before = Settings.load(run.folder, warmup_epochs=0)
    if finetune_epochs:
        own = {"max_epochs": finetune_epochs, "phase": FINETUNING, "out": out, **start}
        own |= {"progress": progress, "pictures": pictures}
        as_before = asdict(before)
        del as_before["float32_library"]  # measured anew, as of a new run
        return fit(small, data, **as_before | options | own)
    check(small, data)
    is_first = process() == 0
    with new_folder(out, small.name) if is_first else nullcontext(out) as new:
        pruned = Run(new, small)
        if is_first:
            begin(small, data, new, before, **start)
            folders.save_weights(small, new)
            pruned.metrics.update(finish(pruned, data, before, pictures=pictures))
    return pruned
