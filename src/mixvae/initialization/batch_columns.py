r"""Mixtures of columns of several kinds with a shift of each batch, in the units of their links.

Given the responsibilities, a component's parameter and a batch's shift solve the same kind of
equation: the sum of a column is the sum of its means. With the mean of each row's column predicted
as p, and observed as q, on average,

.. math:: s_b \leftarrow s_b + g(q_b) - g(p_b), \qquad m_k \leftarrow m_k + g(q_k) - g(p_k)

for the link g: identity, logarithm, logit. For logarithms, and for identities, a step solves its
equation; for logits it goes some way (iterative scaling, Darroch & Ratcliff 1972). Shifts of
ordered categories, and of additional zeros, start at 0.
"""

from copy import copy

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from mixvae.likelihoods import ColumnKinds
from mixvae.likelihoods.columns import COUNTS, REAL

from .column_mixture import (
    MAX_ITERATIONS,
    START_REG,
    TOLERANCE,
    ColumnMixture,
    MixtureOfColumns,
    _Statistics,
)
from .gaussian_mixture import Mixture, RowWeights
from .real_features import RealFeatures

MATCHES = 10  # steps of components and shifts in each iteration of EM
LARGEST = 3.0  # logarithm of the factor by which counts are divided, at most, for their moments


def features_of(
    own: MixtureOfColumns, x: Float64[Tensor, "N D"]
) -> tuple[Float64[np.ndarray, "N F"], Mixture]:
    """Rows as features, and the Gaussian mixture of these whose responsibilities are first."""
    assert own.kinds is not None
    first = Mixture(own.n_components, "diag", START_REG, own.n_init, own.seed)
    return RealFeatures(own.kinds, x, own.library_size)(x), first


def fit(
    own: MixtureOfColumns,
    x: Float64[Tensor, "N D"],
    batch: Int64[Tensor, " N"],
    r: Float64[Tensor, "N K"],
    n_batches: int,
    weight: RowWeights,
) -> tuple[ColumnMixture, Float64[Tensor, "n_batches P"]]:
    """A mixture of columns and the shifts of batches, by EM from first responsibilities."""
    assert own.kinds is not None
    mixture = ColumnMixture(own.kinds, own.covariance, own.reg_covar, own.library_size)
    links, size = Links(own.kinds), mixture._sizes(x)
    w = x.new_ones(len(x)) if weight is None else torch.from_numpy(weight)
    shift, before = x.new_zeros(n_batches, own.kinds.n_outputs), -torch.inf
    for _ in range(MAX_ITERATIONS):
        weighted = r * w.unsqueeze(1)
        with torch.no_grad():
            mixture._take(_Statistics(own.kinds, links.without(x, shift[batch]), weighted, size))
        mixture.mean, shift = links.match(x, batch, weighted, mixture.mean, shift, size)
        joint = log_joint(mixture, shift, x, batch)
        mean = float(w @ joint.logsumexp(1) / w.sum())
        if mean - before < TOLERANCE:
            break
        before, r = mean, joint.softmax(1)
    return mixture, shift


def log_joint(
    mixture: ColumnMixture,
    shift: Float64[Tensor, "n_batches P"],
    x: Float64[Tensor, "N D"],
    batch: Int64[Tensor, " N"],
) -> Float64[Tensor, "N K"]:
    """Log p(x, k | b) of rows, nats: batch by batch, by the mixture whose means are shifted."""
    found = x.new_empty(len(x), len(mixture.mean))
    for b in batch.unique().tolist():
        rows, shifted = batch == b, copy(mixture)
        shifted.mean = mixture.mean + shift[b]
        found[rows] = shifted._log_joint(x[rows])
    return found


