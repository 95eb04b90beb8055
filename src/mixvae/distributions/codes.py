"""The categorical distribution of codes that are floats, as the columns of a table are."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Categorical


class Codes(Categorical):
    """Categorical distribution of codes 0 ... C - 1 in floating point, event ().

    Its mean is the most probable code, as codes of categories have no average; its variance is NaN.
    Its constructor is that of PyTorch's class; a logit of -inf is a code that there is not.

    Examples
    --------
    >>> p = Codes(logits=torch.tensor([0.0, 1.0]))
    >>> p.mean, p.log_prob(torch.tensor(0.0)).exp()
    (tensor(1.), tensor(0.2689))
    """

    @property
    def mean(self) -> Tensor:
        return self.logits.argmax(-1).to(self.logits.dtype)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return super().sample(torch.Size(sample_shape)).to(self.logits.dtype)
