"""Trained runs side by side on the same data, with paired differences."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from .data import Dataset, Standardization
from .data.dataset import Split
from .data.transform_record import AnyTransform
from .errors import MixvaeError, is_a, whole
from .evaluation import LogLikelihood, evaluate
from .evaluation.batches import spaced
from .evaluation.one_pass import Batch, accumulate
from .run import Run

FIGURES = ("log_likelihood", "elbo", "sse")
IN_NATS = ("log_likelihood", "elbo")
PLAIN = (
    "name",
    "recipe",
    "n_parameters",
    "n_epochs",
    "n_components",
    "in_use",
    "data",
    "content",
    "is_discrete",
    "caveat",
)
Values = Float64[np.ndarray, " N"]


@dataclass(frozen=True)
class Difference:
    """Mean of a figure over rows, and how far it is from the reference's.

    Attributes
    ----------
    mean, error
        The mean over rows, and its standard error.
    difference, difference_error
        The mean of the differences of each row from the reference's, and its standard error, which
        is that of a paired comparison; None of the reference itself, and where rows or units are
        not the same.
    """

    mean: float
    error: float
    difference: float | None = None
    difference_error: float | None = None


@dataclass(frozen=True, eq=False)
class Compared:
    """A run's figures of each row of a split.

    Attributes
    ----------
    name
        The run folder, or the name given.
    recipe
        Name of its recipe.
    n_parameters, n_epochs
        Trained parameters of the model, and epochs of its own training.
    n_components, in_use
        Number of components, and of those that are neither dead, collapsed nor dropped.
    data
        Name of the data and of the split.
    content
        Hash of the rows, by which those of two runs are known to be the same.
    is_discrete
        Whether the likelihood is a probability; else it is a density.
    values
        By name, a figure of each row: ``log_likelihood`` and ``elbo`` in nats, of standardised
        tables in the units of the data, and ``sse``, the squared error of reconstructions at the
        means of the codes. What a model does not have is left out.
    weight
        Weights of the rows; None where all are 1.
    caveat
        Why log p(x) is not reliable, if so.
    """

    name: str
    recipe: str
    n_parameters: int
    n_epochs: int
    n_components: int
    in_use: int
    data: str
    content: str
    is_discrete: bool
    values: dict[str, Values]
    weight: Values | None = None
    caveat: str | None = None

    def why_not_with(self, other: "Compared", figure: str) -> str | None:
        """Why a figure of this run cannot be compared with another's; None where it can."""
        if self.content != other.content:
            return f"other rows than {other.name} (data, split, or how they are transformed)"
        if figure in IN_NATS and self.is_discrete != other.is_discrete:
            kinds = {True: "a probability", False: "a density"}
            return f"{kinds[self.is_discrete]}, and {other.name} has {kinds[other.is_discrete]}"
        return None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs side by side; ``str`` gives the table.

    Attributes
    ----------
    runs
        The runs.
    reference
        The number of the run that others are compared with.
    """

    runs: tuple[Compared, ...]
    reference: int = 0

    def figure(self, run: Compared, name: str) -> Difference | None:
        """A figure's mean, and its difference from the reference's.

        Parameters
        ----------
        run
            One of ``runs``.
        name
            One of ``log_likelihood``, ``elbo`` and ``sse``.

        Returns
        -------
        Difference or None
            None where the model does not have it.
        """
        if name not in run.values:
            return None
        other = self.runs[self.reference]
        mean, error = _mean(run.values[name], run.weight)
        if run is other or name not in other.values or run.why_not_with(other, name):
            return Difference(mean, error)
        paired = _mean(run.values[name] - other.values[name], run.weight)
        return Difference(mean, error, *paired)

    def notes(self) -> list[str]:
        """What cannot be compared, and what is not reliable, a line for each."""
        other, found = self.runs[self.reference], []
        for run in self.runs:
            names = [name for name in FIGURES if name in run.values]
            why = {name: run.why_not_with(other, name) for name in names}
            for reason in dict.fromkeys(filter(None, why.values())):
                found.append(f"{run.name}: no difference, as it is of {reason}")
            if run.caveat:
                found.append(f"{run.name}: log p(x) {run.caveat}")
        return found

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain values, for JSON."""
        rows = [{key: getattr(run, key) for key in PLAIN} for run in self.runs]
        for row, run in zip(rows, self.runs, strict=True):
            found = {name: self.figure(run, name) for name in FIGURES}
            row |= {name: vars(one) for name, one in found.items() if one is not None}
        return {"reference": self.runs[self.reference].name, "runs": rows, "notes": self.notes()}

    def __str__(self) -> str:
        """The table as aligned plain text."""
        from .report.comparison import text

        return text(self)


