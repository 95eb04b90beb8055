"""Files that may be compressed: ``name``, ``name.gz`` or ``name.xz``."""

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

from mixvae.errors import MixvaeError

_DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
}


def find(name: str, folders: Iterable[Path]) -> Path | None:
    """The first file with that name, plain or compressed, in the folders in their order."""
    for folder in folders:
        for suffix in ("", *_DECOMPRESS):
            path = folder / f"{name}{suffix}"
            if path.is_file():
                return path
    return None


def read_bytes(path: Path) -> bytes:
    """The uncompressed content. Raises `MixvaeError` where the file is cut short or damaged."""
    try:
        return _DECOMPRESS.get(path.suffix, bytes)(path.read_bytes())
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise MixvaeError(
            f"{path}: expected a whole {path.suffix or 'readable'} file, but: {error}; "
            "it may be cut short or damaged: delete it and get it again."
        ) from error
