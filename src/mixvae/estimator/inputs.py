"""X as ``DeepMixture`` reads it: data to train on, and the conversion to the model's x."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from mixvae.data import (
    Binarize,
    Dataset,
    Kinds,
    MixedColumns,
    Standardization,
    Standardize,
    from_arrays,
)
from mixvae.data.batch_labels import BatchName
from mixvae.data.choice import check_standardize, needs_standardization
from mixvae.data.columns import check_finite
from mixvae.data.conversion import choose_transform, make_split
from mixvae.data.counts import counts_of
from mixvae.data.dataset import Split, draw_rows
from mixvae.data.formats import row_sources
from mixvae.data.mixed_columns import Unseen
from mixvae.data.row_weights import row_weights
from mixvae.data.rows import Rows, TensorOrRows
from mixvae.data.sources import Source
from mixvae.data.splits import HoldOut
from mixvae.data.survey import Survey, survey
from mixvae.data.transform_record import AnyTransform
from mixvae.errors import MixvaeError

from .checks import Batches

Transformed = TypeVar("Transformed", bound=Standardization)
FINAL_ROWS = 100  # held-out rows of a table for the run's last figures, which no one reads
FEW_ROWS = 1000  # a table of fewer has a larger part held out


@dataclass(frozen=True)
class Reader:
    """How new data become x of the model, and x data.

    Attributes
    ----------
    transform
        Of stored values, as in fit.
    x_shape
        Shape of one x.
    binarize
        How pixels are made 0 or 1.
    seed
        Of pixels that are sampled.
    unseen
        As of :meth:`MixedColumns.to_float64`.
    """

    transform: AnyTransform
    x_shape: tuple[int, ...]
    binarize: Binarize
    seed: int
    unseen: Unseen = "error"

    def log_scale(self, x: TensorOrRows) -> np.ndarray:
        """What log p(x) of each row in the units of X is less than that of the model's x."""
        if isinstance(self.transform, Standardization):
            return self.transform.log_scales(x)
        return np.zeros(len(x))

    def x(self, X: Any) -> TensorOrRows:
        """The model's x: float64 for a standardised table, otherwise float32."""
        if isinstance(X, Source):
            return self._rows(X)
        if isinstance(self.transform, MixedColumns):
            return self.transform.to_float64(X, "X", unseen=self.unseen)
        if isinstance(self.transform, Standardization):
            return self.transform.to_float64(np.asarray(X))
        x = make_split(X, where="X", transform=replace(self.transform, columns=None)).x
        if tuple(x.shape[1:]) != self.x_shape:
            raise MixvaeError(
                f"X must hold x of shape {self.x_shape}, as in fit; got {tuple(x.shape[1:])}."
            )
        if self.binarize == "threshold":
            return (x > 0.5).float()
        return draw_rows(x, self.seed) if self.binarize == "dynamic" else x

    def _rows(self, source: Source) -> Rows:
        if self.binarize != "none":
            raise MixvaeError("binarize is for pixels in memory; leave it out, or give an array.")
        real = isinstance(self.transform, Standardization)
        found = Rows(source, self.transform, torch.float64 if real else torch.float32)
        if not real:
            row_sources.check(source, _survey(source), replace(self.transform, columns=None), "X")
        return found

    def values(self, x: Tensor) -> np.ndarray:
        """x in the units of X, with constant columns and categories; of images, x itself."""
        if isinstance(self.transform, Standardization):
            return self.transform.invert(x)
        return x.detach().cpu().numpy()

    def covariance(self, covariance: Tensor) -> np.ndarray:
        """A covariance (K, D, D) of the model's x in the units of X; 0 for constant columns."""
        if not isinstance(self.transform, Standardization):
            return covariance.numpy()
        scale, kept = np.array(self.transform.scale), ~np.array(self.transform.constant)
        found = np.zeros((len(covariance), len(scale), len(scale)))
        found[:, np.outer(kept, kept)] = covariance.flatten(1).numpy()
        return found * np.outer(scale, scale)


def read(
    X: Any,
    *,
    real: bool,
    standardize: Standardize,
    binarize: Binarize,
    validation_fraction: float | None,
    columns: tuple[str, ...] | None,
    seed: int,
    kinds: Kinds | None = None,
    weight: np.ndarray | None = None,
    transform: AnyTransform | None = None,
    batch: Batches | None = None,
) -> tuple[Dataset, Reader, np.ndarray]:
    """X as training and validation data, how to read new data, and the rows for validation.

    Parameters
    ----------
    X
        From :func:`~mixvae.estimator.checks.checked`.
    real
        Whether the recipe is for tables of real values.
    standardize, binarize, validation_fraction
        The estimator's arguments.
    columns
        The names of the columns.
    seed
        Of the choice of rows.
    kinds
        As of :func:`~mixvae.estimator.checks.kinds_asked`.
    weight
        Weights of the rows, above 0.
    transform
        That of an earlier fit, which is then the one.
    batch
        The batches of the rows.
    """
    if real and binarize != "none":
        raise MixvaeError("binarize is for pixels, not for a table of real values; leave it out.")
    if isinstance(X, Source):
        return _read_source(
            X,
            real=real,
            standardize=standardize,
            validation_fraction=validation_fraction,
            seed=seed,
            weight=weight,
            transform=transform,
            batch=batch,
            kinds=kinds,
        )
    if kinds is not None:
        order = _order(len(X), validation_fraction, True, seed)
        return _mixed(X, kinds, standardize, order, weight, transform, seed, batch)
    if not real and np.ndim(X) == 2:
        check_finite(np.asarray(X), columns, "X")
    if transform is None and not (needs_standardization(X, standardize, where="X") or real):
        transform = choose_transform(X, where="X")
    if transform is None or isinstance(transform, Standardization):
        values: Any = np.asarray(X)
    else:
        values = make_split(X, where="X", transform=replace(transform, columns=None)).x
    order = _order(len(values), validation_fraction, real, seed)
    val, train = order
    if transform is None:
        own = None if weight is None else weight[train]
        transform = Standardization.of(values[train], columns, where="X", weight=own)
        transform = _unscaled(transform) if standardize is False else transform
    given = replace(transform, columns=None)
    final = val[:FINAL_ROWS] if isinstance(transform, Standardization) else val
    data = from_arrays(
        values[train],
        weight=None if weight is None else weight[train],
        batch=None if batch is None else batch[0][train],
        batch_names=None if batch is None else range(len(batch[1])),
        val=_part(values, weight, batch, val),
        test=_part(values, weight, batch, final),
        name="X",
        binarize=binarize,
        seed=seed,
        transform=given,
    )
    data = replace(data, batch_names=_names(batch))
    return data, Reader(transform, data.x_shape, binarize, seed), val


