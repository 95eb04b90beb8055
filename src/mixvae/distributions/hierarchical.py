"""Distributions of levels of latent variables, each given the one above."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints

from .pairs import diagonal_normal, loc_and_scale

Given = Callable[[Tensor], Distribution]


class Hierarchical(Distribution):
    r"""Joint distribution of a latent variable of two levels, event (L2 + L1,).

    .. math:: p(z) = p(z_2)\, p(z_1 | z_2), \qquad z = (z_2, z_1)

    ``mean`` and ``variance`` are those of z2, and those of z1 given that z2 is at its mean. The
    latter are not the moments of z1's own distribution, except for a mean that is linear in z2.

    Parameters
    ----------
    first
        Distribution of z2, batch (*batch), event (L2,).
    second
        Function of z2 (*sample, *batch, L2) that gives the distribution of z1, batch (*sample,
        *batch), event (L1,); where z2 has axes of size 1 for some of batch, the same after
        broadcasting.
    n_second
        L1.
    second_has_rsample
        Whether the distributions of z1 have ``rsample``.

    Examples
    --------
    >>> from mixvae.distributions import diagonal_normal
    >>> first = diagonal_normal(torch.zeros(3), torch.ones(3))
    >>> p = Hierarchical(first, lambda z2: diagonal_normal(z2[..., :2], z2[..., :2].exp()), 2)
    >>> p.rsample((4,)).shape, p.log_prob(torch.zeros(4, 5)).shape
    (torch.Size([4, 5]), torch.Size([4]))
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own protocol
    support = constraints.real_vector

    def __init__(
        self,
        first: Distribution,
        second: Given,
        n_second: int,
        second_has_rsample: bool = True,
    ) -> None:
        self.first, self.second, self.n_second = first, second, n_second
        self.second_has_rsample = second_has_rsample
        self.has_rsample = first.has_rsample and second_has_rsample
        event_shape = torch.Size([first.event_shape[0] + n_second])
        super().__init__(first.batch_shape, event_shape, validate_args=False)

    def expand(
        self, batch_shape: Sequence[int], _instance: Distribution | None = None
    ) -> "Hierarchical":
        first = self.first.expand(torch.Size(batch_shape))
        return Hierarchical(first, self.second, self.n_second, self.second_has_rsample)

    def split(self, z: Float[Tensor, "*n L"]) -> tuple[Tensor, Tensor]:
        """Split z into z2 (*n, L2) and z1 (*n, L1)."""
        return z[..., : -self.n_second], z[..., -self.n_second :]

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        above = self.first.sample(torch.Size(sample_shape))
        return torch.cat([above, self.second(above).sample()], -1)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        above = self.first.rsample(torch.Size(sample_shape))
        return torch.cat([above, self.second(above).rsample()], -1)

    def log_prob(self, value: Float[Tensor, "*n L"]) -> Float[Tensor, "*m"]:
        above, below = self.split(value)
        return self.first.log_prob(above) + self.second(above).log_prob(below)

    @property
    def mean(self) -> Tensor:
        above = self.first.mean
        return torch.cat([above, self.second(above).mean], -1)

    @property
    def variance(self) -> Tensor:
        return torch.cat([self.first.variance, self.second(self.first.mean).variance], -1)


def chain(top: Distribution, below: Sequence[tuple[Given, int]]) -> Distribution:
    r"""Joint distribution of L levels, :math:`p(z_L) \prod_i p(z_i | z_{i+1})`: two-level nested.

    Its event is (z_L, ..., z_1), the top level first.

    Parameters
    ----------
    top
        Distribution of the top level, event (n_L,).
    below
        From the second level down to the lowest: the function of the level above that gives the
        level's distribution, as ``second`` of :class:`Hierarchical`, and its size. Without any, the
        result is ``top``.

    Examples
    --------
    >>> top = diagonal_normal(torch.zeros(1), torch.ones(1))
    >>> same = lambda above: diagonal_normal(above, torch.ones_like(above))
    >>> p = chain(top, [(same, 1), (same, 1)])
    >>> p.sample((5,)).shape, p.first.event_shape
    (torch.Size([5, 3]), torch.Size([2]))
    """
    joint, n_above = top, top.event_shape[0]
    for given, n in below:
        joint, n_above = Hierarchical(joint, partial(_given_last, given, n_above), n), n
    return joint


def _given_last(given: Given, n_above: int, levels: Tensor) -> Distribution:
    """A level given all levels above it, of which it reads the lowest."""
    return given(levels[..., -n_above:])


def independent_levels(q: Distribution, n_second: int) -> Hierarchical:
    """A diagonal normal as a distribution of two levels, the second of which ignores the first.

    Parameters
    ----------
    q
        A diagonal normal, batch (*batch), event (L2 + L1,).
    n_second
        L1.

    Examples
    --------
    >>> q = diagonal_normal(torch.zeros(4, 5), torch.ones(4, 5))
    >>> levels = independent_levels(q, 2)
    >>> levels.first.event_shape, levels.second(torch.zeros(7, 4, 3)).batch_shape
    (torch.Size([3]), torch.Size([7, 4]))
    """
    first, second = zip(*(t.tensor_split([-n_second], -1) for t in loc_and_scale(q)), strict=True)
    below = diagonal_normal(*second)

    def given(above: Tensor) -> Distribution:
        return below.expand(torch.broadcast_shapes(above.shape[:-1], below.batch_shape))

    return Hierarchical(diagonal_normal(*first), given, n_second)
