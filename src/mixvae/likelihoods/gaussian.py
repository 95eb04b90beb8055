"""Gaussian likelihood."""

from collections.abc import Sequence
from math import log

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from mixvae.nn import BoundedMean

from .likelihood import Likelihood, refuse

MIN_SCALE = 1e-3


class GaussianLikelihood(Likelihood):
    r"""Independent normal pixels with one standard deviation for all, learned or fixed.

    With the scale :math:`1/\sqrt 2`, -log p(x | z) is the squared error plus (D/2) log π nats.

    Parameters
    ----------
    x_shape
        Shape of one x.
    from_mean
        Whether the parameters are the means, or logits of them.
    scale
        Standard deviation; None is a learned one, which starts at 0.2 and stays above 0.001.

    Examples
    --------
    >>> p = GaussianLikelihood((2,), scale=0.5**0.5)(torch.zeros(1, 2))
    >>> p.mean, p.log_prob(torch.tensor([[0.5, 1.5]]))  # -1 - log(pi)
    (tensor([[0.5000, 0.5000]]), tensor([-2.1447]))
    """

    log_scale: Tensor

    def __init__(
        self, x_shape: Sequence[int], *, from_mean: bool = False, scale: float | None = None
    ) -> None:
        super().__init__(x_shape, from_mean=from_mean)
        self.means = nn.Identity() if from_mean else BoundedMean()
        start = torch.tensor(log(0.2 if scale is None else scale))
        if scale is None:
            self.log_scale = nn.Parameter(start)
        else:
            self.register_buffer("log_scale", start)

    def pixels(self, params: Tensor) -> Distribution:
        scale = self.log_scale.exp().clamp_min(MIN_SCALE)
        return Normal(self.means(params), scale, validate_args=False)

    def check(self, x: Tensor) -> None:
        needs = "the gaussian and squared-error likelihoods need pixels that are finite"
        refuse(x, ~x.isfinite(), needs, "Remove or repair those examples.")
