"""Gaussian mixtures of diagonal covariance with shifts of batches, for complete rows.

All steps are products of matrices of rows, columns, components and batches, so that thousands of
columns are no matter.
"""

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from .expectation_maximization import TINY, Fitted, _clusters
from .gaussian_mixture import MAX_ITERATIONS, Mixture

TOLERANCE = 1e-3  # of a step of EM; mean log p(x), nats


def climb(
    own: Mixture,
    x: Float64[Tensor, "N D"],
    batch: Int64[Tensor, " N"],
    weight: Float64[Tensor, " N"],
    shift: Float64[Tensor, "n_batches D"],
) -> tuple[Fitted, Float64[Tensor, "n_batches D"]]:
    """The mixture and the shifts, by EM from first shifts; the likeliest of ``n_init`` fits.

    Its ``lower_bound_`` is the mean log p(x | b) before the last step.
    """
    source = np.random.RandomState(own.seed % 2**32)
    best: tuple[Fitted, Tensor] | None = None
    for _ in range(own.n_init):
        rest = (x - shift[batch]).numpy()
        labels = _clusters(rest, own.n_components, weight.numpy(), source)
        r = torch.eye(own.n_components, dtype=x.dtype)[torch.from_numpy(labels).long()]
        found = _climb(own, x, batch, weight, shift, r)
        if best is None or found[0].lower_bound_ > best[0].lower_bound_:
            best = found
    assert best is not None
    return best


def log_joint(
    mixture: Fitted, shift: Float64[Tensor, "n_batches D"], x: Tensor, batch: Tensor
) -> Float64[Tensor, "N K"]:
    """Log p(x, k | b) of complete rows, nats."""
    mean, variance, pi = map(
        torch.from_numpy, (mixture.means_, mixture.covariances_, mixture.weights_)
    )
    rest = x - shift[batch]
    distance = rest.square() @ variance.reciprocal().T - 2 * rest @ (mean / variance).T
    constant = (mean.square() / variance + (2 * torch.pi * variance).log()).sum(1)
    return pi.log() - 0.5 * (distance + constant)


def _climb(
    own: Mixture, x: Tensor, batch: Tensor, weight: Tensor, shift: Tensor, r: Tensor
) -> tuple[Fitted, Tensor]:
    """EM from first responsibilities and shifts, until a step gains little."""
    k, squared, before = own.n_components, x.square(), -torch.inf
    found = Fitted(np.ones(k) / k, np.zeros((k, x.shape[1])), np.ones((k, x.shape[1])), "diag")
    for step in range(MAX_ITERATIONS):
        r = r * weight.unsqueeze(1)
        n = x.new_zeros(len(shift), k).index_add_(0, batch, r).unsqueeze(2)  # (B, K, 1)
        first = torch.stack([r[batch == b].T @ x[batch == b] for b in range(len(shift))])
        if step:  # a step of the shifts, given the components
            mean, precision = (torch.from_numpy(t) for t in (found.means_, 1 / found.covariances_))
            change = ((first - n * (mean + shift.unsqueeze(1))) * precision).sum(1)
            shift = shift + change / (n * precision).sum(1).clamp_min(1e-12)
            seen = n[:, :, 0].sum(1) > 0
            shift = torch.where(seen.unsqueeze(1), shift - shift[seen].mean(0), 0.0)
        total, s = n.sum(0) + TINY, shift.unsqueeze(1)
        mean = (first - n * s).sum(0) / total
        second = r.T @ squared + (n * s.square() - 2 * s * first).sum(0)
        variance = (second / total - mean.square()).clamp_min(0) + own.reg_covar
        pi = total[:, 0] / total.sum()
        found = Fitted(pi.numpy(), mean.numpy(), variance.numpy(), "diag")
        joint = log_joint(found, shift, x, batch)
        bound = float(weight @ joint.logsumexp(1) / weight.sum())
        if bound - before < TOLERANCE:
            break
        before, r = bound, joint.softmax(1)
    return Fitted(pi.numpy(), mean.numpy(), variance.numpy(), "diag", bound), shift
