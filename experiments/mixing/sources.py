"""How often component dropout in the exact mixture finds the number of sources.

    python -m experiments.mixing.sources

Every image (16 x 16, binary) is made by one source: stripes of an orientation and a period of its
own, whose place and width vary from image to image; each pixel is drawn. All sources overlap. The
models start from ten components, VAEs with codes of two dimensions and 16 hidden units, trained for
two epochs each on a cluster of its own (k-means of 20 principal components), and are then trained
together for 35 epochs. There are 15,000 images.

- "dropout": a rate for each component, and a prior of 0.1 that it takes part; "random start": from
  random networks instead; "cost / N": the rates charged once for all images, as of a single mask;
  "temperature 0.1": masks as soft as the papers'. The seeds had not been seen when all this was
  chosen.
- "share": no dropout; components are counted that answer for 0.3/K of the test images or more.
  "greedy": components of the same models are removed one by one, as long as validation images gain.
- "GMM": a mixture of normals in ten principal components, of the number up to 15 that BIC prefers.

The bound (nats) and the accuracy (components matched to sources) are of test images, the mean over
seeds. Each run is a line of the CSV, and a run that stands there is not made again.
"""

import tempfile
from collections import defaultdict
from itertools import product
from math import pi
from pathlib import Path
from typing import Any

import torch
from experiments.lines import Lines, shard
from experiments.run import ROOT, commit
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from torch import Tensor

import mixvae
from mixvae import data
from mixvae.evaluation import clustering
from mixvae.evaluation.health import MIN_SHARE
from mixvae.model import MixtureVAE

LINES = Lines(ROOT / "results/mixing/sources")
SIDE = 16
SHARPNESS = 8.0  # of the stripes' edges
PLACE, WIDTH = 0.3, 0.3  # ranges, in periods and in the wave's height

K, N_PCA = 10, 20
OPTIONS = {"n_components": K, "n_latent": 2, "hidden": [16]}
OPTIONS |= {"shared_layers": False, "start": "random"}  # ours is below
MASKS = {"keep_prior": 0.1, "start_rate": 0.1, "temperature": 0.03}
TRAINING = {"batch_size": 100, "lr": 5e-3}
QUIET = {"pictures": False, "progress": False}
N_IMAGES, START_EPOCHS, EPOCHS = 15_000, 2, 35
METHODS = {
    "dropout": MASKS,
    "dropout, random start": MASKS,
    "dropout, cost / N": MASKS | {"beta_dropout": 1 / N_IMAGES},
    "dropout, temperature 0.1": MASKS | {"temperature": 0.1},
    "share": {},
}
SEEDS = range(10, 20)
RUNS = [  # method, number of sources, seed
    *product(["dropout"], [3, 5, 7], SEEDS),
    *product(["GMM", "share", "dropout, random start"], [3, 5, 7], SEEDS[:3]),
    *product(["dropout, cost / N", "dropout, temperature 0.1"], [3, 5, 7], SEEDS[:2]),
]


def main() -> None:
    """Make the runs that are missing, then write the table."""
    for method, n_sources, seed in shard(RUNS, (__doc__ or "").partition("\n")[0]):
        key = {"method": method, "sources": n_sources, "seed": seed}
        if not LINES.has(key):
            images = sources(n_sources, N_IMAGES, seed)
            found = normals(images, seed) if method == "GMM" else train(method, images, seed)
            LINES.add(key | found | {"commit": commit()})
            write()
    write()


def sources(n_sources: int, n: int, seed: int) -> data.Dataset:
    """Binary images (N, 1, 16, 16), labelled by the source that made them."""
    generator = torch.Generator().manual_seed(seed)
    uniform = lambda *shape: torch.rand(*shape, generator=generator)
    angle = (torch.arange(n_sources) + uniform(1)) * pi / n_sources
    frequency = 2 * pi / (4 + 3 * uniform(n_sources))
    phase = 2 * pi * uniform(n_sources)
    y = torch.randint(n_sources, (n,), generator=generator)
    place, width = (range_ * (uniform(n) - 0.5) for range_ in (2 * pi * PLACE, 2 * WIDTH))
    side = torch.arange(SIDE) - (SIDE - 1) / 2
    along = angle.cos()[:, None, None] * side[:, None] + angle.sin()[:, None, None] * side
    wave = ((frequency[:, None, None] * along)[y] + (phase[y] + place)[:, None, None]).cos()
    lit = (SHARPNESS * (wave - width[:, None, None])).sigmoid()
    x = (uniform(n, SIDE, SIDE) < lit).float().unsqueeze(1)
    return data.from_arrays(x, y, name="sources", seed=seed)


