"""Importance sampling of log p(x) beside the decoder's matrix products, and the memory it takes.

    python benchmarks/log_likelihood.py [--models vae mvae] [--images 100] [--repeats 5]

5,000 samples an image, float32, untrained models: networks of 300-300-40, and for mvae its own of
500. The products are those of decoding an image's codes in one pass, which evaluation cannot do
without. Memory is the most that a process of its own holds, PyTorch included.
"""

import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from harness import begin, digit_like, in_turn, judged, ms, options, ratio, report
from products import products_of, replay
from torch import Tensor

import mixvae
from mixvae.evaluation import log_likelihood
from mixvae.evaluation.batches import evaluating
from mixvae.model import MixtureVAE

PLAIN: dict[str, Any] = {"network": "mlp", "hidden": [300, 300], "n_latent": 40}
MODELS: dict[str, dict[str, Any]] = {
    "vae": PLAIN,
    "mixture-vae": PLAIN | {"n_components": 10},
    "mvae": {"n_components": 4},
    "gmmp-vae": PLAIN | {"n_components": 3},
    "hvae": PLAIN,
}
TIME, MEMORY = "<= 2.5", "<= 2"  # times the products; GB


def main() -> None:
    """Time, print and write; or only say what memory a model takes."""
    parser = options(__doc__, repeats=5)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--memory-of", choices=MODELS, help="print GB before and after, and end")
    args = begin(parser)
    if args.memory_of:
        model, before = built(args.memory_of), held()
        log_likelihood(model, digit_like(args.images), args.samples)
        print(before, held())
    else:
        report([compare(name, args) for name in args.models], args)


def compare(name: str, args: Namespace) -> dict[str, str]:
    """One model's row; times are of one image."""
    model, x = built(name), digit_like(args.images)
    sides = {"ours": partial(evaluate, model, x, args), "products": decoding(model, args)}
    took = in_turn(sides, args.repeats)
    each = {side: [s / args.images for s in seconds] for side, seconds in took.items()}
    few = ["--memory-of", name, "--images", "5", "--samples", str(args.samples)]
    command = [sys.executable, __file__, "--threads", str(args.threads), *few]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    before, after = map(float, told.split())
    row = {"model": name, "ms an image": ms(each["ours"]), "products ms": ms(each["products"])}
    row |= ratio(each["ours"], each["products"], TIME)
    memory = judged(after, MEMORY)
    row |= {"GB": f"{after:.2f}", "GB before": f"{before:.2f}"}
    return row | {f"GB {key}": value for key, value in memory.items()}


def evaluate(model: MixtureVAE, x: Tensor, args: Namespace) -> None:
    """What a user would call."""
    log_likelihood(model, x, args.samples)


def built(name: str) -> MixtureVAE:
    """A model with its first weights."""
    torch.manual_seed(0)
    return mixvae.build(name, (1, 28, 28), **MODELS[name]).model


def decoding(model: MixtureVAE, args: Namespace) -> Callable[[], None]:
    """The products of decoding so many codes, for every image."""
    k = model.n_components
    n = args.samples * model.family.n_codes(k) // k  # so many samples have n codes of each of K
    with evaluating(model):
        z, w = model._prior_codes(n), model.weights.generate(n).unsqueeze(0)
        products = products_of(partial(model.decode, z, w))

    def run() -> None:
        for _ in range(args.images):
            replay(products)

    return run


def held() -> float:
    """The most memory that this process has held, GB, from Linux (getrusage adds its parent's)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e9


if __name__ == "__main__":
    main()
