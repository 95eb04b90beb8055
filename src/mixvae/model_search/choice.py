"""Trials compared with the best one, and the one-standard-error rule for the number of components.

The rule is that of Breiman et al. (1984, Section 3.4.3), with the error of the paired difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any

import numpy as np
from jaxtyping import Float64

from .measure import WEIGHT, Measured
from .metric import Target
from .space import Point, in_words

Values = Float64[np.ndarray, " N"]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A finished trial: its figures, one for each seed.

    Parameters
    ----------
    number
        Of the trial.
    options
        Its point of the space.
    measured
        Figures by seed.
    """

    number: int
    options: Point
    measured: Sequence[Measured]

    @property
    def value(self) -> float:
        """The mean over seeds of the figure that is compared."""
        return float(np.mean([one.value for one in self.measured]))

    @property
    def n_components(self) -> int:
        """Number K of components."""
        return self.measured[0].n_components

    @property
    def seed_error(self) -> float:
        """Standard error over seeds; NaN of one seed."""
        return over_seeds([one.value for one in self.measured])

    def rows(self, name: str) -> Values | None:
        """A figure of each row, the mean over seeds; None where there is none."""
        if any(name not in one.rows for one in self.measured):
            return None
        return np.asarray(np.mean([one.rows[name] for one in self.measured], axis=0))

    @property
    def weight(self) -> Values | None:
        """The weights of the rows."""
        return self.measured[0].rows.get(WEIGHT)

    def mean(self, name: str) -> tuple[float, float] | None:
        """The mean of a figure of rows, and its standard error over rows and over seeds."""
        rows = self.rows(name)
        if rows is None:
            return None
        mean, error = weighted_mean(rows, self.weight)
        of_seeds = [weighted_mean(one.rows[name], self.weight)[0] for one in self.measured]
        return mean, combined(error, over_seeds(of_seeds))


@dataclass(frozen=True)
class Estimate:
    """A trial's figure, and how far it is from the best trial's.

    Attributes
    ----------
    number
        Of the trial.
    options
        Its point of the space.
    n_components
        Number K of components.
    value, error
        The figure of validation rows, and its standard error; None where it cannot be known.
    difference, difference_error
        How much worse the figure is than the best, and the standard error, paired by row where
        there are figures of rows; None of the best.
    """

    number: int
    options: Point
    n_components: int
    value: float
    error: float | None
    difference: float | None = None
    difference_error: float | None = None

    @property
    def is_near(self) -> bool:
        """Whether it is the best, or at most one standard error worse."""
        if self.difference is None:
            return True
        return self.difference_error is not None and self.difference <= self.difference_error


@dataclass(frozen=True)
class Chosen:
    """What a search chose, and why.

    Attributes
    ----------
    best
        Number of the trial with the best figure.
    pick
        Number of the trial that is chosen.
    estimates
        Of all trials, from the best to the worst.
    reason
        Why, in a sentence or two.
    """

    best: int
    pick: int
    estimates: list[Estimate]
    reason: str

    def of(self, number: int) -> Estimate:
        """The estimate of a trial."""
        return next(one for one in self.estimates if one.number == number)

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return vars(self) | {"estimates": [vars(one) for one in self.estimates]}


def choose(
    candidates: Sequence[Candidate], target: Target, *, one_standard_error: bool = True
) -> Chosen:
    """The best trial, and the one with the fewest components within a standard error of it.

    Parameters
    ----------
    candidates
        Finished trials, at least one.
    target
        The figure that they are compared by.
    one_standard_error
        Whether fewer components are preferred within one standard error; else the best is taken.

    Returns
    -------
    Chosen
        Of several trials with as many components, the best is taken.
    """
    ordered = sorted(candidates, key=lambda one: (-target.sign * one.value, one.number))
    best = ordered[0]
    estimates = [_estimate(one, best, target) for one in ordered]
    by_number = {one.number: one for one in estimates}
    by_k: dict[int, Estimate] = {}
    for one in estimates:  # the best of each K comes first
        by_k.setdefault(one.n_components, one)
    top = by_number[best.number]
    pick = top
    if one_standard_error:
        pick = min((e for e in by_k.values() if e.is_near), key=lambda e: e.n_components)
    several = len(best.measured) > 1
    reason = _reason(pick, top, by_k, target, one_standard_error, several=several)
    return Chosen(best.number, pick.number, estimates, reason)


