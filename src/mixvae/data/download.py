"""Find a data set's files, or fetch them: checked, and whole or not there at all."""

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

from .formats.compressed import find

_CHUNK = 1 << 20  # bytes


@dataclass(frozen=True)
class Remote:
    """A public file: its name as saved, where it is, and its published checksum, if any.

    ``members`` are the files wanted from it, where it is an archive; they may lie there instead.
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
        """The members by their own names, for people who look for the files."""
        names = ", ".join(member.rpartition("/")[2] for member in self.members)
        return f", or what it holds: {names}" if names else ""


def data_home(data_dir: str | Path | None = None) -> Path:
    """The folder of all data: the one given, ``MIXVAE_DATA``, or the user's cache."""
    if data_dir is not None:
        return Path(data_dir).expanduser()
    if named := os.environ.get("MIXVAE_DATA"):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mixvae"


def locate(
    name: str, remotes: Sequence[Remote], home: Path, folders: Sequence[str]
) -> dict[str, Path]:
    """Where each file is, by its name without compression, fetching those that are missing.

    Looks in ``folders`` under ``home``, then in ``home`` itself, and fetches into the first.
    Files already there are taken as they are. Raises `MixvaeError` where one cannot be had.
    """
    places = [*(home / folder for folder in folders), home]
    found = {remote.stem: find(remote.stem, places) for remote in remotes}
    missing = [remote for remote in remotes if found[remote.stem] is None]
    for i, remote in enumerate(missing):
        target = places[0] / remote.name
        try:
            fetch(remote, target)
        except (OSError, HTTPException) as error:  # URLError and time-outs are OSErrors
            wanted = "".join(f"\n  {r.name}  from {r.url}{r.contents}" for r in missing[i:])
            raise MixvaeError(
                f"{name}: looked in {home} and its {', '.join(folders)}, where these files were "
                f"missing, and could not fetch them ({error or type(error).__name__}). Put them "
                f"(.gz, .xz or plain) in {places[0]}, or name their folder with data_dir or "
                f"MIXVAE_DATA:{wanted}"
            ) from error
        found[remote.stem] = target
    return {stem: path for stem, path in found.items() if path is not None}


def fetch(remote: Remote, target: Path) -> None:
    """Download to ``target``, which appears only once whole and checked.

    Raises `MixvaeError` where the checksum differs, OSError or HTTPException where the network
    or the disk fails; neither leaves a file behind.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")  # two processes, two files
    try:
        digest = _download(remote, part)
        if remote.digest not in (None, digest):
            raise MixvaeError(
                f"{remote.url}: expected {remote.algorithm} {remote.digest}, got {digest}; the "
                f"download was cut short or altered and was not kept. Try again, or put the file "
                f"in {target.parent} by hand."
            )
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _download(remote: Remote, path: Path) -> str:
    """Write the content to ``path`` and return its checksum."""
    digest = hashlib.new(remote.algorithm, usedforsecurity=False)
    with urlopen(remote.url, timeout=30) as response, path.open("wb") as file:
        size = int(response.headers.get("Content-Length") or 0) or None
        with progress(remote.name, size, unit="B") as advance:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                digest.update(chunk)
                advance(len(chunk))
    return digest.hexdigest()
