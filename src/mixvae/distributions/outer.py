"""Mixing weights of pairs: the products of two independent vectors of weights."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, kl_divergence, register_kl


class OuterProduct(Distribution):
    r"""Distribution of the products of two independent vectors of weights, event (K J,).

    The weights :math:`w_{kj} = u_k v_j` are listed row by row. ``log_prob`` is the density of
    (u, v), which are the sums of w over columns and over rows.

    Parameters
    ----------
    rows
        Distribution of u, event (K,).
    columns
        Distribution of v, independent of u, event (J,), of the same batch.

    Examples
    --------
    >>> from mixvae.distributions import Delta
    >>> u, v = Delta(torch.tensor([0.5, 0.5])), Delta(torch.tensor([0.2, 0.8]))
    >>> OuterProduct(u, v).mean
    tensor([0.1000, 0.4000, 0.1000, 0.4000])
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own protocol
    support = constraints.simplex
    has_rsample = True

    def __init__(self, rows: Distribution, columns: Distribution) -> None:
        self.rows, self.columns = rows, columns
        self.sides = (rows.event_shape[0], columns.event_shape[0])
        event_shape = torch.Size([self.sides[0] * self.sides[1]])
        super().__init__(rows.batch_shape, event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return _products(self.rows.mean, self.columns.mean)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = torch.Size(sample_shape)
        return _products(self.rows.rsample(shape), self.columns.rsample(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        w = value.unflatten(-1, self.sides)
        return self.rows.log_prob(w.sum(-1)) + self.columns.log_prob(w.sum(-2))


@register_kl(OuterProduct, OuterProduct)
def kl_outer_product(q: OuterProduct, p: OuterProduct) -> Tensor:
    """KL(q || p) in nats: the sum of the KLs of both vectors."""
    return kl_divergence(q.rows, p.rows) + kl_divergence(q.columns, p.columns)


def _products(u: Tensor, v: Tensor) -> Tensor:
    """All products, row by row."""
    return (u.unsqueeze(-1) * v.unsqueeze(-2)).flatten(-2)
