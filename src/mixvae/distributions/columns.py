"""Distribution of the columns of a table, of which some are of one kind and some of another."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution

from .codes import Codes

Part = tuple[Tensor, Distribution]


class Columns(Distribution):
    """Independent distributions of D columns, batch (*B, D), event ().

    Parameters
    ----------
    parts
        For each kind the numbers of its n columns, counted from 0, and their distribution, batch
        (*B, n). Every column is in one of them.

    Examples
    --------
    >>> from torch.distributions import Normal, Poisson
    >>> reals = torch.tensor([0, 2]), Normal(torch.zeros(5, 2), 1.0)
    >>> p = Columns([reals, (torch.tensor([1]), Poisson(torch.ones(5, 1)))])
    >>> p.log_prob(torch.tensor([0.0, 0.0, 1.0]))[0]
    tensor([-0.9189, -1.0000, -1.4189])
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own protocol
    has_rsample = False

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)
        columns = torch.cat([columns for columns, _ in self.parts])
        self._order = columns.argsort()
        known = not torch.compiler.is_exporting()  # when a program has no values
        self._is_ordered = known and len(self.parts) == 1 and bool((columns.diff() > 0).all())
        batch = (*self.parts[0][1].batch_shape[:-1], len(self._order))
        super().__init__(torch.Size(batch), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density or probability of each column, (*B, D)."""
        return self._joined(lambda p, columns: p.log_prob(value[..., columns]))

    @property
    def mean(self) -> Tensor:
        return self._joined(lambda p, _: p.mean)

    @property
    def probs(self) -> Tensor:
        """Probabilities of codes, (*B, D, C); NaN of columns that are not of categories."""
        of_codes = [(c, p.probs) for c, p in self.parts if isinstance(p, Codes)]
        n_levels = max((probs.shape[-1] for _, probs in of_codes), default=1)
        dtype = self.parts[0][1].mean.dtype
        found = torch.full((*self.batch_shape, n_levels), torch.nan, dtype=dtype)
        for columns, probs in of_codes:
            found[..., columns, :] = F.pad(probs, (0, n_levels - probs.shape[-1])).to(found)
        return found

    @property
    def variance(self) -> Tensor:
        return self._joined(lambda p, _: p.variance)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._joined(lambda p, _: p.sample(torch.Size(sample_shape)))

    def _joined(self, value: Callable[[Distribution, Any], Tensor]) -> Tensor:
        """A value of each kind's distribution, the columns in order."""
        if self._is_ordered:
            return value(self.parts[0][1], slice(None))
        return torch.cat([value(p, columns) for columns, p in self.parts], -1)[..., self._order]
