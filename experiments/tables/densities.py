"""Held-out log p(x) of ten real tables: Gaussian mixtures, VAEs, a flow and the deep mixture.

    python -m experiments.tables.densities --data-dir DIR

The tables are DIR/NAME.npz with rows x, standardised, and a mask "test". The first fifth of the
other rows is validation data, on which every choice is made; all models are fitted to the rest.

- "GaussianMixture": the best of 1 to 50 components, three covariances, three regularisations.
- "BayesianGaussianMixture": at most 2, 5, 20 or 50 components, the same covariances, two
  regularisations.
- "factor analysers, start": that GaussianMixture with loadings of 0.6 D factors in place of its
  covariances, which is mfa-vae before its training. "factor analysers, trained": mfa-vae with its
  networks kept at zero.
- "mfa-vae": trained from that start; "vae": one VAE of as many parameters, "mixture-vae": ten VAEs,
  split from one; "flow": zuko's neural spline flow (autoregressive, three transforms).

Each model that is trained by gradients is trained with normal noise of 0, 0.03, 0.1 and 0.2 added
to the training rows, and the best on validation rows is kept; "seconds" of a processor are those of
all of them together. The difference is paired by rows, over the best GaussianMixture, and its
standard error is that over test rows; figures are means over seeds. log p(x) of VAEs is estimated
with 200 codes of each component, a lower bound in expectation. Every figure is a line of the CSV,
and a line that stands there is not computed again.
"""

import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from experiments.lines import Lines, table_options
from experiments.run import ROOT, commit
from experiments.tables.flow import fit_flow
from sklearn.mixture import BayesianGaussianMixture

import mixvae
from mixvae.data.dataset import Dataset, Split
from mixvae.evaluation.marginal_likelihood.by_component import log_joint
from mixvae.initialization.gaussian_mixture import COVARIANCES, REGULARISATION, best_of, search
from mixvae.recipes.building import BuiltRecipe

LINES = Lines(ROOT / "results/tables/densities")
TABLES = ("wine", "vowel", "wdbc", "movement_libras", "segment", "satimage", "optdigits")
TABLES += ("penbased", "magic", "letter")
NOISE = (0.0, 0.03, 0.1, 0.2)
HIDDEN = [128, 128]
STEPS, LEAST_EPOCHS, BATCH = 10_000, 60, 128
TRAINING = {"lr": 1e-3, "clip": 10.0, "patience": 30, "precision": "32"}
QUIET = {"pictures": False, "progress": False}

Rows = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Found:
    """A chosen model: log p of validation rows (mean) and of each test row, and what was chosen."""

    val: float
    test: Rows
    chosen: dict[str, Any]


@dataclass(frozen=True)
class Table:
    """A table, and the Gaussian mixture that all models are compared with."""

    data: Dataset

    @classmethod
    def read(cls, name: str, folder: Path) -> "Table":
        """Read DIR/NAME.npz; the first fifth of its training rows is validation data."""
        file = np.load(folder / f"{name}.npz")
        x, test = torch.from_numpy(file["x"]).float(), torch.from_numpy(file["test"])
        rest = x[~test]
        n_val = len(rest) // 5
        return cls(Dataset(name, Split(rest[n_val:]), Split(rest[:n_val]), Split(x[test])))

    @property
    def rows(self) -> tuple[Rows, Rows, Rows]:
        """Training, validation and test rows, in float64."""
        parts = (self.data.train, self.data.val, self.data.test)
        return tuple(part.x.double().numpy() for part in parts)  # type: ignore[return-value]

    @cached_property
    def mixture(self) -> Found:
        """The best Gaussian mixture: of an earlier run's line, or of the whole grid."""
        train, val, test = self.rows
        line = LINES.find({"table": self.data.name, "model": "GaussianMixture"})
        fixed: list[dict[str, Any]] = [{"reg_covar": reg} for reg in REGULARISATION]
        fixed = [json.loads(line["chosen"])] if line else fixed
        searches = [search(train, val, cross_validate=False, **one) for one in fixed]
        best = best_of([tried for found in searches for tried in found])
        names = ("n_components", "covariance", "reg_covar")
        chosen = {name: getattr(best.mixture, name) for name in names}
        return Found(best.mean, best.mixture.fit(train).score_samples(test), chosen)


