"""What all likelihoods are, and the figure that compares those of 256 grey levels."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from math import log, prod
from typing import TypeVar

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from mixvae.errors import MixvaeError
from mixvae.nn import full_precision

Nats = TypeVar("Nats", float, Tensor)
BITS_OF_A_PIXEL = 8


class Likelihood(nn.Module, ABC):
    """What x is, given the decoder's output."""

    term = "log_lik"  # the name in the objective
    autoregressive = False  # True: a mean or a draw takes a step for each pixel
    is_density = True  # False: no bound on log p(x) can be made of it
    is_discrete = False  # True: a probability, False: a density

    def __init__(self, x_shape: Sequence[int], *, from_mean: bool = False) -> None:
        super().__init__()
        self.x_shape, self.from_mean = tuple(x_shape), from_mean

    @property
    def param_shape(self) -> tuple[int, ...]:
        """The parameters of one x, which a decoder makes in a row."""
        return self.x_shape

    @cached_property
    def n_params(self) -> int:
        """How many outputs a decoder needs: for images, a multiple of their area."""
        return prod(self.param_shape)

    def forward(self, params: Float[Tensor, "*B D"]) -> Distribution:
        p = self.pixels(full_precision(params).unflatten(-1, self.param_shape))
        return Independent(p, len(self.x_shape) - len(p.event_shape), validate_args=False)

    @abstractmethod
    def pixels(self, params: Tensor) -> Distribution:
        """The distribution of single pixels, or of all of them where they depend on each other."""

    def render(self, p: Distribution) -> Tensor:
        """What a new x is shown as: its mean given z."""
        return p.mean

    @abstractmethod
    def check(self, x: Tensor) -> None:
        """Raise a MixvaeError where x is not data that this likelihood is for."""


def refuse(x: Tensor, bad: Bool[Tensor, "*n"], needs: str, remedy: str) -> None:
    """Raise a MixvaeError with the first bad value, if there is one."""
    if bad.any():
        raise MixvaeError(
            f"{needs}; {int(bad.sum())} of {x.numel()} values are not, such as "
            f"{x[bad][0].item():g}. {remedy}"
        )


def refuse_outside(x: Tensor, name: str) -> None:
    """Raise a MixvaeError unless x is in [0, 1]."""
    needs = f"the {name} likelihood needs pixels that are in [0, 1]"
    remedy = "Remove or repair those examples, or scale them, such as 8-bit values by 1 / 255."
    refuse(x, ~((x >= 0) & (x <= 1)), needs, remedy)  # a NaN is not inside either


def bits_per_dim(log_prob: Nats, likelihood: Likelihood) -> Nats:
    r"""Bits a dimension of 8-bit data, :math:`-\log_2 p(x) / D`, of a log p(x) or a bound in nats.

    Of a density it is 8 more, :math:`-\log_2(p(x) 2^{-8 D}) / D`, as if p were constant over a
    level of width 1/256. That is an approximation, since nothing keeps a density from being high at
    the levels and low between them: only of data with uniform noise a level wide it is a bound on a
    discrete model's (Theis et al. 2016, (3)).

    Raises:
        MixvaeError: of a likelihood that is no density.
    """
    if not likelihood.is_density:
        raise MixvaeError(
            f"{type(likelihood).__name__} is no density of x, so that it has no bits per "
            "dimension. Train with another likelihood, such as 'logistic'."
        )
    bits = -log_prob / (prod(likelihood.x_shape) * log(2))
    return bits if likelihood.is_discrete else bits + BITS_OF_A_PIXEL
