r"""Mixtures with a shift of each technical batch, by EM: the start of a deep mixture with batches.

A batch b shifts the means of all components alike,

.. math:: p(x | b) = \sum_k \pi_k\, N(x; m_k + s_b, \Sigma_k), \qquad \sum_b s_b = 0

so that batches which differ in the shares of their components differ in their means, and yet not in
their shifts. Steps of EM for the components and for the shifts take turns (Meng & Rubin, Biometrika
1993). Columns of other kinds are shifted in the units of their links (:mod:`.batch_columns`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from mixvae.parts.factor_analysers import FactorAnalysers

from . import batch_columns, batch_diagonal, expectation_maximization
from .column_mixture import ColumnMixture, MixtureOfColumns
from .expectation_maximization import Fitted, _Normals, _parts
from .gaussian_mixture import Mixture, RowWeights

ROUNDS, STEPS = 40, 5  # turns of components and shifts, and steps of EM in a turn
TOLERANCE = 1e-3  # of a turn; mean log p(x), nats
MOST_FEATURES, N_AXES = 50, 20  # more features than that many become principal axes


@dataclass(frozen=True)
class MixtureWithBatches(Mixture):
    """How a mixture with shifts of batches is fitted, to rows whose last column is their batch."""

    of: Callable[..., Mixture] = Mixture
    """How one without batches is: `Mixture` or `MixtureOfColumns`."""
    n_batches: int = 2
    """Number of batches."""

    def fit(self, x: Float64[np.ndarray, "N E"], weight: RowWeights = None) -> "FittedWithBatches":
        """The likelier of the fits from no shifts and from the differences of the batches' means.

        Of columns of several kinds, that of their features (of many, 20 principal axes), from whose
        responsibilities EM goes on.
        """
        rows, batch = split_last(x)
        own = self.of(self.n_components, self.covariance, self.reg_covar, self.n_init, self.seed)
        if not isinstance(own, MixtureOfColumns):
            return fit_normals(own, rows, batch, self.n_batches, weight)
        features, first = batch_columns.features_of(own, torch.from_numpy(rows))
        features = _axes(features, batch, self.n_batches, weight, self.seed)
        normals = fit_normals(first, features, batch, self.n_batches, weight)
        r = normals.log_joint(features, batch).softmax(1)
        found = batch_columns.fit(own, torch.from_numpy(rows), batch, r, self.n_batches, weight)
        return FittedWithBatches(*found)


@dataclass(frozen=True)
class FittedWithBatches:
    """A fitted mixture with shifts of batches."""

    mixture: Fitted | ColumnMixture
    """That of the average batch."""
    shift: Float64[Tensor, "n_batches P"]
    """The shift of each batch, centred."""

    def score_samples(self, x: Float64[np.ndarray, "N E"]) -> Float64[np.ndarray, " N"]:
        """Log p(x | b) of rows whose last column is their batch, nats."""
        return np.asarray(self.log_joint(*split_last(x)).logsumexp(1).numpy())

    def log_joint(
        self, x: Float64[np.ndarray, "N D"], batch: Int64[Tensor, " N"]
    ) -> Float64[Tensor, "N K"]:
        """Log p(x, k | b) of rows and their batches, nats."""
        rows, mixture, shift = torch.from_numpy(x), self.mixture, self.shift
        if isinstance(mixture, ColumnMixture):
            return batch_columns.log_joint(mixture, shift, rows, batch)
        if mixture.covariance_type == "diag" and not rows.isnan().any():
            return batch_diagonal.log_joint(mixture, shift, rows, batch)
        return log_joint(mixture, x - shift[batch].numpy())

    def start(self, linear: FactorAnalysers) -> Any:
        """Give factor analysers the shifts; return the mixture, which gives the rest."""
        assert linear.shift is not None
        linear.shift.start_from(self.shift)
        return self.mixture


def with_batch(x: Float64[np.ndarray, "N D"], batch: Any) -> Float64[np.ndarray, "N E"]:
    """Rows with the numbers of their batches as a last column."""
    return np.column_stack([x, np.asarray(batch, np.float64)])


def split_last(
    x: Float64[np.ndarray, "N E"],
) -> tuple[Float64[np.ndarray, "N D"], Int64[Tensor, " N"]]:
    """Rows without their last column, and that as numbers of batches."""
    return np.ascontiguousarray(x[:, :-1]), torch.from_numpy(x[:, -1].astype(np.int64))


def fit_normals(
    own: Mixture,
    x: Float64[np.ndarray, "N D"],
    batch: Int64[Tensor, " N"],
    n_batches: int,
    weight: RowWeights,
) -> FittedWithBatches:
    """A Gaussian mixture with shifts: the likelier of the fits from two first values of these."""
    w = torch.ones(len(x)).double() if weight is None else torch.from_numpy(weight)
    means, seen = _means(torch.from_numpy(x), batch, w, n_batches)
    firsts = torch.zeros_like(means), centred(means, seen)[0]
    if own.covariance == "diag" and not np.isnan(x).any():
        fits = [batch_diagonal.climb(own, torch.from_numpy(x), batch, w, s) for s in firsts]
    else:
        fits = [_climb(own, x, batch, w, first, seen) for first in firsts]
    return FittedWithBatches(*max(fits, key=lambda one: one[0].lower_bound_))


def _axes(
    x: Float64[np.ndarray, "N F"],
    batch: Int64[Tensor, " N"],
    n_batches: int,
    weight: RowWeights,
    seed: int,
) -> Float64[np.ndarray, "N A"]:
    """The principal axes of the deviations from the batches' means, where columns are many.

    With hundreds of columns responsibilities are 0 or 1 from the first step on, and EM stays where
    it began, be that at the batches.
    """
    if x.shape[1] <= MOST_FEATURES:
        return x
    from sklearn.utils.extmath import randomized_svd

    w = torch.ones(len(x)).double() if weight is None else torch.from_numpy(weight)
    means = _means(torch.from_numpy(x), batch, w, n_batches)[0][batch].numpy()
    x = np.where(np.isnan(x), means, x)
    rest = np.sqrt(w.numpy())[:, None] * (x - means)
    axes = randomized_svd(rest, N_AXES, random_state=seed % 2**32)[2]
    return np.ascontiguousarray(x @ axes.T)


def _climb(
    own: Mixture,
    x: np.ndarray,
    batch: Tensor,
    weight: Tensor,
    shift: Tensor,
    seen: Tensor,
) -> tuple[Fitted, Tensor]:
    """The mixture and the shifts, after turns until one gains little."""
    options: dict[str, Any] = {"covariance_type": own.covariance, "reg_covar": own.reg_covar}
    options |= {"sample_weight": weight.numpy(), "max_iter": STEPS, "n_init": own.n_init}
    fit, k, seed = expectation_maximization.fit, own.n_components, own.seed % 2**32
    rest = x - shift[batch].numpy()
    found, before = fit(rest, k, seed=seed, **options), -np.inf
    for _ in range(ROUNDS):
        step = shift_step(found, rest, batch, weight, len(shift))
        shift, mean = centred(shift + step, seen)
        found = replace(found, means_=found.means_ + mean.numpy())
        rest = x - shift[batch].numpy()
        found = fit(rest, k, start=found, **options)
        if found.lower_bound_ - before < TOLERANCE:
            break
        before = found.lower_bound_
    return found, shift


def log_joint(mixture: Fitted, rest: Float64[np.ndarray, "N D"]) -> Float64[Tensor, "N K"]:
    """Log p(x_observed, k | b) of rows less their shifts, nats."""
    normals = _Normals(mixture)
    found = torch.empty(len(rest), mixture.n_components, dtype=torch.float64)
    for part in _parts(rest):
        found[part.rows] = normals.expect(part)[0].T
    return found


def shift_step(
    mixture: Fitted,
    rest: Float64[np.ndarray, "N D"],
    batch: Int64[Tensor, " N"],
    weight: Float64[Tensor, " N"],
    n_batches: int,
) -> Float64[Tensor, "n_batches D"]:
    r"""The best change of shifts, given the responsibilities r of rows less their shifts.

    With the components' precisions :math:`\Lambda_k` and deviations d, in which missing entries
    have their conditional means, it solves

    .. math:: \sum_{i \in b, k} r_{ik} \Lambda_k\, \delta_b = \sum_{i \in b, k} r_{ik} \Lambda_k
              d_{ik}

    so that with one covariance for all it is the mean deviation, weighted by r.
    """
    normals, (k, d) = _Normals(mixture), mixture.means_.shape
    n = torch.zeros(k, n_batches, dtype=torch.float64)
    sums = torch.zeros(k, n_batches, d, dtype=torch.float64)
    for part in _parts(rest, weight.numpy()):
        log_joint, deviation, _ = normals.expect(part)
        r = log_joint.softmax(0) * part.weight
        n.index_add_(1, batch[part.rows], r)
        sums.index_add_(1, batch[part.rows], r.unsqueeze(2) * deviation)
    precision = torch.einsum("kb,kde->bde", n, normals.precision)
    empty = (n.sum(0) == 0).double()  # which has no rows, and stays where it is
    precision = precision + empty[:, None, None] * torch.eye(d, dtype=torch.float64)
    return torch.linalg.solve(precision, torch.einsum("kbd,kde->be", sums, normals.precision))


def centred(
    shift: Float64[Tensor, "n_batches P"], seen: Bool[Tensor, " n_batches"]
) -> tuple[Float64[Tensor, "n_batches P"], Float64[Tensor, " P"]]:
    """Shifts less their mean over the batches that have rows, 0 of others; and the mean."""
    mean = shift[seen].mean(0)
    return torch.where(seen.unsqueeze(1), shift - mean, 0.0), mean


def _means(x: Tensor, batch: Tensor, weight: Tensor, n_batches: int) -> tuple[Tensor, Tensor]:
    """Means of the observed entries of each batch, else of all rows; and which have rows."""
    w = weight.unsqueeze(1) * ~x.isnan()
    total = torch.zeros(n_batches, x.shape[1]).double().index_add_(0, batch, w)
    sums = torch.zeros_like(total).index_add_(0, batch, w * x.nan_to_num(0))
    means = torch.where(total > 0, sums / total.clamp_min(1e-12), sums.sum(0) / total.sum(0))
    return means, torch.bincount(batch, weight, n_batches) > 0
