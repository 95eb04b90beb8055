"""Run folders: creation, use by one process at a time, and the mark of a finished run.

``docs/runs.md`` states the rules.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from mixvae.errors import MixvaeError

from . import lock
from .files import PARTIAL, write_text

ENDING = re.compile(r"\.(csv|tsv|parquet|npy|npz)(\.gz)?$")  # of data that name a run

RECIPE, WEIGHTS, METRICS, LOG = "recipe.json", "model.safetensors", "metrics.json", "log.csv"
DATA, TRAINING, CONFIG, CHECKPOINTS = "data.json", "training.json", "config.yaml", "checkpoints"
ORIGIN, FINISHED = "origin.json", "finished.json"
LAST, BEST = "last.ckpt", "best.ckpt"
BEGUN = {RECIPE, DATA, TRAINING, CONFIG, ORIGIN, lock.LOCK}  # files written before training
STOPPED = (OSError, KeyboardInterrupt, SystemExit)  # causes outside the model


def last_checkpoint(folder: Path) -> Path:
    """The path of the newest checkpoint."""
    return folder / CHECKPOINTS / LAST


def claim(out: str | Path | None, name: str, root: Path = Path("runs")) -> Path:
    """Create a folder for a run, ``out`` or the next free runs/NAME-001, and take its lock.

    Raises `MixvaeError` if ``out`` exists and is not empty, or cannot be written.
    """
    return _claim(out, name, root)[0]


@contextmanager
def new_folder(out: str | Path | None, name: str) -> Iterator[Path]:
    """Context with a new, locked run folder, which is removed if the run fails without a result.

    An error of the training itself within the first epoch leaves no result. A run that is stopped
    from outside (Ctrl-C, a full disk) is kept as soon as it has a checkpoint. Raises as
    :func:`claim`.
    """
    folder, created = _claim(out, name)
    try:
        with _hint(folder):
            yield folder
    except BaseException as error:
        if not _worth_keeping(folder, error):
            _remove(folder, created)
        raise
    finally:
        lock.release(folder)


@contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """Context with an existing run folder, locked, and rid of files that killed processes left.

    Raises `MixvaeError` if another process trains the run.
    """
    lock.acquire(folder)
    try:
        for path, process in partials(folder).items():
            if lock.process_start(process) is None:  # it was killed
                path.unlink(missing_ok=True)
        with _hint(folder):
            yield
    finally:
        lock.release(folder)


def partials(folder: Path) -> dict[Path, int]:
    """The partial files in a run folder, and the ids of the processes that write them."""
    paths = [*folder.glob(".*"), *(folder / CHECKPOINTS).glob(".*")]
    return {path: int(m[1]) for path in paths if (m := PARTIAL.fullmatch(path.name))}


def mark_finished(folder: Path, epochs: int, files: Sequence[str]) -> None:
    """Mark, after all else, that the weights are final and these files belong to them."""
    content = {"epochs": epochs, "files": list(files)}
    write_text(folder / FINISHED, json.dumps(content, indent=2) + "\n")


def unmark(folder: Path) -> None:
    """Remove the mark, before anything else is changed, because the run is resumed."""
    (folder / FINISHED).unlink(missing_ok=True)


def is_finished(folder: Path) -> bool:
    """Whether the mark and the weights exist."""
    return (folder / FINISHED).exists() and (folder / WEIGHTS).exists()


def is_complete(folder: Path) -> bool:
    """Whether nothing is left to do: it is finished, or was not trained in this folder."""
    begun = last_checkpoint(folder).exists() or (folder / ORIGIN).exists()
    return is_finished(folder) or not begun


def finished_files(folder: Path) -> list[str]:
    """The names of the figures and pictures that a complete run ended with, removed ones too."""
    try:
        files = json.loads((folder / FINISHED).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, TypeError, KeyError):
        files = None
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
        return [METRICS]  # those of every run
    return files


def _claim(out: str | Path | None, name: str, root: Path = Path("runs")) -> tuple[Path, list[Path]]:
    """The folder, and the folders that were created for it, the innermost first."""
    folder = root if out is None else Path(out)
    try:
        created = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        if out is None:
            folder = _next_free(root, ENDING.sub("", name))
            return folder, [folder, *created]
        _take(folder)
    except OSError as error:
        raise MixvaeError(f"cannot write the run folder {folder}: {_reason(error)}.") from error
    return folder, created


def _reason(error: OSError) -> str:
    path = Path(str(error.filename))
    if isinstance(error, FileExistsError) and path.is_symlink():
        return f"{path} is a symbolic link to {path.readlink()}, which does not exist"
    return f"{error.strerror}: {path}"


def _take(folder: Path) -> None:
    """Lock a folder that is empty, or holds a run that was killed before it began.

    Whether it is empty is checked again under the lock, which only one process has.
    """
    _check_free(folder)
    lock.acquire(folder)
    try:
        _check_free(folder)
        _remove_files(folder, keep=lock.LOCK)
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
    for number in count(1):
        folder = root / f"{name}-{number:03d}"
        with suppress(FileExistsError, MixvaeError):  # another process was quicker
            folder.mkdir()
            _take(folder)
            break
    return folder


@contextmanager
def _hint(folder: Path) -> Iterator[None]:
    """Add the command that resumes the run to errors that stop it, if it can be resumed."""
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
    """Whether the run can be resumed: it has a checkpoint or weights."""
    return last_checkpoint(folder).exists() or (folder / WEIGHTS).exists()


def _worth_keeping(folder: Path, error: BaseException) -> bool:
    trained = (folder / LOG).exists() or (folder / WEIGHTS).exists()
    return can_go_on(folder) and (trained or isinstance(error, STOPPED))


def _remove(folder: Path, created: Sequence[Path]) -> None:
    """Remove the files of a run, and the folders created for it if they are then empty."""
    with suppress(OSError):
        _remove_files(folder)
    for path in created:
        with suppress(OSError):
            path.rmdir()


def _remove_files(folder: Path, keep: str = "") -> None:
    paths = {folder / name for name in {*BEGUN, LOG} - {keep}}
    paths |= {folder / CHECKPOINTS / name for name in (LAST, BEST)} | partials(folder).keys()
    for path in paths:
        path.unlink(missing_ok=True)
    with suppress(OSError):
        (folder / CHECKPOINTS).rmdir()
