r"""Bernoulli's log probability from logits l, in fewer passes over memory than PyTorch's.

.. math:: x l - \log(1 + e^l) = \log\sigma(l) + (x - 1)\, l
"""

import torch
import torch.distributions
import torch.nn.functional as F
from torch import Tensor


class Bernoulli(torch.distributions.Bernoulli):
    """Of logits; x may be grey levels, whose "log probability" is the cross-entropy's negative."""

    def log_prob(self, value: Tensor) -> Tensor:
        return torch.addcmul(F.logsigmoid(self.logits), value - 1, self.logits)
