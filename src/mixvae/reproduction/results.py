"""Results of an experiment: the figures of its rows, over seeds, as far as they exist."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean, stdev
from typing import Any

from mixvae.data import Dataset
from mixvae.errors import MixvaeError
from mixvae.experiments.item import Column, Item, Protocol, Row
from mixvae.run import Run

from .cache import Cache
from .jobs import Job


@dataclass(frozen=True)
class Cell:
    """A figure of a row: its values by seed, or the one text that it is.

    Parameters
    ----------
    values
        A value for each seed; a list of numbers, one for each component, is of the first seed.
    digits
        Digits after the point.
    """

    values: Sequence[float | Sequence[float | None]]
    digits: int

    @property
    def numbers(self) -> list[float]:
        """The values that are numbers."""
        return [float(value) for value in self.values if isinstance(value, int | float)]

    def __str__(self) -> str:
        """Mean and standard deviation over seeds; components of the first seed; "" for nothing."""
        if not self.values:
            return ""
        if not self.numbers:
            return listed(self.values[0], self.digits)
        if len(self.numbers) == 1:
            return f"{self.numbers[0]:.{self.digits}f}"
        return f"{self.mean} ± {stdev(self.numbers):.{self.digits}f}"

    @property
    def mean(self) -> str:
        """The mean over seeds; components of the first seed."""
        return f"{mean(self.numbers):.{self.digits}f}" if self.numbers else str(self)

    @property
    def deviation(self) -> str:
        """The standard deviation over seeds, where there are two or more."""
        return f"{stdev(self.numbers):.{self.digits}f}" if len(self.numbers) > 1 else ""


@dataclass(frozen=True)
class Results:
    """What exists of an item under a protocol.

    Parameters
    ----------
    item
        The item.
    protocol
        One of its protocols.
    n_seeds
        Number of seeds that were asked for.
    cache
        Where runs and figures are.
    """

    item: Item
    protocol: Protocol
    n_seeds: int
    cache: Cache

    @cached_property
    def figures(self) -> dict[str, list[dict[str, Any]]]:
        """Figures by the row's name, one for each seed that there is."""
        found = {}
        for row in self.item.rows:
            if not self.is_quoted(row):
                jobs = (Job(self.item, self.protocol, row, n) for n in range(self.n_seeds))
                seeds = map(self._figures, jobs)
                found[row.name] = [figures for figures in seeds if figures is not None]
        return found

    @property
    def trained(self) -> list[Row]:
        """The rows that have been trained and measured, with one seed or more."""
        return [row for row in self.item.rows if self.figures.get(row.name)]

    def is_quoted(self, row: Row) -> bool:
        """Whether only the paper's figures of a row are shown."""
        return row.recipe is None or row.name in self.protocol.quoted

    def run(self, row: Row) -> Run:
        """The run of a row, with the first seed that there is."""
        return self.cache.run(self.job(row))

    def data(self, row: Row) -> Dataset:
        """The data of a row."""
        return self.cache.dataset(Job(self.item, self.protocol, row, 0).data)

    def job(self, row: Row) -> Job:
        """The job of a row, with the first seed that is trained and measured, else 0."""
        seeds = self.figures.get(row.name)
        seed = seeds[0]["spec"]["spec"]["training"]["seed"] if seeds else 0
        return Job(self.item, self.protocol, row, seed)

    def cell(self, row: Row, column: Column) -> Cell:
        """A row's figure."""
        seeds = self.figures.get(row.name, [])
        values = [value_at(figures, column.path) for figures in seeds]
        return Cell([value for value in values if _is_figure(value)], column.digits)

    def is_unreliable(self, row: Row, column: Column) -> bool:
        """Whether the figure is a log p(x) that is marked as unreliable."""
        if not column.path.startswith("log_likelihood."):
            return False
        estimates = [figures.get("log_likelihood") or {} for figures in self.figures[row.name]]
        return any(estimate.get("reliable") is False for estimate in estimates)

    def _figures(self, job: Job) -> dict[str, Any] | None:
        try:
            return self.cache.figures(job)
        except MixvaeError:  # the data are missing
            return None


def value_at(figures: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path; None where there is none."""
    value: Any = figures
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _is_figure(value: Any) -> bool:
    """Whether a value is a number, or a list of numbers and of None."""
    if isinstance(value, list):
        return all(v is None or isinstance(v, int | float) for v in value)
    return isinstance(value, int | float)


def listed(values: Any, digits: int) -> str:
    """A list in one cell; a dash for what is not a number."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        return str(values)
    return " ".join(f"{v:.{digits}f}" if isinstance(v, int | float) else "-" for v in values)
