"""Kill training at random moments; a resumed run must end as one that was never killed."""

import random
import shutil
from pathlib import Path

from tests.faults import forked, runs
from tests.faults.report import Part


def kills(folder: Path, n: int, seed: int = 0) -> Part:
    """``n`` kills (SIGKILL), some of them followed by another while resuming."""
    part, rng = Part("kill -9 at a random moment, then `--resume`"), random.Random(seed)
    expected, seconds = {}, {}
    for recipe in runs.RECIPES:
        outcome = runs.train(recipe, folder / recipe)
        if outcome.code:
            part.add("reference run failed", f"{recipe}: {outcome.describe()}")
            return part
        expected[recipe], seconds[recipe] = runs.content(folder / recipe), outcome.seconds
    for i in range(n):
        recipe = rng.choice(list(runs.RECIPES))
        place = folder / f"killed-{i}"
        argv = ("train", *runs.RECIPES[recipe], "--out", str(place))
        at = rng.uniform(0, 1.05 * seconds[recipe])
        forked.run(forked.command(*argv), cwd=folder, limit=60, kill_after=at)
        again = 0
        while place.exists() and rng.random() < 0.3 and again < 3:  # killed again while resuming
            resume = forked.command("train", "--resume", str(place), "--progress", "false")
            at = rng.uniform(0, seconds[recipe])
            forked.run(resume, cwd=folder, limit=60, kill_after=at)
            again += 1
        part.add(*_finish(recipe, place, argv, expected[recipe]))
        shutil.rmtree(place, ignore_errors=True)
    return part


def _finish(
    recipe: str, place: Path, argv: tuple[str, ...], expected: dict[str, object]
) -> tuple[str, str | None]:
    """Do what a user would, and compare."""
    note = "resumed"
    if place.exists():
        outcome = runs.resume(place)
        if outcome.code and not (place / "checkpoints" / "last.ckpt").exists():
            # nothing was saved yet: the message says to start again
            shutil.rmtree(place)
            note = "started again"
        elif outcome.code == 2 and "has had" in outcome.output:
            note, outcome = "was finished", forked.Outcome(0, "", 0)
    else:
        note = "started again"
    if note == "started again":
        outcome = forked.run(forked.command(*argv), cwd=place.parent, limit=120)
    if outcome.code:
        return note, f"{recipe} {note}: {outcome.describe()}"
    wrong = runs.differences(place, expected)
    left = [p.name for p in place.rglob(".*")]
    if wrong or left:
        return note, f"{recipe} {note}: differs in {wrong}, left behind {left}"
    return note, None
