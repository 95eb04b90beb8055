"""Figures of a trained run on validation rows, and the CSV files that keep those of each row."""

import csv
import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from mixvae.comparison import FIGURES, figures
from mixvae.data import Dataset, Split
from mixvae.data.transform_record import AnyTransform
from mixvae.errors import MixvaeError
from mixvae.evaluation import evaluate
from mixvae.evaluation.batches import spaced
from mixvae.evaluation.metric import by_key
from mixvae.recipes.building import BuiltRecipe
from mixvae.run import Run
from mixvae.storage.files import write_text
from mixvae.storage.reading import MAX_JSON, read_text

from .metric import AUTO, BY_ROW, Target, target_of

N_SAMPLES = 500  # of each row's log p(x), where nothing is said
N_ROWS = 1000  # of validation data, as log p(x) takes some hundredths of a second each
TRIED_ROWS, TRIED_SAMPLES = 2, 2  # to see whether a metric exists
WEIGHT = "weight"
Rows = dict[str, Float64[np.ndarray, " N"]]


@dataclass(frozen=True, eq=False)
class Measured:
    """Figures of a run on some rows.

    Attributes
    ----------
    value
        The figure that is compared.
    n_components, in_use, effective_components
        Components, those that are neither dead, collapsed nor dropped, and the inverse of the sum
        of squared shares.
    shares
        Of the components.
    rows
        Of each row, what there is of ``log_likelihood``, ``elbo`` and ``sse``, and its weight if
        rows have some.
    caveat
        Why log p(x) is not reliable, if so.
    """

    value: float
    n_components: int
    in_use: int
    effective_components: float
    shares: list[float]
    rows: Rows
    caveat: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """All but the rows, in JSON's types."""
        return {name: value for name, value in vars(self).items() if name != "rows"}

    @classmethod
    def read(cls, content: Mapping[str, Any], path: Path) -> "Measured":
        """Figures that were kept, with the rows in a CSV file."""
        try:
            return cls(**content, rows=read_rows(path))
        except TypeError as error:
            raise MixvaeError(f"the kept figures of {path.stem} are not whole: {error}.") from error


@dataclass(frozen=True)
class Measure:
    """What is computed of a run.

    Parameters
    ----------
    target
        The figure that runs are compared by.
    n_samples
        Importance samples of each row's log p(x); 0 leaves it out.
    n_rows
        Use so many rows only, evenly spaced; by default all.
    """

    target: Target
    n_samples: int
    n_rows: int | None = None

    def __call__(self, run: Run, split: Split, transform: AnyTransform, name: str) -> Measured:
        """Compute it.

        Parameters
        ----------
        run
            A run with its model.
        split
            The rows.
        transform
            How they were made of stored values.
        name
            What they are called.

        Raises
        ------
        MixvaeError
            Where the metric does not exist for the model and these rows, or is not finite.
        """
        found = figures(run, split, name, transform, self.n_samples, n_test=self.n_rows)
        own, target = [] if self.target.by_row else [self.target.metric], self.target
        samples = self.n_samples if own == ["log_likelihood"] else 0
        metrics = evaluate(
            run.recipe,
            spaced(split, self.n_rows),
            metrics=["health", *own],
            log_likelihood=samples,
        )
        rows = dict(found.values)
        if target.by_row and target.name not in rows:
            raise MixvaeError(f"the model has no {target.label}.")
        value = _mean(rows[target.name], found.weight) if target.by_row else _value(metrics, target)
        health = metrics["health"]
        return Measured(
            value=value,
            n_components=found.n_components,
            in_use=found.in_use,
            effective_components=float(health["effective_components"]),
            shares=[float(share) for share in health["share"]],
            rows=rows if found.weight is None else rows | {WEIGHT: found.weight},
            caveat=found.caveat,
        )


def measure_of(
    metric: str,
    n_samples: int,
    n_rows: int | None,
    recipes: list[BuiltRecipe],
    data: Dataset,
) -> Measure:
    """The measure of a metric's name, after it was tried on untrained models and a few rows.

    Raises a MixvaeError where it cannot be computed; "auto" is log p(x) where there is one, else
    the bound, else the objective.
    """
    names = ["log_likelihood", "elbo", "bounds.objective"] if metric == AUTO else [metric]
    for name in names:
        target = target_of(name)
        wanted = n_samples or N_SAMPLES if target.metric == "log_likelihood" else n_samples
        for samples in dict.fromkeys((wanted, 0)):
            measure = Measure(target, samples, n_rows)
            try:
                for recipe in recipes:
                    _try(measure, recipe, data)
                return measure
            except MixvaeError as error:
                problem = error
            if target.metric == "log_likelihood":
                break
    recipe_name = recipes[0].name
    raise MixvaeError(
        f"the metric {names[-1]} cannot be computed of {recipe_name} on {data.name}: {problem} "
        f"There are, for some models: {', '.join(BY_ROW)}; mixvae evaluate --help lists all."
    ) from problem


def _try(measure: Measure, recipe: BuiltRecipe, data: Dataset) -> None:
    samples = min(measure.n_samples, max(TRIED_SAMPLES, recipe.n_components))
    quick = Measure(measure.target, samples, min(TRIED_ROWS, len(data.val)))
    with suppress(NotFiniteError):  # of an untrained model it may be
        quick(Run(Path(), recipe), data.seen("val"), data.transform, "val")


class NotFiniteError(MixvaeError):
    """Error for a figure that is NaN or infinite."""


def write_rows(path: Path, rows: Rows) -> None:
    """Write figures of each row as a CSV file, exactly, with its number first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", *rows])
    columns = [values.tolist() for values in rows.values()]
    writer.writerows([i, *map(repr, row)] for i, row in enumerate(zip(*columns, strict=True)))
    path.parent.mkdir(exist_ok=True)
    write_text(path, text.getvalue())


def read_rows(path: Path) -> Rows:
    """Figures of each row that :func:`write_rows` wrote; raises a MixvaeError for other content."""
    try:
        head, *lines = csv.reader(read_text(path, MAX_JSON).splitlines())
        if head[:1] != ["row"] or not set(head[1:]) <= {*FIGURES, WEIGHT}:
            raise ValueError(f"its columns are {', '.join(head)}")
        values = np.array([[float(v) for v in line] for line in lines])
        return {name: values[:, i] for i, name in enumerate(head) if i}
    except FileNotFoundError:
        raise MixvaeError(f"{path}, the figures of a trial's rows, is missing.") from None
    except (ValueError, IndexError) as error:
        raise MixvaeError(f"{path} holds no figures of a trial's rows: {error}.") from error


def _value(metrics: Mapping[str, Any], target: Target) -> float:
    found = metrics.get(target.metric)
    value = by_key(found).get(target.key) if isinstance(found, Mapping) else found
    if value is None:
        raise MixvaeError(f"there is no {target.name} of this model and these data.")
    return _finite(float(value))


def _mean(values: Float64[np.ndarray, " N"], weight: Float64[np.ndarray, " N"] | None) -> float:
    return _finite(float(np.average(values, weights=weight)))


def _finite(value: float) -> float:
    if not isfinite(value):
        raise NotFiniteError(f"the metric is {value}.")
    return value
