"""Likelihoods of categories, without and with an order, coded 0 ... C - 1."""

from collections.abc import Sequence
from math import prod

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from mixvae.distributions import Codes
from mixvae.errors import MixvaeError, whole

from .likelihood import Likelihood, refuse

LEAST_GAP = 1e-3  # between two thresholds


class CategoricalLikelihood(Likelihood):
    """Independent categories, of which a decoder's output is C logits each, one after another.

    The mean of its distribution is the most probable code.

    Parameters
    ----------
    x_shape
        Shape of one x.
    n_levels
        Numbers C of categories, one for each entry of x in order, or one for all; at least 2.

    Raises
    ------
    MixvaeError
        For another number of numbers, or one below 2.

    Examples
    --------
    >>> p = CategoricalLikelihood((2,), (2, 4))(torch.zeros(5, 6))
    >>> p.log_prob(torch.tensor([1.0, 3.0])).exp()[0]
    tensor(0.1250)
    """

    is_discrete = True
    has_levels = False
    levels: Tensor

    def __init__(self, x_shape: Sequence[int], n_levels: int | Sequence[int]) -> None:
        super().__init__(x_shape)
        n = prod(self.x_shape)
        self.n_levels = (n_levels,) * n if isinstance(n_levels, int) else tuple(n_levels)
        if len(self.n_levels) != n:
            raise MixvaeError(f"n_levels must be {n} numbers; got {len(self.n_levels)}.")
        for number in self.n_levels:
            whole(2, n_levels=number)
        self.register_buffer("levels", torch.tensor(self.n_levels).reshape(self.x_shape), False)

    @property
    def param_shape(self) -> tuple[int, ...]:
        return (sum(self.n_levels),)

    @property
    def exists(self) -> Tensor:
        """Which of the largest number of codes each entry of x has, (*X, C)."""
        return torch.arange(max(self.n_levels), device=self.levels.device) < self.levels[..., None]

    def pixels(self, params: Tensor) -> Distribution:
        exists = self.exists
        logits = params.new_full((*params.shape[:-1], *exists.shape), -torch.inf)
        return Codes(logits=logits.masked_scatter(exists, params), validate_args=False)

    def check(self, x: Tensor) -> None:
        low, high = min(self.n_levels), max(self.n_levels)
        own = f"C = {low}" if low == high else f"C from {low} to {high}, as of each entry"
        needs = f"a likelihood of categories needs codes 0 ... C - 1, {own}"
        bad = ~((x >= 0) & (x < self.levels) & (x == x.floor()))
        refuse(x, bad, needs, "Number the categories from 0, as those of the training data.")


class OrdinalLikelihood(CategoricalLikelihood):
    r"""Independent ordered categories by cumulative logits.

    .. math:: P(x \leq c) = \sigma(t_c - \eta)

    A decoder's output is :math:`\eta`, one number for each entry of x, which has thresholds
    :math:`t_0 < ... < t_{C-2}` of its own. They are learned and start where all categories have the
    same probability. The mean of its distribution is the most probable code.

    Parameters
    ----------
    x_shape, n_levels
        As of :class:`CategoricalLikelihood`.

    References
    ----------
    McCullagh, Regression models for ordinal data, JRSS B 1980.

    Examples
    --------
    >>> p = OrdinalLikelihood((1,), 4)(torch.zeros(1, 1))
    >>> p.log_prob(torch.tensor([[0.0], [1.0], [2.0], [3.0]])).exp().detach()
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """

    def __init__(self, x_shape: Sequence[int], n_levels: int | Sequence[int]) -> None:
        super().__init__(x_shape, n_levels)
        self.first = nn.Parameter(torch.zeros(self.x_shape))
        self.steps = nn.Parameter(torch.zeros(*self.x_shape, max(self.n_levels) - 2))
        rank = torch.arange(1, max(self.n_levels))
        self.start_from((rank / self.levels[..., None]).clamp_max(1 - 1e-6))

    @property
    def param_shape(self) -> tuple[int, ...]:
        return self.x_shape

    @property
    def thresholds(self) -> Float[Tensor, "*X T"]:
        """As many for each entry as the one of most categories has; the others are not used."""
        gaps = LEAST_GAP + F.softplus(self.steps)
        return torch.cat([self.first[..., None], self.first[..., None] + gaps.cumsum(-1)], -1)

    @torch.no_grad()
    def start_from(self, cumulative: Float[Tensor, "*X T"]) -> None:
        """Take thresholds by which these are the probabilities of at most each code.

        Parameters
        ----------
        cumulative
            In (0, 1), for codes 0 ... C - 2 of the entry of most categories.
        """
        logits = cumulative.logit()
        gaps = (logits.diff(dim=-1) - LEAST_GAP).clamp_min(LEAST_GAP)
        self.first.copy_(logits[..., 0])
        self.steps.copy_(gaps + (-torch.expm1(-gaps)).log())  # the inverse of softplus

    def pixels(self, params: Tensor) -> Distribution:
        t = self.thresholds
        below = F.logsigmoid(t - params[..., None])  # log P(x <= c)
        above = F.logsigmoid(params[..., None] - t)  # log P(x > c)
        between = (-torch.expm1(-t.diff(dim=-1))).log()
        inner = below[..., 1:] + above[..., :-1] + between
        logits = torch.cat([below[..., :1], inner, above[..., -1:]], -1)
        last = F.pad(above, (1, 0))  # of the code C - 1, log P(x > C - 2)
        code = torch.arange(logits.shape[-1], device=logits.device)
        logits = torch.where(code == self.levels[..., None] - 1, last, logits)
        return Codes(logits=logits.masked_fill(~self.exists, -torch.inf), validate_args=False)
