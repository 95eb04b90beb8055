"""Run folders as places: how one is claimed and kept to one process, and when it is finished.

``docs/runs.md`` states the rules.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from mixvae.errors import MixvaeError

from . import lock
from .files import PARTIAL, write_text

RECIPE, WEIGHTS, METRICS, LOG = "recipe.json", "model.safetensors", "metrics.json", "log.csv"
DATA, TRAINING, CONFIG, CHECKPOINTS = "data.json", "training.json", "config.yaml", "checkpoints"
ORIGIN, FINISHED = "origin.json", "finished.json"
LAST, BEST = "last.ckpt", "best.ckpt"
BEGUN = {RECIPE, DATA, TRAINING, CONFIG, ORIGIN, lock.LOCK}  # what there is before any training
STOPPED = (OSError, KeyboardInterrupt, SystemExit)  # what comes from outside, not from the model


def last_checkpoint(folder: Path) -> Path:
    """The newest epoch's checkpoint, or the start's."""
    return folder / CHECKPOINTS / LAST


def claim(out: str | Path | None, name: str, root: Path = Path("runs")) -> Path:
    """Make a new folder for a run, ``out`` or the next free runs/NAME-001, and take its lock.

    Raises:
        MixvaeError: if ``out`` exists and is not empty, or cannot be written.
    """
    return _claim(out, name, root)[0]


@contextmanager
def new_folder(out: str | Path | None, name: str) -> Iterator[Path]:
    """A new run folder, this process's alone; removed if the run fails with nothing to keep.

    An error from within the training before its first epoch is over would come again. What is
    stopped from outside (Ctrl-C, a full disk) is kept as soon as there is a checkpoint.

    Raises:
        MixvaeError: as :func:`claim`.
    """
    folder, made = _claim(out, name)
    try:
        with _hint(folder):
            yield folder
    except BaseException as error:
        if not _worth_keeping(folder, error):
            _remove(folder, made)
        raise
    finally:
        lock.release(folder)


@contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """An existing run folder, this process's alone, without what killed processes left behind.

    Raises:
        MixvaeError: if another process trains the run.
    """
    lock.acquire(folder)
    try:
        sweep(folder)
        with _hint(folder):
            yield
    finally:
        lock.release(folder)


def sweep(folder: Path) -> None:
    """Remove files that processes which run no longer were writing when they were killed."""
    for path, process in partials(folder).items():
        if lock.process_start(process) is None:
            path.unlink(missing_ok=True)


def partials(folder: Path) -> dict[Path, int]:
    """The files in a run folder that are half written, and by which processes."""
    places = [*folder.glob(".*"), *(folder / CHECKPOINTS).glob(".*")]
    found = {path: PARTIAL.fullmatch(path.name) for path in places}
    return {path: int(match[1]) for path, match in found.items() if match}


def mark_finished(folder: Path, epochs: int, files: Sequence[str]) -> None:
    """Say, last of all, that the weights are final and these files are of them."""
    write_text(
        folder / FINISHED, json.dumps({"epochs": epochs, "files": list(files)}, indent=2) + "\n"
    )


def unmark(folder: Path) -> None:
    """Say, before anything else is changed, that the run goes on."""
    (folder / FINISHED).unlink(missing_ok=True)


def is_finished(folder: Path) -> bool:
    """Whether the mark is there, and the weights that it speaks of."""
    return (folder / FINISHED).exists() and (folder / WEIGHTS).exists()


def is_complete(folder: Path) -> bool:
    """Whether nothing is left to do: it is finished, or a model whose training is not here."""
    begun = last_checkpoint(folder).exists() or (folder / ORIGIN).exists()
    return is_finished(folder) or not begun


def finished_files(folder: Path) -> list[str]:
    """The figures and pictures that a complete run ended with, there or not."""
    try:
        files = json.loads((folder / FINISHED).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, TypeError, KeyError):
        files = None
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
        return [METRICS]  # which every run has
    return files


def _claim(out: str | Path | None, name: str, root: Path = Path("runs")) -> tuple[Path, list[Path]]:
    """The folder, and which folders were made for it, the innermost first."""
    folder = root if out is None else Path(out)
    try:
        made = [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        if out is None:
            folder = _next_free(root, name)
            return folder, [folder, *made]
        _take(folder)
    except OSError as error:
        raise MixvaeError(f"cannot write the run folder {folder}: {_reason(error)}.") from error
    return folder, made


def _reason(error: OSError) -> str:
    place = Path(str(error.filename))
    if isinstance(error, FileExistsError) and place.is_symlink():
        return f"{place} is a symbolic link to {place.readlink()}, which does not exist"
    return f"{error.strerror}: {place}"


def _take(folder: Path) -> None:
    """Lock a folder that is empty, or holds a run that was killed before it began.

    The lock is what one process alone gets; whether the folder is empty is asked again after it.
    """
    _check_free(folder)
    lock.acquire(folder)
    try:
        _check_free(folder)
        _remove_files(folder, but=lock.LOCK)
    except BaseException:
        lock.release(folder)
        raise


def _check_free(folder: Path) -> None:
    names = {path.name for path in folder.iterdir() if not PARTIAL.fullmatch(path.name)}
    if CHECKPOINTS in names and {*(folder / CHECKPOINTS).glob("*")} <= partials(folder).keys():
        names.remove(CHECKPOINTS)  # nothing was saved
    if names and not (lock.LOCK in names and names <= BEGUN):
        raise MixvaeError(
            f"the run folder {folder} exists and is not empty; a run is never overwritten. "
            f"Give another folder, or go on with that run: mixvae train --resume {folder}"
        )


def _next_free(root: Path, name: str) -> Path:
    number = 1
    while True:
        folder = root / f"{name}-{number:03d}"
        with suppress(FileExistsError, MixvaeError):  # another process was quicker
            folder.mkdir()
            _take(folder)
            return folder
        number += 1


@contextmanager
def _hint(folder: Path) -> Iterator[None]:
    """Tell whoever reports the error how to go on, if there is anything to go on with."""
    try:
        yield
    except STOPPED as error:
        if isinstance(error, OSError) and not folder.exists():
            raise FileNotFoundError(
                f"the run folder {folder} was removed while it was in use."
            ) from error
        if can_go_on(folder):
            if isinstance(error, KeyboardInterrupt):
                error.args = (str(folder),)
            else:
                error.add_note(f"Go on with: mixvae train --resume {folder}")
        raise


def can_go_on(folder: Path) -> bool:
    """Whether there is anything to resume from: a checkpoint, or weights."""
    return last_checkpoint(folder).exists() or (folder / WEIGHTS).exists()


def _worth_keeping(folder: Path, error: BaseException) -> bool:
    trained = (folder / LOG).exists() or (folder / WEIGHTS).exists()
    return can_go_on(folder) and (trained or isinstance(error, STOPPED))


def _remove(folder: Path, made: Sequence[Path]) -> None:
    """Remove what a run writes, and the folders that were made for it if they are then empty."""
    with suppress(OSError):
        _remove_files(folder)
    for place in made:
        with suppress(OSError):
            place.rmdir()


def _remove_files(folder: Path, but: str = "") -> None:
    for name in {*BEGUN, LOG} - {but}:
        (folder / name).unlink(missing_ok=True)
    for name in (LAST, BEST):
        (folder / CHECKPOINTS / name).unlink(missing_ok=True)
    for path in partials(folder):
        path.unlink(missing_ok=True)
    with suppress(OSError):
        (folder / CHECKPOINTS).rmdir()
