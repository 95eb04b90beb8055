"""What the mixture prior costs in a training step of GMMpVAE, and what it would by broadcasting.

    python benchmarks/prior_term.py [--repeats 30]

B = 100, C = 500 pseudo-inputs, K = 3 components, L = 40, networks of 300-300. The densities of
codes under prior and posterior, forward and backward, are timed in turn with the whole step, Adam
included; "ratio" is their time to that of the rest of the step. By broadcasting takes a second a
time, so two turns do.
"""

from argparse import Namespace
from collections.abc import Callable
from statistics import median

import torch
from harness import PRECISIONS, begin, judged, ms, options, report, steps_in_turn, training_step
from torch import Tensor
from torch.distributions import Independent

import mixvae
from mixvae.distributions import diagonal_normal, mixture

B, C, K, L = 100, 500, 3, 40
OPTIONS = {"n_components": K, "n_pseudo_inputs": C, "n_latent": L, "hidden": [300, 300]}
TARGET = "<= 0.15"


def main() -> None:
    """Time, print and write."""
    args = begin(options(__doc__, repeats=30))
    (slow,) = steps_in_turn({"": densities(by_broadcasting)}, 2).values()
    report([compare(precision, slow, args) for precision in PRECISIONS], args)


def compare(precision: str, slow: list[float], args: Namespace) -> dict[str, str]:
    """One precision's row; densities are in float32 in both."""
    torch.manual_seed(0)
    recipe = mixvae.build("gmmp-vae", (1, 28, 28), **OPTIONS)
    step = training_step(recipe, torch.rand(B, 1, 28, 28).round(), precision)
    took = steps_in_turn({"step": step, "term": densities(by_product)}, args.repeats, warm_up=3)
    to_rest = [term / (step - term) for step, term in zip(took["step"], took["term"], strict=True)]
    return {
        "precision": precision,
        "step ms": ms(took["step"]),
        "densities ms": ms(took["term"]),
        "by broadcasting ms": ms(slow),
        "ratio": f"{median(to_rest):.3f}",
        "range": f"{min(to_rest):.2f}-{max(to_rest):.2f}",
        **judged(median(to_rest), TARGET),
    }


def densities(log_prob: Callable[[Independent, Tensor], Tensor]) -> Callable[[], None]:
    """log p(z) under C K normals and log q(z | x) under K, forward and backward."""
    leaves = [torch.randn(1, B, K, L), torch.randn(C * K, L), torch.rand(C * K, L) + 0.1]
    leaves += [torch.randn(B, K, L), torch.rand(B, K, L) + 0.1]

    def term() -> None:
        z, loc, scale, mu, sigma = (leaf.clone().requires_grad_() for leaf in leaves)
        prior = log_prob(diagonal_normal(loc, scale), z)
        posterior = log_prob(diagonal_normal(mu, sigma), z.transpose(1, 2))
        (prior.sum() - posterior.sum()).backward()

    return term


def by_product(components: Independent, z: Tensor) -> Tensor:
    """As the library does."""
    return mixture(torch.ones(components.batch_shape), components).log_prob(z)


def by_broadcasting(components: Independent, z: Tensor) -> Tensor:
    """Every code against every component, one difference for each dimension."""
    return components.log_prob(z.unsqueeze(-2)).logsumexp(-1)


if __name__ == "__main__":
    main()
