"""What the benchmarks share: options, timing in turn, and a table that is printed and written.

Machines are not steady, so nothing is timed by itself: the sides of a comparison run in turn, and
its ratio is the median of the ratios of each turn. Where something else runs too, `--clock cpu`
counts its own time on the processor, which for one thread is as good.
"""

import argparse
import csv
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mixvae.nn.linear import onednn_is_quicker
from mixvae.recipes import BuiltRecipe
from mixvae.training.memory import kept_memory

ROOT = Path(__file__).resolve().parent.parent
PRECISIONS = ("32", "bf16")
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # what matrix products are quick by


Side = Callable[[], float | None]


def processor_time() -> float:
    """Seconds of this process and of those that it started and that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


CLOCKS = {"wall": time.perf_counter, "cpu": processor_time}
_chosen = ["wall"]


def options(doc: str | None, *, repeats: int) -> argparse.ArgumentParser:
    """The options that every benchmark has; its name is the script's."""
    about = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=doc, formatter_class=about)
    out = ROOT / f"results/benchmarks/{Path(sys.argv[0]).stem}.csv"
    parser.add_argument("--repeats", type=int, default=repeats, help=f"turns ({repeats})")
    parser.add_argument("--threads", type=int, default=1, help="of torch (1)")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: its own time alone")
    parser.add_argument("--out", type=Path, default=out, help=f"({out.relative_to(ROOT)})")
    return parser


def add_device(parser: argparse.ArgumentParser) -> None:
    """For benchmarks that an accelerator could run."""
    told = "cpu (default) or cuda, which has not been run yet"
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help=told)


def begin(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options given; clock, threads and seed set."""
    args = parser.parse_args()
    settle(args.threads, args.clock)
    return args


def settle(threads: int, clock: str) -> None:
    """What holds for a whole process."""
    _chosen.append(clock)
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    onednn_is_quicker()  # measured before anything else runs, and never while products are recorded


def now() -> float:
    """Seconds by the chosen clock, once the device is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return CLOCKS[_chosen[-1]]()


def in_turn(sides: Mapping[str, Side], repeats: int, *, warm_up: int = 1) -> dict[str, list[float]]:
    """Seconds of every side, as many as ``repeats``, by turns and every other turn backwards.

    A side that returns a number has timed itself. Warm-up turns are not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(-warm_up, repeats):
        for name in list(sides)[:: -1 if turn % 2 else 1]:
            taken = _timed(sides[name])
            if turn >= 0:
                seconds[name].append(taken)
    return seconds


@kept_memory()
def steps_in_turn(
    sides: Mapping[str, Side], repeats: int, *, warm_up: int = 1
) -> dict[str, list[float]]:
    """As :func:`in_turn`, with memory kept as ``mixvae.fit`` keeps it."""
    return in_turn(sides, repeats, warm_up=warm_up)


def _timed(side: Side) -> float:
    start = now()
    own = side()
    return now() - start if own is None else own


def ms(seconds: Sequence[float]) -> str:
    """The median in milliseconds, to four digits."""
    return f"{1e3 * median(seconds):.4g}"


def ratio(over: Sequence[float], under: Sequence[float], target: str = "") -> dict[str, str]:
    """The columns of a ratio: its median, how far it goes, and whether it is as it should be."""
    each = [a / b for a, b in zip(over, under, strict=True)]
    spread = f"{min(each):.2f}-{max(each):.2f}"
    return {"ratio": f"{median(each):.3f}", "range": spread} | judged(median(each), target)


def judged(value: float, target: str) -> dict[str, str]:
    """The columns of a target, such as ">= 1.4", and whether a value meets it."""
    if not target:
        return {"target": "", "met": ""}
    sign, bound = target.split()
    met = value >= float(bound) if sign == ">=" else value <= float(bound)
    return {"target": target, "met": "yes" if met else "no"}


def report(rows: Sequence[Mapping[str, Any]], args: argparse.Namespace) -> None:
    """Print the rows as an aligned table, and write them with what they were measured on."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, *([str(row.get(name, "")) for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(map(str.ljust, line, widths)).rstrip())
    common = {
        "threads": args.threads,
        "repeats": args.repeats,
        "clock": args.clock,
        **_machine(args),
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with args.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*columns, *common], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, **common} for row in rows)


def _machine(args: argparse.Namespace) -> dict[str, str]:
    """What a figure is worth nothing without."""
    if getattr(args, "device", "cpu") == "cuda":
        model = torch.cuda.get_device_name()
    else:
        info = Path("/proc/cpuinfo")
        lines = info.read_text().splitlines() if info.exists() else []
        told = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
        flags = [flag for flag in FLAGS if flag in told.get("flags", "").split()]
        model = " ".join([told.get("model name", platform.machine()), *flags])
    return {"machine": model, "torch": torch.__version__, "commit": _commit()}


def _commit() -> str:
    """The revision that is checked out, marked if what is measured differs from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    changed = [*git, "status", "--porcelain", "src", "benchmarks"]
    state = subprocess.run(changed, capture_output=True, text=True)
    return head.stdout.strip() + ("-dirty" if state.stdout else "")


def digit_like(n: int) -> Tensor:
    """Binary images (n, 1, 28, 28), the same every time: smooth blots on a fifth of the pixels."""
    noise = torch.randn(n, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    return (F.avg_pool2d(noise, 5, 1, 2) > 0.17).float()


def training_step(recipe: BuiltRecipe, x: Tensor, precision: str) -> Callable[[], None]:
    """A whole step on one batch, Adam included, as the trainer takes it."""
    optimizer = torch.optim.Adam(recipe.model.parameters(), fused=True)

    def step() -> None:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
            loss = -torch.stack(list(recipe.objective(recipe.model, x).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step
