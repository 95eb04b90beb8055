"""The start of a deep mixture for tables whose columns are of several kinds."""

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mixvae.likelihoods import ColumnKinds, ColumnLikelihood
from mixvae.likelihoods.categories import OrdinalLikelihood
from mixvae.likelihoods.columns import COUNTS, REAL
from mixvae.likelihoods.counts import NegativeBinomialLikelihood
from mixvae.parts.column_features import ColumnFeatures
from mixvae.parts.factor_analysers import FactorAnalysers

from .gaussian_mixture import factors

LOADING = 0.1  # standard deviation of what a code adds, at first, to columns that are not real
LEAST_ZERO, MOST_ZERO = 0.01, 0.95  # of the probability of an additional zero, at first
DISPERSION = (1e-3, 10.0)  # limits of the first dispersion
N_STEPS = 20  # of the fixed point for additional zeros


class RealFeatures:
    """Columns of several kinds as real numbers of similar variance, for a Gaussian mixture.

    log(1 + x) of counts, a column of 0 and 1 for each category, and other columns, all centred. Each
    is divided by its standard deviation, the columns of one category together, so that their
    variances add up to 1.

    Parameters
    ----------
    kinds
        The likelihood of each column.
    x
        Training rows.
    """

    def __init__(self, kinds: ColumnKinds, x: Float[Tensor, "N D"]) -> None:
        self.features = ColumnFeatures(kinds)
        values = self.features(x.double())
        self.mean, variance = values.mean(0), values.var(0, correction=0)
        column = self.features.get_buffer("_of")
        total = torch.zeros(len(kinds.kinds)).to(variance).index_add(0, column, variance)
        self.kept, self.scale = variance > 0, total[column].sqrt()

    def __call__(self, x: Float[Tensor, "N D"]) -> Float64[np.ndarray, "N F"]:
        """Rows, without the columns of categories that training rows do not have."""
        values = (self.features(x.double()) - self.mean) / self.scale
        return np.asarray(values[:, self.kept].numpy())


@torch.no_grad()
def start_columns(
    linear: FactorAnalysers,
    likelihood: ColumnLikelihood,
    x: Float[Tensor, "N D"],
    responsibilities: Float64[np.ndarray, "N K"],
    reg_covar: float,
) -> None:
    """Start at the columns' means under each component, in the units of their links.

    Real columns start with the factors of their covariance under the component, the others with
    small random loadings. Counts of rows are smoothed by one row that is as all rows together.

    Parameters
    ----------
    linear, likelihood
        What is changed: the factor analysers of a decoder, and its likelihood.
    x
        Training rows.
    responsibilities
        Of each component for them.
    reg_covar
        Added to the diagonal of the covariances of real columns.
    """
    start = _Start(likelihood.kinds, x.double(), torch.from_numpy(responsibilities))
    k, p, n_latent = linear.loadings.shape
    mean = torch.zeros(k, p, dtype=torch.float64)
    loadings = LOADING * n_latent**-0.5 * torch.randn(k, p, n_latent).double()
    scale = torch.ones(k, p, dtype=torch.float64)
    if columns := likelihood.kinds.of(*REAL):
        outputs = start.outputs(columns)
        mean[:, outputs], covariance = start.moments(columns, reg_covar)
        loadings[:, outputs], own = factors(covariance, n_latent)
        scale[:] = own.square().mean().sqrt()  # of the others; it counts where all share one
        scale[:, outputs] = own
    for name in likelihood.groups:
        part, columns = likelihood.group(name)[0], likelihood.kinds.of(name)
        if name in COUNTS:
            start.counts(mean, columns, part)
        elif name == "bernoulli":
            mean[:, start.outputs(columns)] = start.smoothed(start.x[:, columns]).logit()
        elif name == "categorical":
            for i in columns:
                mean[:, likelihood.kinds.slices[i]] = start.frequencies(i)[0].log()
        elif isinstance(part, OrdinalLikelihood):
            start.ordinals(mean, columns, part)
    linear.start_from(mean, loadings, scale)


class _Start:
    """Weighted statistics of rows under each component."""

    def __init__(
        self, kinds: ColumnKinds, x: Float64[Tensor, "N D"], r: Float64[Tensor, "N K"]
    ) -> None:
        self.kinds, self.x = kinds, x
        self.n = r.sum(0).unsqueeze(1)  # (K, 1)
        self.w = (r / r.sum(0).clamp_min(1e-12)).T  # (K, N), rows that sum to 1

    def outputs(self, columns: list[int]) -> list[int]:
        """The first parameter of each of these columns."""
        return [self.kinds.slices[i].start for i in columns]

    def smoothed(self, values: Float64[Tensor, "N C"]) -> Float64[Tensor, "K C"]:
        """Means under each component, with one more row that has the mean of all rows."""
        return (self.n * (self.w @ values) + values.mean(0)) / (self.n + 1)

    def moments(
        self, columns: list[int], reg_covar: float
    ) -> tuple[Float64[Tensor, "K R"], Float64[Tensor, "K R R"]]:
        """Means and covariances of real columns, smoothed by one row of the whole covariance."""
        x = self.x[:, columns]
        mean = self.smoothed(x)
        rest = x - mean.unsqueeze(1)  # (K, N, R)
        own = torch.einsum("kn,knr,kns->krs", self.w, rest, rest)
        all_rows = (x - x.mean(0)).T @ (x - x.mean(0)) / len(x)
        n = self.n.unsqueeze(2)
        return mean, (n * own + all_rows) / (n + 1) + reg_covar * torch.eye(len(columns)).to(x)

    def frequencies(self, column: int) -> tuple[Float64[Tensor, "K C"], Float64[Tensor, " C"]]:
        """Frequencies of categories under each component and in all rows, none of them 0."""
        n_levels = self.kinds.kinds[column][1]
        one_hot = (self.x[:, column, None] == torch.arange(n_levels)).double()
        overall = (one_hot.sum(0) + 1) / (len(one_hot) + n_levels)
        return (self.n * (self.w @ one_hot) + overall) / (self.n + 1), overall

    def counts(self, mean: Tensor, columns: list[int], part: object) -> None:
        """Logarithms of means, dispersions, and logits of additional zeros."""
        x, outputs = self.x[:, columns], self.outputs(columns)
        rate, dispersion = self.smoothed(x), None
        if isinstance(part, NegativeBinomialLikelihood):
            square = self.smoothed(x.square())
            share = self.n / self.n.sum()
            excess = (share * (square - rate.square() - rate)).sum(0)
            dispersion = (excess / (share * rate.square()).sum(0)).clamp(*DISPERSION)
        if self.kinds.kinds[columns[0]][0].startswith("zero-inflated"):
            zeros = self.smoothed((x == 0).double())
            dispersion = None if dispersion is None else torch.ones_like(dispersion)
            zero = torch.full_like(rate, LEAST_ZERO)
            for _ in range(N_STEPS):
                own = rate / (1 - zero)
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
        for row, (i, out) in enumerate(zip(columns, self.outputs(columns), strict=True)):
            own, overall = (f.cumsum(-1)[..., :-1] for f in self.frequencies(i))
            mean[:, out] = (overall.logit() - own.logit()).mean(-1)
            n = overall.shape[-1]
            cumulative[row, :n] = overall
            rest = 0.5 ** torch.arange(1, n_thresholds - n + 1)  # of entries with fewer categories
            cumulative[row, n:] = 1 - (1 - overall[-1]) * rest
        part.start_from(cumulative)
