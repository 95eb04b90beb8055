r"""Expectation maximisation for Gaussian mixtures of rows with missing entries and weights.

For a row with observed entries o and missing ones m, component k has, with the precision
:math:`\Lambda = \Sigma^{-1}` and deviations d from the mean,

.. math:: x_m | x_o, k \sim N(\mu_m - \Lambda_{mm}^{-1} \Lambda_{mo} d_o,\; \Lambda_{mm}^{-1})

whose moments take the place of the entries in the M step (Ghahramani & Jordan 1994). Where nothing
is missing and all weights are equal, it is the algorithm of scikit-learn's GaussianMixture.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, pi
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from mixvae.errors import MixvaeError

Covariance = Literal["full", "tied", "diag"]
ROWS = 2000  # at a time
TINY = 10 * float(np.finfo(np.float64).eps)  # of rows, that a component without any has


@dataclass(frozen=True)
class Fitted:
    """A fitted Gaussian mixture, with the attributes of scikit-learn's GaussianMixture.

    Attributes
    ----------
    weights_ : ndarray, shape (K,)
        Proportions of the components.
    means_ : ndarray, shape (K, D)
        Their means.
    covariances_ : ndarray
        Their covariances: (K, D, D) of full, (D, D) of tied, (K, D) of diag.
    covariance_type : {"full", "tied", "diag"}
        What the covariances are.
    lower_bound_ : float
        Weighted mean of log p(x_observed) before the last step, nats.
    converged_ : bool
        Whether that gained less than ``tol``.
    n_iter_ : int
        Number of steps.
    """

    weights_: Float64[np.ndarray, " K"]
    means_: Float64[np.ndarray, "K D"]
    covariances_: np.ndarray
    covariance_type: Covariance
    lower_bound_: float = -np.inf
    converged_: bool = False
    n_iter_: int = 0

    @property
    def n_components(self) -> int:
        """Number K of components."""
        return len(self.weights_)

    def score_samples(self, x: Float64[np.ndarray, "N D"]) -> Float64[np.ndarray, " N"]:
        """Log p of the observed entries of each row, nats; 0 where none is observed."""
        return self.log_joint(x).logsumexp(1).numpy()

    def predict_proba(self, x: Float64[np.ndarray, "N D"]) -> Float64[np.ndarray, "N K"]:
        """Responsibilities p(k | x_observed); the weights where nothing is observed."""
        return self.log_joint(x).softmax(1).numpy()

    def log_joint(self, x: Float64[np.ndarray, "N D"]) -> Float64[Tensor, "N K"]:
        """Log p(x_observed, k) of each row and component, nats."""
        normals = _Normals(self)
        found = torch.empty(len(x), self.n_components, dtype=torch.float64)
        for part in _parts(x):
            found[part.rows] = normals.expect(part)[0].T
        return found

    def moments(
        self, x: Float64[np.ndarray, "N D"], r: Float64[Tensor, "N K"]
    ) -> tuple[Float64[Tensor, "K D"], Float64[Tensor, "K D D"]]:
        """Means and covariances of rows whose missing entries are distributed as given the others.

        Those of an M step with weights r of the rows under each component, whatever covariances
        this mixture has.
        """
        normals, found = _Normals(self), _Moments.none(self)
        for part in _parts(x):
            _, deviation, covariance = normals.expect(part)
            found.add(part, r[part.rows].T, deviation, covariance)
        n = found.n.clamp_min(1e-12)
        shift = found.first / n.unsqueeze(1)
        own = found.second / n[:, None, None] - shift.unsqueeze(2) * shift.unsqueeze(1)
        return torch.from_numpy(self.means_) + shift, own


def fit(
    x: Float64[np.ndarray, "N D"],
    n_components: int,
    *,
    covariance_type: Covariance = "full",
    reg_covar: float = 1e-6,
    n_init: int = 1,
    max_iter: int = 100,
    tol: float = 1e-3,
    seed: int = 0,
    sample_weight: Float64[np.ndarray, " N"] | None = None,
    responsibilities: Float64[np.ndarray, "N K"] | None = None,
    start: Fitted | None = None,
) -> Fitted:
    """A Gaussian mixture fitted to the observed entries of weighted rows.

    Parameters
    ----------
    x
        Rows; missing entries are NaN.
    n_components
        Number K of components.
    covariance_type
        One covariance for each component (full), one for all (tied), or variances of each (diag).
    reg_covar
        Added to the diagonal of covariances in every step.
    n_init
        Number of fits, from other k-means clusters of the rows with means in place of missing
        entries; the likeliest is kept.
    max_iter
        Most steps of a fit.
    tol
        A fit ends where a step gains less, nats a row.
    seed
        Of k-means, below 2**32.
    sample_weight
        Weight of each row, at least 0: a weight of 2 is two rows.
    responsibilities
        First responsibilities, in place of k-means.
    start
        A mixture to go on from, in place of both.

    Returns
    -------
    Fitted
        The mixture.

    Raises
    ------
    MixvaeError
        For fewer rows than components, columns without an observed entry, and covariances that are
        singular.

    References
    ----------
    Z. Ghahramani and M. Jordan, Supervised learning from incomplete data via an EM approach, NIPS
    1994.
    """
    x = np.asarray(x, np.float64)
    weight = np.ones(len(x)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    if len(x) < n_components:
        raise MixvaeError(
            f"a mixture of {n_components} components needs as many rows; got {len(x)}."
        )
    seen = weight[:, None] * ~np.isnan(x)
    if (empty := seen.sum(0) <= 0).any():
        raise MixvaeError(
            f"columns {np.flatnonzero(empty).tolist()} (counted from 0) have no observed entry; "
            "leave them out."
        )
    if start is not None:
        return _climb(start, list(_parts(x, weight)), reg_covar, max_iter, tol)
    mean = (seen * np.nan_to_num(x)).sum(0) / seen.sum(0)
    filled = np.where(np.isnan(x), mean, x)
    source, parts = np.random.RandomState(seed), list(_parts(x, weight))
    best: Fitted | None = None
    for _ in range(n_init):
        r = responsibilities
        if r is None:
            r = np.eye(n_components)[_clusters(filled, n_components, weight, source)]
        start = _first(filled, r * weight[:, None], covariance_type, reg_covar)
        one = _climb(start, parts, reg_covar, max_iter, tol)
        best = one if best is None or one.lower_bound_ > best.lower_bound_ else best
    assert best is not None
    return best


def _clusters(x: np.ndarray, k: int, weight: np.ndarray, source: Any) -> np.ndarray:
    from sklearn.cluster import KMeans

    return np.asarray(KMeans(k, n_init=1, random_state=source).fit(x, None, weight).labels_)


def _climb(
    mixture: Fitted, parts: "list[_Part]", reg_covar: float, max_iter: int, tol: float
) -> Fitted:
    """EM steps until one gains less than ``tol``."""
    total = sum(float(part.weight.sum()) for part in parts)
    before = -np.inf
    for step in range(1, max_iter + 1):
        normals, moments, bound = _Normals(mixture), _Moments.none(mixture), 0.0
        for part in parts:
            log_joint, deviation, covariance = normals.expect(part)
            log_p = log_joint.logsumexp(0)
            bound += float(part.weight @ log_p)
            moments.add(part, (log_joint - log_p).exp() * part.weight, deviation, covariance)
        bound /= total
        done = abs(bound - before) < tol
        mixture = moments.mixture(mixture, reg_covar, (bound, done, step))
        if done:
            break
        before = bound
    return mixture


@dataclass(frozen=True)
class _Part:
    """Rows with as many missing entries each, by the pattern of what is missing."""

    rows: Int64[Tensor, " n"]
    x: Float64[Tensor, "n D"]  # 0 where missing
    observed: Bool[Tensor, "n D"]
    weight: Float64[Tensor, " n"]
    missing: Int64[Tensor, "P m"]  # columns, of each pattern
    pattern: Int64[Tensor, " n"]


def _parts(x: np.ndarray, weight: np.ndarray | None = None) -> Iterator[_Part]:
    """The rows, sorted by number and pattern of missing entries."""
    values = torch.from_numpy(np.asarray(x, np.float64))
    w = torch.ones(len(values)).double() if weight is None else torch.from_numpy(weight)
    missing = values.isnan()
    patterns, pattern = missing.unique(dim=0, return_inverse=True)
    number = patterns.sum(1)
    for m in number.unique().tolist():
        rows = (number[pattern] == m).nonzero().squeeze(1)
        for own in rows[pattern[rows].argsort(stable=True)].split(ROWS):
            used, of = pattern[own].unique(return_inverse=True)
            columns = patterns[used].nonzero()[:, 1].view(len(used), m)
            yield _Part(own, values[own].nan_to_num(0), ~missing[own], w[own], columns, of)


class _Normals:
    """The components' densities of observed entries, and moments of missing ones."""

    def __init__(self, mixture: Fitted) -> None:
        self.log_weights = torch.from_numpy(mixture.weights_).log()
        self.means = torch.from_numpy(mixture.means_)
        self.diagonal = mixture.covariance_type == "diag"
        self.covariances = torch.from_numpy(mixture.covariances_)
        if self.diagonal:
            if not (self.covariances > 0).all():
                raise _singular()
            self.covariances = torch.diag_embed(self.covariances)
        try:
            root = torch.linalg.cholesky(self.covariances)
        except torch.linalg.LinAlgError as error:
            raise _singular() from error
        shape = (len(self.means), *root.shape[-2:])
        self.precision = torch.cholesky_inverse(root).expand(shape)
        self.log_det = _half_log_det(root).expand(shape[0])

    def expect(self, part: _Part) -> tuple[Tensor, Tensor, Tensor | None]:
        """log p(x, k), deviations from the mean and missing entries' covariances by pattern."""
        d = (part.x - self.means.unsqueeze(1)) * part.observed  # (K, n, D)
        h = d @ self.precision
        distance, log_det = (h * d).sum(2), self.log_det.unsqueeze(1)
        covariance, m = None, part.missing.shape[1]
        if m:
            its = part.missing  # (P, m)
            of_missing = self.precision[:, its.unsqueeze(2), its.unsqueeze(1)]  # (K, P, m, m)
            root = of_missing.sqrt() if self.diagonal else torch.linalg.cholesky(of_missing)
            covariance = torch.cholesky_inverse(root)
            columns = its[part.pattern].expand(len(d), -1, -1)  # (K, n, m)
            h_missing = h.gather(2, columns)
            shift = (covariance[:, part.pattern] @ h_missing.unsqueeze(3)).squeeze(3)
            distance = distance - (shift * h_missing).sum(2)
            log_det = log_det + _half_log_det(root)[:, part.pattern]
            d = d.scatter(2, columns, -shift)
        n_observed = part.x.shape[1] - m
        log_prob = -0.5 * (distance + n_observed * log(2 * pi)) - log_det
        return log_prob + self.log_weights.unsqueeze(1), d, covariance


