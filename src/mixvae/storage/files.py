"""Files that are written whole or not at all."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PARTIAL = re.compile(r"\..+\.(\d+)\.partial")  # .NAME.PROCESS.partial, beside the file NAME
PROBE = 2**20  # bytes, written to learn why a library's own writing failed


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Context with a temporary file beside ``path`` to write to, which replaces it in the end.

    Its permissions are those that the umask leaves, whatever the library that writes would set.

    Parameters
    ----------
    path
        The file.

    Yields
    ------
    Path
        The temporary file.

    Raises
    ------
    OSError
        If the operating system refuses; ``path`` is then unchanged.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.touch()
        mode = partial.stat().st_mode
        try:
            yield partial
        except (RuntimeError, OSError) as error:
            if getattr(error, "errno", None) is None:
                _probe(partial)
            raise
        partial.chmod(mode)
        partial.replace(path)
    except OSError as error:
        if error.errno and error.filename in (None, str(partial)):
            error.filename = str(path)  # the name that a reader knows
        raise
    finally:
        with suppress(OSError):  # the error that is being raised matters more
            partial.unlink(missing_ok=True)


def _probe(partial: Path) -> None:
    """Raise the operating system's own error, if there is one, by writing on to the same file.

    On a full disk PyTorch raises a RuntimeError, and NumPy an OSError without an error number.
    """
    with partial.open("ab") as file:
        file.write(bytes(PROBE))


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_array(path: Path, array: Any) -> None:
    """Write a .npy file, whole or not at all."""
    import numpy as np

    with whole(path) as partial, partial.open("wb") as file:
        np.save(file, array)


def write_arrays(path: Path, **arrays: Any) -> None:
    """Write a .npz file, whole or not at all."""
    import numpy as np

    with whole(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a file for ``torch.load(path, weights_only=True)``, without a copy in memory."""
    import torch

    with whole(path) as partial:
        torch.save(content, partial)
