"""X as ``DeepMixture`` reads it: checks by scikit-learn, and the conversion to the model's x."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from sklearn.utils import check_array
from sklearn.utils.validation import _check_n_features, _check_sample_weight, validate_data
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
from mixvae.data.choice import check_standardize, needs_standardization
from mixvae.data.columns import check_columns, check_finite
from mixvae.data.conversion import choose_transform, make_split
from mixvae.data.dataset import Split, draw_rows
from mixvae.data.formats import row_sources
from mixvae.data.frames import columns_of, is_frame, series_of, type_of
from mixvae.data.numbers import to_numpy
from mixvae.data.raw_columns import is_categorical
from mixvae.data.row_weights import row_weights
from mixvae.data.rows import Rows, TensorOrRows
from mixvae.data.sources import Source, source_of
from mixvae.data.splits import HoldOut
from mixvae.data.survey import Survey, survey
from mixvae.data.transform_record import AnyTransform
from mixvae.errors import MixvaeError, shown
from mixvae.likelihoods.columns import COUNTS, OF_CATEGORIES

Transformed = TypeVar("Transformed", bound=Standardization)
LEAST_ROWS = 3  # two to train on, and one to validate
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
    """

    transform: AnyTransform
    x_shape: tuple[int, ...]
    binarize: Binarize
    seed: int

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
            return self.transform.to_float64(X, "X")
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


def axes_of(X: Any) -> int:
    """The number of axes of X; 2 where it has none, so that the checks of a table refuse it."""
    if is_frame(X) or isinstance(X, Path | torch.utils.data.Dataset | torch.utils.data.DataLoader):
        return 2
    try:
        return len(X.shape) if hasattr(X, "shape") else np.ndim(X)
    except (ValueError, RuntimeError, TypeError):
        return 2


def kinds_asked(X: Any, likelihood: Any) -> Kinds | None:
    """The likelihoods of the columns of a table that has several kinds; None for other X.

    It has several kinds where they are asked for, as a mapping or as that of counts or categories,
    and where a frame has categories or text, or truth values beside numbers. Raises a MixvaeError
    for such a frame and another likelihood for all columns.
    """
    if isinstance(likelihood, Mapping):
        return {str(name): str(kind) for name, kind in likelihood.items()}
    if likelihood in (*COUNTS, *OF_CATEGORIES):
        return str(likelihood)
    if not is_frame(X):
        return None
    types = [str(type_of(column)) for _, column in series_of(X)]
    n_bool = sum(name.lower().startswith("bool") for name in types)
    is_mixed = any(map(is_categorical, types)) or 0 < n_bool < len(types)
    if is_mixed and likelihood not in (None, "normal"):
        raise MixvaeError(
            f"likelihood {shown(likelihood)} is for all columns, and those of X are of several "
            f"kinds; name its own, such as likelihood={{column: {shown(likelihood)}}}."
        )
    return "auto" if is_mixed else None


def checked(
    estimator: Any,
    X: Any,
    *,
    is_table: bool,
    reset: bool,
    missing: bool = False,
    is_mixed: bool = False,
) -> Any:
    """X after scikit-learn's checks: a table as an array (N, D), images as they are.

    Values of a table may be missing where ``missing`` says so, and are then NaN. A table of several
    kinds of columns stays as it is, but for the number of its rows. With ``reset`` the names and
    the number of columns are stored, otherwise compared. Raises a
    MixvaeError in scikit-learn's words, and its TypeError for objects that are no numbers.
    """
    source = source_of(X, "X") if not isinstance(X, Path) else row_sources.parquet_folder(X)[0]
    try:
        if source is not None:
            if is_mixed:
                raise MixvaeError(
                    "likelihoods of single columns, and of counts and categories, are of tables in "
                    "memory; give X as an array or a frame, or leave likelihood out."
                )
            return _checked_source(estimator, source, reset)
        if is_mixed and (axes_of(X) != 2 or len(X) < (LEAST_ROWS if reset else 1)):
            raise MixvaeError(
                f"X must be a table of at least {LEAST_ROWS if reset else 1} rows; got "
                f"{getattr(X, 'shape', type(X).__name__)}."
            )
        if not is_table or is_mixed:
            validate_data(estimator, X, reset=reset, skip_check_array=True, ensure_2d=False)
            return X
        array = _table(estimator, X, reset)
    except MixvaeError:
        raise
    except ValueError as error:
        raise MixvaeError(str(error)) from error
    check_finite(array, columns_of(X), "X", missing=missing)
    _check_other_names(estimator, X, reset)
    return array


def _checked_source(estimator: Any, source: Source, reset: bool) -> Source:
    if reset and len(source) < LEAST_ROWS:
        raise MixvaeError(
            f"Found array with {len(source)} sample(s) (shape={source.shape}) while a minimum of "
            f"{LEAST_ROWS} is required by {type(estimator).__name__}."
        )
    names = getattr(estimator, "feature_names_in_", None)
    if reset:
        estimator._columns = None
        if names is not None:
            del estimator.feature_names_in_
        if source.columns is not None:
            estimator.feature_names_in_ = np.array(source.columns, object)
    elif names is not None:
        check_columns(tuple(names), source.columns, "X")
    _check_n_features(estimator, source, reset=reset)
    return source


