r"""Counts whose means are proportional to the row's library size, the sum of its counts.

.. math:: p(x | s) \quad\text{with means}\quad s\, e^{\eta_d}, \qquad
          s = \max\bigl(1, \textstyle\sum_d x_d\bigr) / s_0

for a typical sum :math:`s_0`. The library size is taken for known: it is not a density of x.
"""

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.distributions import Distribution


def log_library_size(x: Tensor, columns: slice | Tensor, typical: float) -> Tensor:
    """log s of rows, (*B, 1); a row without counts is taken for one of a single count.

    Parameters
    ----------
    x
        Rows, (*B, D), of which NaN adds nothing.
    columns
        Those of counts.
    typical
        The sum of counts whose s is 1.
    """
    return (x[..., columns].nansum(-1, keepdim=True).clamp_min(1) / typical).log()


class OfLibrarySize(Distribution):
    """Columns (*B, D) given the row's library size, event (); its mean is that of a typical one.

    Parameters
    ----------
    given
        The distribution of the columns for a log s, which has shape (*B, 1) or ().
    batch_shape
        (*B, D)
    columns
        Those of counts, whose sum is the library size.
    typical
        The sum of counts whose s is 1.

    Examples
    --------
    >>> from torch.distributions import Poisson
    >>> p = OfLibrarySize(lambda s: Poisson((s + torch.zeros(2)).exp()), (2,), slice(None), 2.0)
    >>> p.mean, p.log_prob(torch.tensor([4.0, 0.0]))  # of means 1 and 1, and then 2 and 2
    (tensor([1., 1.]), tensor([-2.4055, -2.0000]))
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own protocol
    has_rsample = False

    def __init__(
        self,
        given: Callable[[Tensor], Distribution],
        batch_shape: Sequence[int],
        columns: slice | Tensor,
        typical: float,
    ) -> None:
        self.given, self.columns, self.typical = given, columns, typical
        super().__init__(torch.Size(batch_shape), validate_args=False)

    @cached_property
    def of_typical(self) -> Distribution:
        """The columns of a row whose library size is typical."""
        return self.given(torch.zeros(()))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density or probability of each column given the sum of the row's counts, (*B, D)."""
        return self.given(log_library_size(value, self.columns, self.typical)).log_prob(value)

    @property
    def mean(self) -> Tensor:
        return self.of_typical.mean

    @property
    def probs(self) -> Tensor:
        """As of the columns."""
        found: Tensor = self.of_typical.probs  # type: ignore[attr-defined]
        return found

    @property
    def variance(self) -> Tensor:
        return self.of_typical.variance

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        found: Tensor = self.of_typical.sample(torch.Size(sample_shape))
        return found
