"""The base class of likelihoods, and bits per dimension."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from math import log, prod
from typing import TypeVar

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from mixvae.distributions import Bernoulli, BernoulliVector, ObservedEntries, on_levels
from mixvae.errors import MixvaeError
from mixvae.nn import BoundedMean, full_precision

Nats = TypeVar("Nats", float, Tensor)
BITS_PER_PIXEL = 8


class Likelihood(nn.Module, ABC):
    """Base class of likelihoods: a module from a decoder's output to p(x | z).

    A subclass gives ``pixels`` and ``check``, and ``param_shape`` where an entry of x has other
    than one parameter.

    Parameters
    ----------
    x_shape
        Shape of one x.
    from_mean
        Whether the parameters are means in (0, 1), or logits of them.
    """

    term = "log_lik"  # the term's name in the objective
    autoregressive = False  # True: computing a mean or a sample takes a step for each pixel
    is_density = True  # False: not normalised, so that nothing with it is a bound on log p(x)
    is_discrete = False  # True: a probability, False: a density
    has_levels = True  # False: of other values than pixels, which have no bits per dimension
    missing = False  # True: entries that are NaN are missing, and densities those of the others
    link: type[nn.Module] = BoundedMean  # from a network's output to means, for from_mean

    def __init__(self, x_shape: Sequence[int], *, from_mean: bool = False) -> None:
        super().__init__()
        self.x_shape, self.from_mean = tuple(x_shape), from_mean

    @property
    def param_shape(self) -> tuple[int, ...]:
        """Shape of the parameters of one x, which a decoder returns flattened."""
        return self.x_shape

    @cached_property
    def n_params(self) -> int:
        """Number D of a decoder's outputs; for images, a multiple of their area."""
        return prod(self.param_shape)

    def forward(self, params: Float[Tensor, "*B D"]) -> Distribution:
        """p(x | z), batch (*B), event ``x_shape``, in float32 or better.

        Parameters
        ----------
        params
            A decoder's output.
        """
        p = self.pixels(full_precision(params).unflatten(-1, self.param_shape))
        n_axes = len(self.x_shape) - len(p.event_shape)
        kind = BernoulliVector if isinstance(p, Bernoulli) else Independent
        kind = ObservedEntries if self.missing else kind
        return kind(p, n_axes, validate_args=False)

    @abstractmethod
    def pixels(self, params: Tensor) -> Distribution:
        """Distribution of single pixels, or of all of them where they depend on each other.

        Parameters
        ----------
        params
            The parameters, (*B, *param_shape).
        """

    def reading(self, encoder: nn.Module) -> nn.Module:
        """The encoder of such data: the given one, before which counts are made logarithms.

        Parameters
        ----------
        encoder
            A network of x.
        """
        return encoder

    def render(self, p: Distribution) -> Tensor:
        """What is shown for p(x | z): its mean; a sample where pixels depend on each other.

        Parameters
        ----------
        p
            The distribution that :meth:`forward` returned.
        """
        return p.mean

    def given(self, x: Tensor) -> Tensor:
        """The values of x that must be of this likelihood's kind: all, or those not missing.

        Parameters
        ----------
        x
            Data, (N, *X).
        """
        return x[~x.isnan()] if self.missing else x

    @abstractmethod
    def check(self, x: Tensor) -> None:
        """Check that data are of the kind that this likelihood is for.

        Parameters
        ----------
        x
            Data, (N, *X).

        Raises
        ------
        MixvaeError
            Where some values are not, with their number, one of them, and what to do.
        """


def refuse(x: Tensor, bad: Bool[Tensor, "*n"], needs: str, remedy: str) -> None:
    """Raise a MixvaeError if there is a bad value, with their number, the first, and a remedy."""
    if bad.any():
        raise MixvaeError(
            f"{needs}; {int(bad.sum())} of {x.numel()} values are not, such as "
            f"{x[bad][0].item():g}. {remedy}"
        )


def refuse_outside(x: Tensor, name: str) -> None:
    """Raise a MixvaeError unless x is in [0, 1]."""
    needs = f"the {name} likelihood needs pixels that are in [0, 1]"
    remedy = "Remove or repair those examples, or scale them, such as 8-bit values by 1 / 255."
    refuse(x, ~((x >= 0) & (x <= 1)), needs, remedy)  # written so that a NaN is refused


def refuse_off_levels(x: Tensor, n: int, name: str, remedy: str) -> None:
    """Raise a MixvaeError unless x has levels k / n."""
    needs = f"the {name} likelihood needs pixels that are k / {n} for k = 0 ... {n}"
    refuse(x, ~on_levels(x, n), needs, remedy)


def bits_per_dim(log_prob: Nats, likelihood: Likelihood) -> Nats:
    r"""Bits per dimension, :math:`-\log_2 p(x) / D`; lower is better.

    Of a probability they are the bits of the data's own levels: 1 for even odds of 0 and 1, 8 for
    256 equally likely levels, 4.09 for 17. For a density, data are taken for 8-bit ones and 8 bits
    are added, :math:`-\log_2(p(x) 2^{-8 D}) / D`, as if p were constant over
    a level of width 1/256. That is an approximation, since a density may be high at the levels and
    low between them. Only for data with uniform noise of a level's width it is a bound on the bits
    per dimension of a discrete model (Theis et al. 2016).

    Parameters
    ----------
    log_prob
        A log p(x), or a bound on it, nats, summed over the D entries of x; a number or a tensor.
    likelihood
        The model's likelihood, which has D and says whether p is a density or a probability.

    Raises
    ------
    MixvaeError
        For a likelihood that is not a normalised density, or is of other values than pixels.

    References
    ----------
    Theis, van den Oord & Bethge (ICLR 2016), eq. 3.

    Examples
    --------
    >>> from mixvae.likelihoods import likelihood
    >>> bits_per_dim(-784 * log(2), likelihood("logistic", (1, 28, 28)))
    1.0
    """
    if not likelihood.is_density:
        raise MixvaeError(
            f"{type(likelihood).__name__} is not a normalised density of x, so that it has no bits "
            "per dimension. Train with another likelihood, such as 'logistic'."
        )
    if not likelihood.has_levels:
        raise MixvaeError(
            f"{type(likelihood).__name__} is of real values, counts or categories, which have no "
            "bits per dimension; compare log p(x)."
        )
    bits = -log_prob / (prod(likelihood.x_shape) * log(2))
    return bits if likelihood.is_discrete else bits + BITS_PER_PIXEL
