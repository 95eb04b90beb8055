r"""Normal distributions with a precision matrix, as posteriors of linear models have."""

from math import log, pi
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent, constraints, register_kl

from .pairs import is_diagonal_normal, loc_and_scale


class CorrelatedNormal(Distribution):
    r"""Normal distribution :math:`N(m, D (R R^T)^{-1} D)`, D = diag(scale), R lower triangular.

    Parameters
    ----------
    loc
        Means m, (*n, L).
    scale
        Factors of the standard deviations, (*n, L).
    root
        Cholesky factors R of precisions, (*n, L, L).

    Examples
    --------
    >>> root = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    >>> CorrelatedNormal(torch.zeros(2), torch.ones(2), root).stddev
    tensor([0.5000, 1.0000])
    """

    arg_constraints: ClassVar = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Float[Tensor, "*n L"],
        scale: Float[Tensor, "*n L"],
        root: Float[Tensor, "*n L L"],
    ) -> None:
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)
        self.loc, self.scale, self.root = loc, scale, root
        one = torch.eye(loc.shape[-1], dtype=root.dtype, device=root.device)
        self._factor = torch.linalg.solve_triangular(root, one, upper=False).mT

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale.square() * self._factor.square().sum(-1)

    def of_noise(self, noise: Float[Tensor, "*n L"]) -> Float[Tensor, "*n L"]:
        """The values for standard normal noise.

        Parameters
        ----------
        noise
            (*sample, *batch, L).
        """
        return self.loc + self.scale * _times(self._factor, noise)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.of_noise(torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device))

    def log_prob(self, value: Tensor) -> Tensor:
        squares = _times(self.root.mT, (value - self.loc) / self.scale).square().sum(-1)
        return -0.5 * squares - self._half_log_det() - 0.5 * log(2 * pi) * value.shape[-1]

    def entropy(self) -> Tensor:
        return self._half_log_det() + 0.5 * (1 + log(2 * pi)) * self.loc.shape[-1]

    def at(self, *index: Any) -> "CorrelatedNormal":
        """Some entries of the batch, as indexing gives them."""
        return CorrelatedNormal(self.loc[index], self.scale[index], self.root[index])

    def wider(self, factor: float) -> "CorrelatedNormal":
        """The distribution with standard deviations multiplied by a factor."""
        return CorrelatedNormal(self.loc, factor * self.scale, self.root)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "CorrelatedNormal":
        n, shape = self.loc.shape[-1], tuple(batch_shape)
        loc, scale = (t.expand(*shape, n) for t in (self.loc, self.scale))
        return CorrelatedNormal(loc, scale, self.root.expand(*shape, n, n))

    def _half_log_det(self) -> Tensor:
        """Half the logarithm of the covariance's determinant."""
        diagonal = self.root.diagonal(dim1=-2, dim2=-1)
        return (self.scale.log() - diagonal.log()).sum(-1)


def _times(matrix: Float[Tensor, "*n L L"], v: Float[Tensor, "*s L"]) -> Float[Tensor, "*s L"]:
    """Products of a matrix with all samples of its batch entry, without copies of it."""
    n_sample = v.dim() + 1 - matrix.dim()
    columns = v.reshape(-1, *v.shape[n_sample:]).movedim(0, -1)
    return (matrix @ columns).movedim(-1, 0).reshape(v.shape)


@register_kl(CorrelatedNormal, Independent)
def _kl_to_diagonal(q: CorrelatedNormal, p: Independent) -> Tensor:
    if not is_diagonal_normal(p):
        raise NotImplementedError
    loc, scale = loc_and_scale(p)
    squares = (q.variance + (q.loc - loc).square()) / scale.square()
    cross_entropy = (0.5 * squares + scale.log() + 0.5 * log(2 * pi)).sum(-1)
    return cross_entropy - q.entropy()
