"""Train onto a file system that is full; with more room, the run must be finished by resuming."""

import shutil
import subprocess
from pathlib import Path

from tests.faults import runs
from tests.faults.report import Part


def disk(folder: Path, n: int) -> Part:
    """``n`` sizes of a tmpfs, from nothing to a little more than a run takes."""
    part = Part("training onto a full file system, then `--resume` with room")
    runs.train("vae", folder / "whole")
    expected = runs.content(folder / "whole")
    needed = sum(p.stat().st_size for p in (folder / "whole").rglob("*") if p.is_file())
    for i in range(n):
        mount = folder / f"full-{i}"
        mount.mkdir()
        size = max(4096, round(needed * 1.2 * i / (n - 1)))
        if _sh("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(mount)):
            part.add("left out: file systems cannot be mounted here")
            return part
        try:
            part.add(*_one(mount / "run", size, expected))
        finally:
            _sh("umount", str(mount))
    return part


def _one(place: Path, size: int, expected: dict[str, object]) -> tuple[str, str | None]:
    """Train, make room, finish."""
    first = runs.train("vae", place)
    if first.is_fault:
        return "failed", f"{size} bytes: {first.describe()}"
    _sh("mount", "-o", "remount,size=1g", str(place.parent))
    if first.code == 0:
        note = "had room"
    elif (place / "checkpoints" / "last.ckpt").exists():
        note, first = "resumed", runs.resume(place)
    else:
        note = "started again"
        shutil.rmtree(place, ignore_errors=True)
        first = runs.train("vae", place)
    if first.code:
        return note, f"{size} bytes, {note}: {first.describe()}"
    wrong = runs.differences(place, expected)
    return note, f"{size} bytes, {note}: differs in {wrong}" if wrong else None


def _sh(*words: str) -> int:
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode
    except OSError:
        return 1
