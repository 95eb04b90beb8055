"""The files of named data sets: found on disk, or downloaded and checked."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Literal
from urllib.request import urlopen

from mixvae.errors import MixvaeError
from mixvae.progress import progress
from mixvae.storage.files import whole

from .formats.compressed import find

_CHUNK = 1 << 20  # bytes


@dataclass(frozen=True)
class Remote:
    """A public file: its name on disk, its URL, and its published checksum, if any.

    ``members`` are the files wanted out of an archive; they may be on disk instead of it.
    """

    name: str
    url: str
    algorithm: Literal["md5", "sha256"]
    digest: str | None
    members: tuple[str, ...] = ()

    @property
    def stem(self) -> str:
        """The name without compression."""
        return self.name.removesuffix(".gz")

    @property
    def contents(self) -> str:
        """A note with the names of the members, for messages."""
        names = ", ".join(member.rpartition("/")[2] for member in self.members)
        return f", or what it holds: {names}" if names else ""


def data_home(data_dir: str | Path | None = None) -> Path:
    """The folder of all data: the one given, ``MIXVAE_DATA``, or the user's cache."""
    if data_dir is not None:
        return Path(data_dir).expanduser()
    if named := os.environ.get("MIXVAE_DATA"):
        return Path(named).expanduser()
    return cache_home()


def cache_home() -> Path:
    """The folder of this package in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mixvae"


def locate(
    name: str, remotes: Sequence[Remote], home: Path, folders: Sequence[str]
) -> dict[str, Path]:
    """The path of each file by its name without compression; missing ones are fetched.

    Files are looked for in ``folders`` under ``home``, then in ``home`` itself, are used as they
    are, and are fetched into the first folder. Raises `MixvaeError` where one cannot be had.
    """
    first = home / folders[0]
    paths: dict[str, Path] = {}
    for i, remote in enumerate(remotes):
        path = find(remote.stem, home, folders)
        if path is None:
            path = first / remote.name
            try:
                fetch(remote, path)
            except (OSError, HTTPException) as error:  # URLError and time-outs are OSErrors
                missing = [r for r in remotes[i:] if find(r.stem, home, folders) is None]
                wanted = "".join(f"\n  {r.name}  from {r.url}{r.contents}" for r in missing)
                raise MixvaeError(
                    f"{name}: looked in {home} and its {', '.join(folders)}, where these files "
                    f"were missing, and could not fetch them ({error or type(error).__name__}). "
                    f"Put them (.gz, .xz or plain) in {first}, or name their folder with data_dir "
                    f"or MIXVAE_DATA:{wanted}"
                ) from error
        paths[remote.stem] = path
    return paths


def fetch(remote: Remote, target: Path) -> None:
    """Download to ``target``, which appears only once it is whole and checked.

    Raises `MixvaeError` where the checksum differs, OSError or HTTPException where the network
    or the disk fails; no file remains then.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.new(remote.algorithm, usedforsecurity=False)
    with urlopen(remote.url, timeout=30) as response, whole(target) as partial:
        size = int(response.headers.get("Content-Length") or 0) or None
        with partial.open("wb") as file, progress(remote.name, size, unit="B") as advance:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                digest.update(chunk)
                advance(len(chunk))
        if remote.digest not in (None, digest.hexdigest()):
            raise MixvaeError(
                f"{remote.url}: expected {remote.algorithm} {remote.digest}, got "
                f"{digest.hexdigest()}; the download was cut short or altered and was not kept. "
                f"Try again, or put the file in {target.parent} by hand."
            )
