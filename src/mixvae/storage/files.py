"""Files that are whole or not there."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PARTIAL = re.compile(r"\..+\.(\d+)\.partial")  # .NAME.PROCESS.partial, beside the file NAME
PROBE = 2**20  # bytes


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file beside it to write into, which takes its place once it is written.

    Its permissions are those that the umask leaves, whatever a library would give it.

    Raises:
        OSError: if the operating system refuses; what was at ``path`` is then as it was.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.touch()
        mode = partial.stat().st_mode
        yield partial
        partial.chmod(mode)
        partial.replace(path)
    except OSError as error:
        if error.errno and error.filename in (None, str(partial)):
            error.filename = str(path)  # what a reader knows
        raise
    finally:
        with suppress(OSError):  # what is raised already says more
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write in one go, so that a reader never finds half of it."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def _with_the_systems_errors(partial: Path) -> Iterator[None]:
    """On a full disk torch has a RuntimeError, NumPy an OSError that does not say what it is.

    The operating system says it when it is asked to write more to the same file.
    """
    try:
        yield
    except (RuntimeError, OSError) as error:
        if getattr(error, "errno", None) is None:
            with partial.open("ab") as file:
                file.write(bytes(PROBE))
        raise


def write_array(path: Path, array: Any) -> None:
    """Write a .npy file."""
    import numpy as np

    with whole(path) as partial, _with_the_systems_errors(partial), partial.open("wb") as file:
        np.save(file, array)


def write_arrays(path: Path, **arrays: Any) -> None:
    """Write a .npz file."""
    import numpy as np

    with whole(path) as partial, _with_the_systems_errors(partial), partial.open("wb") as file:
        np.savez(file, **arrays)


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write what ``torch.load(path, weights_only=True)`` reads, straight to the disk."""
    import torch

    with whole(path) as partial, _with_the_systems_errors(partial):
        torch.save(content, partial)
