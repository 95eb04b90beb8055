"""Run all parts and print a table; `--quick` takes a twentieth of the trials."""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_NUM_THREADS", "1")  # forked children have no threads to share

from tests.faults.calls import calls
from tests.faults.commands import commands
from tests.faults.damage import damage
from tests.faults.disk import disk
from tests.faults.kills import kills
from tests.faults.report import Part, table

PARTS = {
    "kills": lambda folder, scale: [kills(folder, round(100 * scale))],
    "damage": lambda folder, scale: damage(folder, round(200 * scale), round(50 * scale)),
    "disk": lambda folder, scale: [disk(folder, max(3, round(10 * scale)))],
    "commands": lambda folder, scale: [commands(folder, round(500 * scale))],
    "calls": lambda folder, scale: [calls(folder, round(500 * scale))],
}


def main() -> int:
    """Return 1 if there was a fault."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the trials")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    given = parser.parse_args()
    _preload()
    started, scale = time.monotonic(), 0.05 if given.quick else 1.0
    with ProcessPoolExecutor(2, get_context("fork")) as pool:
        running = {pool.submit(_run, name, scale): name for name in given.only}
        ended: dict[str, list[Part]] = {}
        for future in as_completed(running):
            ended[running[future]] = future.result()
            for part in future.result():
                print(f"{part.row()} ({time.monotonic() - started:.0f} s)", file=sys.stderr)
    found = [part for name in given.only for part in ended[name]]
    print(table(found))
    for part in found:
        for fault in part.faults:
            print(f"- {part.title}: {fault}")
    return int(any(part.faults for part in found))


def _run(name: str, scale: float) -> list[Part]:
    """One part, in a folder of its own that is removed afterwards."""
    with TemporaryDirectory(prefix=f"mixvae-{name}-") as folder:
        return PARTS[name](Path(folder), scale)


def _preload() -> None:
    """Import what children would each import by themselves."""
    import torch

    import mixvae
    from mixvae.cli import codes, lists, select, train, use  # noqa: F401

    torch.set_num_threads(1)
    mixvae.data.load("digits")


if __name__ == "__main__":
    raise SystemExit(main())
