"""Posterior heads: features h (B, K, H) in, q(z | x, k) out. Batch (B, K), event (L,)."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from .distributions import Kumaraswamy, StickBreaking
from .errors import at_least
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