@dataclass
class _Moments:
    """Weighted sums over rows: of each component's responsibilities, deviations and squares."""

    n: Float64[Tensor, " K"]
    first: Float64[Tensor, "K D"]
    second: Float64[Tensor, "K D D"]

    @classmethod
    def none(cls, mixture: Fitted) -> "_Moments":
        k, d = mixture.means_.shape
        return cls(*(torch.zeros(shape).double() for shape in ((k,), (k, d), (k, d, d))))

    def add(
        self,
        part: _Part,
        r: Float64[Tensor, "K n"],
        deviation: Float64[Tensor, "K n D"],
        covariance: Float64[Tensor, "K P m m"] | None,
    ) -> None:
        """Add rows with their weighted responsibilities r."""
        weighted = deviation * r.unsqueeze(2)
        self.n += r.sum(1)
        self.first += weighted.sum(1)
        self.second += weighted.mT @ deviation
        if covariance is not None:
            by_pattern = r.new_zeros(len(r), len(part.missing)).index_add_(1, part.pattern, r)
            d, its = self.first.shape[1], part.missing
            cells = (its.unsqueeze(2) * d + its.unsqueeze(1)).flatten()
            sums = (covariance * by_pattern[..., None, None]).flatten(1)
            self.second.flatten(1).index_add_(1, cells, sums)

    def mixture(self, old: Fitted, reg_covar: float, ended: tuple[float, bool, int]) -> Fitted:
        """The M step."""
        n = self.n + TINY
        shift = self.first / n.unsqueeze(1)
        own = self.second / n[:, None, None] - shift.unsqueeze(2) * shift.unsqueeze(1)
        kind = old.covariance_type
        if kind == "tied":
            own = (own * (n / n.sum())[:, None, None]).sum(0)
        covariance = own.diagonal(dim1=-2, dim2=-1) + reg_covar
        if kind != "diag":
            covariance = own + reg_covar * torch.eye(own.shape[-1], dtype=own.dtype)
        means = torch.from_numpy(old.means_) + shift
        weights = n / n.sum()
        return Fitted(weights.numpy(), means.numpy(), covariance.numpy(), kind, *ended)


def _first(x: np.ndarray, r: np.ndarray, kind: Covariance, reg_covar: float) -> Fitted:
    """The M step of complete rows."""
    k, d = r.shape[1], x.shape[1]
    n = r.sum(0) + TINY
    means = (r / n).T @ x
    old = Fitted(n / n.sum(), means, np.zeros((k, d)), kind)
    moments = _Moments.none(old)
    for part, own in zip(_parts(x), np.split(r, range(ROWS, len(r), ROWS)), strict=True):
        deviation = part.x - torch.from_numpy(means).unsqueeze(1)
        moments.add(part, torch.from_numpy(own.T), deviation, None)
    return moments.mixture(old, reg_covar, (-np.inf, False, 0))


def _half_log_det(root: Float64[Tensor, "*S D D"]) -> Float64[Tensor, "*S"]:
    return root.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def _singular() -> MixvaeError:
    return MixvaeError(
        "a covariance of the Gaussian mixture is singular; give fewer components, or a larger "
        "reg_covar."
    )
