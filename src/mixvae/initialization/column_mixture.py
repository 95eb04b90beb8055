r"""Mixtures of independent columns of several kinds, by EM: the start of a deep mixture of them.

Under component k each column has the distribution of its likelihood, and columns of real values
are a normal together,

.. math:: p(x) = \sum_k \pi_k\, N(x_{real}; m_k, S_k) \prod_d p(x_d; \theta_{kd})

With categories alone it is the latent class model (Lazarsfeld & Henry 1968). Of a row with missing
entries (NaN) it is the density of the others, and the M step takes the statistics of each column
from the rows that have it, and those of the normals as :mod:`.expectation_maximization` does.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor
from torch.distributions import MultivariateNormal

from mixvae.distributions import log_library_size
from mixvae.errors import MixvaeError
from mixvae.likelihoods import ColumnKinds, ColumnLikelihood
from mixvae.likelihoods.categories import OrdinalLikelihood
from mixvae.likelihoods.columns import COUNTS, REAL
from mixvae.likelihoods.counts import NegativeBinomialLikelihood
from mixvae.parts.factor_analysers import FactorAnalysers
from mixvae.parts.weights import CategoricalWeights

from .expectation_maximization import Fitted
from .gaussian_mixture import Covariance, Mixture, RowWeights, factors
from .real_features import RealFeatures

LOADING = 0.03  # standard deviation of what a code adds, at first, to columns that are not real
LEAST_ZERO, MOST_ZERO = 0.01, 0.95  # of the probability of an additional zero
DISPERSION = (1e-3, 10.0)  # limits of the dispersion by moments
N_STEPS = 20  # of the fixed point for additional zeros
MAX_ITERATIONS, TOLERANCE = 50, 1e-3  # of EM; mean log p(x), nats, or each 100 of them
VALUES = 4_000_000  # of rows, components and columns at a time
WIDE, N_PRINCIPAL = 100, 20  # of more columns than the first, so many principal components
N_STARTS = 10  # of k-means
START_REG = 1e-2  # added to the variances of the Gaussian mixture whose responsibilities are first


@dataclass(frozen=True)
class MixtureOfColumns(Mixture):
    """How a mixture of columns of several kinds is fitted; its covariance is of the real ones."""

    kinds: ColumnKinds | None = None
    library_size: float | None = None

    def fit(self, x: Float64[np.ndarray, "N D"], weight: RowWeights = None) -> "ColumnMixture":
        """A mixture of columns, fitted to x by EM.

        The first responsibilities are those of a Gaussian mixture of :class:`RealFeatures`; of
        incomplete rows those of k-means, with means in place of missing features, as that mixture
        takes long and gains nothing; and of more than 100 columns the clusters of their principal
        components by k-means, since a Gaussian mixture finds noise there.
        """
        assert self.kinds is not None
        rows = torch.from_numpy(x)
        counted = rows if weight is None else rows[torch.from_numpy(weight) > 0]
        if (empty := counted.isnan().all(0)).any():
            raise MixvaeError(
                f"columns {empty.nonzero().flatten().tolist()} (counted from 0) have no observed "
                f"entry in {len(rows)} rows; leave them out."
            )
        features = RealFeatures(self.kinds, rows, self.library_size)(rows)
        w = np.ones(len(x)) if weight is None else weight
        if np.isnan(features).any() and len(self.kinds.kinds) <= WIDE:
            source, k = np.random.RandomState(self.seed % 2**32), self.n_components
            starts = (clusters(features, k, w, source) for _ in range(self.n_init))
            fits = [self._from(rows, r, w) for r in starts]
            return max(fits, key=lambda one: float(w @ one.score_samples(x)))
        return self._from(rows, self._first(np.nan_to_num(features), weight), w)

    def _from(self, rows: Tensor, r: np.ndarray, weight: np.ndarray) -> "ColumnMixture":
        assert self.kinds is not None
        found = ColumnMixture(self.kinds, self.covariance, self.reg_covar, self.library_size)
        found.fit(rows, torch.from_numpy(r), torch.from_numpy(weight))
        return found

    def _first(
        self, features: Float64[np.ndarray, "N F"], weight: RowWeights
    ) -> Float64[np.ndarray, "N K"]:
        """The first responsibilities."""
        if self.kinds is not None and len(self.kinds.kinds) > WIDE:
            return _clusters(features, self.n_components, self.seed % 2**32, weight)
        first = Mixture(self.n_components, "diag", START_REG, self.n_init, self.seed)
        return np.asarray(first.fit(features, weight).predict_proba(features))


def clusters(
    features: Float64[np.ndarray, "N F"],
    n_components: int,
    weight: Float64[np.ndarray, " N"],
    source: np.random.RandomState,
) -> Float64[np.ndarray, "N K"]:
    """The clusters of k-means as columns of 0 and 1, of centred features that may be missing."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    if len(features) < n_components:
        raise MixvaeError(
            f"a mixture of {n_components} components needs as many rows; got {len(features)}."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of fewer different rows
        found = KMeans(n_components, n_init=1, random_state=source).fit(
            np.nan_to_num(features), None, weight
        )
    return np.asarray(np.eye(n_components)[found.labels_])


class ColumnMixture:
    """A mixture of independent columns of several kinds.

    Parameters
    ----------
    kinds
        The likelihood of each column.
    covariance, reg_covar
        Of the real columns together: their type, and what is added to their diagonals.
    library_size
        As of :class:`.ColumnLikelihood`.
    """

    def __init__(
        self,
        kinds: ColumnKinds,
        covariance: Covariance,
        reg_covar: float,
        library_size: float | None = None,
    ) -> None:
        self.kinds, self.covariance, self.reg_covar = kinds, covariance, reg_covar
        self.library_size = library_size
        self.likelihood = ColumnLikelihood((len(kinds.kinds),), kinds, library_size).double()
        self.real = kinds.those(*REAL)
        self.covariances: Tensor | None = None  # (K, R, R) of the real columns

    @torch.no_grad()
    def fit(
        self,
        x: Float64[Tensor, "N D"],
        r: Float64[Tensor, "N K"],
        weight: Float64[Tensor, " N"] | None = None,
    ) -> None:
        """EM from first responsibilities, until it gains little; counts are smoothed by one row."""
        before, self.covariances, size = -torch.inf, None, self._sizes(x)
        weight = x.new_ones(len(x)) if weight is None else weight
        for _ in range(MAX_ITERATIONS):
            self._take(_Statistics(self.kinds, x, r * weight.unsqueeze(1), size))
            joint = self._log_joint(x)
            mean = float(weight @ joint.logsumexp(1) / weight.sum())
            if mean - before < TOLERANCE * max(1.0, abs(mean) / 100):
                break
            before, r = mean, joint.softmax(1)

    def _sizes(self, x: Float64[Tensor, "N D"]) -> Float64[Tensor, "N 1"]:
        """Library sizes of rows over the typical one; 1 where they do not count."""
        if self.library_size is None:
            return x.new_ones(len(x), 1)
        counts = torch.tensor(self.kinds.those(*COUNTS))
        return log_library_size(x, counts, self.library_size).exp()

    def score_samples(self, x: Float64[np.ndarray, "N D"]) -> Float64[np.ndarray, " N"]:
        """log p(x) of rows, nats."""
        return np.asarray(self._log_joint(torch.from_numpy(x)).logsumexp(1).numpy())

    def predict_proba(self, x: Float64[np.ndarray, "N D"]) -> Float64[np.ndarray, "N K"]:
        """Responsibilities p(k | x)."""
        return np.asarray(self._log_joint(torch.from_numpy(x)).softmax(1).numpy())

    @torch.no_grad()
    def start(
        self,
        linear: FactorAnalysers,
        likelihood: ColumnLikelihood,
        weights: CategoricalWeights,
        n_rows: int,
    ) -> None:
        """Make factor analysers, their likelihood and their weights those of this mixture, nearly.

        Real columns have the factors of their covariance as loadings, the others small random ones:
        with none, neither these nor the code would have a gradient.
        """
        k, p, n_latent = linear.loadings.shape
        loadings = LOADING * n_latent**-0.5 * torch.randn(k, p, n_latent).double()
        scale = torch.ones(k, p, dtype=torch.float64)
        if self.real:
            assert self.covariances is not None
            outputs = self.kinds.first_outputs(self.real)
            loadings[:, outputs], own = factors(self.covariances, n_latent)
            scale[:] = own.square().mean().sqrt()  # of the others; it counts where all share one
            scale[:, outputs] = own
        linear.start_from(self.mean, loadings, scale)
        likelihood.load_state_dict(self.likelihood.state_dict())
        weights.start_from(n_rows * self.log_weights.exp())

    def _take(self, found: "_Statistics") -> None:
        """The M step."""
        before = None if self.covariances is None else self._normals()
        self.log_weights = (found.n[:, 0] / found.n.sum()).clamp_min(1e-12).log()
        self.mean = torch.zeros(len(found.n), self.kinds.n_outputs, dtype=torch.float64)
        if self.real:
            outputs = self.kinds.first_outputs(self.real)
            self.mean[:, outputs], own = found.moments(self.real, self.reg_covar, before)
            if self.covariance == "tied":
                own = (self.log_weights.exp()[:, None, None] * own).sum(0).expand_as(own)
            elif self.covariance == "diag":
                own = torch.diag_embed(own.diagonal(dim1=1, dim2=2))
            self.covariances = own
        for name in self.likelihood.groups:
            part, columns = self.likelihood.group(name)[0], self.kinds.those(name)
            if name in COUNTS:
                found.counts(self.mean, columns, part)
            elif name == "bernoulli":
                outputs = self.kinds.first_outputs(columns)
                self.mean[:, outputs] = found.smoothed(found.x[:, columns], columns).logit()
            elif name == "categorical":
                for i in columns:
                    self.mean[:, self.kinds.slices[i]] = found.frequencies(i)[0].log()
            elif isinstance(part, OrdinalLikelihood):
                found.ordinals(self.mean, columns, part)

    @torch.no_grad()
    def _log_joint(self, x: Float64[Tensor, "N D"]) -> Float64[Tensor, "N K"]:
        n = max(1, VALUES // (len(self.mean) * x.shape[1]))
        return torch.cat([self._log_joint_of(rows) for rows in x.split(n)])

    def _log_joint_of(self, x: Float64[Tensor, "N D"]) -> Float64[Tensor, "N K"]:
        no_scales = torch.zeros(len(self.mean), self.likelihood.n_params - self.mean.shape[1])
        params = torch.cat([self.mean, no_scales.to(self.mean)], 1)
        missing = x.isnan()
        each = self.likelihood.pixels(params).log_prob(x.masked_fill(missing, 0).unsqueeze(1))
        each = each.masked_fill(missing.unsqueeze(1), 0)  # (N, K, D)
        others = [i for i in range(x.shape[1]) if i not in self.real]
        found: Tensor = self.log_weights + each[..., others].sum(-1)
        if self.real and missing[:, self.real].any():
            found = found + self._normals().log_joint(x[:, self.real].numpy())
        elif self.real:
            loc = self.mean[:, self.kinds.first_outputs(self.real)]
            normal = MultivariateNormal(loc, self.covariances, validate_args=False)
            found = found + normal.log_prob(x[:, None, self.real])
        return found

    def _normals(self) -> Fitted:
        """The components' normals of real columns, whose weights are all 1."""
        assert self.covariances is not None
        mean = self.mean[:, self.kinds.first_outputs(self.real)]
        return Fitted(
            np.ones(len(mean)), mean.numpy(), self.covariances.contiguous().numpy(), "full"
        )


def _clusters(
    x: Float64[np.ndarray, "N F"], n_components: int, seed: int, weight: RowWeights
) -> Float64[np.ndarray, "N K"]:
    """Clusters of the first principal components by k-means, as columns of 0 and 1."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    n = min(N_PRINCIPAL, *x.shape)
    scores = PCA(n, svd_solver="randomized", random_state=seed).fit_transform(x)
    k_means = KMeans(n_components, n_init=N_STARTS, random_state=seed)
    return np.asarray(np.eye(n_components)[k_means.fit(scores, sample_weight=weight).labels_])


class _Statistics:
    """Weighted statistics of rows under each component."""

    def __init__(
        self,
        kinds: ColumnKinds,
        x: Float64[Tensor, "N D"],
        r: Float64[Tensor, "N K"],
        size: Float64[Tensor, "N 1"] | None = None,
    ) -> None:
        self.kinds, self.x, self.r = kinds, x.nan_to_num(0), r
        self.size = x.new_ones(len(x), 1) if size is None else size
        self.observed = ~x.isnan()
        self.n = r.sum(0).unsqueeze(1)  # (K, 1)

    def n_observed(self, columns: list[int]) -> Float64[Tensor, "K C"]:
        """Sums of the weights of rows that have these columns."""
        return self.r.T @ self.observed[:, columns].double()

    def smoothed(
        self, values: Float64[Tensor, "N C"], columns: list[int]
    ) -> Float64[Tensor, "K C"]:
        """Means of functions of columns under each component, over the rows that have them.

        There is one more row, which has the mean of all.
        """
        n = self.n_observed(columns)
        sums = self.r.T @ (self.observed[:, columns] * values)
        return (sums + sums.sum(0) / n.sum(0)) / (n + 1)

    def moments(
        self, columns: list[int], reg_covar: float, before: Fitted | None
    ) -> tuple[Float64[Tensor, "K R"], Float64[Tensor, "K R R"]]:
        """Means and covariances of real columns, smoothed by one row of the whole covariance.

        Missing entries are as under the normals ``before`` given the others; at first, where there
        are none, they are the mean of the column.
        """
        seen, all_rows = self.observed[:, columns], (self.r.sum(1) / self.r.sum()).unsqueeze(1)
        w = all_rows * seen
        overall = (w * self.x[:, columns]).sum(0) / w.sum(0)
        x = torch.where(seen, self.x[:, columns], overall)
        centred = x - overall
        square = (all_rows * centred).T @ centred
        n = self.n.clamp_min(1e-12)
        if before is None or seen.all():
            first = self.r.T @ centred / n
            mean = overall + n / (n + 1) * first
            rest = x - mean.unsqueeze(1)  # (K, N, R)
            own = torch.einsum("nk,knr,kns->krs", self.r, rest, rest) / n.unsqueeze(2)
        else:
            holes = torch.where(seen, x, torch.nan).numpy()
            own_mean, own = before.moments(holes, self.r)
            mean = (n * own_mean + overall) / (n + 1)
            shift = own_mean - mean
            own = own + shift.unsqueeze(2) * shift.unsqueeze(1)
        n = n.unsqueeze(2)
        return mean, (n * own + square) / (n + 1) + reg_covar * torch.eye(len(columns)).to(x)

    def frequencies(self, column: int) -> tuple[Float64[Tensor, "K C"], Float64[Tensor, " C"]]:
        """Frequencies of categories under each component and in all rows, none of them 0."""
        n_levels = self.kinds.kinds[column][1]
        seen = self.observed[:, column, None]
        one_hot = (seen & (self.x[:, column, None] == torch.arange(n_levels))).double()
        n, sums = self.n_observed([column]), self.r.T @ one_hot
        overall = (sums.sum(0) + 1) / (n.sum() + n_levels)
        return (sums + overall) / (n + 1), overall

    def counts(self, mean: Tensor, columns: list[int], part: object) -> None:
        """Logarithms of means, dispersions, and logits of additional zeros."""
        x, outputs = self.x[:, columns], self.kinds.first_outputs(columns)
        size = self.smoothed(self.size.expand(-1, len(columns)), columns)
        squared_size = self.smoothed(self.size.square().expand(-1, len(columns)), columns)
        least = 0.5 / self.n.sum() / (self.n + 1)  # as if columns without counts had half a one
        rate, dispersion = (self.smoothed(x, columns) / size).clamp_min(least), None
        if isinstance(part, NegativeBinomialLikelihood):
            square, squared_mean = self.smoothed(x.square(), columns), rate.square() * squared_size
            n = self.n_observed(columns)
            share = n / n.sum(0)
            excess = (share * (square - squared_mean - rate * size)).sum(0)
            dispersion = (excess / (share * squared_mean).sum(0)).clamp(*DISPERSION)
        if self.kinds.kinds[columns[0]][0].startswith("zero-inflated"):
            zeros = self.smoothed((x == 0).double(), columns)
            dispersion = None if dispersion is None else torch.ones_like(dispersion)
            zero = torch.full_like(rate, LEAST_ZERO)
            for _ in range(N_STEPS):
                own = rate * size / (1 - zero)
                none = -own if dispersion is None else -own.log1p()  # log P(0) for dispersion 1
                zero = (zeros - none.exp()) / (-torch.expm1(none))
                zero = zero.clamp(LEAST_ZERO, MOST_ZERO)
            rate = rate / (1 - zero)
            mean[:, [i + 1 for i in outputs]] = zero.logit()
        mean[:, outputs] = rate.log()
        if isinstance(part, NegativeBinomialLikelihood):
            assert dispersion is not None
            part.log_dispersion.copy_(dispersion.log())

    def ordinals(self, mean: Tensor, columns: list[int], part: OrdinalLikelihood) -> None:
        """Thresholds of all rows, and how far each component is from them, on average."""
        n_thresholds = max(part.n_levels) - 1
        cumulative = torch.empty(len(columns), n_thresholds, dtype=torch.float64)
        for row, (i, out) in enumerate(
            zip(columns, self.kinds.first_outputs(columns), strict=True)
        ):
            own, overall = (f.cumsum(-1)[..., :-1] for f in self.frequencies(i))
            mean[:, out] = (overall.logit() - own.logit()).mean(-1)
            n = overall.shape[-1]
            cumulative[row, :n] = overall
            rest = 0.5 ** torch.arange(1, n_thresholds - n + 1)  # of entries with fewer categories
            cumulative[row, n:] = 1 - (1 - overall[-1]) * rest
        part.start_from(cumulative)