def _table(estimator: Any, X: Any, reset: bool) -> np.ndarray:
    options: dict[str, Any] = {"dtype": "numeric", "ensure_all_finite": False}
    options["ensure_min_samples"] = LEAST_ROWS if reset else 1
    if is_frame(X):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        return np.asarray(
            check_array(to_numpy(X, "X"), estimator=estimator, input_name="X", **options)
        )
    kind = getattr(getattr(X, "dtype", None), "kind", None)
    if not hasattr(X, "columns") and kind not in ("O", "c"):  # of which scikit-learn says more
        X = to_numpy(X, "X")
    return np.asarray(validate_data(estimator, X, reset=reset, **options))


def _check_other_names(estimator: Any, X: Any, reset: bool) -> None:
    """Compare names that are not of type str, such as 0, 1, ..., which scikit-learn forgets."""
    names = list(X.columns) if hasattr(X, "columns") and columns_of(X) is None else None
    if reset:
        estimator._columns = names
    elif None not in (names, estimator._columns) and names != estimator._columns:
        raise MixvaeError(
            f"X: expected the columns {shown(estimator._columns)} in this order, as in fit; got "
            f"{shown(names)}. Give X[columns of the data in fit]."
        )


def weights(sample_weight: Any, X: Any) -> np.ndarray | None:
    """Weights of the rows of X after scikit-learn's checks; None where they are all equal."""
    if sample_weight is None:
        return None
    try:
        checked = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    except ValueError as error:
        raise MixvaeError(" ".join(str(error).split())) from error
    found = row_weights(checked, len(checked), "sample_weight")
    return None if found is None else checked


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
) -> tuple[Dataset, Reader, np.ndarray]:
    """X as training and validation data, how to read new data, and the rows for validation.

    Parameters
    ----------
    X
        From :func:`checked`.
    real
        Whether the recipe is for tables of real values.
    standardize, binarize, validation_fraction
        The estimator's arguments.
    columns
        The names of the columns.
    seed
        Of the choice of rows.
    kinds
        As of :func:`kinds_asked`.
    weight
        Weights of the rows, above 0.
    transform
        That of an earlier fit, which is then the one.
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
        )
    if kinds is not None:
        order = _order(len(X), validation_fraction, True, seed)
        return _mixed(X, kinds, standardize, order, weight, transform, seed)
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
        val=_part(values, weight, val),
        test=_part(values, weight, final),
        name="X",
        binarize=binarize,
        seed=seed,
        transform=given,
    )
    return data, Reader(transform, data.x_shape, binarize, seed), val


def _mixed(
    X: Any,
    kinds: Kinds,
    standardize: Standardize,
    order: tuple[np.ndarray, np.ndarray],
    weight: np.ndarray | None,
    transform: Any,
    seed: int,
) -> tuple[Dataset, Reader, np.ndarray]:
    """As :func:`read`, of a table whose columns are of several kinds."""
    val, train = order
    if transform is None:
        own = None if weight is None else weight[train]
        transform = MixedColumns.of(X, train, kinds, where="X", weight=own)
        transform = _unscaled(transform) if standardize is False else transform
    x = make_split(X, where="X", transform=transform)
    x = x if weight is None else replace(x, weight=torch.from_numpy(weight).float())
    parts = [x.take(torch.from_numpy(rows)) for rows in (train, val, val[:FINAL_ROWS])]
    data = Dataset("X", parts[0], parts[1], parts[2], seed=seed, transform=transform)
    return data, Reader(transform, data.x_shape, "none", seed), val


def rows(X: Any, index: np.ndarray) -> Any:
    """Some rows of what :func:`checked` returned."""
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
) -> tuple[Dataset, Reader, np.ndarray]:
    """As :func:`read`, of rows that are read when they are needed."""
    check_standardize(standardize)
    val, train = _order(len(source), validation_fraction, real, seed)
    found = survey(source, np.sort(train), where="X", weight=weight)
    if transform is None:
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
        return Split(Rows(source.take(rows), given), weight=own)

    data = Dataset("X", split(train), split(val), split(final), seed=seed, transform=given)
    return data, Reader(transform, data.x_shape, "none", seed), val


def _survey(source: Source) -> Survey:
    return survey(source, np.arange(len(source)), where="X")


def _part(values: Any, weight: np.ndarray | None, rows: np.ndarray) -> Any:
    """Some rows, and their weights."""
    return values[rows] if weight is None else (values[rows], None, weight[rows])


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


def codes(estimator: Any, Z: Any, n_latent: int) -> Tensor:
    """Codes in float64; raises unless they have ``n_latent`` columns."""
    try:
        z = check_array(Z, dtype=np.float64, estimator=estimator, input_name="Z")
    except ValueError as error:
        raise MixvaeError(str(error)) from error
    if z.shape[1] != n_latent:
        raise MixvaeError(f"Z must have {n_latent} columns, as transform gives; got {z.shape[1]}.")
    return torch.from_numpy(z)


def labels(given: Any, n: int, n_components: int) -> Tensor:
    """The component of each of n codes; the only one where none are given."""
    if given is None:
        return torch.zeros(n, dtype=torch.int64)
    array = to_numpy(given, "labels")
    whole = array.dtype.kind in "ui" and array.shape == (n,)
    if not (whole and array.min() >= 0 and array.max() < n_components):
        raise MixvaeError(
            f"labels must be {n} whole numbers from 0 to {n_components - 1}, one for each row of "
            f"Z; got {shown(given)}."
        )
    return torch.from_numpy(array.astype(np.int64))
