"""What a metric is: what computes it, where it applies, and what its figures are called."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mixvae.recipes.building import BuiltRecipe

from .log_likelihood import LogLikelihood
from .one_pass import Accumulator, Averages, Values


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is evaluated, and how: the arguments of :func:`mixvae.evaluation.evaluate`."""

    recipe: BuiltRecipe
    x: Tensor
    y: Tensor | None = None
    log_likelihood: int = 0
    batch_size: int = 500
    seed: int = 0
    progress: bool = False
    keep: Callable[[LogLikelihood], object] | None = None


@dataclass(frozen=True)
class Figure:
    """A figure of a metric that has several.

    Args:
        label: its name in the report; without one it is not in the plain tables.
        higher_is_better: None where neither is.
        column: its name in the tables of experiments, if it is there.
        digits: of these, after the point.
    """

    label: str = ""
    higher_is_better: bool | None = None
    column: str | None = None
    digits: int = 2

    def cell(self, value: Any) -> str:
        """A value in a table: a list's numbers side by side, a dash for what is no number there."""
        if isinstance(value, Sequence):
            return " ".join("-" if v is None else f"{v:.{self.digits}f}" for v in value)
        return "" if value is None else f"{value:.{self.digits}f}"


@dataclass(frozen=True)
class Metric:
    """A figure of a run, or several that are taken together.

    Args:
        name: its key in ``metrics.json``.
        compute: makes the accumulator that takes in the batches of the one pass over the data.
        label: its name in the report: of a row, or above the rows of its ``figures``.
        higher_is_better: None where neither is, or the ``figures`` say so each.
        applies: whether there is such a figure; by default always.
        figures: what the accumulator's result is made of, where that is a mapping.
    """

    name: str
    compute: Callable[[Subject], Accumulator]
    label: str
    higher_is_better: bool | None = None
    applies: Callable[[Subject], bool] = lambda subject: True
    figures: Mapping[str, Figure] = field(default_factory=dict)

    @property
    def all_figures(self) -> Mapping[str, Figure]:
        """Its figures by name; a metric of one number is its own."""
        alone = Figure(self.label, self.higher_is_better, self.name, 3)
        return self.figures or {self.name: alone}

    def direction(self) -> str:
        """Whether higher or lower is better, where all of its figures agree."""
        better = {figure.higher_is_better for figure in self.all_figures.values()} - {None}
        if len(better) != 1:
            return ""
        return "higher is better" if better.pop() else "lower is better"


def mean_of(values: Values) -> Callable[[Subject], Accumulator]:
    """What computes the mean over x of a function of a :class:`Batch` that gives (B,) values."""
    return lambda subject: Averages(values)
