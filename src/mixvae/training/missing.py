"""Figures and pictures that a run whose training is over lacks, written afterwards."""

import os
from pathlib import Path

from mixvae.data.dataset import Dataset
from mixvae.run import load, load_recipe, read_json
from mixvae.storage.lock import is_held
from mixvae.storage.run_folder import DATA, finished_files, is_complete, own_folder

from .checkpoints import load_last, why_over
from .fitting import resume
from .settings import Settings


def write_missing(folder: Path, data: Dataset, *, pictures: bool) -> bool:
    """Finish a run whose training is over, or make again what was removed of a finished one.

    A run that has epochs to come, is in use, cannot be written, or is of other data is left alone.
    Returns whether there was anything to write. ``pictures`` counts for a run that is not finished.
    """
    if not (folder / DATA).exists() or data.differences(read_json(folder, DATA)):
        return False
    if is_held(folder) or not os.access(folder, os.W_OK):
        return False
    settings = Settings.load(folder)
    if not is_complete(folder):
        if not why_over(load_last(load_recipe(folder), folder), settings):
            return False
        resume(folder, data, progress=False, pictures=pictures)
        return True
    files = finished_files(folder)
    if all((folder / name).exists() for name in files):
        return False
    from .finish import finish

    with own_folder(folder):
        finish(load(folder), data, settings, pictures=any(name.endswith(".png") for name in files))
    return True
