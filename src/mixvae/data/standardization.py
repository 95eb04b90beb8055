"""Standardisation of real-valued tables by mean and standard deviation of the training rows."""

import warnings
from dataclasses import asdict, dataclass
from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.errors import MixvaeError, MixvaeWarning, is_number, shown

from .columns import check_finite, named
from .dependence import dependent_columns, discrete_columns
from .sources import Source
from .survey import Survey
from .transform import all_text


@dataclass(frozen=True)
class Standardization:
    """Standardisation of the columns of a table, the same for all data of a run.

    x is (value - mean) / scale. A column that has one value in the training rows has no density: it
    is left out of x, whatever it holds in other rows, and log p(x) is that of the columns kept.
    A missing value is NaN, and remains so; means and scales are those of the observed values.

    Attributes
    ----------
    columns
        Names of the D columns, or None where the source has none.
    mean
        Means of the training rows, D of them; of a constant column, its value.
    scale
        Standard deviations of the training rows (with divisor N); of a constant column, 0.
    constant
        Which columns have one value in the training rows.

    Raises
    ------
    MixvaeError
        For lengths that differ, numbers that are not finite, and a scale that is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from mixvae.data import Standardization
    >>> one = Standardization.of(np.array([[1.0, 10.0], [3.0, 30.0]]), ("a", "b"))
    >>> one.mean, one.scale
    ((2.0, 20.0), (1.0, 10.0))
    >>> one.apply(np.array([[1, 20]]))
    tensor([[-1.,  0.]])
    """

    columns: tuple[str, ...] | None
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    constant: tuple[bool, ...]

    def __post_init__(self) -> None:
        """Check the values, which may come from a damaged file."""
        sizes = {len(self.mean), len(self.scale), len(self.constant)}
        sizes |= set() if self.columns is None else {len(self.columns)}
        numbers = all(is_number(v) and isfinite(v) for v in (*self.mean, *self.scale))
        kept = [s for s, c in zip(self.scale, self.constant, strict=False) if not c]
        names = all_text(self.columns or ())
        flags = all(isinstance(c, bool) for c in self.constant)
        if not (len(sizes) == 1 and numbers and names and flags and kept and min(kept) > 0):
            raise MixvaeError(
                "a data set's transform must have a name, a finite mean, a positive scale and "
                "whether it is constant for each column, and one column that is not constant; got "
                f"{shown(self)}."
            )

    @classmethod
    def of(
        cls,
        rows: np.ndarray,
        columns: tuple[str, ...] | None = None,
        *,
        where: str = "x",
        weight: np.ndarray | None = None,
    ) -> "Standardization":
        """Choose the standardisation of a table by its training rows.

        Warns (`MixvaeWarning`) of missing values, of constant columns, and of columns that are
        linear combinations of others (``data.dependence.dependent_columns``), whose
        density has no upper end.

        Parameters
        ----------
        rows
            Training rows, shape (N, D), NaN where values are missing.
        columns
            Names of the columns.
        where
            The name of the table in messages.
        weight
            Weights of the rows, shape (N,), for weighted means and standard deviations.

        Returns
        -------
        Standardization
            For all splits, and for new data.

        Raises
        ------
        MixvaeError
            For infinite values, columns without a value, values whose standard deviation is not a
            positive float64, and where all columns are constant.
        """
        check_finite(rows, columns, where, missing=True)
        x = rows.astype(np.float64)
        if weight is not None:  # rows of weight 0 say nothing, not even that a column varies
            x, weight = x[weight > 0], weight[weight > 0]
        warn_of_missing(x, columns, where)
        least = np.nanmin(x, 0)
        constant = least == np.nanmax(x, 0)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, scale = _moments(x, weight)
        mean = np.where(constant, least, mean)
        one = cls._checked(mean, scale, constant, len(x), columns, where)
        one._warn(x, len(x), where)
        return one

    @classmethod
    def of_survey(
        cls, source: Source, found: Survey, train: np.ndarray, *, where: str = "x"
    ) -> "Standardization":
        """Choose the standardisation of a source by the statistics of its training rows.

        Parameters
        ----------
        source
            The rows.
        found
            From ``data.survey.survey``.
        train
            Numbers of the training rows, of which some are searched for columns that are linear
            combinations of others.
        where
            The name of the table in messages.

        Returns
        -------
        Standardization
            As from :meth:`of`, but for rounding.

        Raises
        ------
        MixvaeError
            As :meth:`of`.
        """
        constant = found.constant
        mean = np.where(constant, found.low, found.mean)
        one = cls._checked(mean, found.scale, constant, found.n, source.columns, where)
        n = min(len(train), max(source.chunk, 2 * source.shape[1]))
        some = source.read(train[np.arange(n) * len(train) // n])
        one._warn(some.astype(np.float64), found.n, where)
        return one

    @classmethod
    def _checked(
        cls,
        mean: np.ndarray,
        scale: np.ndarray,
        constant: np.ndarray,
        n: int,
        columns: tuple[str, ...] | None,
        where: str,
    ) -> "Standardization":
        scale = np.where(constant, 0.0, scale)
        if constant.all():
            raise MixvaeError(
                f"{where}: all {len(constant)} columns have only one value in the {n} "
                "training rows, which leaves nothing to model; give columns that vary."
            )
        wrong = ~np.isfinite(mean) | ~np.isfinite(scale) | ((scale == 0) & ~constant)
        if wrong.any():
            raise MixvaeError(
                f"{where}: {named(columns, np.flatnonzero(wrong))} cannot be standardised, as the "
                "values are too large or too close; change the unit."
            )
        return cls(columns, tuple(mean.tolist()), tuple(scale.tolist()), tuple(constant.tolist()))

    def _warn(self, x: np.ndarray, n: int, where: str) -> None:
        constant = np.flatnonzero(self.constant)
        if constant.size:
            warnings.warn(
                f"{where}: {named(self.columns, constant)} left out, with only one value in the "
                f"{n} training rows; log p(x) is that of the other columns.",
                MixvaeWarning,
                stacklevel=4,
            )
        complete = x[~np.isnan(x).any(1)]
        dependent = np.flatnonzero(self._kept)[dependent_columns(self.to_float64(complete).numpy())]
        if dependent.size:
            warnings.warn(
                f"{where}: {named(self.columns, dependent)} can be computed from the others by "
                "linear combination (copies, sums, a column of 0 and 1 for each category), so that "
                "log p(x) has no upper limit; leave redundant columns out.",
                MixvaeWarning,
                stacklevel=4,
            )
        discrete = np.setdiff1d(discrete_columns(x), constant)
        if discrete.size:
            warnings.warn(
                f"{where}: {named(self.columns, discrete)}: few distinct values, each in many "
                "rows, so that a normal density of them has no upper limit; a likelihood of their "
                "own is for such columns (ordinal, categorical, bernoulli, poisson).",
                MixvaeWarning,
                stacklevel=4,
            )

    @cached_property
    def _kept(self) -> np.ndarray:
        return ~np.array(self.constant)

    @property
    def kept_columns(self) -> tuple[str, ...] | None:
        """Names of the columns of x, which are not constant; None where columns have no names."""
        if self.columns is None:
            return None
        return tuple(n for n, c in zip(self.columns, self.constant, strict=True) if not c)

    @property
    def log_scale(self) -> float:
        """Sum of the logarithms of the scales of the columns kept.

        log p(x) in stored units is that of standardised values minus this.
        """
        return float(np.log(np.array(self.scale)[self._kept]).sum())

    def log_scales(self, x: Any) -> np.ndarray:
        """Sum of the logarithms of the scales of the observed columns of each row.

        Parameters
        ----------
        x
            Standardised rows (N, D), NaN where values are missing, or `Rows`.

        Returns
        -------
        numpy.ndarray
            float64, shape (N,): ``log_scale`` for a row in which nothing is missing.
        """
        if not isinstance(
            x, Tensor
        ):  # rows that are read when needed, whose values are not missing
            return np.full(len(x), self.log_scale)
        each = np.log(np.array(self.scale)[self._kept])
        return np.asarray(self.log_scale - x.isnan().cpu().double().numpy() @ each)

    def to_float64(self, array: np.ndarray) -> Float[Tensor, "N D"]:
        """Standardise rows in double precision, as for log p(x).

        Parameters
        ----------
        array
            Stored values, shape (N, D) with all columns.

        Returns
        -------
        Tensor
            float64, shape (N, number of columns kept).

        Raises
        ------
        MixvaeError
            For another shape.
        """
        if array.ndim != 2 or array.shape[1] != len(self.mean):
            raise MixvaeError(
                f"expected rows of {len(self.mean)} columns, as in training, got shape "
                f"{array.shape}; give all columns of the training data, in the same order."
            )
        mean, scale = np.array(self.mean)[self._kept], np.array(self.scale)[self._kept]
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused later
            return torch.from_numpy((array[:, self._kept].astype(np.float64) - mean) / scale)

    def apply(self, array: np.ndarray) -> Float[Tensor, "N D"]:
        """Standardise rows, as a model sees them.

        Parameters
        ----------
        array
            Stored values, shape (N, D) with all columns.

        Returns
        -------
        Tensor
            float32, shape (N, number of columns kept), computed in float64.
        """
        return self.to_float64(array).float()

    def invert(self, x: Tensor) -> np.ndarray:
        """Stored units of standardised values; constant columns have the value of training.

        Parameters
        ----------
        x
            Standardised values, shape (..., number of columns kept).

        Returns
        -------
        numpy.ndarray
            float64, shape (..., D): all columns in order.
        """
        return self.unscale(x)

    def unscale(self, x: Tensor) -> np.ndarray:
        """As :meth:`invert`, and numbers for every kind of column.

        Parameters
        ----------
        x
            Standardised values, shape (..., number of columns kept).

        Returns
        -------
        numpy.ndarray
            float64, shape (..., D): all columns in order.
        """
        values = x.detach().cpu().double().numpy()
        stored = np.tile(np.array(self.mean), (*values.shape[:-1], 1))
        stored[..., self._kept] += values * np.array(self.scale)[self._kept]
        return stored

    def to_dict(self) -> dict[str, Any]:
        """The values by name, for ``data.json``; floats are read back exactly."""
        values = asdict(self)
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}

    def __str__(self) -> str:
        """A few words for messages."""
        left_out = f", {n} constant left out" if (n := sum(self.constant)) else ""
        return f"{len(self.mean) - n} columns standardised{left_out}"


def warn_of_missing(x: np.ndarray, columns: tuple[str, ...] | None, where: str) -> None:
    """Warn of missing values (NaN) among training rows; raise for a column without any other."""
    missing = np.isnan(x)
    if (empty := missing.all(0)).any():
        raise MixvaeError(
            f"{where}: all values of {named(columns, np.flatnonzero(empty))} are "
            f"missing in the {len(x)} training rows; leave out what has none."
        )
    if missing.any():
        warnings.warn(
            f"{where}: {int(missing.sum()):,} of {x.size:,} values are missing, in "
            f"{named(columns, np.flatnonzero(missing.any(0)))}; they are taken to be "
            "missing at random.",
            MixvaeWarning,
            stacklevel=4,
        )


def _moments(x: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, over its observed values."""
    observed = ~np.isnan(x)
    if weight is None and observed.all():
        return x.mean(0), x.std(0)
    w = observed * (1.0 if weight is None else weight[:, None])
    x = np.where(observed, x, 0)
    mean = (w * x).sum(0) / w.sum(0)
    return mean, np.sqrt((w * np.square(x - mean)).sum(0) / w.sum(0))
