r"""Ladders: levels of codes, where the posterior corrects the prior of each by what x says of it.

Ladder VAE (Sonderby, Raiko, Maaloe, Sonderby & Winther, NeurIPS 2016). The lowest level is z_1, the
top one z_L; codes are (z_L, ..., z_1).
"""

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from mixvae.distributions import chain, diagonal_normal
from mixvae.distributions.pairs import loc_and_scale

from .posteriors import ConditionalNormal, NormalPosterior
from .priors import Encode


class BottomUp(nn.Module):
    r"""The deterministic upward pass, which gives a normal of each level.

    Parameters
    ----------
    heads
        Features of each level to its normal, the lowest level first.
    steps
        Networks from the features of a level to those of the next, one fewer.
    """

    def __init__(self, heads: Sequence[NormalPosterior], steps: Sequence[nn.Module]) -> None:
        super().__init__()
        self.heads, self.steps = nn.ModuleList(heads), nn.ModuleList(steps)

    def forward(self, h: Float[Tensor, "B K H"]) -> list[Distribution]:
        """The normals, batch (B, K) each, the lowest level first."""
        normals = [self.heads[0](h)]
        for step, head in zip(self.steps, self.heads[1:], strict=True):
            h = step(h)
            normals.append(head(h))
        return normals


class LadderPosterior(nn.Module):
    r"""The posterior of a ladder, :math:`q(z_L | x) \prod_i q(z_i | z_{i+1}, x)`.

    The top level is that of the upward pass. Below it, :math:`q(z_i | z_{i+1}, x)` is the product
    of the upward pass's normal and the prior's :math:`p(z_i | z_{i+1})` (:func:`product`). The
    prior's networks are called here, and are parameters of the prior alone.

    Parameters
    ----------
    bottom_up
        Features to the normals of the upward pass.
    levels
        The prior's :math:`p(z_i | z_{i+1})`, from the second level down to the lowest.
    """

    def __init__(self, bottom_up: nn.Module, levels: Sequence[ConditionalNormal]) -> None:
        super().__init__()
        self.bottom_up = bottom_up
        self.levels = tuple(levels)  # no parameters of this module: a file of weights has each once

    def forward(self, h: Float[Tensor, "B K H"]) -> Distribution:
        *lower, top = self.bottom_up(h)
        pairs = zip(reversed(lower), self.levels, strict=True)
        return chain(top, [(partial(_corrected, q, p), p.n_latent) for q, p in pairs])


class LadderPrior(nn.Module):
    r"""The prior of a ladder, :math:`p(z_L) \prod_i p(z_i | z_{i+1})`: batch ().

    Parameters
    ----------
    top
        Prior of the top level.
    levels
        :math:`p(z_i | z_{i+1})`, from the second level down to the lowest.
    """

    def __init__(self, top: nn.Module, levels: Sequence[ConditionalNormal]) -> None:
        super().__init__()
        self.top, self.levels = top, nn.ModuleList(levels)

    def forward(self, encode: Encode) -> Distribution:
        levels = [level for level in self.levels if isinstance(level, ConditionalNormal)]
        return chain(self.top(encode), [(level, level.n_latent) for level in levels])


def product(q: Distribution, p: Distribution) -> Distribution:
    r"""The normalised product of two diagonal normals: their means weighted by precision.

    .. math::
        \sigma^2 = \frac{1}{\hat\sigma^{-2} + \sigma_p^{-2}}, \qquad
        \mu = \sigma^2 (\hat\mu \hat\sigma^{-2} + \mu_p \sigma_p^{-2})

    Parameters
    ----------
    q, p
        Diagonal normals, whose batches broadcast.

    References
    ----------
    Sonderby et al. (NeurIPS 2016), Section 2.

    Examples
    --------
    >>> one = torch.ones(1)
    >>> both = product(diagonal_normal(0 * one, one), diagonal_normal(3 * one, one))
    >>> both.mean, both.variance
    (tensor([1.5000]), tensor([0.5000]))
    """
    (loc, scale), (prior_loc, prior_scale) = loc_and_scale(q), loc_and_scale(p)
    total = torch.hypot(scale, prior_scale)
    loc = prior_loc + (prior_scale / total).square() * (loc - prior_loc)
    return diagonal_normal(loc, scale * prior_scale / total)


def _corrected(q: Distribution, level: ConditionalNormal, above: Tensor) -> Distribution:
    """q(z_i | z_{i+1}, x), of the upward pass's normal and the prior's given the level above."""
    return product(q, level(above))
