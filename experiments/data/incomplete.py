"""Tables with missing entries: of real numbers, and of numbers and categories."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mixvae import DeepMixture

REAL = ("wine", "vowel", "wdbc", "movement_libras", "segment", "satimage", "optdigits")
REAL += ("penbased", "magic", "letter")
MIXED = ("mammographic", "housevotes", "mushroom")
NUMBERS = ("age",)  # the other columns of mixed tables are categories
ORDERED = ("bi_rads", "density")
TEST_SHARE = 0.25
DRAWS = 200

Rows = NDArray[np.float64]
Flags = NDArray[np.bool_]
Figures = dict[str, float]


def case_of(folder: Path, table: str, share: float, seed: int) -> "Case":
    """Read a table, and remove entries."""
    if table in REAL:
        return RealCase.read(folder / f"{table}.npz", share, seed)
    return MixedCase.read(folder / f"{table}.csv", share, seed)


def removed(shape: tuple[int, int], share: float, seed: int) -> Flags:
    """Which entries are missing, completely at random; a row keeps at least one."""
    random = np.random.default_rng(seed)
    missing = random.random(shape) < share
    kept = random.integers(0, shape[1], len(missing))
    missing[np.arange(len(missing)), kept] &= ~missing.all(1)
    return missing


@dataclass(frozen=True)
class Case:
    """A table with missing entries, and the mixture fitted to it where deep mixtures start."""

    train: Any
    test: Any
    """Incomplete rows."""
    truth: Any
    """The test rows before anything was removed."""
    seed: int

    @cached_property
    def start(self) -> DeepMixture:
        """The mixture without networks."""
        return DeepMixture(max_epochs=0, random_state=self.seed).fit(self.train)

    @cached_property
    def start_log_p(self) -> Rows:
        """Its log p of the observed entries of each test row."""
        return self.start.score_samples(self.test)

    def by_imputer(self, imputer: Any, *, redundant: bool = True) -> Figures:
        """The figures of one of scikit-learn's imputers, fitted to the training rows.

        Without ``redundant`` columns the first of each category is left out, which the others tell.
        """
        train, test = self.encoded(self.train), self.encoded(self.test)
        kept = np.ones(train.shape[1], bool) if redundant else ~self.redundant
        filled = np.full(test.shape, np.nan)
        filled[:, kept] = imputer.fit(train[:, kept]).transform(test[:, kept])
        return self.errors(self.decoded(filled))

    @property
    def redundant(self) -> Flags:
        """Which of the columns of numbers are the first of a category."""
        return np.zeros(self.encoded(self.test).shape[1], bool)

    def encoded(self, rows: Any) -> Rows:
        """Rows as numbers, for imputers of numbers."""
        raise NotImplementedError

    def decoded(self, rows: Rows) -> Any:
        """Rows of the table."""
        raise NotImplementedError

    def errors(self, filled: Any) -> Figures:
        """Of test rows that are filled in."""
        raise NotImplementedError

    def coverage(self, mixture: DeepMixture) -> Figures:
        """The share of missing numbers within the middle nine tenths of draws."""
        raise NotImplementedError


class RealCase(Case):
    """A table of real numbers, as arrays."""

    @classmethod
    def read(cls, path: Path, share: float, seed: int) -> "RealCase":
        """Read rows x and a mask "test"."""
        with np.load(path) as file:
            x, test = file["x"].astype(np.float64), file["test"]
        holes = np.where(removed(x.shape, share, seed), np.nan, x)
        return cls(holes[~test], holes[test], x[test], seed)

    def encoded(self, rows: Any) -> Rows:
        return np.asarray(rows)

    def decoded(self, rows: Rows) -> Rows:
        return rows

    def errors(self, filled: Any) -> Figures:
        error = _standard(filled - self.truth, self.truth)
        return {"rmse": _rms(error[np.isnan(self.test)])}

    def coverage(self, mixture: DeepMixture) -> Figures:
        inside = _inside(mixture.impute(self.test, draws=DRAWS), self.truth)
        return {"coverage": float(inside[np.isnan(self.test)].mean())}


class MixedCase(Case):
    """A table of numbers and categories, as frames."""

    @classmethod
    def read(cls, path: Path, share: float, seed: int) -> "MixedCase":
        """Read a .csv, whose last column, the class, is left out; categories are those of all."""
        frame = pd.read_csv(path).iloc[:, :-1]
        frame = frame.loc[:, frame.nunique() > 1]
        for name in frame.columns.difference(NUMBERS):
            values = pd.Categorical(frame[name], sorted(frame[name].unique()))
            frame[name] = values.as_ordered() if name in ORDERED else values
        holes = frame.astype({name: float for name in NUMBERS if name in frame})
        holes = holes.mask(removed(frame.shape, share, seed))
        order = np.random.default_rng(0).permutation(len(frame))
        test, train = np.split(order, [round(TEST_SHARE * len(frame))])
        return cls(holes.iloc[train], holes.iloc[test], frame.iloc[test], seed)

    @cached_property
    def numbers(self) -> list[str]:
        """The columns of numbers."""
        return [name for name in self.test.columns if name in NUMBERS]

    @cached_property
    def categories(self) -> list[str]:
        """The other columns."""
        return [name for name in self.test.columns if name not in NUMBERS]

    def encoded(self, rows: Any) -> Rows:
        """Numbers in standard deviations, and a column of 0 and 1 for each category."""
        own = self.train[self.numbers]
        parts = [((rows[self.numbers] - own.mean()) / own.std()).to_numpy()]
        for name in self.categories:
            codes = rows[name].cat.codes.to_numpy()
            one_hot = np.eye(len(rows[name].cat.categories))[codes]
            parts.append(np.where(codes[:, None] < 0, np.nan, one_hot))
        return np.concatenate(parts, 1)

    @property
    def redundant(self) -> Flags:
        first = [np.arange(len(self.test[name].cat.categories)) == 0 for name in self.categories]
        return np.concatenate([np.zeros(len(self.numbers), bool), *first])

    def decoded(self, rows: Rows) -> Any:
        """The numbers, and the categories of the largest columns."""
        own, n = self.train[self.numbers], len(self.numbers)
        numbers = rows[:, :n] * own.std().to_numpy() + own.mean().to_numpy()
        found = dict(zip(self.numbers, numbers.T, strict=True))
        for name in self.categories:
            known = self.test[name].cat.categories
            each = rows[:, n : n + len(known)]
            first = np.where(np.isnan(each[:, 0]), 1 - each[:, 1:].sum(1), each[:, 0])
            found[name] = known[np.column_stack([first, each[:, 1:]]).argmax(1)]
            n += len(known)
        return pd.DataFrame(found, index=self.test.index)

    def errors(self, filled: Any) -> Figures:
        missing, found = self.test.isna(), Figures()
        right = [
            (filled[name].astype(object) == self.truth[name].astype(object))[missing[name]]
            for name in self.categories
        ]
        found["accuracy"] = float(np.concatenate(right).mean())
        if self.numbers:
            truth = self.truth[self.numbers].to_numpy()
            error = _standard(filled[self.numbers].to_numpy() - truth, truth)
            found["rmse"] = _rms(error[missing[self.numbers].to_numpy()])
        return found

    def coverage(self, mixture: DeepMixture) -> Figures:
        if not self.numbers:
            return {}
        draws = [one[self.numbers].to_numpy() for one in mixture.impute(self.test, draws=DRAWS)]
        inside = _inside(np.stack(draws), self.truth[self.numbers].to_numpy())
        return {"coverage": float(inside[self.test[self.numbers].isna().to_numpy()].mean())}


def _standard(error: Rows, truth: Rows) -> Rows:
    """In standard deviations of the columns."""
    scale = truth.std(0)
    return error / np.where(scale > 0, scale, 1)


def _rms(error: Rows) -> float:
    return float(np.sqrt(np.square(error).mean()))


def _inside(draws: Rows, truth: Rows) -> Flags:
    low, high = np.quantile(draws, (0.05, 0.95), axis=0)
    return (low <= truth) & (truth <= high)
