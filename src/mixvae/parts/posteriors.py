"""Posteriors: features h (B, K, H) to q(z | x, k), batch (B, K), event (L,)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution

from mixvae.distributions import (
    Delta,
    Hierarchical,
    Kumaraswamy,
    NormalMixture,
    StickBreaking,
    diagonal_normal,
)
from mixvae.distributions.pairs import loc_and_scale
from mixvae.errors import at_least
from mixvae.nn import Stacked, full_precision, relu
from mixvae.nn.linear import Linear

MIN_SCALE = 1e-6
MIN_LEVEL_SCALE = 1e-3  # where the prior is learned too, which lets both scales shrink


class NormalPosterior(nn.Module):
    r"""A diagonal normal, :math:`\mathcal{N}(\mu_k(x), \operatorname{diag} \sigma_k^2(x))`.

    The scale is softplus + 1e-6 (softplus: M-VAE, Section V-A).

    Parameters
    ----------
    n_features
        Number H of features.
    n_latent
        Size L of the code.
    n_components
        Number K of components, each with a linear layer of its own.

    Examples
    --------
    >>> q_z = NormalPosterior(n_features=5, n_latent=2, n_components=3)(torch.zeros(4, 3, 5))
    >>> q_z.batch_shape, q_z.event_shape
    (torch.Size([4, 3]), torch.Size([2]))
    """

    def __init__(self, n_features: int, n_latent: int, n_components: int) -> None:
        super().__init__()
        self.n_features = n_features
        self.net = Stacked(lambda: nn.Linear(n_features, 2 * n_latent), n_components)

    def forward(
        self, h: Float[Tensor, "B K H"], component_index: Int64[Tensor, "B M"] | None = None
    ) -> Distribution:
        """q(z | x, k), batch (B, K), or (B, M) of the components in ``component_index``."""
        params = self.net(h)
        if component_index is not None:
            params = params[torch.arange(len(h), device=h.device).unsqueeze(1), component_index]
        return _normal(params, MIN_SCALE)


class PointPosterior(nn.Module):
    r"""A point :math:`\mu_k(x)`, of a deterministic encoder: there is no density q(z | x, k).

    Bounds and importance sampling need that density; the model has no ELBO.

    Parameters
    ----------
    n_features
        Number H of features.
    n_latent
        Size L of the code.
    n_components
        Number K of components, each with a linear layer of its own.
    """

    def __init__(self, n_features: int, n_latent: int, n_components: int) -> None:
        super().__init__()
        self.net = Stacked(lambda: nn.Linear(n_features, n_latent), n_components)

    def forward(self, h: Float[Tensor, "B K H"]) -> Distribution:
        return Delta(full_precision(self.net(h)))


class StickPosterior(nn.Module):
    r"""Stick-breaking weights as the code, with fractions :math:`v_l \sim Kumaraswamy(a_l, b_l)`.

    Stick-breaking VAE (Nalisnick & Smyth, ICLR 2017), truncated at L weights: L - 1 fractions for
    each component. log a and log b are a linear layer of the component's features.

    Parameters
    ----------
    n_features
        Number H of features.
    n_latent
        Number L of weights, at least 2; a single one would always be 1.
    n_components
        Number K of components, each with a linear layer of its own.
    series
        Whether to take the KL from the papers' truncated series, instead of by quadrature.

    Raises
    ------
    MixvaeError
        For fewer than two weights.
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
    r"""A diagonal normal of each component, by one network that reads the component's one-hot.

    .. math:: (\mu_k, \text{raw}_k) = V \operatorname{relu}(W h + b_k) + c

    MISVAE (Hotti et al. 2024), Section 5: a layer reads the features h of x and the component's
    one-hot. The one-hot adds a bias b_k for each component, which makes hundreds of components
    cheap. W and b_k are initialised as in K layers ``nn.Linear`` that share W.

    Parameters
    ----------
    n_features
        Number H of features.
    n_latent
        Size L of the code.
    n_components
        Number K of components.
    width
        Width of the layer that reads the one-hot.
    """

    def __init__(self, n_features: int, n_latent: int, n_components: int, width: int) -> None:
        super().__init__()
        self.read = Linear(n_features, width, bias=False)
        limit = n_features**-0.5
        self.bias = nn.Parameter(torch.empty(n_components, width).uniform_(-limit, limit))
        self.head = Linear(width, 2 * n_latent)

    def forward(
        self, h: Float[Tensor, "B 1 H"], component_index: Int64[Tensor, " S"] | None = None
    ) -> Distribution:
        """q(z | x, k), batch (B, K), or (B, S) of the components in ``component_index``."""
        bias = self.bias if component_index is None else self.bias[component_index]
        return _normal(self.head(relu(self.read(h) + bias)), MIN_SCALE)


