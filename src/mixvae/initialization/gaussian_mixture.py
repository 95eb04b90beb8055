"""The start of a deep mixture for tables: scikit-learn's GaussianMixture as factor analysers."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from mixvae.errors import MixvaeError
from mixvae.parts.factor_analysers import FactorAnalysers
from mixvae.parts.weights import CategoricalWeights

from . import expectation_maximization
from .expectation_maximization import Fitted

Covariance = Literal["full", "tied", "diag"]
COVARIANCES: tuple[Covariance, ...] = ("full", "tied", "diag")
NUMBERS = (1, 2, 3, 5, 8, 12, 20, 30, 50)  # of components that are tried
REGULARISATION = (1e-3, 1e-2, 1e-6)  # of covariances, the first where only one is tried
ROWS_EACH = 3  # training rows for each component, at least
WORSE = 2  # numbers of components in a row that are no better, after which no more are tried
MAX_ITERATIONS = 200
SEARCH_ROWS, SEARCH_VAL_ROWS = 4000, 2000  # of more, the search takes the first
FEW_ROWS, FOLDS = 1000, 5  # fewer rows than these are cross-validated, in so many parts
PSI = 1e-3  # least part of a column's variance that is noise
RowWeights = Float64[np.ndarray, " N"] | None


@dataclass(frozen=True)
class Mixture:
    """How a Gaussian mixture is fitted."""

    n_components: int
    covariance: Covariance = "full"
    reg_covar: float = REGULARISATION[0]
    n_init: int = 1
    seed: int = 0

    def fit(self, x: Float64[np.ndarray, "N D"], weight: RowWeights = None) -> Any:
        """scikit-learn's GaussianMixture; with weights or missing entries, one like it."""
        if weight is not None or np.isnan(x).any():
            return expectation_maximization.fit(
                x,
                self.n_components,
                covariance_type=self.covariance,
                reg_covar=self.reg_covar,
                n_init=self.n_init,
                max_iter=MAX_ITERATIONS,
                seed=self.seed % 2**32,
                sample_weight=weight,
            )
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        mixture = GaussianMixture(
            self.n_components,
            covariance_type=self.covariance,
            reg_covar=self.reg_covar,
            n_init=self.n_init,
            random_state=self.seed % 2**32,
            max_iter=MAX_ITERATIONS,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # of k-means and of EM
            try:
                return mixture.fit(x)
            except ValueError as error:  # too few rows, or a covariance that is singular
                raise MixvaeError(
                    f"the Gaussian mixture of {self.n_components} components could not be fitted "
                    f"({' '.join(str(error).split())}); give fewer, or a larger reg_covar."
                ) from error


@dataclass(frozen=True)
class Tried:
    """A mixture that was tried, and its log p(x) of held-out rows."""

    mixture: Mixture
    log_p: Float64[np.ndarray, " N"]
    """Of each row, nats."""
    weight: RowWeights = None
    """Of each row."""

    @property
    def mean(self) -> float:
        """Weighted mean over rows, nats."""
        return float(np.average(self.log_p, weights=self.weight))

    def error(self, other: "Tried") -> float:
        """Standard error of the mean difference to another, over rows; nats."""
        difference, n = self.log_p - other.log_p, len(self.log_p)
        weight = np.ones(n) / n if self.weight is None else self.weight / self.weight.sum()
        squares = np.square(weight * (difference - weight @ difference))
        return float((n / (n - 1) * squares.sum()) ** 0.5) if n > 1 else 0.0


def search(
    train: Float64[np.ndarray, "N D"],
    val: Float64[np.ndarray, "M D"],
    *,
    n_components: int | None = None,
    covariance: Covariance | None = None,
    reg_covar: float | None = None,
    n_init: int = 1,
    seed: int = 0,
    cross_validate: bool = True,
    kind_of_mixture: Callable[..., Mixture] = Mixture,
    weights: tuple[np.ndarray, np.ndarray] | None = None,
) -> list[Tried]:
    """Gaussian mixtures of several sizes, fitted to some rows, with their log p of others.

    Parameters
    ----------
    train, val
        Rows to fit to, and rows to compare on, in random order. The first 4,000 and 2,000 are used:
        more would take minutes, for nearly the same choice. Where both together are fewer than
        1,000, each fifth of them is compared on once, with the mixture of the other four fifths.
    n_components, covariance, reg_covar
        Given ones are kept. Of others, every covariance is tried with 1, 2, 3, 5, 8, ... 50
        components, until two numbers in a row are no better, and the best of these with other
        regularisations.
    n_init, seed
        As scikit-learn's n_init and random_state.
    cross_validate
        Whether few rows are cross-validated; otherwise they are treated as many are.
    kind_of_mixture
        `Mixture`, or another way of fitting with the same fields.
    weights
        Of the rows of ``train`` and of ``val``; None: all count alike.

    Returns
    -------
    list of Tried
        In the order in which they were tried; at least one.
    """
    n, m = SEARCH_ROWS, SEARCH_VAL_ROWS
    w, v = weights or (np.ones(len(train)), np.ones(len(val)))
    if cross_validate and FOLDS * (n_components or 1) <= len(train) + len(val) < FEW_ROWS:
        parts = _folds(np.concatenate([train, val]), np.concatenate([w, v]))
    else:
        parts = [_Part(train[:n], val[:m], w[:n], v[:m])]
    most = max(1, len(parts[0].train) // ROWS_EACH)
    numbers = [k for k in NUMBERS if k <= most] if n_components is None else [n_components]
    weight = np.concatenate([part.val_weight for part in parts])

    def tried(k: int, kind: Covariance, reg: float) -> Tried:
        mixture = kind_of_mixture(k, kind, reg, n_init, seed)
        log_p = [part.log_p(mixture, weighted=weights is not None) for part in parts]
        return Tried(mixture, np.concatenate(log_p), weight)

    found: list[Tried] = []
    for kind in COVARIANCES if covariance is None else (covariance,):
        reg = REGULARISATION[0] if reg_covar is None else reg_covar
        found += _until_worse(tried(k, kind, reg) for k in numbers)
    if reg_covar is None:
        best = best_of(found).mixture
        others = REGULARISATION[1:]
        found += [tried(best.n_components, best.covariance, reg) for reg in others]
    return found


@dataclass(frozen=True)
class _Part:
    """Rows to fit to, rows to compare on, and the weights of both."""

    train: Float64[np.ndarray, "N D"]
    val: Float64[np.ndarray, "M D"]
    train_weight: Float64[np.ndarray, " N"]
    val_weight: Float64[np.ndarray, " M"]

    def log_p(self, mixture: Mixture, *, weighted: bool) -> Float64[np.ndarray, " M"]:
        """Log p of the observed entries of each row to compare on, after a fit to the others."""
        found = mixture.fit(self.train, self.train_weight if weighted else None)
        if np.isnan(self.val).any() and hasattr(found, "means_"):  # scikit-learn's takes none
            values = (found.weights_, found.means_, found.covariances_, found.covariance_type)
            found = Fitted(*values)
        return np.asarray(found.score_samples(self.val))


def _folds(x: Float64[np.ndarray, "N D"], weight: Float64[np.ndarray, " N"]) -> list[_Part]:
    """Four fifths of the rows to fit to, and one to compare on: each fifth once."""
    fold = np.arange(len(x)) % FOLDS
    parts = [(fold != i, fold == i) for i in range(FOLDS)]
    return [_Part(x[r], x[others], weight[r], weight[others]) for r, others in parts]


def best_of(found: Sequence[Tried]) -> Tried:
    """The one of largest mean log p."""
    return max(found, key=lambda one: one.mean)


def one_standard_error(found: Sequence[Tried]) -> Tried:
    """The fewest components whose mean is at most a standard error below the best.

    The error is that of the paired difference. Among as many components the best is taken
    (Breiman et al. 1984, Section 3.4.3).
    """
    best = best_of(found)
    near = [one for one in found if best.mean - one.mean <= best.error(one)]
    fewest = min(one.mixture.n_components for one in near)
    return best_of([one for one in near if one.mixture.n_components == fewest])


def _until_worse(found: Iterator[Tried]) -> list[Tried]:
    """The mixtures up to the second in a row that is no better than the best before."""
    kept: list[Tried] = []
    since_best = 0
    for one in found:
        since_best = 0 if not kept or one.mean > best_of(kept).mean else since_best + 1
        kept.append(one)
        if since_best == WORSE:
            break
    return kept


def start_from(
    linear: FactorAnalysers, weights: CategoricalWeights, mixture: Any, n_rows: int
) -> None:
    """Make factor analysers, and their weights, those of a fitted GaussianMixture."""
    n_latent = linear.loadings.shape[2]
    if mixture.covariance_type == "diag":  # K matrices D x D could be large
        scale = torch.from_numpy(mixture.covariances_).sqrt()
        loadings = torch.zeros(*scale.shape, n_latent, dtype=scale.dtype)
    else:
        loadings, scale = factors(torch.from_numpy(_covariances(mixture)), n_latent)
    linear.start_from(torch.from_numpy(mixture.means_), loadings, scale)
    weights.start_from(torch.from_numpy(n_rows * mixture.weights_))


def _covariances(mixture: Any) -> Float64[np.ndarray, "K D D"]:
    """The covariance of each component, of type full or tied."""
    found, n = mixture.covariances_, mixture.n_components
    if mixture.covariance_type == "full":
        return np.asarray(found)
    return np.repeat(found[None], n, 0)


def factors(
    covariance: Float64[Tensor, "K D D"], n_latent: int, n_steps: int = 200
) -> tuple[Float64[Tensor, "K D L"], Float64[Tensor, "K D"]]:
    r"""Loadings W and noise scales s of factor analysers whose covariance is near the given one.

    With L = D - 1, :math:`W W^T + \lambda_{min} I` is the covariance itself. Fewer are principal
    factors. A diagonal covariance has none, W = 0. :math:`W^T \operatorname{diag}(s^{-2}) W` is
    diagonal, so that the posterior of a code has independent dimensions.

    Parameters
    ----------
    covariance
        Of each component.
    n_latent
        Size L of a code.
    n_steps
        Steps of the principal-factor iteration.

    Raises
    ------
    MixvaeError
        For a covariance that is not finite.
    """
    if not covariance.isfinite().all():
        raise MixvaeError("the Gaussian mixture to start from has a covariance that is not finite.")
    own = covariance.diagonal(dim1=1, dim2=2)
    psi = 0.5 * own
    if n_latent >= covariance.shape[-1] - 1:
        psi, n_steps = torch.linalg.eigvalsh(covariance)[:, :1].clamp_min(1e-12).expand_as(own), 0
    for _ in range(n_steps):
        loadings = _loadings(covariance, psi, n_latent)
        psi = torch.maximum(own - loadings.square().sum(2), PSI * own)
    has_factors = (covariance != torch.diag_embed(own)).any(2).any(1)
    loadings = _loadings(covariance, psi, n_latent) * has_factors[:, None, None]
    return loadings, torch.where(has_factors.unsqueeze(1), psi, own).sqrt()


def _loadings(
    covariance: Float64[Tensor, "K D D"], psi: Float64[Tensor, "K D"], n_latent: int
) -> Float64[Tensor, "K D L"]:
    """The loadings of largest likelihood given the noise variances; zero beyond D of them."""
    root = psi.sqrt()
    scaled = covariance / (root.unsqueeze(1) * root.unsqueeze(2))
    values, vectors = torch.linalg.eigh(scaled)
    values, vectors = values.flip(1)[:, :n_latent], vectors.flip(2)[..., :n_latent]
    found = root.unsqueeze(2) * vectors * (values - 1).clamp_min(0).sqrt().unsqueeze(1)
    return torch.nn.functional.pad(found, (0, n_latent - found.shape[2]))