def compare(
    runs: Sequence[Run],
    data: Dataset | Sequence[Dataset],
    *,
    split: Literal["train", "val", "test"] = "test",
    log_likelihood: int = 0,
    n_test: int | None = None,
    reference: int = 0,
    batch_size: int = 500,
    seed: int = 0,
    progress: bool = False,
) -> Comparison:
    """Compare trained runs on the rows of a split, by paired differences.

    Parameters
    ----------
    runs
        From :func:`mixvae.fit` or :func:`mixvae.load`.
    data
        The data of all runs, or those of each, where they are transformed in different ways.
    split
        Which of their rows.
    log_likelihood
        Importance samples for each row's log p(x), such as 5,000; 0 leaves it out, as it is slow.
    n_test
        Use so many rows only, evenly spaced; by default all.
    reference
        The number of the run that others are compared with.
    batch_size
        Rows at a time.
    seed
        Seed of the noise, which is the same for all runs.
    progress
        Show a progress bar while log p(x) is estimated.

    Returns
    -------
    Comparison
        Print it, or see ``mixvae.report.comparison`` for CSV and HTML.

    Raises
    ------
    MixvaeError
        For fewer than two runs, data for another number of runs or of another shape, or a run
        without log p(x) where it is asked for.

    Examples
    --------
    >>> import mixvae, tempfile
    >>> data = mixvae.data.load("digits").subset(64)
    >>> quick = {"max_epochs": 1, "batch_size": 32, "pictures": False, "progress": False}
    >>> with tempfile.TemporaryDirectory() as out:
    ...     runs = [
    ...         mixvae.fit(mixvae.build(name, data), data, out=f"{out}/{name}", **quick)
    ...         for name in ("vae", "m-vae")
    ...     ]
    >>> found = mixvae.compare(runs, data)
    >>> [run.recipe for run in found.runs]
    ['vae', 'm-vae']
    """
    if len(runs) < 2:
        raise MixvaeError(f"compare at least two runs; got {len(runs)}.")
    each = [data] * len(runs) if isinstance(data, Dataset) else list(data)
    if len(each) != len(runs):
        raise MixvaeError(f"data must be one Dataset, or {len(runs)}, one a run; got {len(each)}.")
    whole(0, len(runs) - 1, reference=reference)
    found = []
    for run, own in zip(runs, each, strict=True):
        is_a(Run, "such as mixvae.load(folder)", run=run)
        found.append(
            figures(
                run,
                own.seen(split),
                f"{own.name}, {split}",
                own.transform,
                log_likelihood,
                n_test=n_test,
                batch_size=batch_size,
                seed=seed,
                progress=progress,
            )
        )
    return Comparison(tuple(found), reference)


def figures(
    run: Run,
    split: Split,
    data: str,
    transform: AnyTransform,
    log_likelihood: int = 0,
    *,
    n_test: int | None = None,
    batch_size: int = 500,
    seed: int = 0,
    progress: bool = False,
) -> Compared:
    """A run's figures of each row, as :func:`compare` needs them.

    Parameters
    ----------
    run
        A trained run.
    split
        The rows.
    data
        Their name.
    transform
        How they were made of stored values.
    log_likelihood, n_test, batch_size, seed, progress
        As of :func:`compare`.
    """
    some = spaced(split, n_test)
    kept: list[LogLikelihood] = []
    metrics = evaluate(
        run.recipe,
        some,
        metrics=["health"],
        log_likelihood=log_likelihood,
        batch_size=batch_size,
        seed=seed,
        progress=progress,
        keep=kept.append,
    )
    each = _EachRow(run)
    weight = None if some.weight is None else some.weight.double().numpy()
    model = run.recipe.model
    y = model.labels.of(some)
    accumulate(model, some.x, y, [each], batch_size=batch_size, seed=seed)
    values = each.values
    if kept:
        values["log_likelihood"] = kept[0].log_prob.double().numpy()
    if isinstance(transform, Standardization):
        shift = transform.log_scales(some.x)
        values |= {name: values[name] - shift for name in IN_NATS if name in values}
    health = metrics["health"]
    out_of_use = {k for state in ("dead", "collapsed", "dropped") for k in health[state]}
    return Compared(
        name=str(run.folder),
        recipe=run.recipe.name,
        n_parameters=run.recipe.n_parameters,
        n_epochs=int(
            max([row["epoch"] for row in run.history if row["phase"] == "main"], default=0)
        ),
        n_components=run.recipe.n_components,
        in_use=run.recipe.n_components - len(out_of_use),
        data=data,
        content=some.content_hash,
        is_discrete=model.decoder.likelihood.is_discrete,
        values=values,
        weight=weight,
        caveat=kept[0].caveat if kept else None,
    )


class _EachRow:
    """Accumulator of the bound and the squared error of each row."""

    def __init__(self, run: Run) -> None:
        self.recipe = run.recipe
        self.parts: dict[str, list[Tensor]] = {}

    def add(self, batch: Batch) -> None:
        errors = (batch.x - batch.reconstruction).masked_fill(batch.x.isnan(), 0).square()
        self._keep("sse", errors.flatten(1).sum(1))
        if self.recipe.bound is not None:
            terms = self.recipe.bound(batch.trace(self.recipe.objective.n_samples))
            self._keep("elbo", torch.stack(list(terms.values())).double().sum(0))

    def _keep(self, name: str, value: Tensor) -> None:
        self.parts.setdefault(name, []).append(value.double().cpu())

    @property
    def values(self) -> dict[str, Values]:
        return {name: torch.cat(parts).numpy() for name, parts in self.parts.items()}

    def result(self) -> dict[str, Values]:
        return self.values


def _mean(values: Values, weight: Values | None) -> tuple[float, float]:
    """The weighted mean, and its standard error over rows; NaN of one row."""
    w = np.ones(len(values)) if weight is None else weight
    w, mean = w / w.sum(), float(np.average(values, weights=w))
    n = len(values)
    spread = float((w**2 * (values - mean) ** 2).sum())
    return mean, sqrt(spread * n / (n - 1)) if n > 1 else float("nan")
