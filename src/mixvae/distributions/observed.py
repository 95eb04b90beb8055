"""Independent entries of a row, of which some are not observed."""

from torch import Tensor
from torch.distributions import Independent


class ObservedEntries(Independent):
    """Independent entries, whose log probability is that of the entries which are not NaN.

    That is the density of what is observed, the missing entries being integrated out; 0 where none
    is observed. Its constructor is that of PyTorch's ``Independent``.

    Examples
    --------
    >>> import torch
    >>> p = ObservedEntries(torch.distributions.Normal(torch.zeros(2), 1), 1)
    >>> p.log_prob(torch.tensor([[0.0, torch.nan], [torch.nan, torch.nan]]))
    tensor([-0.9189,  0.0000])
    """

    def log_prob(self, value: Tensor) -> Tensor:
        missing = value.isnan()  # filled before the density, whose gradient would be NaN
        each = self.base_dist.log_prob(value.masked_fill(missing, 0))
        each = each.masked_fill(missing, 0)
        axes = tuple(range(-self.reinterpreted_batch_ndims, 0))
        return each.sum(axes) if axes else each
