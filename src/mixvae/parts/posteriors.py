"""Posterior heads: features h (B, K, H) in, q(z | x, k) out. Batch (B, K), event (L,)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.distributions import Distribution

from mixvae.distributions import Hierarchical, Kumaraswamy, StickBreaking, diagonal_normal
from mixvae.distributions.pairs import loc_and_scale
from mixvae.errors import at_least
from mixvae.nn import Stacked, full_precision, relu
from mixvae.nn.linear import Linear

MIN_SCALE = 1e-6
MIN_LEVEL_SCALE = 1e-3  # of a code whose prior is learned too, and with it the unit it is in


class NormalPosterior(nn.Module):
    r"""A diagonal normal, :math:`\mathcal{N}(\mu_k(x), \operatorname{diag} \sigma_k^2(x))`.

    The scale is softplus + 1e-6 (softplus: M-VAE, Section V-A).
    """

    def __init__(self, n_features: int, n_latent: int, n_components: int) -> None:
        super().__init__()
        self.n_features = n_features
        self.net = Stacked(lambda: nn.Linear(n_features, 2 * n_latent), n_components)

    def forward(
        self, h: Float[Tensor, "B K H"], component_index: Int64[Tensor, "B M"] | None = None
    ) -> Distribution:
        """q(z | x, k), batch (B, K), or of the components of x in ``component_index``, (B, M)."""
        made = self.net(h)
        if component_index is not None:
            made = made[torch.arange(len(h), device=h.device).unsqueeze(1), component_index]
        return _normal(made, MIN_SCALE)


class StickPosterior(nn.Module):
    r"""The code is the weights of a broken stick, :math:`v_l \sim Kumaraswamy(a_{kl}, b_{kl})`.

    Stick-breaking VAE (Nalisnick & Smyth 2017), cut off at L weights: L - 1 sticks a component.
    a and b are exponentials of what a layer makes of the component's features.
    ``series`` takes the KL from the published series.

    Raises:
        MixvaeError: for fewer than two weights, of which one would always be 1.
    """

    def __init__(
        self, n_features: int, n_latent: int, n_components: int, *, series: bool = False
    ) -> None:
        super().__init__()
        at_least(2, n_latent=n_latent)
        self.net = Stacked(lambda: nn.Linear(n_features, 2 * (n_latent - 1)), n_components)
        self.series = series

    def forward(self, h: Float[Tensor, "B K H"]) -> Distribution:
        log_a, log_b = full_precision(self.net(h)).chunk(2, -1)
        return StickBreaking(Kumaraswamy.from_logs(log_a, log_b, series=self.series))


class OneHotPosterior(nn.Module):
    r"""A diagonal normal of each of hundreds of components, by one network that is told which.

    .. math:: (\mu_k, \text{raw}_k) = V \operatorname{relu}(W h + b_k) + c

    MISVAE (Hotti et al. 2024), Section 5: a layer reads x's features h with the component's one-hot
    beside them. The one-hot's part of that product is a bias a component, and its only cost. Here W
    and b_k start as those of K layers ``nn.Linear`` that share W.
    """

    def __init__(self, n_features: int, n_latent: int, n_components: int, width: int) -> None:
        super().__init__()
        self.read = Linear(n_features, width, bias=False)
        near = n_features**-0.5
        self.bias = nn.Parameter(torch.empty(n_components, width).uniform_(-near, near))
        self.head = Linear(width, 2 * n_latent)

    def forward(
        self, h: Float[Tensor, "B 1 H"], component_index: Int64[Tensor, " S"] | None = None
    ) -> Distribution:
        """q(z | x, k), batch (B, K); of the components ``component_index`` alone, batch (B, S)."""
        bias = self.bias if component_index is None else self.bias[component_index]
        return _normal(self.head(relu(self.read(h) + bias)), MIN_SCALE)


class ConditionalNormal(nn.Module):
    r"""A diagonal normal given whatever is read, :math:`\mathcal{N}(\mu(h), \sigma^2(h))`.

    ``net`` maps (*n, I) to 2 ``n_latent`` numbers, loc and raw scale. A level of a
    :class:`Hierarchical`, of a posterior's or a prior's.
    """

    def __init__(self, net: nn.Module, n_latent: int) -> None:
        super().__init__()
        self.net, self.n_latent = net, n_latent

    def forward(self, h: Float[Tensor, "*n I"]) -> Distribution:
        return _normal(self.net(h), MIN_LEVEL_SCALE)


class HierarchicalPosterior(nn.Module):
    r"""Two levels, :math:`q(z_2 | x, k)\, q(z_1 | x, z_2)`: event (L2 + L1,).

    ``first`` reads h (B, K, H). ``second`` reads h with z2 beside it, (*sample, B, K, H + L2), and
    is one network for all components. (Tomczak & Welling 2018, Section 5.)
    """

    def __init__(self, first: nn.Module, second: ConditionalNormal) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, h: Float[Tensor, "B K H"]) -> Distribution:
        def second(above: Tensor) -> Distribution:
            return self.second(_side_by_side(h, above))

        return Hierarchical(self.first(h), second, self.second.n_latent)


class TwoLayerPosterior(nn.Module):
    r"""A mixture at each of two levels: component (k, j) is :math:`q_k(z_2|x)\, q_j(z_1|x, z_2)`.

    The K^2 pairs are counted row by row, and each draws a z2 of its own. h (B, K^2, H) is the same
    for all of them. ``first`` reads it for K components; ``second`` reads it with z2 beside it,
    (*n, H + L2), and returns a batch (*n, K).
    """

    def __init__(self, first: nn.Module, second: ConditionalNormal, n_components: int) -> None:
        super().__init__()
        self.first, self.second, self.n_components = first, second, n_components

    def forward(self, h: Float[Tensor, "B P H"]) -> Distribution:
        pair = torch.arange(self.n_components**2, device=h.device)
        row, column = pair // self.n_components, pair % self.n_components

        def second(above: Tensor) -> Distribution:
            each = self.second(_side_by_side(h[:, :1], above))  # (*n, B, P or 1, K)
            own = pair % above.shape[-2]
            return _picked(each, lambda t: t[..., own, column, :])

        first = self.first(h[:, : self.n_components])
        first = _picked(first, lambda t: t[..., row, :])
        return Hierarchical(first, second, self.second.n_latent)


def _normal(made: Float[Tensor, "*n P"], least: float) -> Distribution:
    """N(loc, scale^2) of loc and raw scale side by side; the scale is softplus and ``least``."""
    loc, raw = full_precision(made).chunk(2, -1)
    return diagonal_normal(loc, F.softplus(raw) + least)


def _side_by_side(h: Float[Tensor, "B K H"], z: Float[Tensor, "*n L"]) -> Tensor:
    """Both in one row, after broadcasting."""
    shape = torch.broadcast_shapes(h.shape[:-1], z.shape[:-1])
    return torch.cat([h.expand(*shape, -1), z.expand(*shape, -1)], -1)


def _picked(normals: Distribution, pick: Callable[[Tensor], Tensor]) -> Distribution:
    """Some of a batch of diagonal normals, picked of loc and scale alike."""
    return diagonal_normal(*(pick(t) for t in loc_and_scale(normals)))
