"""How near a training step comes to the machine's own rate of matrix products, and what is between.

    python benchmarks/roofline.py [--components 10] [--batch-size 512] [--repeats 20]

M-VAE with networks of 500-500, whole steps, Adam included. Operations are counted by PyTorch; the
machine's rate is that of a large square product in the same precision, by the library that is
quicker at it, in turn with the steps. The
step's own products, taken again by themselves, say what shapes of this size can reach. A second
table (roofline_parts.csv) says where the step's time goes, by PyTorch's profiler and wall clock;
"between" is Python, and whatever else is no operation.
"""

import time
from argparse import Namespace
from collections import Counter
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch
from harness import (
    PRECISIONS,
    add_device,
    begin,
    digit_like,
    ms,
    options,
    ratio,
    report,
    steps_in_turn,
    training_step,
)
from products import PRODUCTS, flop, products_of, replay
from torch.profiler import ProfilerActivity, profile

import mixvae
from mixvae.nn.linear import linear

SIDE = 2048  # of the square product
TARGETS = {"32": ">= 0.5", "bf16": ""}
PROFILED = 5  # steps
PARTS = {  # the first whose word an operation's name contains
    "views": ("view", "transpose", "expand", "as_strided", "select", "squeeze", "split", "chunk"),
    "Adam": ("adam",),
    "products": (*PRODUCTS, "linear", "matmul", "einsum", "::t"),
    "casts, copies": ("copy", "clone", "to", "cat", "stack", "contiguous", "fill", "zero", "empty"),
    "activations": ("relu", "threshold", "sigmoid", "tanh", "elu"),
    "densities, blend": ("",),
}


def main() -> None:
    """Time, print and write."""
    parser = options(__doc__, repeats=20)
    add_device(parser)
    parser.add_argument("--components", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=512)
    args = begin(parser)
    x = digit_like(args.batch_size).to(args.device)
    rates, parts = [], []
    for precision in PRECISIONS:
        recipe = mixvae.build("m-vae", (1, 28, 28), n_components=args.components)
        recipe.model.to(args.device)
        step = training_step(recipe, x, precision)
        rates += compare(step, precision, args)
        parts += breakdown(step, precision)
    report(rates, args)
    print()
    report(parts, Namespace(**vars(args) | {"out": args.out.with_stem(f"{args.out.stem}_parts")}))


def compare(step: Callable[[], None], precision: str, args: Namespace) -> list[dict[str, Any]]:
    """Rates of the step, of its products alone and of a square product, beside the last."""
    step()
    own, square = products_of(step), square_product(precision, args.device)
    sides = {"step": step, "its products alone": partial(replay, own), "square product": square}
    work, peak = flop(step), 2 * SIDE**3
    took = steps_in_turn(sides, args.repeats)
    best = [s / peak for s in took["square product"]]  # seconds for an operation
    rows = []
    for name, seconds in took.items():
        done = peak if name == "square product" else work
        each = [s / done for s in seconds]
        target = TARGETS[precision] if name == "step" else ""
        row = {
            "precision": precision,
            "what": name,
            "ms": ms(seconds),
            "GFLOP": f"{done / 1e9:.1f}",
        }
        rows.append(row | {"GFLOP/s": f"{1e-9 / median(each):.0f}"} | ratio(best, each, target))
    return rows


def square_product(precision: str, device: str) -> Callable[[], None]:
    """What the machine's rate is taken from."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(SIDE, SIDE, device=device).to(kind) for _ in range(2))

    def run() -> None:
        linear(a, b)

    return run


def breakdown(step: Callable[[], None], precision: str) -> list[dict[str, Any]]:
    """Milliseconds of a step by kinds of operations; profiling makes it longer than it is."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        start = time.perf_counter()  # the profiler's clock too
        for _ in range(PROFILED):
            step()
        whole = time.perf_counter() - start
    seconds: Counter[str] = Counter()
    for event in profiler.key_averages():
        if event.key.startswith(("aten::", "mkldnn::")):
            seconds[part_of(event.key)] += 1e-6 * event.self_cpu_time_total
    seconds["between"] = whole - seconds.total()
    rows = []
    for name, taken in seconds.most_common():
        row = {"precision": precision, "part": name, "ms": ms([taken / PROFILED])}
        rows.append(row | {"share": f"{taken / whole:.3f}"})
    return rows


def part_of(operation: str) -> str:
    """The kind of an operation, such as aten::mm."""
    return next(part for part, words in PARTS.items() if any(word in operation for word in words))


if __name__ == "__main__":
    main()
