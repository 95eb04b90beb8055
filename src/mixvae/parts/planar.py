"""Planar flows (Rezende & Mohamed, ICML 2015) as posteriors."""

from math import e, log

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from mixvae.errors import at_least
from mixvae.nn import Stacked, full_precision

from .flow_layers import SHRINK
from .flows import OneWayFlow

SHIFT = log(e - 1)  # where a softplus is 1
TINY = 1e-12


class PlanarPosterior(nn.Module):
    r"""A posterior transformed by T planar layers, whose parameters are functions of x.

    .. math:: z_t = z_{t-1} + \hat u_t \tanh(w_t^\top z_{t-1} + b_t), \quad
        \hat u = u + \big(m(w^\top u) - w^\top u\big) \frac{w}{\|w\|^2}

    Equations 10 to 12 and, for layers that can be inverted, the appendix of the paper. As there, an
    encoder's layer computes w, u and b of every layer. The paper's
    :math:`m(a) = \log(1 + e^a) - 1` is shifted, so that u = 0 is the identity, which layers are
    near at first.

    Parameters
    ----------
    base
        A posterior: h (B, K, H) to q(z_0 | x, k), event (L,).
    n_features
        Number H of features.
    n_latent
        Size L of the code.
    n_components
        Number K of components, each with layers of its own.
    n_layers
        Number T of planar layers.

    Raises
    ------
    MixvaeError
        For sizes under 1.

    References
    ----------
    Rezende & Mohamed, Variational inference with normalizing flows, ICML 2015.
    """

    def __init__(
        self,
        base: nn.Module,
        n_features: int,
        n_latent: int,
        n_components: int = 1,
        *,
        n_layers: int = 80,
    ) -> None:
        super().__init__()
        at_least(1, n_latent=n_latent, n_layers=n_layers)
        self.base, self.n_layers = base, n_layers
        self.net = Stacked(lambda: _parameters(n_features, n_latent, n_layers), n_components)

    def forward(self, h: Float[Tensor, "B K H"]) -> Distribution:
        n = self.n_layers
        params = full_precision(self.net(h)).unflatten(-1, (-1, n)).transpose(-1, -2)
        n_latent = params.shape[-1] // 2
        u, w, b = params.split([n_latent, n_latent, 1], -1)  # (B, K, T, L), and 1 in place of L
        return OneWayFlow(self.base(h), Planar(u, w, b.squeeze(-1)))


class Planar:
    """Planar layers: noise to codes, and the logarithm of the Jacobian's determinant.

    Parameters
    ----------
    u, w
        (*batch, T, L).
    b
        (*batch, T).
    """

    def __init__(
        self, u: Float[Tensor, "*b T L"], w: Float[Tensor, "*b T L"], b: Float[Tensor, "*b T"]
    ) -> None:
        product = (w * u).sum(-1)
        self.slope = F.softplus(product + SHIFT)  # 1 + w^T u_hat, positive
        length = w.square().sum(-1).clamp_min(TINY)
        self.u_hat = u + ((self.slope - 1 - product) / length).unsqueeze(-1) * w
        self.w, self.b = w, b

    def __call__(self, z: Float[Tensor, "*n L"]) -> tuple[Tensor, Tensor]:
        slopes = []
        for t in range(self.b.shape[-1]):
            height = ((self.w[..., t, :] * z).sum(-1) + self.b[..., t]).tanh()
            z = z + height.unsqueeze(-1) * self.u_hat[..., t, :]
            slopes.append(self.slope[..., t].lerp(torch.ones_like(height), height.square()))
        return z, torch.stack(slopes, -1).log().sum(-1)


def _parameters(n_features: int, n_latent: int, n_layers: int) -> nn.Linear:
    """The layer that computes u, w and b of all layers, the weights of u shrunk."""
    layer = nn.Linear(n_features, n_layers * (2 * n_latent + 1))
    for p in layer.parameters():
        p.data[: n_layers * n_latent] *= SHRINK
    return layer