class ConditionalNormal(nn.Module):
    r"""A diagonal normal given its input, :math:`\mathcal{N}(\mu(h), \sigma^2(h))`.

    The lower level of a posterior or a prior of two levels. The scale is softplus + 1e-3.

    Parameters
    ----------
    net
        The input (..., I) to (..., 2 L): means and raw scales.
    n_latent
        Size L of the code.
    """

    def __init__(self, net: nn.Module, n_latent: int) -> None:
        super().__init__()
        self.net, self.n_latent = net, n_latent

    def forward(self, h: Float[Tensor, "*n I"]) -> Distribution:
        return _normal(self.net(h), MIN_LEVEL_SCALE)


class ConditionalMixture(nn.Module):
    r"""An even mixture of C diagonal normals given its input, :math:`\frac1C\sum_c N_c(h)`.

    Parameters
    ----------
    normals
        The input (..., I) to the normals, batch (..., C).
    n_components
        Number C of normals.
    """

    def __init__(self, normals: ConditionalNormal, n_components: int) -> None:
        super().__init__()
        self.normals, self.n_components = normals, n_components
        self.n_latent = normals.n_latent

    def forward(self, h: Float[Tensor, "*n I"]) -> NormalMixture:
        normals = self.normals(h)
        weights = torch.full_like(normals.mean[..., 0], 1 / self.n_components)
        return NormalMixture(Categorical(weights, validate_args=False), normals)


class HierarchicalPosterior(nn.Module):
    r"""A posterior of two levels, :math:`q(z_2 | x, k)\, q(z_1 | x, z_2)`: event (L2 + L1,).

    Tomczak & Welling (AISTATS 2018), Section 5.

    Parameters
    ----------
    first
        h (B, K, H) to q(z2 | x, k), event (L2,).
    second
        h and z2 concatenated, (..., B, K, H + L2), to q(z1 | x, z2), event (L1,); the same for all
        components.
    """

    def __init__(self, first: nn.Module, second: ConditionalNormal) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, h: Float[Tensor, "B K H"]) -> Distribution:
        def second(above: Tensor) -> Distribution:
            return self.second(concatenated(h, above))

        return Hierarchical(self.first(h), second, self.second.n_latent)


class TwoLayerPosterior(nn.Module):
    r"""A posterior that is a mixture at two levels: :math:`q_k(z_2 | x)\, q_j(z_1 | x, z_2)`.

    The K^2 pairs (k, j) are the components, in row-major order; each has a z2 of its own.
    The features h (B, K^2, H) are the same for all of them. DLGMM (Nalisnick et al. 2016).

    Parameters
    ----------
    first
        h (B, K, H) to q_k(z2 | x), batch (B, K).
    second
        h and z2 concatenated, (..., H + L2), to q_j(z1 | x, z2), batch (..., K).
    n_components
        Number K of components of each level.
    """

    def __init__(self, first: nn.Module, second: ConditionalNormal, n_components: int) -> None:
        super().__init__()
        self.first, self.second, self.n_components = first, second, n_components

    def forward(self, h: Float[Tensor, "B P H"]) -> Distribution:
        pair = torch.arange(self.n_components**2, device=h.device)
        row, column = pair // self.n_components, pair % self.n_components

        def second(above: Tensor) -> Distribution:
            q_z1 = self.second(concatenated(h[:, :1], above))  # (*n, B, P or 1, K)
            own = pair % above.shape[-2]
            return _selected(q_z1, lambda t: t[..., own, column, :])

        q_z2 = _selected(self.first(h[:, : self.n_components]), lambda t: t[..., row, :])
        return Hierarchical(q_z2, second, self.second.n_latent)


def _normal(params: Float[Tensor, "*n P"], min_scale: float) -> Distribution:
    """N(loc, scale^2) of (loc, raw scale) concatenated; scale = softplus + ``min_scale``."""
    loc, raw = full_precision(params).chunk(2, -1)
    return diagonal_normal(loc, F.softplus(raw) + min_scale)


def concatenated(h: Float[Tensor, "B K H"], z: Float[Tensor, "*n L"]) -> Tensor:
    """Features and codes broadcast and concatenated, (*n, H + L)."""
    shape = torch.broadcast_shapes(h.shape[:-1], z.shape[:-1])
    return torch.cat([h.expand(*shape, -1), z.expand(*shape, -1)], -1)


def _selected(normals: Distribution, select: Callable[[Tensor], Tensor]) -> Distribution:
    """Some of a batch of diagonal normals, selected from loc and scale alike."""
    return diagonal_normal(*map(select, loc_and_scale(normals)))
