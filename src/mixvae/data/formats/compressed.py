"""Files that may be compressed: ``name``, ``name.gz`` or ``name.xz``."""

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from mixvae.errors import MixvaeError

MAX_BYTES = 1 << 30  # uncompressed; the largest file of a named data set has 0.2 GB
_OPEN: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".xz": lzma.open}
_CHUNK = 1 << 24  # bytes


def _plain(path: Path) -> BufferedIOBase:
    return path.open("rb")


def find(name: str, home: Path, folders: Iterable[str]) -> Path | None:
    """The first such file, plain or compressed, in ``folders`` under ``home``, then in ``home``."""
    paths = (home / place / (name + end) for place in (*folders, ".") for end in ("", *_OPEN))
    return next((path for path in paths if path.is_file()), None)


def damaged(path: Path, expected: str, problem: object) -> MixvaeError:
    """The error for a file of a data set that is not whole."""
    return MixvaeError(
        f"{path}: expected {expected}, but: {problem}; it may be cut short or damaged: delete it "
        "and get it again."
    )


def read_bytes(path: Path, size_of: Callable[[bytes], int] | None = None) -> bytes:
    """The uncompressed content, of at most ``MAX_BYTES``.

    ``size_of`` computes the expected size from the first 64 bytes, or fewer if there are fewer; at
    most one byte more than that is uncompressed. Raises `MixvaeError` where the file is cut short,
    damaged or too large.
    """
    try:
        with _OPEN.get(path.suffix, _plain)(path) as file:
            start = file.read(64)
            limit = MAX_BYTES if size_of is None else min(size_of(start), MAX_BYTES)
            content = start + b"".join(_chunks(file, limit + 1 - len(start)))
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise damaged(path, f"a whole {path.suffix or 'readable'} file", error) from error
    if len(content) > MAX_BYTES:
        raise MixvaeError(
            f"{path}: unpacks to more than {MAX_BYTES:,} bytes, so it is another file than the "
            "data set's: delete it and get that one."
        )
    return content


def _chunks(file: BufferedIOBase, n: int) -> Iterator[bytes]:
    """The next ``n`` bytes, or as many as there are."""
    while n > 0 and (chunk := file.read(min(n, _CHUNK))):
        n -= len(chunk)
        yield chunk
