r"""The Bernoulli distribution, with a log probability that takes fewer passes over memory.

From logits l,

.. math:: x l - \log(1 + e^l) = \log\sigma(l) + (x - 1)\, l
"""

import torch
import torch.distributions
import torch.nn.functional as F
from torch import Tensor

MANY = 112  # factors of a product, each at least 1/2


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


class BernoulliVector(torch.distributions.Independent):
    r"""Independent Bernoulli variables as one, with a log probability of fewer logarithms.

    Without a gradient one logarithm is taken of up to 112 variables, as

    .. math:: \log p(x) = x l - \max(l, 0) + \log\sigma(|l|), \quad \sigma(|l|) \geq \tfrac12

    and a product of 112 such factors does not underflow. Its constructor is that of PyTorch's
    ``Independent``, for a :class:`Bernoulli`.

    Examples
    --------
    >>> coins = Bernoulli(logits=torch.zeros(2), validate_args=False)
    >>> with torch.no_grad():
    ...     BernoulliVector(coins, 1).log_prob(torch.ones(2)).exp()
    tensor(0.2500)
    """

    def log_prob(self, value: Tensor) -> Tensor:
        logits, n = self.base_dist.logits, self.reinterpreted_batch_ndims
        if torch.is_grad_enabled() or not n:
            return super().log_prob(value)
        logits, value = logits.flatten(-n), value.flatten(-n)
        surprise = torch.addcmul(logits.clamp_min(0), logits, value, value=-1).sum(-1)
        factors = logits.abs().sigmoid_().split(MANY, -1)
        return torch.stack([part.prod(-1) for part in factors]).log_().sum(0) - surprise
