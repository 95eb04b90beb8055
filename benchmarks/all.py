"""All benchmarks one after the other, in some minutes, or as they are published.

    python benchmarks/all.py [--full] [--threads 1] [--clock wall]

By default quick ones, whose tables go to runs/benchmarks/ and are good for a look: few repeats and
rows. Their epochs are so short that a checkpoint is up to a quarter: there, read "steps", not
"ratio". With --full each has its own defaults, and the tables in results/benchmarks/ are replaced.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
QUICK = {
    "start_up": "--repeats 3",
    "against_pythae": "--repeats 2 --rows 1000 --ways 32 bf16",
    "plain_loop": "--repeats 2 --rows 2000",
    "components": "--repeats 3 --components 1 4 10 --batch-size 64 --precisions 32",
    "roofline": "--repeats 5",
    "log_likelihood": "--repeats 3 --images 5",
    "prior_term": "--repeats 10",
    "sparse_steps": "--repeats 10",
}


def main() -> int:
    """Run them; 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="publishable, and slow")
    args, shared = parser.parse_known_args()
    failed = []
    for name, few in QUICK.items():
        quick = [*few.split(), "--out", str(HERE.parent / f"runs/benchmarks/{name}.csv")]
        command = [sys.executable, str(HERE / f"{name}.py"), *([] if args.full else quick), *shared]
        print(f"\n{name}", flush=True)
        start = time.perf_counter()
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
        print(f"({time.perf_counter() - start:.0f} s)", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
