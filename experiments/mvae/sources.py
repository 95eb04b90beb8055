"""How often rates per component find the number of sources that made the data.

    python -m experiments.mvae.sources

Every image has a canvas of nine 8 x 8 fields; a source draws a 3 x 3 square somewhere in a field of
its own. "together": every source draws in every image; a code of two dimensions holds one source,
so that K sources need K components. "alternately": one source draws in each image, and one code can
hold whichever does. The codes' KL is averaged over components, as in the paper, or summed, as in
the bound. The models start from ten components; each run is a line of the CSV, and a run that
stands there is not made again.
"""

import tempfile
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Any

import torch
from experiments.lines import Lines, shard
from experiments.run import ROOT, commit

import mixvae
from mixvae import data

LINES = Lines(ROOT / "results/mvae/sources")
N_IMAGES, FIELD, SQUARE = 4000, 8, 3
PLACES = (4, 0, 8, 2, 6, 1, 7, 3, 5)  # the sources' fields, of nine

OPTIONS = {"n_components": 10, "n_latent": 2, "hidden": 100}
WARMUP = {"mean": 0, "sum": 30}  # epochs; a summed KL empties codes before they are learned
TRAINING = {"max_epochs": 100, "batch_size": 100, "lr": 5e-3}
QUIET = {"pictures": False, "progress": False}
RUNS = [  # seed, recipe, the codes' KL, number of sources, how they draw
    *product(range(2), ["mvae-gs"], ["sum"], [3, 5], ["alternately"]),
    *product(range(2), ["mvae-gau"], ["mean"], [3, 5], ["together"]),
    *product(range(5), ["mvae-gs"], ["mean", "sum"], [3, 5], ["together"]),
]


def main() -> None:
    """Make the runs that are missing, then write the table."""
    for seed, recipe, kl, n_sources, drawn in shard(RUNS, (__doc__ or "").partition("\n")[0]):
        key = {"recipe": recipe, "kl": kl, "sources": n_sources, "drawn": drawn, "seed": seed}
        if not LINES.has(key):
            LINES.add(key | train(recipe, kl, sources(n_sources, drawn, seed), seed))
            write()
    write()


def sources(n_sources: int, drawn: str, seed: int) -> data.Dataset:
    """Binary images (N, 1, 24, 24), labelled by the source that draws where one draws alone."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.zeros(N_IMAGES, 1, 3 * FIELD, 3 * FIELD)
    alone = torch.randint(n_sources, (N_IMAGES,), generator=generator)
    side = torch.arange(SQUARE)
    for source in range(n_sources):
        corner = torch.randint(FIELD - SQUARE + 1, (N_IMAGES, 2), generator=generator)
        field = torch.tensor(divmod(PLACES[source], 3)) * FIELD
        draws = torch.arange(N_IMAGES) if drawn == "together" else (alone == source).nonzero()[:, 0]
        rows, columns = ((corner + field)[draws, i, None] + side for i in (0, 1))
        x[draws[:, None, None], 0, rows[:, :, None], columns[:, None, :]] = 1
    return data.from_arrays(x, alone, name="sources", seed=seed)


def train(recipe: str, kl: str, dataset: data.Dataset, seed: int) -> dict[str, Any]:
    """What one run chooses."""
    torch.manual_seed(seed)
    built = mixvae.build(recipe, dataset, kl_reduction=kl, **OPTIONS)
    how = TRAINING | QUIET | {"warmup_epochs": WARMUP[kl], "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        run = mixvae.fit(built, dataset, out=Path(folder, "run"), **how)
    chosen, health = run.metrics["selection"], run.metrics["health"]
    return {
        "kept": chosen["n_kept"],
        "selected": f"{chosen['n_selected']:.2f}",
        "alive": sum(kl >= 1 for kl in health["kl"]),
        "sse": f"{run.metrics['reconstruction']['sse_deterministic']:.2f}",
        "elbo": f"{run.metrics['bounds']['elbo']:.2f}",
        "rate": " ".join(f"{rate:.2f}" for rate in chosen["rate"]),
        "commit": commit(),
    }


def write() -> None:
    """One row of the table for each kind of run: how many seeds keep how many components."""
    groups: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    kind = lambda line: tuple(line[name] for name in ("recipe", "kl", "drawn", "sources"))
    for line in sorted(LINES.read(), key=kind):
        groups[kind(line)].append(line)
    head = ["recipe", "KL", "drawn", "sources", "found", "kept, by seed", "SSE, mean"]
    rows = []
    for (*what, n_sources), runs in groups.items():
        runs = sorted(runs, key=lambda line: int(line["seed"]))
        kept = [line["kept"] for line in runs]
        sse = sum(float(line["sse"]) for line in runs) / len(runs)
        found = f"{kept.count(n_sources)} of {len(kept)}"
        rows.append([*what, n_sources, found, " ".join(kept), f"{sse:.2f}"])
    LINES.write(__doc__ or "", head, rows)


if __name__ == "__main__":
    main()
