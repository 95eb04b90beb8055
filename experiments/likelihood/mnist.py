"""Three estimates of log p(x) beside each other, on dynamically binarised MNIST.

    python experiments/likelihood/mnist.py --data-dir DIR [--only vae] [--images 24]

Trains seven models for a few minutes each (runs are kept, and a finished one is not trained again),
estimates log p(x) of the same test images by plain and defensive importance sampling and by
annealed importance sampling, and brackets it on images of the models' own by bidirectional Monte
Carlo. Writes results/likelihood/mnist.csv and .md.
"""

import argparse
import csv
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import mixvae
from mixvae.evaluation import annealed_log_likelihood, bidirectional, log_likelihood
from mixvae.evaluation.batches import spaced

ROOT = Path(__file__).resolve().parent.parent.parent
MLP = {"network": "mlp", "hidden": [300, 300], "n_latent": 40}
MODELS: dict[str, dict[str, Any]] = {
    "vae": MLP,
    "vamp-prior": MLP,
    "mixture-vae": MLP | {"n_components": 10, "n_latent": 20},
    "gmmp-vae": MLP | {"n_components": 3},
    "dlgmm": MLP | {"n_components": 3},
    "m-vae": MLP | {"n_components": 3, "n_latent": 20},
    "hvae": MLP,
}
TRAINING = {"max_epochs": 25, "batch_size": 128, "seed": 0, "lr": 1e-3}
SUBSET, SAMPLES, CHAINS, STEPS = 20_000, 5000, 16, 500
Method = Callable[[Any, torch.Tensor], Any]
METHODS: dict[str, Method] = {
    "plain importance sampling": lambda model, x: log_likelihood(model, x, SAMPLES, method="plain"),
    "defensive importance sampling": lambda model, x: log_likelihood(model, x, SAMPLES),
    "annealed importance sampling": lambda model, x: annealed_log_likelihood(
        model, x, n_chains=CHAINS, n_steps=STEPS
    ),
}
COLUMNS = [
    *("model", "method", "log_px", "error", "ess_median", "k_hat_median", "k_hat_above"),
    *("reliable", "seconds_an_image", "gap", "gap_error", "images", "parameters", "elbo"),
    *("mixvae", "torch"),
]


def main() -> None:
    """Train what is missing, estimate, and write both files after every model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", help="folder of the data files; else MIXVAE_DATA")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs/experiments/likelihood/mnist")
    parser.add_argument("--only", action="append", choices=MODELS, help="a model; repeatable")
    parser.add_argument("--images", type=int, default=24, help="test images, at even distances")
    parser.add_argument("--train-only", action="store_true", help="estimate nothing")
    args = parser.parse_args()
    data = mixvae.data.load("mnist", data_dir=args.data_dir, binarize="dynamic", subset=SUBSET)
    x, _ = spaced(data.test, args.images)
    out = ROOT / "results/likelihood/mnist.csv"
    rows = read(out)
    for name in args.only or MODELS:
        run = trained(name, data, args.runs / name)
        if args.train_only:
            continue
        rows = [row for row in rows if row["model"] != name] + estimates(name, run, x)
        order = list(MODELS)
        rows.sort(key=lambda row: order.index(row["model"]))  # of one model as they came
        write(out, rows)


def trained(name: str, data: mixvae.data.Dataset, folder: Path) -> mixvae.Run:
    """The run in the folder, or a new one."""
    if (folder / "finished.json").exists():
        return mixvae.load(folder)
    recipe = mixvae.build(name, data, **MODELS[name])
    return mixvae.fit(recipe, data, out=folder, pictures=False, **TRAINING)


def estimates(name: str, run: mixvae.Run, x: torch.Tensor) -> list[dict[str, Any]]:
    """One row for each method."""
    rows = []
    for method, estimate in METHODS.items():
        start = time.process_time()
        found = estimate(run.recipe.model, x)
        seconds = (time.process_time() - start) / len(x)
        k_hat = found.k_hat[~found.k_hat.isnan()]
        row = {
            "model": name,
            "method": method,
            "log_px": f"{found.mean:.2f}",
            "error": f"{found.mean_error:.3f}",
            "ess_median": f"{float(found.ess.median()):.0f}",
            "k_hat_median": f"{float(k_hat.median()):.2f}" if len(k_hat) else "",
            "k_hat_above": f"{float((k_hat > 0.7).double().mean()):.2f}" if len(k_hat) else "",
            "reliable": {True: "yes", False: "no", None: ""}[found.reliable],
            "seconds_an_image": f"{seconds:.2f}",
            "images": len(x),
            "parameters": run.recipe.n_parameters,
            "elbo": f"{run.metrics['bounds']['elbo']:.2f}",
            "mixvae": commit(),
            "torch": torch.__version__,
        }
        if method.startswith("annealed"):
            bracket = bidirectional(
                run.recipe.model, len(x), n_chains=CHAINS, n_steps=STEPS
            ).to_dict()
            row |= {"gap": f"{bracket['gap']:.2f}", "gap_error": f"{bracket['gap_error']:.2f}"}
        print({key: value for key, value in row.items() if value != ""}, flush=True)
        rows.append(row)
    return rows


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of the file, of none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """The CSV, and the same as a table in Markdown."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    shown = {
        "model": "model",
        "method": "method",
        "log_px": "log p(x)",
        "error": "±",
        "ess_median": "ESS, median",
        "k_hat_median": "k-hat, median",
        "k_hat_above": "share above 0.7",
        "seconds_an_image": "seconds an image",
        "gap": "gap of the bracket",
    }
    lines = [__doc__.partition("\n")[0], ""]
    lines.append("| " + " | ".join(shown.values()) + " |")
    lines.append("|" + "---|" * len(shown))
    lines += ["| " + " | ".join(str(row.get(key, "")) for key in shown) + " |" for row in rows]
    path.with_suffix(".md").write_text("\n".join(lines) + "\n")


def commit() -> str:
    """The checkout's commit, marked if anything but results has changed."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run(
        [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    )
    changes = subprocess.run(
        [*git, "status", "--porcelain", "--", ".", ":!results"],
        capture_output=True,
        text=True,
        check=True,
    )
    return head.stdout.strip() + ("-dirty" if changes.stdout else "")


if __name__ == "__main__":
    main()
