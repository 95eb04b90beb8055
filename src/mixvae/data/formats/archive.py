"""Tar archives: extraction of named members, and of no others."""

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from mixvae.errors import MixvaeError

from .compressed import damaged, read_bytes


def extract(archive: Path, members: Sequence[str], folder: Path) -> dict[str, Path]:
    """Write the named members (``folder/file``) into ``folder``, under their last names.

    ``archive`` is a .tar, plain, .gz or .xz. No name in the archive decides where a file is
    written. The files appear once all of them are whole. Raises `MixvaeError` where one is missing
    or is not a plain file, or the archive is damaged.
    """
    paths = {name: folder / name.rpartition("/")[2] for name in members}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".unpacking-", dir=folder) as temporary:
            parts = {name: Path(temporary) / path.name for name, path in paths.items()}
            # all at once, as tarfile stops before the end, where the checksum is
            with tarfile.open(fileobj=io.BytesIO(read_bytes(archive)), mode="r:") as tar:
                for info in tar:
                    part = parts.get(info.name)
                    if part is not None and not part.exists():  # the first of its name
                        part.write_bytes(_content(tar, info, archive))
            missing = [name for name, part in parts.items() if not part.exists()]
            if missing:
                raise MixvaeError(
                    f"{archive}: expected {', '.join(missing)} in it, found none of that name; "
                    "is it the right archive? Delete it and get the published one."
                )
            for name, part in parts.items():
                part.replace(paths[name])
    except tarfile.TarError as error:
        raise damaged(archive, "a whole tar archive", error) from error
    except OSError as error:
        raise MixvaeError(
            f"{archive}: could not be unpacked into {folder} ({error}); if it is whole, unpack it "
            "where there is room and you may write, and name that folder with data_dir."
        ) from error
    return {path.name: path for path in paths.values()}


def _content(tar: tarfile.TarFile, info: tarfile.TarInfo, archive: Path) -> bytes:
    """A member's bytes; a link is refused, as it could lead to any file here."""
    content = tar.extractfile(info) if info.isreg() else None
    if content is None:
        raise MixvaeError(
            f"{archive}: expected {info.name} to be a plain file, got a link, folder or device; "
            "it is not the published archive: delete it and get that one."
        )
    return content.read()
