"""Mixing weights that are zero for some components: a distribution on a face of the simplex."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.distributions import Distribution, constraints, kl_divergence, register_kl


class Face(Distribution):
    """Distribution of K weights, of which all but those in ``kept`` are zero; event (K,).

    A face of the simplex is where some weights are zero. ``log_prob`` is the density of the kept
    components' weights.

    Parameters
    ----------
    inner
        Distribution of the kept components' weights, event (n,).
    kept
        Which n of the K components are kept, a mask (K,).

    Examples
    --------
    >>> from torch.distributions import Dirichlet
    >>> w = Face(Dirichlet(torch.ones(2)), torch.tensor([True, False, True]))
    >>> w.mean
    tensor([0.5000, 0.0000, 0.5000])
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own protocol
    support = constraints.simplex
    has_rsample = True

    def __init__(self, inner: Distribution, kept: Bool[Tensor, " K"]) -> None:
        self.inner, self.kept = inner, kept
        super().__init__(inner.batch_shape, kept.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self._among_zeros(self.inner.mean)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._among_zeros(self.inner.rsample(torch.Size(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        log_prob: Tensor = self.inner.log_prob(value[..., self.kept])
        return log_prob

    def _among_zeros(self, w: Tensor) -> Tensor:
        """Weights of all K components, from those of the kept ones."""
        whole = w.new_zeros(*w.shape[:-1], len(self.kept))
        whole[..., self.kept] = w
        return whole


@register_kl(Face, Face)
def kl_face(q: Face, p: Face) -> Tensor:
    """KL(q || p) of two distributions on the same face, nats: that of the kept weights."""
    return kl_divergence(q.inner, p.inner)
