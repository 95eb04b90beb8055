"""Systems of the papers' tables that are not VAEs.

    python -m experiments.rivals.run --data-dir DIR --data cifar10 --systems dcgan wgan --seeds 0

Each row is a system, trained on the first training images, and judged on the test images by the
package's own evaluation. log p(x) is in nats; the row says whether it is exact, an estimate or a
bound, and its error is that of log Z. MNIST and Omniglot are binarised dynamically for
systems that have log p(x), and grey for the others. Inception Score and FID are those of samples,
by a classifier that is trained on the data set; the score of as many test images is the ceiling.
RMSE is the root of the squared error summed over an image's values in [0, 1] (PixelCNN++: of each
pixel's mean given the true pixels before it). Accuracy is of the classes (GUIDE: by an MLP on its
codes). Whether a system has collapsed its samples' own figures say: their variance and the distance
to the nearest other sample, over those of the test images, and the number of classes with a tenth
of the even share; "yes" is below a quarter of the data's, or half of its classes. seconds are of a
processor, for training alone.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from experiments.lines import Lines
from experiments.rivals import (
    ali,
    began,
    dbn,
    dcgan,
    gmm,
    guide,
    mix_wgan,
    pixelcnn_pp,
    rbf,
    rbm,
    variational_gmm,
    wgan,
)
from experiments.rivals.figures import NAMES, figures
from experiments.rivals.system import System
from experiments.run import ROOT, commit

from mixvae import data
from mixvae.errors import MixvaeError, one_of, whole
from mixvae.evaluation import feature_network
from mixvae.experiments import ITEMS

MODULES = (rbm, dbn, gmm, variational_gmm, rbf, dcgan, wgan, mix_wgan, ali, began, pixelcnn_pp)
SYSTEMS: dict[str, System] = {m.SYSTEM.name: m.SYSTEM for m in (*MODULES, guide)}
DATA: dict[str, dict[str, Any]] = {
    "mnist": {"name": "mnist", "subset": 20_000},
    "omniglot": {"name": "omniglot", "subset": 20_000},
    "frey": {"name": "frey-faces", "n_val": 200},
    "cifar10": {"name": "cifar10", "subset": 10_000},
}
BINARY = ("mnist", "omniglot")  # those that are binarised for log p(x)
NOT_COMPARABLE = {
    "": "no: a smaller network, fewer images and epochs",
    "inception_score": "scores by a classifier of the data set, not by Inception-v3",
    "omniglot": "another resizing and split of Omniglot",
}
SHOWN = ("system", "seed", "n", "epochs", *NAMES, "quoted", "parameters", "seconds")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and judge the rows that are missing, and write the table after each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("MIXVAE_DATA"))
    parser.add_argument("--data", default="mnist", help=", ".join(DATA))
    parser.add_argument("--systems", nargs="+", help=f"{', '.join(SYSTEMS)}; else all for the data")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--n", type=int, help="training images, the first ones")
    parser.add_argument("--epochs", type=int, help="else each system's own number")
    parser.add_argument("--out", type=Path, default=ROOT / "results/rivals")
    args = parser.parse_args(arguments)
    try:
        run(args)
    except MixvaeError as error:
        sys.exit(f"error: {error}")


def run(args: argparse.Namespace) -> None:
    """The rows of one data set."""
    check(args)
    lines, loaded = Lines(args.out / args.data), {}
    for seed in args.seeds:
        for system in chosen(args.data, args.systems):
            binarize = "dynamic" if system.binary and args.data in BINARY else "none"
            if binarize not in loaded:
                loaded[binarize] = load(args, binarize)
            dataset = loaded[binarize]
            epochs = system.epochs[args.data] if args.epochs is None else args.epochs
            key = {"system": system.name, "seed": seed, "n": len(dataset.train), "epochs": epochs}
            if not lines.has(key):
                lines.add(key | row(system, dataset, args.data, seed, epochs))
                write(lines, args.data)


def check(args: argparse.Namespace) -> None:
    """Raise `MixvaeError` for arguments that cannot be used."""
    one_of("data", args.data, DATA)
    if args.data_dir is None or not args.data_dir.is_dir():
        raise MixvaeError(
            f"--data-dir must be the folder of the data files; got {args.data_dir}. Give it, or "
            "set MIXVAE_DATA."
        )
    whole(1, **{f"--{name}": v for name in ("n", "epochs") if (v := vars(args)[name]) is not None})
    for seed in args.seeds:
        whole(0, 2**32 - 1, **{"--seeds": seed})


def chosen(name: str, systems: Sequence[str] | None) -> list[System]:
    """The systems asked for, or all that take the data."""
    if systems is None:
        return [system for system in SYSTEMS.values() if name in system.epochs]
    for system in systems:
        one_of("system", system, SYSTEMS)
        if name not in (known := SYSTEMS[system].epochs):
            raise MixvaeError(f"{system} takes --data {', '.join(known)}; got {name}.")
    return [SYSTEMS[system] for system in systems]


def load(args: argparse.Namespace, binarize: data.Binarize) -> data.Dataset:
    """The data, with the first n training images."""
    how = DATA[args.data] | ({} if args.n is None else {"subset": args.n})
    return data.load(how.pop("name"), data_dir=args.data_dir, binarize=binarize, **how)


def row(system: System, dataset: data.Dataset, name: str, seed: int, epochs: int) -> dict[str, Any]:
    """One row: what was done, and all figures."""
    torch.manual_seed(seed)
    begun = time.process_time()
    trained = system.train(dataset, epochs)
    seconds = time.process_time() - begun
    scored = trained.sample is not None and dataset.labels
    found = figures(system, trained, dataset, feature_network(dataset) if scored else None)
    quotes = quoted(system, name)
    return {
        "binarize": dataset.binarize,
        **found,
        "quoted": quotes,
        "comparable": comparable(name, found) if quotes else "",
        "parameters": trained.n_parameters,
        "n_test": len(dataset.test),
        "n_images": min(system.n_images, len(dataset.test)) if trained.sample else "",
        "seconds": round(seconds, 1),
        "evaluation_seconds": round(time.process_time() - begun - seconds, 1),
        "details": json.dumps(dict(trained.details)),
        "commit": commit(),
    }


def quoted(system: System, name: str) -> str:
    """The papers' figures, with their tables."""
    texts = []
    for item, title in system.quoted.get(name, ()):
        reported = next(row for row in ITEMS[item].rows if row.name == title).reported
        texts.append(f"{item}: " + ", ".join(f"{label} {v}" for label, v in reported.items()))
    return "; ".join(texts)


def comparable(name: str, found: dict[str, Any]) -> str:
    """Why ours cannot be compared with the quoted figures."""
    reasons = [why for what, why in NOT_COMPARABLE.items() if found.get(what) or what in ("", name)]
    return ", ".join(reasons)


def write(lines: Lines, name: str) -> None:
    """The table of all rows there are."""
    rows = [[line[column] for column in SHOWN] for line in lines.read()]
    title, _, text = (__doc__ or "").strip().split("\n\n", 2)
    command = f"python -m experiments.rivals.run --data-dir DIR --data {name}"
    about = (f"{title.rstrip('.')}: {DATA[name]['name']}", command, text)
    lines.write("\n\n".join(about), SHOWN, rows)


if __name__ == "__main__":
    main()