def bayesian(table: Table, seed: int) -> Found:
    """The best BayesianGaussianMixture of a grid."""
    train, val, test = table.rows
    best: tuple[float, Any, dict[str, Any]] | None = None
    for k, covariance, reg in product((2, 5, 20, 50), COVARIANCES, REGULARISATION[:2]):
        if k > len(train):
            continue
        chosen = {"n_components": k, "covariance_type": covariance, "reg_covar": reg}
        model = BayesianGaussianMixture(**chosen, max_iter=200, random_state=seed).fit(train)
        if best is None or model.score(val) > best[0]:
            best = float(model.score(val)), model, chosen
    assert best is not None
    return Found(best[0], best[1].score_samples(test), best[2])


def start(table: Table, seed: int) -> Found:
    """The factor analysers that training starts from."""
    recipe = deep_mixture(table, seed)
    val, test = (log_px(recipe, part) for part in (table.data.val, table.data.test))
    return Found(float(val.mean()), test, {"n_latent": recipe.options["n_latent"]})


def deep_mixture(table: Table, seed: int) -> BuiltRecipe:
    """mfa-vae, with the start that is the best Gaussian mixture."""
    return mixvae.build("mfa-vae", table.data, seed=seed, hidden=HIDDEN, **table.mixture.chosen)


def without_networks(table: Table, seed: int) -> BuiltRecipe:
    """mfa-vae whose networks stay at zero."""
    recipe = deep_mixture(table, seed)
    model = recipe.model
    for networks in (model.decoder.branch.residual, model.posterior.residual):
        networks.requires_grad_(False)
    return recipe


def mixture_of_vaes(table: Table, seed: int) -> BuiltRecipe:
    """Ten VAEs, as mixture-vae starts and trains them."""
    options = {"likelihood": "normal", "n_latent": deep_mixture(table, seed).options["n_latent"]}
    return mixvae.build("mixture-vae", table.data, seed=seed, hidden=HIDDEN, **options)


def one_vae(table: Table, seed: int) -> BuiltRecipe:
    """One VAE of at least as many parameters as the deep mixture: mixture-vae with K = 1."""
    deep = deep_mixture(table, seed)
    options = {"likelihood": "normal", "n_latent": deep.options["n_latent"], "n_components": 1}
    for width in range(64, 2000, 16):
        one = mixvae.build(
            "mixture-vae", table.data, seed=seed, hidden=[width, width], start="random", **options
        )
        if one.n_parameters >= deep.n_parameters:
            break
    return one


def trained(make: Callable[[Table, int], BuiltRecipe]) -> Callable[[Table, int], Found]:
    """The function that trains with each noise, and judges the best on validation rows."""

    def best(table: Table, seed: int) -> Found:
        runs = [train(make(table, seed), table.data, noise, seed) for noise in NOISE]
        val, epoch, recipe, noise = max(runs, key=lambda run: run[0])
        val = float(log_px(recipe, table.data.val).mean())
        n = sum(p.numel() for p in recipe.model.parameters() if p.requires_grad)
        chosen = {"x_noise": noise, "epoch": epoch, "n_parameters": n}
        return Found(val, log_px(recipe, table.data.test), chosen)

    return best


