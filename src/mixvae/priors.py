"""Priors: encode -> p(z | k), batch (K,) or (), event (L,).

A prior is handed ``encode``, the model's own map from data to its aggregated posterior, so that a
prior made of pseudo-inputs need not own the encoder.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Beta, Distribution, Independent, MixtureSameFamily, Normal

from .distributions import Chain, NormalMixture, StickBreaking, mixture, process_sticks
from .errors import MixvaeError, at_least
from .posteriors import ConditionalNormal

Encode = Callable[[Tensor], Distribution]


class NormalPrior(nn.Module):
    """N(loc, I). A ``loc`` of shape (K, L) gives each component a prior of its own."""

    loc: Tensor

    def __init__(self, loc: Tensor) -> None:
        super().__init__()
        self.register_buffer("loc", loc)

    def forward(self, encode: Encode) -> Distribution:
        normal = Normal(self.loc, torch.ones_like(self.loc), validate_args=False)
        return Independent(normal, 1, validate_args=False)


class VampPrior(nn.Module):
    r"""The mean posterior of C learned pseudo-inputs, Tomczak & Welling 2018 (9), GMMpVAE (15).

    .. math:: p(z) = \frac1C\sum_c q(z | a_c)

    With K components in the posterior it has C K of its own. Pseudo-inputs are sigmoids, so that
    they stay in (0, 1). They start as noise, and with ``from_data`` a recipe that is built for
    data calls :meth:`start_from`.
    """

    def __init__(
        self, x_shape: Sequence[int], n_pseudo_inputs: int, *, from_data: bool = False
    ) -> None:
        super().__init__()
        at_least(1, n_pseudo_inputs=n_pseudo_inputs)
        self.from_data = from_data
        self.logits = nn.Parameter(torch.randn(n_pseudo_inputs, *x_shape))

    @property
    def pseudo_inputs(self) -> Tensor:
        """a, (C, *X)."""
        return self.logits.sigmoid()

    def forward(self, encode: Encode) -> Distribution:
        posterior = encode(self.pseudo_inputs)
        assert isinstance(posterior, NormalMixture)
        return posterior.pool()

    @torch.no_grad()
    def start_from(self, x: Tensor) -> None:
        """Set the pseudo-inputs to as many rows of x (N, *X), drawn without replacement.

        Raises:
            MixvaeError: if x has fewer rows.
        """
        n = len(self.logits)
        if len(x) < n:
            raise MixvaeError(
                f"{n} pseudo-inputs cannot start from {len(x)} training examples; use "
                f"n_pseudo_inputs={len(x)} or fewer, or pseudo_inputs='noise'."
            )
        rows = x[torch.randperm(len(x))[:n]]
        self.logits.copy_(rows.clamp(0.05, 0.95).logit())  # where a sigmoid still has a slope


class StickPrior(nn.Module):
    r"""The weights of a broken stick, GEM(:math:`α_0`) cut off at L: :math:`v_l \sim Beta(1, α_0)`.

    Stick-breaking VAE (Nalisnick & Smyth 2017).

    Raises:
        MixvaeError: for fewer than two weights, or an alpha_0 that is not positive.
    """

    alpha: Tensor
    beta: Tensor

    def __init__(self, n_latent: int, concentration: float = 5.0) -> None:
        super().__init__()
        at_least(2, n_latent=n_latent)
        sticks = process_sticks(n_latent, concentration)
        self.register_buffer("alpha", sticks.concentration1)
        self.register_buffer("beta", sticks.concentration0)

    def forward(self, encode: Encode) -> Distribution:
        return StickBreaking(Beta(self.alpha, self.beta, validate_args=False))


class ChainPrior(nn.Module):
    r"""Two levels, :math:`p(z_2)\, p(z_1 | z_2)`: batch (), event (L2 + L1,).

    ``first`` is a prior of z2 alone, and ``encode`` as it is handed on gives the first level of
    the posterior alone: under a :class:`VampPrior`, :math:`p(z_2) = \frac1C\sum_c q(z_2 | a_c)`.
    (Tomczak & Welling 2018, Section 5.)
    """

    def __init__(self, first: nn.Module, second: ConditionalNormal) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, encode: Encode) -> Distribution:
        first = self.first(lambda x: _first_level(encode(x)))
        return Chain(first, self.second, self.second.n_latent)


def _first_level(posterior: Distribution) -> Distribution:
    """The aggregated posterior of z2, of that of both levels."""
    assert isinstance(posterior, MixtureSameFamily)
    chains = posterior.component_distribution
    assert isinstance(chains, Chain)
    return mixture(posterior.mixture_distribution.probs, chains.first)
