"""The columns of a table: their names in messages, and checks that they are those of training."""

from collections.abc import Sequence

import numpy as np

from mixvae.errors import MixvaeError

MOST = 8  # names in a message


def listed(names: Sequence[object]) -> str:
    """The first names of several, and the number of the others."""
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(map(str, names[:MOST])) + more


def named(columns: tuple[str, ...] | None, indices: np.ndarray) -> str:
    """Columns by name, or by number where they have no names, with the word before them."""
    word = "column" if len(indices) == 1 else "columns"
    if columns is not None:
        return f"{word} {listed([columns[i] for i in indices])}"
    return f"{word} {listed(indices.tolist())} (counted from 0)"


def check_columns(
    expected: tuple[str, ...] | None, got: tuple[str, ...] | None, where: str
) -> None:
    """Raise `MixvaeError` unless names are those of training, where both are known."""
    if expected is None or got is None or expected == got:
        return
    missing = [name for name in expected if name not in set(got)]
    unknown = [name for name in got if name not in set(expected)]
    details = [f"missing: {listed(missing)}"] if missing else []
    details += [f"not among them: {listed(unknown)}"] if unknown else []
    raise MixvaeError(
        f"{where}: expected the columns {listed(expected)} in this order, as in training, got "
        f"{listed(got)} ({'; '.join(details) or 'in another order'}); select those of training."
    )


def check_finite(
    array: np.ndarray, columns: tuple[str, ...] | None, where: str, *, missing: bool = False
) -> None:
    """Raise `MixvaeError` for infinite values in a table (N, D), and unless ``missing`` for NaN."""
    finite = np.isfinite(array) | (np.isnan(array) if missing else False)
    if finite.all():
        return
    bad = ~finite & np.isnan(array)
    if is_missing := bool(bad.any()):
        reason = "missing values are for tables of real values (standardize=True) and mfa-vae, and"
        kind = "NaN"
    else:
        bad, reason, kind = ~finite, "values must be finite, and", "infinite"
    remedy = "drop those rows or impute the values." if is_missing else "remove or repair those."
    if is_missing and np.isin(array[~bad], (0, 1)).all():
        remedy = "give kinds='bernoulli' for mfa-vae, or drop those rows."
    n, first = int(bad.sum()), tuple(int(i) for i in np.argwhere(bad)[0])
    raise MixvaeError(
        f"{where}: {reason} {n} of {bad.size} are {kind}, in "
        f"{named(columns, np.flatnonzero(bad.any(0)))}, the first at index {first}; {remedy}"
    )


def check_observed(array: np.ndarray, where: str) -> None:
    """Raise `MixvaeError` for rows of a table of which every value is missing (NaN)."""
    empty = np.flatnonzero(np.isnan(array).all(1))
    if empty.size:
        word = "row" if empty.size == 1 else "rows"
        raise MixvaeError(
            f"{where}: all values are missing in {empty.size} of {len(array)} rows, {word} "
            f"{listed(empty.tolist())} (counted from 0); drop those to train."
        )
