"""A run on some rows of its data: all that a report shows, computed once."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from mixvae.data import Dataset, Standardization
from mixvae.data.dataset import Split, SplitName
from mixvae.errors import MixvaeError
from mixvae.evaluation import LogLikelihood, evaluate, log_likelihood
from mixvae.evaluation.batches import (
    cluster_probabilities,
    device_of,
    evaluating,
    n_clusters,
    prior_of_clusters,
    spaced,
)
from mixvae.evaluation.data_units import in_data_units
from mixvae.evaluation.one_pass import Batch, accumulate
from mixvae.families import ExactMixture
from mixvae.model import MixtureVAE
from mixvae.run import Run

N_TRAIN = 5000  # training examples among which the nearest ones are looked for
N_SAMPLED = 1000  # samples of the model, in portions, for the predictive checks
PORTION = 250
SAME = 1e-4  # responsibilities that vary less over x are those of the prior


@dataclass(frozen=True, eq=False)
class Examined:
    """A run and what it makes of some rows of a split.

    Attributes
    ----------
    run, data, split
        The run, its data, and the name of the split.
    rows
        The rows that are shown, evenly spaced over the split.
    train
        Training rows, evenly spaced.
    n_split
        Rows of the whole split.
    metrics
        The run's metrics on the whole split.
    values
        By name, what the model makes of each row.
    estimate
        log p(x) of each row, or None.
    why_no_estimate
        Why there is none; "" if there is.
    seed
        Seed of all noise.
    """

    run: Run
    data: Dataset
    split: str
    rows: Split
    train: Split
    n_split: int
    metrics: Mapping[str, Any]
    values: Mapping[str, Tensor]
    estimate: LogLikelihood | None
    why_no_estimate: str
    seed: int

    @property
    def model(self) -> MixtureVAE:
        """The trained model."""
        return self.run.recipe.model

    @cached_property
    def x(self) -> Float[Tensor, "N *X"]:
        """The rows as the model sees them."""
        return self.rows.x[:]

    @cached_property
    def read(self) -> Int64[Tensor, " N"] | None:
        """The labels that the model reads."""
        return self.model.labels.of(self.rows)

    @property
    def numbers(self) -> list[int]:
        """The number of each row in the source of the data."""
        index = self.rows.index
        return list(range(len(self.rows))) if index is None else index.tolist()

    @property
    def r(self) -> Float[Tensor, "N C"]:
        """Responsibilities, or the probabilities of the clusters of a prior."""
        return self.values["r"]

    @property
    def is_image(self) -> bool:
        """Whether the rows are images."""
        return not self.data.is_table

    @cached_property
    def of_prior(self) -> bool:
        """Whether the clusters are those of the prior rather than components of the model."""
        return prior_of_clusters(self.model) is not None

    @cached_property
    def is_joint(self) -> bool:
        """Whether an x has several codes at once, so that none of its components is its own."""
        return self.model.family.n_codes(self.model.n_components) > 1

    @cached_property
    def assigns(self) -> bool:
        """Whether examples belong to components, with probabilities that depend on x."""
        several = n_clusters(self.model) > 1 and not self.is_joint
        return several and bool((self.r.amax(0) - self.r.amin(0)).max() > SAME)

    @property
    def costs_are_bounds(self) -> bool:
        """Whether merging two components has a cost in the bound."""
        return self.assigns and "log_joint" in self.values

    @cached_property
    def kept(self) -> list[int]:
        """The components that component dropout has not removed."""
        return self.model.kept.nonzero().flatten().tolist()

    @cached_property
    def score(self) -> Float64[Tensor, " N"] | None:
        """log p(x) of each row, or its bound where that is not estimated; in units of the data."""
        if self.estimate is not None:
            found = self.estimate.log_prob.double()
        elif "elbo" in self.values:
            found = self.values["elbo"].double()
        else:
            return None
        return found - self.shift

    @property
    def score_name(self) -> str:
        """What ``score`` is, with a mark where it is not reliable."""
        if self.estimate is None:
            return "bound on log p(x)"
        marks = {True: "", False: " (UNRELIABLE)", None: " (reliability unknown)"}
        return f"log p(x){marks[self.estimate.reliable]}"

    @cached_property
    def shift(self) -> Float64[Tensor, " N"]:
        """What log densities of standardised columns have more than those of the data's units."""
        transform = self.data.transform
        if not isinstance(transform, Standardization):
            return torch.zeros(len(self.rows), dtype=torch.float64)
        return torch.as_tensor(np.asarray(transform.log_scales(self.x))).double()

    @cached_property
    def samples(self) -> Float[Tensor, "N *X"]:
        """Samples of x with the likelihood's noise; labels as often as in the rows."""
        model, found = self.model, []
        with evaluating(model, self.seed):
            for _ in range(N_SAMPLED // PORTION):
                y = None
                if model.labels.n_classes is not None and self.read is not None:
                    y = self.read[torch.randint(len(self.read), (PORTION,))].to(device_of(model))
                found.append(model.sample(PORTION, y=y, noise=True).cpu())
        return torch.cat(found)

    def labels_in_turn(self, n: int) -> Int64[Tensor, " n"] | None:
        """Labels for n samples of a model that reads them; None for others."""
        n_classes = self.model.labels.n_classes
        device = device_of(self.model)
        return None if n_classes is None else torch.arange(n, device=device) % n_classes


def examine(
    run: Run,
    data: Dataset,
    split: SplitName,
    *,
    n_rows: int,
    n_samples: int,
    seed: int,
    progress: bool,
) -> Examined:
    """Compute what a report shows of a run.

    Parameters
    ----------
    run
        A trained run.
    data
        Its data.
    split
        Which of their rows.
    n_rows
        Rows at most.
    n_samples
        Importance samples for log p(x) of each row; 0 leaves log p(x) out.
    seed
        Seed of all noise.
    progress
        Show a progress bar while log p(x) is estimated.
    """
    if data.x_shape != run.recipe.x_shape:
        raise MixvaeError(
            f"the run {run.folder} was trained on x of shape {run.recipe.x_shape}; {data.name} has "
            f"{data.x_shape}."
        )
    whole, model = data.seen(split), run.recipe.model
    rows = spaced(whole, min(n_rows, len(whole)))
    rows = Split(rows.x[:], rows.y, rows.index, rows.weight, rows.batch_label)
    read = model.labels.of(rows)
    each = _EachRow(run)
    accumulate(model, rows.x, read, [each], seed=seed)
    values = each.result()
    if prior_of_clusters(model) is not None:
        values["r"] = cluster_probabilities(model, rows.x, read)
    estimate, why = _estimate(run, rows, read, n_samples, seed, progress)
    train = spaced(data.train, min(N_TRAIN, len(data.train)))
    return Examined(
        run=run,
        data=data,
        split=split,
        rows=rows,
        train=train,
        n_split=len(whole),
        metrics=_metrics(run, data, split, whole, seed),
        values=values,
        estimate=estimate,
        why_no_estimate=why,
        seed=seed,
    )


def _metrics(
    run: Run, data: Dataset, split: SplitName, whole: Split, seed: int
) -> Mapping[str, Any]:
    """The run's own metrics, where they are of these rows; else computed."""
    described = run.metrics.get("data")
    content = described.get("content") if isinstance(described, Mapping) else None
    known = content.get(split) if isinstance(content, Mapping) else None
    same = run.metrics.get("split") == split and known == getattr(data, split).content_hash
    if same and {"bounds", "health"} <= run.metrics.keys():
        return run.metrics
    names = ["bounds", "reconstruction", "health"]
    found = evaluate(run.recipe, whole, metrics=names, seed=seed)
    return in_data_units(found, data.transform, whole)


def _estimate(
    run: Run, rows: Split, read: Tensor | None, n_samples: int, seed: int, progress: bool
) -> tuple[LogLikelihood | None, str]:
    """log p(x) of each row, or why it is not estimated."""
    if not n_samples:
        return None, "it was not asked for (--log-likelihood)"
    model = run.recipe.model
    if not model.decoder.likelihood.is_density:
        return None, "the likelihood is not a normalised density"
    if model.is_deterministic:
        return None, (
            "the encoder is deterministic; mixvae evaluate --log-likelihood --method ais "
            "estimates it"
        )
    return log_likelihood(model, rows.x, n_samples, y=read, seed=seed, progress=progress), ""


class _EachRow:
    """Accumulator of a model's values of each row."""

    def __init__(self, run: Run) -> None:
        self.recipe = run.recipe
        self.parts: dict[str, list[Tensor]] = {}

    def add(self, batch: Batch) -> None:
        t = batch.mean_trace
        errors = (batch.x - batch.reconstruction).masked_fill(batch.x.isnan(), 0).square()
        found = {
            "r": batch.responsibilities,
            "codes": t.q_z.mean,
            "reconstruction": batch.reconstruction,
            "sse": errors.flatten(1).sum(1),
        }
        if self.recipe.bound is not None:
            terms = self.recipe.bound(batch.trace(self.recipe.objective.n_samples))
            found["elbo"] = torch.stack(list(terms.values())).double().sum(0)
        if isinstance(t.family, ExactMixture) and self.recipe.bound is not None:
            found["log_weights"] = t.log_b[0].double()
            found["log_joint"] = (t.log_lik.mean(0) - t.kl).double() + found["log_weights"]
        for name, value in found.items():
            self.parts.setdefault(name, []).append(value.detach().cpu())

    def result(self) -> dict[str, Tensor]:
        return {name: torch.cat(parts) for name, parts in self.parts.items()}
