"""Random command lines, good and bad."""

import random
import shutil
from pathlib import Path

import numpy as np
from tests.faults import forked, runs
from tests.faults.report import Part

GOOD = (
    "1",
    "2",
    "5",
    "0.5",
    "true",
    "false",
    "8",
    "mlp",
    "dynamic",
    "gaussian",
    "bernoulli",
    "train",
    "test",
)
WORDS = (
    "0",
    "-1",
    "1",
    "2",
    "1e400",
    "-inf",
    "nan",
    "1e20",
    "null",
    "",
    "[]",
    "[3,",
    "{}",
    "abc",
    "é\u2028",
    "../..",
    "--",
    "=",
    "true",
    "18446744073709551616",
    "1_000",
    "'",
    "%s%n",
    "\\x00",
)


RECIPES = ("m-vae", "mixture-vae", "mvae-gs", "vade", "flow-vae", "gmmp-vae", "vaee")


def commands(folder: Path, n: int, seed: int = 0) -> Part:
    """``n`` command lines, each in a process of its own; run folders may only come from success."""
    part, rng = Part("a random command line"), random.Random(seed)
    runs.train("vae", folder / "run")
    runs.train("mvae-gs", folder / "gs")
    np.save(folder / "own.npy", np.random.default_rng(0).random((40, 8, 8)))
    np.save(folder / "bad.npy", np.array([[np.nan, 1.0]]))
    (folder / "empty").mkdir()
    grammar = _grammar()
    for _ in range(n):
        place = folder / "cwd"
        place.mkdir()
        argv = _line(rng, grammar)
        outcome = forked.run(forked.command(*argv), cwd=place)
        left = sorted(str(p.relative_to(place)) for p in place.rglob("*"))
        fault = outcome.describe() if outcome.is_fault else None
        if outcome.code and left and fault is None:
            fault = f"left behind {left[:3]}"
        part.add(
            "done" if outcome.code == 0 else "refused",
            f"{' '.join(argv)}: {fault}" if fault else None,
        )
        shutil.rmtree(place, ignore_errors=True)
    return part


def _grammar() -> dict[str, list[str]]:
    """Each command's options, as its help lists them."""
    from contextlib import redirect_stdout
    from io import StringIO

    from mixvae.cli import COMMANDS, main

    options = {}
    for name in COMMANDS:
        text = StringIO()
        with redirect_stdout(text):
            main([name, *(["vae"] if name == "train" else []), "--help"])
        found = [word.strip(",") for word in text.getvalue().split() if word.startswith("--")]
        options[name] = sorted({word for word in found if word[2:3].isalpha()} - {"--help"})
    return options


def _line(rng: random.Random, grammar: dict[str, list[str]]) -> list[str]:
    name = rng.choice([*grammar, "train", "train", "evaluate", "trian"])
    argv = [name]
    if name == "train":
        argv += [rng.choice([*RECIPES, "vae"])]
        data = rng.choice([*["digits"] * 4, "../own.npy", "../bad.npy", "../empty", "nowhere"])
        argv += ["--data", data, "--max-epochs", "1", "--hidden", "8", "--subset", "30"]
        argv += ["--pictures", "false"]
    elif name not in ("recipes", "data"):
        argv += [rng.choice([*["../run"] * 3, *["../gs"] * 3, "../empty", "../nowhere"])]
        argv += ["--out", rng.choice(["o.npy", "o.png", "o.npz", "x/o.npz", "o"])]
    for _ in range(rng.randrange(4)):
        option = rng.choice(grammar.get(name) or ["--x"])
        if option in ("--devices", "--num-nodes", "--accelerator", "--strategy", "--compile"):
            continue  # they start processes or compilers
        argv += [option, *rng.choices(rng.choice([GOOD, GOOD, WORDS]), k=rng.choice([0, 1, 1, 2]))]
    return argv