def train(method: str, images: data.Dataset, seed: int) -> dict[str, Any]:
    """What one model chooses."""
    torch.manual_seed(seed)
    built = mixvae.build("mixture-vae", images, **OPTIONS | METHODS[method])
    if "random" not in method:
        start(built.model, images.train.x, seed)
    how = TRAINING | QUIET | {"max_epochs": EPOCHS, "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        run = mixvae.fit(built, images, out=Path(folder, "run"), **how)
    metrics, model = run.metrics, run.recipe.model
    chosen = metrics.get("selection")
    n_shares = sum(share >= MIN_SHARE / K for share in metrics["health"]["share"])
    return {
        "kept": chosen["n_kept"] if chosen else n_shares,
        "greedy": "" if chosen else greedy(model.eval(), images.val.x),
        "bound": f"{metrics['bounds']['elbo']:.2f}",
        "accuracy": f"{metrics['clustering']['acc']:.3f}",
        "rate": " ".join(f"{rate:.2f}" for rate in chosen["rate"]) if chosen else "",
    }


def start(model: MixtureVAE, x: Tensor, seed: int) -> None:
    """Train every component on a cluster of its own."""
    codes = PCA(N_PCA, random_state=seed).fit_transform(x.flatten(1).numpy())
    cluster = torch.from_numpy(KMeans(K, n_init=3, random_state=seed).fit_predict(codes)).long()
    optimizer = torch.optim.Adam(model.parameters(), TRAINING["lr"])
    for _ in range(START_EPOCHS):
        for rows in torch.randperm(len(x)).split(TRAINING["batch_size"]):
            t = model(x[rows])
            each = (t.log_lik + t.log_prior - t.log_q)[0]
            optimizer.zero_grad()
            (-each.gather(1, cluster[rows, None]).mean()).backward()
            optimizer.step()


@torch.no_grad()
def greedy(model: MixtureVAE, x: Tensor) -> int:
    """How many components are left when no other's removal is a gain."""
    t = model(x)
    log_weights, pi_k = t.family.log_weights(t)[0], t.w[0, 0]
    bound = lambda kept: (log_weights[:, kept].logsumexp(-1) - pi_k[kept].sum().log()).mean()
    kept = list(range(K))
    while len(kept) > 1:
        fewer = max(([j for j in kept if j != k] for k in kept), key=bound)
        if bound(fewer) < bound(kept):
            break
        kept = fewer
    return len(kept)


def normals(images: data.Dataset, seed: int) -> dict[str, Any]:
    """What a mixture of normals, whose number BIC chooses, finds in principal components."""
    pca = PCA(10, random_state=seed).fit(images.train.x.flatten(1).numpy())
    train, test = (pca.transform(part.x.flatten(1)) for part in (images.train, images.test))
    fits = [GaussianMixture(n, random_state=seed).fit(train) for n in range(1, 16)]
    best = min(fits, key=lambda fit: fit.bic(train))
    component = torch.from_numpy(best.predict(test)).long()
    accuracy = clustering(component, images.test.y)["acc"]
    found = {"kept": best.n_components, "greedy": "", "bound": "", "accuracy": f"{accuracy:.3f}"}
    return found | {"rate": ""}


def write() -> None:
    """One row of the table for each kind of run: how many seeds keep how many components."""
    groups: dict[tuple[str, int], list[dict[str, str]]] = defaultdict(list)
    for line in LINES.read():
        groups[line["method"], int(line["sources"])].append(line)
        if line["greedy"]:
            removed = {"kept": line["greedy"], "bound": "", "accuracy": ""}
            groups["greedy", int(line["sources"])].append(line | removed)
    head = ["method", "sources", "found", "kept, by seed", "bound", "accuracy"]
    rows = []
    for (method, n_sources), runs in sorted(groups.items()):
        runs = sorted(runs, key=lambda line: int(line["seed"]))
        kept = [line["kept"] for line in runs]
        found = f"{kept.count(str(n_sources))} of {len(kept)}"
        means = (_mean(runs, "bound", 2), _mean(runs, "accuracy", 3))
        rows.append([method, str(n_sources), found, " ".join(kept), *means])
    LINES.write(__doc__ or "", head, rows)


def _mean(runs: list[dict[str, str]], name: str, digits: int) -> str:
    values = [float(line[name]) for line in runs if line[name]]
    return f"{sum(values) / len(values):.{digits}f}" if values else ""


if __name__ == "__main__":
    main()