def train(
    recipe: BuiltRecipe, data: Dataset, noise: float, seed: int
) -> tuple[float, int, BuiltRecipe, float]:
    """The best bound on validation rows, its epoch, the model and the noise."""
    recipe = replace(recipe, objective=replace(recipe.objective, x_noise=noise))
    size = min(BATCH, len(data.train))
    epochs = max(LEAST_EPOCHS, STEPS // (len(data.train) // size))
    how = TRAINING | QUIET | {"batch_size": size, "max_epochs": epochs, "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        run = mixvae.fit(recipe, data, out=Path(folder, "run"), **how)
    main = [row for row in run.history if row["phase"] == "main"]
    best = max(main, key=lambda row: row["val/objective"])
    return best["val/objective"], best["epoch"], run.recipe, noise


def log_px(recipe: BuiltRecipe, split: Split) -> Rows:
    """log p(x) of each row."""
    found: Rows = log_joint(recipe.model, split.x)[1].log_prob.numpy()
    return found


def flow(table: Table, seed: int) -> Found:
    """The best of the flow's trainings."""
    train, val, test = (torch.from_numpy(rows).float() for rows in table.rows)
    best = None
    for noise in NOISE:
        made = fit_flow(train, val, noise, seed, steps=STEPS, batch_size=BATCH, **FLOW)
        if best is None or made[0] > best[0]:
            best, chosen = made, {"x_noise": noise, "epoch": made[1]}
    assert best is not None
    with torch.no_grad():
        return Found(best[0], best[2]().log_prob(test).double().numpy(), chosen)


FLOW = {"lr": TRAINING["lr"], "clip": TRAINING["clip"], "patience": TRAINING["patience"]}
MODELS: dict[str, Callable[[Table, int], Found]] = {
    "GaussianMixture": lambda table, seed: table.mixture,
    "BayesianGaussianMixture": bayesian,
    "factor analysers, start": start,
    "factor analysers, trained": trained(without_networks),
    "vae": trained(one_vae),
    "mixture-vae": trained(mixture_of_vaes),
    "flow": flow,
    "mfa-vae": trained(deep_mixture),
}
SEEDLESS = ("GaussianMixture", "factor analysers, start")  # the same for every seed


def main() -> None:
    """Compute the lines that are missing, then write the table."""
    args = table_options(__doc__ or "", tables=TABLES, models=list(MODELS))
    for name in args.tables:
        table = Table.read(name, args.data_dir)
        for seed, model in product(args.seeds, args.models):
            key = {"table": name, "model": model, "seed": 0 if model in SEEDLESS else seed}
            if not LINES.has(key):
                LINES.add(key | line(table, MODELS[model], seed))
                write()
    write()


def line(table: Table, model: Callable[[Table, int], Found], seed: int) -> dict[str, Any]:
    """The figures of a model."""
    begun = time.process_time()
    found = model(table, seed)
    seconds = time.process_time() - begun
    gain = found.test - table.mixture.test
    return {
        "log_px": f"{found.test.mean():.3f}",
        "error": f"{standard_error(found.test):.3f}",
        "gain": f"{gain.mean():.3f}",
        "gain_error": f"{standard_error(gain):.3f}",
        "gain_median": f"{np.median(gain):.3f}",
        "val": f"{found.val:.3f}",
        "seconds": round(seconds),
        "chosen": json.dumps(found.chosen),
        "commit": commit(),
    }


def standard_error(values: Rows) -> float:
    """Of the mean."""
    return float(values.std(ddof=1) / len(values) ** 0.5)


def write() -> None:
    """One row for each table and model."""
    groups: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in LINES.read():
        groups[row["table"], row["model"]].append(row)
    head = ["table", "model", "log p(x)", "gain", "gain, median", "seeds", "seconds"]
    mean = lambda rows, name: float(np.mean([float(row[name]) for row in rows]))
    body = []
    for key in product(TABLES, MODELS):
        if rows := groups.get(key):
            gain = f"{mean(rows, 'gain'):+.2f} ± {mean(rows, 'gain_error'):.2f}"
            median, seconds = f"{mean(rows, 'gain_median'):+.2f}", f"{mean(rows, 'seconds'):.0f}"
            log_p = f"{mean(rows, 'log_px'):.2f}"
            body.append([*key, log_p, gain, median, str(len(rows)), seconds])
    LINES.write(__doc__ or "", head, body)


if __name__ == "__main__":
    main()
