"""What the mixture prior costs in a training step of GMMpVAE, and what it would by broadcasting.

    python benchmarks/prior_term.py [--threads 1] [--repeats 30]

B = 100, C = 500 pseudo-inputs, K = 3 components, L = 40, networks of 300-300. The step, the
densities of codes under prior and posterior (forward and backward, by one matrix product), and the
same densities by broadcasting are timed in turn; medians and ratios are printed and written to
results/benchmarks/prior_term.csv.
"""

import argparse
import csv
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

import mixvae
from mixvae.distributions import mixture

B, C, K, L = 100, 500, 3, 40
OUT = Path(__file__).resolve().parent.parent / "results/benchmarks/prior_term.csv"


def main() -> None:
    """Time, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=30)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    timed = {
        "step, float32": training_step(bf16=False),
        "step, bfloat16": training_step(bf16=True),
        "densities, matrix product": densities(by_product),
        "densities, broadcasting": densities(by_broadcasting),
    }
    times: dict[str, list[float]] = {name: [] for name in timed}
    for run in timed.values():
        run()
    for i in range(args.repeats):
        for name, run in timed.items():
            if i % 10 and "broadcasting" in name:
                continue  # a second each
            start = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - start))
    ms = {name: median(each) for name, each in times.items()}
    rows = [
        {
            "what": name,
            "ms": f"{value:.1f}",
            "share of the float32 step": f"{value / ms['step, float32']:.3f}",
            "share of the bfloat16 step": f"{value / ms['step, bfloat16']:.3f}",
            "threads": args.threads,
            "machine": f"{platform.machine()}, torch {torch.__version__}",
        }
        for name, value in ms.items()
    ]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    with OUT.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        print("  ".join(str(value) for value in row.values()))


def training_step(*, bf16: bool) -> Callable[[], None]:
    """A whole step of ``gmmp-vae``, Adam included."""
    options = {"n_components": K, "n_pseudo_inputs": C, "n_latent": L, "hidden": [300, 300]}
    recipe = mixvae.build("gmmp-vae", (1, 28, 28), **options)
    optimizer = torch.optim.Adam(recipe.model.parameters(), fused=True)
    x = torch.rand(B, 1, 28, 28).round()

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = -torch.stack(list(recipe.objective(recipe.model, x).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def densities(log_prob: Callable[[Independent, Tensor], Tensor]) -> Callable[[], None]:
    """log p(z) under C K normals and log q(z | x) under K, forward and backward."""
    leaves = [torch.randn(1, B, K, L), torch.randn(C * K, L), torch.rand(C * K, L) + 0.1]
    leaves += [torch.randn(B, K, L), torch.rand(B, K, L) + 0.1]

    def term() -> None:
        z, loc, scale, mu, sigma = (leaf.clone().requires_grad_() for leaf in leaves)
        prior = log_prob(normals(loc, scale), z)
        posterior = log_prob(normals(mu, sigma), z.transpose(1, 2))
        (prior.sum() - posterior.sum()).backward()

    return term


def normals(loc: Tensor, scale: Tensor) -> Independent:
    """Diagonal ones."""
    return Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)


def by_product(components: Independent, z: Tensor) -> Tensor:
    """As the library does."""
    return mixture(torch.ones(components.batch_shape), components).log_prob(z)


def by_broadcasting(components: Independent, z: Tensor) -> Tensor:
    """Every code against every component, one difference for each dimension."""
    return components.log_prob(z.unsqueeze(-2)).logsumexp(-1)


if __name__ == "__main__":
    main()
