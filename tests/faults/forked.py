"""Run a function in a forked child process with limits of time and memory; say how it ended."""

import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

LIMIT = 20.0  # seconds: what takes longer hangs
MEMORY = 6 << 30  # bytes that a child may have beside what it was forked with
TRACEBACK = 70  # exit code of a child whose function raised what is not a MixvaeError


@dataclass(frozen=True)
class Outcome:
    """How a child process ended, and what it printed."""

    code: int | None  # None: it was stopped after LIMIT
    output: str
    seconds: float

    @property
    def is_fault(self) -> bool:
        """Whether it hung, was ended by a signal of its own, or raised a traceback."""
        return self.code is None or self.code not in (0, 1, 2)

    def describe(self) -> str:
        """The kind of fault, and the last lines that were printed."""
        kind = {None: "hang", TRACEBACK: "traceback"}.get(self.code, f"exit code {self.code}")
        return f"{kind}: {' | '.join(self.output.strip().splitlines()[-3:])}"


def run(
    function: Callable[[], int | None],
    *,
    cwd: Path,
    limit: float = LIMIT,
    kill_after: float | None = None,
) -> Outcome:
    """Call ``function`` in a child process whose working directory is ``cwd``.

    Its result is the exit code; None is 0, a MixvaeError 2, an OSError 1. ``kill_after`` sends
    SIGKILL after so many seconds; the code is then -9.
    """
    with TemporaryDirectory() as aside:
        log = Path(aside) / "log"
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            _child(function, cwd, log)
        code = _wait(pid, started + limit, None if kill_after is None else started + kill_after)
        return Outcome(code, log.read_text(errors="replace"), time.monotonic() - started)


def command(*argv: str) -> Callable[[], int]:
    """The function that runs ``mixvae`` with these words."""

    def call() -> int:
        from mixvae.cli import main

        return main(argv)

    return call


def _wait(pid: int, deadline: float, kill_at: float | None) -> int | None:
    """The exit code of a child; None, after stopping it, if the deadline passes."""
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        now = time.monotonic()
        if now > deadline or (kill_at is not None and now > kill_at):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None if now > deadline else -signal.SIGKILL
        time.sleep(0.002)


def _child(function: Callable[[], int | None], cwd: Path, log: Path) -> None:
    """Never returns."""
    from mixvae import MixvaeError

    code = TRACEBACK
    try:
        os.chdir(cwd)
        out = os.open(log, os.O_WRONLY | os.O_CREAT)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.stdin.close()
        _limit_memory()
        warnings.simplefilter("ignore")
        code = function() or 0
    except MixvaeError as error:
        print(f"MixvaeError: {error}")
        code = 2
    except OSError as error:
        print(f"{type(error).__name__}: {error}")
        code = 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    if pages:
        limit = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
