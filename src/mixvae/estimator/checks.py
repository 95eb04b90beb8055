"""Checks of what ``DeepMixture`` is given."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_array
from sklearn.utils.validation import _check_n_features, _check_sample_weight, validate_data
from torch import Tensor

from mixvae.data import (
    Kinds,
)
from mixvae.data.batch_labels import BatchName, batch_numbers, listed
from mixvae.data.columns import check_columns, check_finite
from mixvae.data.formats import row_sources
from mixvae.data.frames import columns_of, is_frame, series_of, type_of
from mixvae.data.numbers import to_numpy
from mixvae.data.raw_columns import is_categorical
from mixvae.data.row_weights import row_weights
from mixvae.data.sources import Source, source_of
from mixvae.errors import MixvaeError, shown
from mixvae.likelihoods.columns import COUNTS, OF_CATEGORIES

Batches = tuple[Tensor, tuple[BatchName, ...]]  # numbers of the rows' batches, names of all
LEAST_ROWS = 3  # two to train on, and one to validate


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
    counts: bool = False,
) -> Any:
    """X after scikit-learn's checks: a table as an array (N, D), images as they are.

    Values of a table may be missing where ``missing`` says so, and are then NaN. A table of several
    kinds of columns stays as it is, but for the number of its rows; it is in memory, unless all are
    ``counts`` of one likelihood. With ``reset`` the names and
    the number of columns are stored, otherwise compared. Raises a
    MixvaeError in scikit-learn's words, and its TypeError for objects that are no numbers.
    """
    source = source_of(X, "X") if not isinstance(X, Path) else row_sources.parquet_folder(X)[0]
    try:
        if source is not None:
            if is_mixed and not counts:
                raise MixvaeError(
                    "likelihoods of single columns, and of categories, are of tables in memory; "
                    "give X as an array or a frame, or one likelihood of counts, or leave it out."
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


def batches(
    batch: Any, n: int, known: tuple[BatchName, ...] | None, *, reset: bool = False
) -> Batches | None:
    """The numbers of the batches of n rows, and the names of all; None where there are none.

    With ``reset`` those that occur are the names, otherwise ``known``; rows then have batches if
    and only if those of ``fit`` had some.
    """
    if reset or (batch is not None and known is not None):
        return None if batch is None else batch_numbers(batch, n, "X", None if reset else known)
    if batch is not None:
        raise MixvaeError("the model was fitted without batch; leave it out, or fit with it.")
    if known is not None:
        raise MixvaeError(
            "the model was fitted with batch, on which its densities depend: give batch, the batch "
            f"of each row (known are {listed(known)})."
        )
    return None


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
