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
FINETUNING = "fine-tuning"  # as the history calls its epochs


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

    Args:
        folder: the run folder; it is left as it is.
        data: the data that the run was trained on.
        keep: components to keep, counted from 0; by default those that component dropout kept.
        finetune_epochs: epochs to train the smaller model for, as the run was but without warm-up.
        out: the new run folder, which must be new or empty; by default ``pruned`` in the run's.
        progress: as in :func:`fit`.
        pictures: as in :func:`fit`.
        settings: as in :func:`fit`; the recipe and its options become the new ones.
        options: of training, as in :func:`fit`.

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
        own = {"max_epochs": finetune_epochs, "phase": FINETUNING, "out": out, **start}
        own |= {"progress": progress, "pictures": pictures}
        return fit(small, data, **asdict(how) | options | own)
    check(small, data)
    first = process() == 0
    with new_folder(out, small.name) if first else nullcontext(out) as new:
        run = Run(new, small)
        if first:
            begin(small, data, new, how, **start)
            folders.save_weights(small, new)
            run.metrics.update(finish(run, data, how, pictures=pictures))
    return run
