"""How long mixvae takes to start, in fresh interpreters.

    python benchmarks/start_up.py [--repeats 10]

Imports are beside `import torch`, and what they add to it is judged; commands are whole.
"""

import subprocess
import sys
from functools import partial
from statistics import median

from harness import begin, in_turn, judged, ms, options, report

TORCH = "import torch"
IMPORTS = {
    "import mixvae": "import torch, mixvae",
    "mixvae.build": "import torch, mixvae; mixvae.build",
    "mixvae.fit": "import torch, mixvae; mixvae.fit",
}
COMMANDS = {"mixvae --help": ["--help"], "mixvae train m-vae --help": ["train", "m-vae", "--help"]}
TARGETS = {"import mixvae": "<= 1", "mixvae --help": "<= 1"}  # seconds


def main() -> None:
    """Time, print and write."""
    args = begin(options(__doc__, repeats=10))
    sides = {name: ["-c", code] for name, code in {TORCH: TORCH, **IMPORTS}.items()}
    sides |= {name: ["-m", "mixvae", *words] for name, words in COMMANDS.items()}
    took = in_turn({name: partial(fresh, words) for name, words in sides.items()}, args.repeats)
    rows = []
    for name, seconds in took.items():
        base = took[TORCH] if name in IMPORTS else [0.0] * args.repeats
        over = [a - b for a, b in zip(seconds, base, strict=True)]
        row = {"what": name, "ms": ms(seconds), "over torch": ms(over) if name in IMPORTS else ""}
        rows.append(row | judged(median(over), TARGETS.get(name, "")))
    report(rows, args)


def fresh(words: list[str]) -> None:
    """Run Python anew."""
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
