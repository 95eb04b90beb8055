"""The revision of the code that makes a result."""

import subprocess
from pathlib import Path

import mixvae

SOURCE = Path(__file__).resolve().parents[2]


def commit() -> str:
    """The commit that is checked out, marked "-dirty" if the source differs from it.

    Where the package is installed without its repository, the version.
    """
    try:
        head = _git("rev-parse", "--short=10", "HEAD")
        changed = _git("status", "--porcelain", ".")
    except (OSError, subprocess.CalledProcessError):
        return f"version {mixvae.__version__}"
    return head + ("-dirty" if changed else "")


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(SOURCE), *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
