"""Tar archives: the files wanted from one, and no others."""

import io
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from mixvae.errors import MixvaeError

from .compressed import read_bytes


def extract(archive: Path, members: Sequence[str], folder: Path) -> dict[str, Path]:
    """Write the named members (``folder/file``) into ``folder``, by their last names.

    ``archive`` is a .tar, plain, .gz or .xz. Members that are not named are passed over, so that
    nothing in the archive decides where a file is written. The files appear once all are whole.
    Raises `MixvaeError` where one is missing or no plain file, or the archive is damaged.
    """
    targets = {name: folder / name.rpartition("/")[2] for name in members}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".unpacking-", dir=folder) as aside:
            parts = {name: Path(aside) / path.name for name, path in targets.items()}
            _write(archive, parts)
            for name, part in parts.items():
                part.replace(targets[name])
    except tarfile.TarError as error:
        raise MixvaeError(
            f"{archive}: expected a whole tar archive, but: {error}; it may be cut short or "
            "damaged: delete it and get it again."
        ) from error
    except OSError as error:
        raise MixvaeError(
            f"{archive}: could not be unpacked into {folder} ({error}); if it is whole, unpack it "
            "where there is room and you may write, and name that folder with data_dir."
        ) from error
    return {path.name: path for path in targets.values()}


def _write(archive: Path, targets: Mapping[str, Path]) -> None:
    """Copy each named member to its target, in one pass through the archive."""
    missing = dict(targets)
    # all at once, as tarfile stops before the end, where the checksum is
    with tarfile.open(fileobj=io.BytesIO(read_bytes(archive)), mode="r:") as tar:
        for info in tar:
            target = missing.pop(info.name, None)  # of two members of one name, the first
            if target is not None:
                _copy(tar, info, target, archive)
    if missing:
        raise MixvaeError(
            f"{archive}: expected {', '.join(missing)} in it, found none of that name; "
            "is it the right archive? Delete it and get the published one."
        )


def _copy(tar: tarfile.TarFile, info: tarfile.TarInfo, target: Path, archive: Path) -> None:
    """Write one member's content; a link is refused, as it could lead to any file here."""
    content = tar.extractfile(info) if info.isreg() else None
    if content is None:
        raise MixvaeError(
            f"{archive}: expected {info.name} to be a plain file, got a link, folder or device; "
            "it is not the published archive: delete it and get that one."
        )
    with content, target.open("wb") as file:
        shutil.copyfileobj(content, file)