def _mixed(
    X: Any,
    kinds: Kinds,
    standardize: Standardize,
    order: tuple[np.ndarray, np.ndarray],
    weight: np.ndarray | None,
    transform: Any,
    seed: int,
    batch: Batches | None,
) -> tuple[Dataset, Reader, np.ndarray]:
    """As :func:`read`, of a table whose columns are of several kinds."""
    val, train = order
    if transform is None:
        own = None if weight is None else weight[train]
        transform = MixedColumns.of(X, train, kinds, where="X", weight=own)
        transform = _unscaled(transform) if standardize is False else transform
    x = make_split(X, where="X", transform=transform)
    x = x if weight is None else replace(x, weight=torch.from_numpy(weight).float())
    x = x if batch is None else replace(x, batch_label=batch[0])
    parts = [x.take(torch.from_numpy(rows)) for rows in (train, val, val[:FINAL_ROWS])]
    data = Dataset(
        "X",
        parts[0],
        parts[1],
        parts[2],
        seed=seed,
        transform=transform,
        batch_names=_names(batch),
    )
    return data, Reader(transform, data.x_shape, "none", seed), val


def rows(X: Any, index: np.ndarray) -> Any:
    """Some rows of what :func:`~mixvae.estimator.checks.checked` returned."""
    if hasattr(X, "iloc"):
        return X.iloc[index]
    if hasattr(X, "take") and not isinstance(X, np.ndarray):  # Arrow, or a Source
        return X.take(index)
    return X[index]


def _read_source(
    source: Source,
    *,
    real: bool,
    standardize: Standardize,
    validation_fraction: float | None,
    seed: int,
    weight: np.ndarray | None,
    transform: AnyTransform | None,
    batch: Batches | None,
    kinds: Kinds | None,
) -> tuple[Dataset, Reader, np.ndarray]:
    """As :func:`read`, of rows that are read when they are needed."""
    check_standardize(standardize)
    counts = None if kinds is None else counts_of(kinds, "X")
    val, train = _order(len(source), validation_fraction, real, seed)
    found = survey(source, np.sort(train), where="X", weight=weight, counts=counts)
    if transform is None and counts is not None:
        transform = MixedColumns.of_counts(found, counts, source.columns, where="X")
    elif transform is None:
        asked = True if real else standardize
        transform = row_sources.transform_of(source, found, asked, np.sort(train), "X")
        if standardize is False and isinstance(transform, Standardization):
            transform = _unscaled(transform)
    given = replace(transform, columns=None)
    row_sources.check(source, found, given, "X")
    final = val[:FINAL_ROWS] if isinstance(transform, Standardization) else val

    shuffled = HoldOut(seed=seed).rows("X", None, len(train), ("val", "test"))["train"]
    train = train[shuffled.numpy()]  # as from_arrays does

    def split(rows: np.ndarray) -> Split:
        own = None if weight is None else row_weights(weight[rows], len(rows), "X")
        label = None if batch is None else batch[0][rows]
        return Split(Rows(source.take(rows), given), weight=own, batch_label=label)

    data = Dataset(
        "X",
        split(train),
        split(val),
        split(final),
        seed=seed,
        transform=given,
        batch_names=_names(batch),
    )
    return data, Reader(transform, data.x_shape, "none", seed), val


def _survey(source: Source) -> Survey:
    return survey(source, np.arange(len(source)), where="X")


def _part(
    values: Any, weight: np.ndarray | None, batch: Batches | None, rows: np.ndarray
) -> tuple[Any, ...]:
    """Some rows, no classes, and their weights and batches if there are any."""
    own = None if weight is None else weight[rows]
    return values[rows], None, own, None if batch is None else batch[0][rows]


def _names(batch: Batches | None) -> tuple[BatchName, ...] | None:
    return None if batch is None else batch[1]


def _order(n: int, fraction: float | None, real: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows for validation and those to train on."""
    if fraction is None:
        fraction = 0.2 if real and n < FEW_ROWS else 0.1
    n_val = max(1, round(fraction * n))
    if not (0 < fraction < 1 and n_val < n):
        raise MixvaeError(
            "validation_fraction must be between 0 and 1 and leave data to train on; got "
            f"{fraction} of {n} rows."
        )
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).numpy()
    return order[:n_val], order[n_val:]


def _unscaled(transform: Transformed) -> Transformed:
    """One that only leaves constant columns out."""
    each = zip(transform.mean, transform.constant, strict=True)
    mean = tuple(m if constant else 0.0 for m, constant in each)
    scale = tuple(0.0 if constant else 1.0 for constant in transform.constant)
    return replace(transform, mean=mean, scale=scale)
