"""What a training step of the exact mixture costs beside one VAE's, for any number of components.

    python benchmarks/sparse_steps.py [--repeats 30]

Networks of 300-300 and 20 latents, B = 128, Adam included; the VAE is the same networks with one
component. "ratio" is the mixture's step to the VAE's, timed in turn.
"""

from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any

import torch
from harness import PRECISIONS, begin, ms, options, ratio, report, steps_in_turn, training_step

import mixvae

B, HIDDEN, L = 128, [300, 300], 20
MIXTURES: Mapping[str, Mapping[str, Any]] = {
    "K = 3, two active": {"n_components": 3, "n_active": 2},
    "K = 10, one active": {"n_components": 10, "n_active": 1},
    "K = 10, two active": {"n_components": 10, "n_active": 2},
    "K = 50, two active": {"n_components": 50, "n_active": 2},
    "K = 10, all": {"n_components": 10, "n_active": 10},
    "K = 10, whole networks": {"n_components": 10, "shared_layers": False},
}


def main() -> None:
    """Time, print and write."""
    args = begin(options(__doc__, repeats=30))
    report([row for precision in PRECISIONS for row in compare(precision, args)], args)


def compare(precision: str, args: Namespace) -> list[dict[str, str]]:
    """One precision's rows."""
    sides = {"VAE": {"n_components": 1}} | MIXTURES
    steps = {name: step(precision, **chosen) for name, chosen in sides.items()}
    took = steps_in_turn(steps, args.repeats, warm_up=3)
    return [
        {"precision": precision, "model": name, "step ms": ms(each)} | ratio(each, took["VAE"])
        for name, each in took.items()
    ]


def step(precision: str, **chosen: Any) -> Callable[[], None]:
    """One training step, of the model alone: its start is not run."""
    torch.manual_seed(0)
    shared = {"n_latent": L, "hidden": HIDDEN}
    recipe = mixvae.build("mixture-vae", (1, 28, 28), **shared | chosen)
    return training_step(recipe, torch.rand(B, 1, 28, 28).round(), precision)


if __name__ == "__main__":
    main()
