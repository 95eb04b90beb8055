"""Damage each file of a run: flipped bits, cut ends, files that would run code if unpickled."""

import os
import pickle
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.faults import forked, runs
from tests.faults.report import Part

READ_BY_LOAD = (
    "recipe.json",
    "data.json",
    "training.json",
    "metrics.json",
    "log.csv",
    "model.safetensors",
)
READ_BY_RESUME = (
    "recipe.json",
    "data.json",
    "training.json",
    "config.yaml",
    "checkpoints/last.ckpt",
    "checkpoints/best.ckpt",
)
CHUNK = 25  # damaged copies that one child process reads


def damage(folder: Path, n_flips: int, n_cuts: int, seed: int = 0) -> list[Part]:
    """Flips and cuts of each file of a run, read by ``load`` and by ``--resume``."""
    run = folder / "run"
    runs.train("vae", run)
    flips, cuts = Part("one bit flipped in a file of a run"), Part("a file of a run cut short")
    rng = random.Random(seed)
    for reader, names in (("load", READ_BY_LOAD), ("resume", READ_BY_RESUME)):
        for name in names:
            whole = (run / name).read_bytes()
            _read_all(run, name, _flipped(whole, n_flips, rng), reader, flips)
            _read_all(run, name, _cut(whole, n_cuts, rng), reader, cuts)
    return [flips, cuts, _code(run)]


def _flipped(whole: bytes, n: int, rng: random.Random) -> Iterator[bytes]:
    for _ in range(n):
        at, bit = rng.randrange(len(whole)), 1 << rng.randrange(8)
        yield whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :]


def _cut(whole: bytes, n: int, rng: random.Random) -> Iterator[bytes]:
    for _ in range(n):
        yield whole[: rng.randrange(len(whole))]


def _read_all(run: Path, name: str, contents: Iterator[bytes], reader: str, part: Part) -> None:
    """Read damaged copies, one child process for each, and count how they ended."""
    whole = (run / name).read_bytes()
    before = _weights(run)
    for content in contents:
        copy = run.with_name("copy")
        shutil.copytree(run, copy, dirs_exist_ok=False)
        (copy / name).write_bytes(content)
        outcome = forked.run(lambda: _read(copy, reader), cwd=run.parent)  # noqa: B023
        fault = f"{name} read by {reader}: {outcome.describe()}" if outcome.is_fault else None
        if outcome.code == 0 and content != whole and name == "model.safetensors" and not fault:
            fault = f"{name}: changed weights were loaded without a word"
        if outcome.code == 0 and reader == "resume" and not fault and _weights(copy) != before:
            fault = f"{name}: resumed to other weights without a word"
        part.add("refused" if outcome.code else "read", fault)
        shutil.rmtree(copy)


def _weights(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


def _read(run: Path, reader: str) -> int:
    import mixvae
    from mixvae.cli import main

    if reader == "load":
        mixvae.load(run)
        return 0
    return main(["train", "--resume", str(run), "--progress", "false"])


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.path}",)


def _code(run: Path) -> Part:
    """Files that would run a command if they were unpickled, in every place that is read."""
    part, mark = (
        Part("a file that would run code if it were unpickled"),
        run.with_name("code-was-run"),
    )
    evil = pickle.dumps(Touch(mark))
    names = {*READ_BY_LOAD, *READ_BY_RESUME}
    cases = [(name, reader) for name in sorted(names) for reader in ("load", "resume", "evaluate")]
    for name, reader in cases:
        copy = run.with_name("copy")
        shutil.copytree(run, copy)
        (copy / name).write_bytes(evil)
        if reader == "evaluate":
            outcome = forked.run(forked.command("evaluate", str(copy)), cwd=run.parent)
        else:
            outcome = forked.run(lambda: _read(copy, reader), cwd=run.parent)  # noqa: B023
        part.add(
            "refused" if outcome.code else "not read",
            outcome.describe() if outcome.is_fault else None,
        )
        shutil.rmtree(copy)
    for suffix, text in (
        (".npy", evil),
        (".npz", evil),
        (".yaml", f"!!python/object/apply:os.system ['touch {mark}']".encode()),
    ):
        file = run.with_name(f"evil{suffix}")
        file.write_bytes(text)
        argv = ("--config", str(file)) if suffix == ".yaml" else ("vae", "--data", str(file))
        outcome = forked.run(forked.command("train", *argv), cwd=run.parent)
        part.add("refused", outcome.describe() if outcome.is_fault or not outcome.code else None)
    if mark.exists():
        part.faults.append("code was run from a file")
    return part
