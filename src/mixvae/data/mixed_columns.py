"""The transform of a table whose columns are of several kinds: real, counts, categories."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64
from torch import Tensor

from mixvae.errors import MixvaeError, MixvaeWarning, shown
from mixvae.likelihoods.columns import COUNTS, KINDS, OF_CATEGORIES, REAL

from .columns import check_observed, listed, named
from .counts import check_counts
from .frames import columns_of
from .raw_columns import Kinds, RawColumn, categories_of, kinds_by_name, raw_columns
from .standardization import Standardization, warn_of_missing
from .survey import Survey

Unseen = Literal["error", "missing"]  # what a category that training did not have is


@dataclass(frozen=True)
class MixedColumns(Standardization):
    """Conversion of the columns of a table to numbers, each as its likelihood needs it.

    Columns of real values are standardised, counts stay as they are, and categories become codes 0,
    1, ... A column that has one value in the training rows is left out, as in `Standardization`.
    A missing value, in a column of any kind, is NaN. log p(x) is a density of the real columns and
    a probability of the others.

    Attributes
    ----------
    columns, constant
        As of `Standardization`.
    mean, scale
        Of the D columns: 0 and 1 where a column is not of real values.
    kinds
        The name of each column's likelihood.
    categories
        Of each column, its categories in the order of their codes; () for numbers.

    Raises
    ------
    MixvaeError
        For values that do not belong together.

    Examples
    --------
    >>> import numpy as np
    >>> from mixvae.data import MixedColumns
    >>> x = np.array([[1.0, "red"], [3.0, "blue"], [2.0, "red"]], dtype=object)
    >>> mixed = MixedColumns.of(x, np.arange(3))
    >>> mixed.kinds, mixed.apply(x)[:, 1]
    (('normal', 'categorical'), tensor([1., 0., 1.]))
    >>> mixed.invert(mixed.apply(x))[:, 1].tolist()
    ['red', 'blue', 'red']
    >>> mixed.apply(np.array([[2.0, None]], dtype=object))
    tensor([[0., nan]])
    """

    kinds: tuple[str, ...]
    categories: tuple[tuple[Any, ...], ...]

    def __post_init__(self) -> None:
        """Check the values, which may come from a damaged file."""
        super().__post_init__()
        right = len(self.kinds) == len(self.categories) == len(self.mean)
        right = right and all(kind in KINDS for kind in self.kinds)
        each = zip(self.kinds, self.categories, self.constant, strict=False)
        for kind, own, constant in each if right else ():
            plain = all(isinstance(v, bool | int | float | str) for v in own)
            right &= plain and len(set(own)) == len(own)
            right &= bool(constant or kind not in OF_CATEGORIES or len(own) > 1)
        if not right:
            raise MixvaeError(
                "a data set's transform must have a likelihood and, of those with categories, "
                f"their names for each column; got {shown(self)}."
            )

    @classmethod
    def of(  # type: ignore[override]
        cls,
        table: Any,
        rows: np.ndarray,
        kinds: Kinds = "auto",
        *,
        where: str = "x",
        weight: np.ndarray | None = None,
    ) -> "MixedColumns":
        """Choose the conversion of a table.

        Parameters
        ----------
        table
            A frame, or an array of numbers or objects (N, D). Its types, and the categories in all
            of its rows, decide.
        rows
            The numbers of the training rows, by which real columns are standardised.
        kinds
            Likelihoods by the names of columns, or one for all. Of other columns, and with
            ``"auto"`` of all, types decide: truth values are bernoulli, ordered categories ordinal,
            other categories and text categorical, numbers normal.
        where
            The name of the table in messages.
        weight
            Weights of the training rows, for weighted means and standard deviations.

        Returns
        -------
        MixedColumns
            For all splits, and for new data.

        Raises
        ------
        MixvaeError
            For what a likelihood is not for, and columns without a value, with their names.
        """
        if weight is not None:  # rows of weight 0 say nothing, not even that a column varies
            rows, weight = rows[weight > 0], weight[weight > 0]
        raw, names = raw_columns(table, where), columns_of(table)
        asked = kinds_by_name(raw, kinds, where)
        chosen = tuple(asked.get(column.name, column.kind) for column in raw)
        categories = tuple(
            categories_of(column, kind, where, asked=column.name in asked)
            for column, kind in zip(raw, chosen, strict=True)
        )
        values = _numbers(raw, chosen, categories, where)
        check_observed(values, where)
        values = values[rows]
        warn_of_missing(values, names, where)
        least = np.nanmin(values, 0)
        constant = least == np.nanmax(values, 0)
        if constant.all():
            raise MixvaeError(
                f"{where}: all columns have only one value in the {len(values)} training rows, "
                "which leaves nothing to model; give columns that vary."
            )
        mean, scale = np.where(constant, least, 0.0), np.where(constant, 0.0, 1.0)
        real = np.flatnonzero(np.isin(chosen, REAL) & ~constant)
        if real.size:
            own = tuple(raw[i].name for i in real)
            with warnings.catch_warnings():  # of missing values it was warned
                warnings.filterwarnings("ignore", ".*missing at random", MixvaeWarning)
                standard = Standardization.of(values[:, real], own, where=where, weight=weight)
            mean[real], scale[real] = standard.mean, standard.scale
        if constant.any():
            _warn_left_out(names, constant, len(values), where)
        numbers = tuple(mean.tolist()), tuple(scale.tolist()), tuple(constant.tolist())
        return cls(names, *numbers, chosen, categories)

    @classmethod
    def of_counts(
        cls, found: Survey, kind: str, columns: tuple[str, ...] | None, *, where: str = "x"
    ) -> "MixedColumns":
        """The conversion of a table that is not in memory, whose columns are all counts.

        Parameters
        ----------
        found
            Statistics of its training rows.
        kind
            The likelihood of every column.
        columns
            Their names.
        where
            The name of the table in messages.

        Raises
        ------
        MixvaeError
            Where no column varies.
        """
        constant = found.constant
        if constant.all():
            raise MixvaeError(
                f"{where}: all columns have only one value in the {found.n} training rows, which "
                "leaves nothing to model; give columns that vary."
            )
        if constant.any():
            _warn_left_out(columns, constant, found.n, where)
        n = len(constant)
        mean, scale = np.where(constant, found.low, 0.0), np.where(constant, 0.0, 1.0)
        numbers = tuple(mean.tolist()), tuple(scale.tolist()), tuple(constant.tolist())
        return cls(columns, *numbers, (kind,) * n, ((),) * n)

    @cached_property
    def counts(self) -> str | None:
        """The likelihood of every column, where all are counts of the same one; otherwise None."""
        kinds = set(self.kinds)
        return self.kinds[0] if len(kinds) == 1 and kinds <= set(COUNTS) else None

    @property
    def kept_kinds(self) -> tuple[tuple[str, int], ...]:
        """The likelihood of each column of x, and its number of categories, else 1."""
        each = zip(self.kinds, self.categories, self.constant, strict=True)
        return tuple(
            (kind, len(own) if kind in OF_CATEGORIES else 1) for kind, own, left in each if not left
        )

    @cached_property
    def kept_categories(self) -> tuple[tuple[Any, ...], ...]:
        """The categories of each column of x."""
        each = zip(self.categories, self.constant, strict=True)
        return tuple(own for own, left in each if not left)

    def to_float64(
        self, table: Any, where: str = "x", *, unseen: Unseen = "error"
    ) -> Float64[Tensor, "N D"]:
        """Convert rows in double precision.

        Parameters
        ----------
        table
            A frame or an array, with all D columns.
        where
            Its name in messages.
        unseen
            Whether a category that training data did not have is an error, or a missing value, of
            which a warning tells.

        Raises
        ------
        MixvaeError
            For another number of columns, an unseen category that is an error, and values that a
            column's likelihood is not for.
        """
        if self.counts is not None and _is_numeric(table):
            check_counts(table, self.columns, self.counts, where)
            return super().to_float64(table)
        raw = raw_columns(table, where)
        if len(raw) != len(self.kinds):
            raise MixvaeError(
                f"{where}: expected rows of {len(self.kinds)} columns, as in training, got "
                f"{len(raw)}; give all columns of the training data, in the same order."
            )
        return super().to_float64(_numbers(raw, self.kinds, self.categories, where, unseen))

    def apply(self, table: Any, where: str = "x") -> Tensor:
        """Convert rows, as a model sees them.

        Parameters
        ----------
        table
            A frame or an array, with all D columns.
        where
            Its name in messages.

        Returns
        -------
        Tensor
            float32, shape (N, number of columns kept).
        """
        return self.to_float64(table, where).float()

    def invert(self, x: Tensor) -> np.ndarray:
        """The table of a model's x, with the categories in place of their codes.

        Parameters
        ----------
        x
            Values, shape (..., number of columns kept).

        Returns
        -------
        numpy.ndarray
            Shape (..., D): of objects where a column has categories, else float64. Where x is
            NaN, a category is None and another value NaN.
        """
        stored = self.unscale(x)
        if not any(self.categories):
            return stored
        table = stored.astype(object)
        for i, own in enumerate(self.categories):
            if own:
                codes = stored[..., i].round().clip(0, len(own) - 1)
                codes = np.where(np.isnan(codes), len(own), codes).astype(int)
                table[..., i] = np.array([*own, None], dtype=object)[codes]
        return table

    def to_dict(self) -> dict[str, Any]:
        """The values by name, for ``data.json``; floats are read back exactly."""
        values = super().to_dict()
        return values | {"categories": [list(own) for own in self.categories]}

    def lines(self) -> list[str]:
        """The columns of x by their likelihoods, a line for each."""
        kept = np.flatnonzero(self._kept).tolist()
        names = self.columns or tuple(map(str, range(len(self.mean))))
        by_kind = {kind: [names[i] for i in kept if self.kinds[i] == kind] for kind in KINDS}
        return [f"{kind}: {listed(own)}" for kind, own in by_kind.items() if own]

    def __str__(self) -> str:
        """A few words for messages."""
        kept = [name for name, _ in self.kept_kinds]
        parts = ", ".join(f"{kept.count(name)} {name}" for name in dict.fromkeys(kept))
        left_out = f"; {n} constant left out" if (n := sum(self.constant)) else ""
        return f"{len(kept)} columns ({parts}){left_out}"


def _is_numeric(table: Any) -> bool:
    return isinstance(table, np.ndarray) and table.dtype.kind in "buif" and table.ndim == 2


def _warn_left_out(
    names: tuple[str, ...] | None, constant: np.ndarray, n_rows: int, where: str
) -> None:
    warnings.warn(
        f"{where}: {named(names, np.flatnonzero(constant))} left out, with only one value in the "
        f"{n_rows} training rows.",
        MixvaeWarning,
        stacklevel=4,
    )


def _numbers(
    raw: list[RawColumn],
    kinds: tuple[str, ...],
    categories: Any,
    where: str,
    unseen: Unseen = "error",
) -> Float64[np.ndarray, "N D"]:
    """The columns as numbers: codes for categories, other values as they are."""
    each = zip(raw, kinds, categories, strict=True)
    return np.column_stack([_column(*one, where, unseen) for one in each])


def _column(
    raw: RawColumn, kind: str, categories: tuple[Any, ...], where: str, unseen: Unseen
) -> Float64[np.ndarray, " N"]:
    if categories:
        return _codes(raw, categories, where, unseen)
    if raw.is_text:
        raise MixvaeError(
            f"{where}: column {raw.name} holds text, and in training held numbers; make it numbers."
        )
    values = raw.values.astype(np.float64)
    values[raw.missing] = np.nan
    right, needs = np.isfinite(values), "finite values"
    if kind in COUNTS:
        right, needs = right & (values >= 0) & (values == np.floor(values)), "whole numbers from 0"
    elif kind == "bernoulli":
        right, needs = (values == 0) | (values == 1), "0 and 1"
    right |= raw.missing
    if not right.all():
        raise MixvaeError(
            f"{where}: column {raw.name}, of likelihood {kind}, needs {needs}; {(~right).sum()} of "
            f"{len(values)} values are not, such as {values[~right][0]:g}. Repair them, or give "
            "the column another likelihood."
        )
    return values


def _codes(
    raw: RawColumn, categories: tuple[Any, ...], where: str, unseen: Unseen
) -> Float64[np.ndarray, " N"]:
    """The place of each value among the categories, NaN where it is missing."""
    code, values = {value: i for i, value in enumerate(categories)}, raw.values.tolist()
    for i in np.flatnonzero(raw.missing):
        values[i] = None
    unknown = [v for v in values if v is not None and v not in code]
    if unknown:
        example = f"{where}: column {raw.name} has the category {shown(unknown[0])}, which the "
        if unseen == "missing":
            warnings.warn(
                f"{example}training data did not have; {len(unknown)} of {len(values)} values of "
                "this column are taken as missing.",
                MixvaeWarning,
                stacklevel=2,
            )
        else:
            raise MixvaeError(
                f"{example}training data did not have; there are "
                f"{', '.join(map(str, categories[:8]))}{', ...' if len(categories) > 8 else ''}. "
                "Recode those values, or make them missing: None."
            )
    return np.array([code.get(v, np.nan) for v in values], dtype=np.float64)
