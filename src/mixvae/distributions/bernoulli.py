r"""The Bernoulli distribution, with a log probability that takes fewer passes over memory.

From logits l,

.. math:: x l - \log(1 + e^l) = \log\sigma(l) + (x - 1)\, l
"""

import torch
import torch.distributions
import torch.nn.functional as F
from torch import Tensor


class Bernoulli(torch.distributions.Bernoulli):
    """Bernoulli distribution from logits, event ().

    ``log_prob`` also takes grey levels in [0, 1]; it is then the negative cross-entropy, which is
    not a normalised density. Its constructor is that of PyTorch's class.

    Examples
    --------
    >>> p = Bernoulli(logits=torch.zeros(2), validate_args=False)
    >>> p.log_prob(torch.tensor([1.0, 0.5]))
    tensor([-0.6931, -0.6931])
    """

    def log_prob(self, value: Tensor) -> Tensor:
        return torch.addcmul(F.logsigmoid(self.logits), value - 1, self.logits)
