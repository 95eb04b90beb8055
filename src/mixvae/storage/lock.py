"""Locks of run folders: a file names the one process that trains the run."""

import json
import os
import platform
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from mixvae.errors import MixvaeError

LOCK = "train.lock"


@dataclass(frozen=True)
class Holder:
    """A process that holds a lock."""

    pid: int
    host: str
    started: str  # its start in the system's clock ticks, since pids are reused; "" if unknown
    since: str

    @property
    def gone(self) -> bool:
        """Whether it has certainly ended; of another computer's processes nothing is known."""
        if self.host != platform.node():
            return False
        now = process_start(self.pid)
        return now is None or bool(now and self.started and now != self.started)


def acquire(folder: Path) -> None:
    """Take a run folder's lock, also from a process that has died.

    Raises `MixvaeError` if another process holds it.
    """
    path = folder / LOCK
    while True:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+") as file:
            _wait_for_others(file)
            if not _is_still_at(path, file):
                continue  # another process released it after it was opened
            holder = _read(file)
            if holder is not None and not holder.gone:
                raise _held(folder, holder)
            _write(file)
            return


def is_held(folder: Path) -> bool:
    """Whether a process holds a run folder's lock, or may hold it."""
    try:
        with (folder / LOCK).open() as file:
            holder = _read(file)
    except FileNotFoundError:
        return False
    return holder is not None and not holder.gone


def release(folder: Path) -> None:
    """Release the lock that this process holds; nothing happens if the folder is gone."""
    with suppress(OSError):
        (folder / LOCK).unlink()


def process_start(pid: int) -> str | None:
    """The start of a process in the system's clock ticks; None if it has ended, "" if unknown."""
    if os.name != "posix":
        return ""
    try:
        os.kill(pid, 0)  # sends nothing
    except (ProcessLookupError, OverflowError):
        return None
    except PermissionError:  # another user's
        pass
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # not Linux
        return ""
    state, started = fields[0], fields[19]  # fields 3 and 22 of proc(5)
    return None if state in "ZX" else started


def _held(folder: Path, holder: Holder) -> MixvaeError:
    if holder.host == platform.node():
        who, then = f"process {holder.pid}", "Wait until it ends, or stop it."
    else:
        who = f"process {holder.pid} on the computer {holder.host}"
        then = f"If that has ended, remove {folder / LOCK}."
    return MixvaeError(f"the run {folder} is in use by {who}, since {holder.since}. {then}")


def _wait_for_others(file: IO[str]) -> None:
    """Wait for exclusive access to the open file, which lasts until it is closed."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    with suppress(OSError):  # some network file systems have no such locks
        fcntl.flock(file, fcntl.LOCK_EX)


def _is_still_at(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _read(file: IO[str]) -> Holder | None:
    """The holder of the lock; None if the file is incomplete."""
    try:
        found = json.loads(file.read())
        holder = Holder(int(found["pid"]), *(str(found[k]) for k in ("host", "started", "since")))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return holder if holder.pid > 0 else None


def _write(file: IO[str]) -> None:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    holder = Holder(os.getpid(), platform.node(), process_start(os.getpid()) or "", since)
    file.seek(0)
    file.truncate()
    file.write(json.dumps(asdict(holder)) + "\n")