def _estimate(one: Candidate, best: Candidate, target: Target) -> Estimate:
    name = target.name
    own = one.mean(name) if target.by_row else (one.value, one.seed_error)
    assert own is not None, "a figure of rows that was compared"
    value, error = own
    plain = (one.number, one.options, one.n_components, value, _known(error))
    if one is best:
        return Estimate(*plain)
    worse = target.sign * (best.value - one.value)
    seeds = combined(one.seed_error, best.seed_error)
    mine, its = one.rows(name), best.rows(name)
    if target.by_row and mine is not None and its is not None:
        paired = weighted_mean(target.sign * (its - mine), one.weight)[1]
        return Estimate(*plain, worse, _known(combined(paired, seeds)))
    return Estimate(*plain, worse, _known(seeds))


def _reason(
    pick: Estimate,
    best: Estimate,
    by_k: dict[int, Estimate],
    target: Target,
    rule: bool,
    *,
    several: bool,
) -> str:
    """Why a trial was chosen, and what its error leaves out."""
    name, label = f"K = {best.n_components}", target.label
    left_out = "Errors are over rows and seeds."
    if not several:
        left_out = "With one seed the errors are over rows, and leave out how trainings differ."
    if len(by_k) == 1 or not rule:
        return f"Trial {best.number} ({in_words(best.options)}) has the best {label}. {left_out}"
    others = [one for one in by_k.values() if one is not best]
    if all(one.difference_error is None for one in others):
        return (
            f"{name} has the best {label}; one seed gives no standard error of it, so that smaller "
            "K cannot be told from it. Give several: --seeds 0 1 2."
        )
    if pick is not best:
        return (
            f"K = {pick.n_components} is the smallest K within one standard error of the best, "
            f"{name}: its {label} is {_gap(pick)} worse. {left_out}"
        )
    if best.n_components == min(by_k):
        return f"{name} has the best {label}, and is the smallest K that was tried. {left_out}"
    smaller = [one for one in others if one.n_components < best.n_components]
    near = min(smaller, key=lambda one: one.difference or 0.0)
    why = (
        f"{name} has the best {label}, and no smaller K is within one standard error of it: "
        f"K = {near.n_components} comes closest, {_gap(near)} worse."
    )
    if best.n_components == max(by_k):
        why += " It is the largest K that was tried; larger ones may be better."
    return f"{why} {left_out}"


def _gap(one: Estimate) -> str:
    return f"{one.difference:.2f} ± {one.difference_error:.2f}"


def weighted_mean(values: Values, weight: Values | None = None) -> tuple[float, float]:
    """The weighted mean of values, and its standard error; NaN of one.

    Parameters
    ----------
    values
        One for each row.
    weight
        Of the rows; None where all are alike.

    Returns
    -------
    mean, error
        In the units of the values.
    """
    w = np.ones(len(values)) if weight is None else weight
    w, n = w / w.sum(), len(values)
    mean = float(w @ values)
    if n < 2:
        return mean, float("nan")
    return mean, float(sqrt(n / (n - 1) * np.square(w * (values - mean)).sum()))


def combined(*errors: float) -> float:
    """The error of several independent ones, without those that are not known."""
    known = [error for error in errors if isfinite(error)]
    return sqrt(sum(error**2 for error in known)) if known else float("nan")


def over_seeds(values: Sequence[float]) -> float:
    """The standard error of the mean over seeds; NaN of one."""
    n = len(values)
    return float(np.std(values, ddof=1) / sqrt(n)) if n > 1 else float("nan")


def _known(error: float) -> float | None:
    return error if isfinite(error) else None