class Links:
    """The links of columns of several kinds, and steps of their parameters.

    Parameters
    ----------
    kinds
        The likelihood of each column.
    """

    def __init__(self, kinds: ColumnKinds) -> None:
        self.kinds = kinds
        outputs = {i: s.start for i, s in enumerate(kinds.slices)}
        self.real, self.counts, self.binary = (
            [outputs[i] for i in kinds.those(*names)] for names in (REAL, COUNTS, ("bernoulli",))
        )
        self.categories = [kinds.slices[i] for i in kinds.those("categorical")]
        inflated = [i for i in kinds.those(*COUNTS) if kinds.kinds[i][0].startswith("zero-")]
        self.inflated = [outputs[i] for i in inflated]

    def without(
        self, x: Float64[Tensor, "N D"], shift: Float64[Tensor, "N P"]
    ) -> Float64[Tensor, "N D"]:
        """Rows less their shifts: real columns exactly, counts divided; others as they are."""
        x, kinds = x.clone(), self.kinds
        for names, take in ((REAL, torch.sub), (COUNTS, _divided)):
            if columns := kinds.those(*names):
                x[:, columns] = take(x[:, columns], shift[:, kinds.first_outputs(columns)])
        return x

    def match(
        self,
        x: Float64[Tensor, "N D"],
        batch: Int64[Tensor, " N"],
        r: Float64[Tensor, "N K"],
        mean: Float64[Tensor, "K P"],
        shift: Float64[Tensor, "n_batches P"],
        size: Float64[Tensor, "N 1"],
    ) -> tuple[Float64[Tensor, "K P"], Float64[Tensor, "n_batches P"]]:
        """The components' parameters and the shifts, after steps of both given r (weighted).

        Means of counts are those of rows of library size 1, and missing entries say nothing.
        """
        values = self._values(x)
        exposure = torch.ones_like(values)
        exposure[:, self.counts] = size.expand(-1, len(self.counts))
        exposure, values = exposure.masked_fill(values.isnan(), 0), values.nan_to_num(0)
        n = x.new_zeros(len(shift), r.shape[1], values.shape[1])
        sums = torch.zeros_like(n)
        for b in range(len(shift)):
            own = r[batch == b].T
            n[b], sums[b] = own @ exposure[batch == b], own @ values[batch == b]
        seen = n.sum((1, 2)) > 0
        for _ in range(MATCHES):
            mean = mean + self._step(mean, shift, n, sums, 0)
            shift = shift + self._step(mean, shift, n, sums, 1)
            middle = shift[seen].mean(0)
            shift, mean = torch.where(seen.unsqueeze(1), shift - middle, 0.0), mean + middle
        return mean, shift

    def _step(self, mean: Tensor, shift: Tensor, n: Tensor, sums: Tensor, over: int) -> Tensor:
        """The change of parameters that are shared over an axis of (batches, components)."""
        total = n.sum(over)
        predicted = (n * self._means(mean + shift.unsqueeze(1))).sum(over) / total
        observed = (sums.sum(over) + predicted) / (total + 1)  # smoothed by a row as predicted
        return torch.where(total > 0, self._link(observed) - self._link(predicted), 0.0)

    def _values(self, x: Float64[Tensor, "N D"]) -> Float64[Tensor, "N P"]:
        """The value whose mean a parameter decides: the column, or 1 where it has a category."""
        found = x.new_zeros(len(x), self.kinds.n_outputs)
        for i, (own, (name, n)) in enumerate(zip(self.kinds.slices, self.kinds.kinds, strict=True)):
            if name == "categorical":
                one_hot = (x[:, i, None] == torch.arange(n)).double()
                found[:, own] = one_hot.masked_fill(x[:, i, None].isnan(), torch.nan)
            else:
                found[:, own.start] = x[:, i]
        return found

    def _means(self, params: Float64[Tensor, "B K P"]) -> Float64[Tensor, "B K P"]:
        """The means of these values."""
        found = torch.zeros_like(params)
        found[..., self.real] = params[..., self.real]
        found[..., self.counts] = params[..., self.counts].exp()
        zero = params[..., [i + 1 for i in self.inflated]].sigmoid()
        found[..., self.inflated] = found[..., self.inflated] * (1 - zero)
        found[..., self.binary] = params[..., self.binary].sigmoid()
        for own in self.categories:
            found[..., own] = params[..., own].softmax(-1)
        return found

    def _link(self, means: Float64[Tensor, "n P"]) -> Float64[Tensor, "n P"]:
        """The link of means; 0 where there is none."""
        found = torch.zeros_like(means)
        found[:, self.real] = means[:, self.real]
        found[:, self.counts] = means[:, self.counts].log()
        found[:, self.binary] = means[:, self.binary].logit()
        for own in self.categories:
            found[:, own] = means[:, own].log()
        return found


def _divided(x: Tensor, log_factor: Tensor) -> Tensor:
    return x / log_factor.clamp(-LARGEST, LARGEST).exp()
