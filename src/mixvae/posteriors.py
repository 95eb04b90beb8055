"""Posterior heads: features h (B, K, H) in, q(z | x, k) out. Batch (B, K), event (L,)."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from .nn import Stacked, full_precision

MIN_SCALE = 1e-6


class NormalPosterior(nn.Module):
    r"""A diagonal normal, :math:`\mathcal{N}(\mu_k(x), \operatorname{diag} \sigma_k^2(x))`.

    The scale is softplus + 1e-6 (softplus: M-VAE, Section V-A).
    """

    def __init__(self, n_features: int, n_latent: int, n_components: int) -> None:
        super().__init__()
        self.net = Stacked(lambda: nn.Linear(n_features, 2 * n_latent), n_components)

    def forward(self, h: Float[Tensor, "B K H"]) -> Distribution:
        loc, raw = full_precision(self.net(h)).chunk(2, -1)
        normal = Normal(loc, F.softplus(raw) + MIN_SCALE, validate_args=False)
        return Independent(normal, 1, validate_args=False)
