"""K components together beside K models of one component, trained in a loop.

    python benchmarks/components.py [--components 1 2 4 6 10] [--networks mlp conv] [--repeats 10]

Whole training steps (Adam included) of m-vae and mvae at the recipes' own widths, batches of 128
images of 28 x 28. Every K is timed beside K separate models that take a step each, and beside a
model of one component, in turn. "to one" is the time over K times that of one component; memory, a
component's, is that of parameters, gradients and Adam's moments, and of the activations kept for
the backward pass.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

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
from torch import Tensor

import mixvae
from mixvae.recipes import BuiltRecipe
from mixvae.training.estimate import MIB, estimate

SHAPE = (1, 28, 28)
MOST, TARGET = 10, "<= 0.8"


def main() -> None:
    """Time, print and write."""
    parser = options(__doc__, repeats=10)
    add_device(parser)
    parser.add_argument("--components", nargs="+", type=int, default=[1, 2, 4, 6, MOST])
    parser.add_argument("--networks", nargs="+", choices=("mlp", "conv"), default=["mlp", "conv"])
    parser.add_argument("--recipes", nargs="+", default=["m-vae", "mvae"])
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--batch-size", type=int, default=128)
    args = begin(parser)
    x = digit_like(args.batch_size).to(args.device)
    rows: list[dict[str, Any]] = []
    for network in args.networks:
        for name in args.recipes:
            for precision in args.precisions:
                make = partial(built, name, network, x)
                about = {"recipe": name, "network": network, "precision": precision}
                took = compare(make, x, args.components, precision, args.repeats)
                rows += [about | row for row in took]
    report(rows, args)


def built(name: str, network: str, x: Tensor, n_components: int) -> BuiltRecipe:
    """A recipe where x is."""
    recipe = mixvae.build(name, SHAPE, network=network, n_components=n_components)
    recipe.model.to(x.device)
    return recipe


def compare(
    make: Callable[[int], BuiltRecipe],
    x: Tensor,
    components: list[int],
    precision: str,
    repeats: int,
) -> list[dict[str, Any]]:
    """A row for every K."""
    apart = [training_step(make(1), x, precision) for _ in range(max(components))]
    sides: dict[str, Callable[[], None]] = {"one": apart[0]}
    for k in components:
        sides[f"together {k}"] = training_step(make(k), x, precision)
        sides[f"apart {k}"] = partial(in_a_loop, apart[:k])
    took = steps_in_turn(sides, repeats)
    rows = []
    for k in components:
        together, loop = took[f"together {k}"], took[f"apart {k}"]
        alone = [k * seconds for seconds in took["one"]]
        to_one = ratio(together, alone, TARGET if k == MOST else "")
        row = {
            "K": k,
            "ms": ms(together),
            "ms, K models": ms(loop),
            **memory(make(k), x, precision),
        }
        row |= {"to K models": ratio(together, loop)["ratio"], "to one": to_one.pop("ratio")}
        rows.append(row | to_one)
    return rows


def in_a_loop(steps: list[Callable[[], None]]) -> None:
    """One after the other."""
    for step in steps:
        step()


def memory(recipe: BuiltRecipe, x: Tensor, precision: str) -> dict[str, str]:
    """MiB a component."""
    how = {"batch_size": len(x), "epochs": 1, "bf16": precision == "bf16", "steps": 1}
    expected, k = estimate(recipe, x, device=x.device, **how), recipe.n_components
    return {
        "MiB of weights": f"{expected.weights / k / MIB:.1f}",
        "of activations": f"{expected.activations / k / MIB:.1f}",
    }


if __name__ == "__main__":
    main()
