"""Metrics: their accumulators, where they apply, and the names of their values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mixvae.data.rows import TensorOrRows
from mixvae.recipes.building import BuiltRecipe

from .feature_network import FeatureNetwork
from .marginal_likelihood.log_likelihood import LogLikelihood, Method
from .one_pass import Accumulator, Averages, Values


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Arguments of :func:`~mixvae.evaluation.evaluate`, as a metric's functions receive them."""

    recipe: BuiltRecipe
    x: TensorOrRows
    y: Tensor | None = None
    log_likelihood: int = 0
    method: Method = "defensive"
    n_steps: int = 1000
    batch_size: int = 500
    seed: int = 0
    progress: bool = False
    keep: Callable[[LogLikelihood], object] | None = None
    features: FeatureNetwork | None = None
    n_permutations: int = 0
    weight: Tensor | None = None
    read: Tensor | None = None  # labels that the model reads: classes, or batches


@dataclass(frozen=True)
class Figure:
    """One of the values of a metric, as it is shown in tables.

    Parameters
    ----------
    label
        Name in the report; without one it is not in the plain tables.
    higher_is_better
        None where neither is better.
    column
        Name in the tables of experiments, or None to leave it out of them.
    digits
        Digits after the point in these tables.

    Examples
    --------
    >>> Figure("KL (nats)", digits=1).cell([2.345, None])
    '2.3 -'
    """

    label: str = ""
    higher_is_better: bool | None = None
    column: str | None = None
    digits: int = 2

    def cell(self, value: Any) -> str:
        """Text of a value in a table; numbers of a list are separated by spaces, None is a dash."""
        if isinstance(value, Sequence):
            return " ".join("-" if v is None else f"{v:.{self.digits}f}" for v in value)
        return "" if value is None else f"{value:.{self.digits}f}"


@dataclass(frozen=True)
class Metric:
    """Metric of a run: one value, or several that are computed together.

    Parameters
    ----------
    name
        Key in ``metrics.json``.
    compute
        Function of a :class:`Subject` that returns a new accumulator, to which all batches are
        added.
    label
        Name in the report, of a row or above the rows of ``figures``.
    higher_is_better
        None where neither is better, or where ``figures`` have directions of their own.
    applies
        Whether the metric exists for a subject; by default always.
    figures
        The values of an accumulator whose result is a mapping, by key; that of a mapping in it is
        ``outer.inner``.
    needs
        What to ask for, of a metric that is computed only if it is asked for: a sentence.
    by_default
        Whether it is computed where no metrics are named.
    weighted
        Whether the accumulator takes weights of rows into account, as one of :func:`mean_of` does.
        Others are left out for data with weights.

    Examples
    --------
    >>> def absolute_error(batch):
    ...     return (batch.x - batch.reconstruction).abs().flatten(1).sum(1)
    >>> metric = Metric("mae", mean_of(absolute_error), "absolute error", higher_is_better=False)
    >>> metric.direction()
    'lower is better'
    """

    name: str
    compute: Callable[[Subject], Accumulator]
    label: str
    higher_is_better: bool | None = None
    applies: Callable[[Subject], bool] = lambda subject: True
    figures: Mapping[str, Figure] = field(default_factory=dict)
    needs: str = ""
    by_default: bool = True
    weighted: bool = False

    @property
    def all_figures(self) -> Mapping[str, Figure]:
        """Figures by key; a metric of one value is its only figure."""
        only = Figure(self.label, self.higher_is_better, self.name, 3)
        return self.figures or {self.name: only}

    def direction(self) -> str:
        """Text "higher is better" or "lower is better", empty unless all figures agree."""
        better = {figure.higher_is_better for figure in self.all_figures.values()} - {None}
        if len(better) != 1:
            return ""
        return "higher is better" if better.pop() else "lower is better"


def by_key(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a metric by the keys of its figures: ``outer.inner`` in a nested mapping.

    Parameters
    ----------
    values
        Result of an accumulator.

    Returns
    -------
    values
        The same values in one mapping.

    Examples
    --------
    >>> by_key({"n": 5, "samples": {"fid": 1.5}})
    {'n': 5, 'samples.fid': 1.5}
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        inner = by_key(value) if isinstance(value, Mapping) else None
        flat |= {key: value} if inner is None else {f"{key}.{k}": v for k, v in inner.items()}
    return flat


def mean_of(values: Values) -> Callable[[Subject], Accumulator]:
    """Argument ``compute`` of a :class:`Metric` that is a mean over x.

    Parameters
    ----------
    values
        Function of a :class:`Batch` that returns one value for each x, (B,).

    Returns
    -------
    compute
        Function that returns a new accumulator of the mean.
    """
    return lambda subject: Averages(values)
