"""Priors: encode -> p(z | k), batch (K,) or (), event (L,).

A prior is handed ``encode``, the model's own map from data to its aggregated posterior, so that a
prior made of pseudo-inputs need not own the encoder.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import (
    Beta,
    Categorical,
    Distribution,
    MixtureSameFamily,
)

from mixvae.distributions import (
    Hierarchical,
    NormalMixture,
    StickBreaking,
    diagonal_normal,
    log_prob_each,
    mixture,
    process_sticks,
)
from mixvae.errors import MixvaeError, at_least

from .posteriors import MIN_LEVEL_SCALE, ConditionalNormal

Encode = Callable[[Tensor], Distribution]
ROUNDING = 1e-6  # of the largest code: what differs by less does so by rounding


class NormalPrior(nn.Module):
    """N(loc, I). A ``loc`` of shape (K, L) gives each component a prior of its own."""

    loc: Tensor

    def __init__(self, loc: Tensor) -> None:
        super().__init__()
        self.register_buffer("loc", loc)

    def forward(self, encode: Encode) -> Distribution:
        return diagonal_normal(self.loc, torch.ones_like(self.loc))


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
                f"n_pseudo_inputs {len(x)} or fewer, or pseudo_inputs noise."
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


class HierarchicalPrior(nn.Module):
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
        return Hierarchical(first, self.second, self.second.n_latent)


def _first_level(posterior: Distribution) -> Distribution:
    """The aggregated posterior of z2, of that of both levels."""
    assert isinstance(posterior, MixtureSameFamily)
    chains = posterior.component_distribution
    assert isinstance(chains, Hierarchical)
    return mixture(posterior.mixture_distribution.probs, chains.first)


class GaussianMixturePrior(nn.Module):
    r"""A mixture of C diagonal normals, :math:`p(z) = \sum_c \pi_c N(z; \mu_c, \sigma_c^2)`.

    The prior of VaDE (Jiang et al. 2017). Its means start as draws from N(0, I), its scales at 1
    and its weights even, unless :meth:`start_from` sets them by codes.

    Raises:
        MixvaeError: for sizes under 1.
    """

    logits: Tensor
    loc: Tensor
    raw_scale: Tensor

    def __init__(self, n_components: int, n_latent: int, *, learned: bool = True) -> None:
        super().__init__()
        at_least(1, n_components=n_components, n_latent=n_latent)
        one = torch.full((n_components, n_latent), 1 - MIN_LEVEL_SCALE)
        first = {
            "logits": torch.zeros(n_components),
            "loc": torch.randn(n_components, n_latent),
            "raw_scale": _softplus_inverse(one),
        }
        for name, value in first.items():
            if learned:
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)

    def forward(self, encode: Encode) -> NormalMixture:
        scale = F.softplus(self.raw_scale) + MIN_LEVEL_SCALE
        normals = diagonal_normal(self.loc, scale)
        index = Categorical(logits=self.logits, validate_args=False)
        return NormalMixture(index, normals, validate_args=False)

    def responsibilities(self, z: Float[Tensor, "*n L"]) -> Float[Tensor, "*n C"]:
        r"""p(c | z), proportional to :math:`\pi_c N(z; \mu_c, \sigma_c^2)`."""
        p_z = self.forward(_no_data)
        log_each = log_prob_each(p_z.component_distribution, z)
        return (log_each + p_z.mixture_distribution.logits).softmax(-1)

    @torch.no_grad()
    def start_from(
        self, loc: Float[Tensor, "N L"], scale: Float[Tensor, "N L"], seed: int = 0
    ) -> None:
        """Set the mixture to posteriors' own: scikit-learn's of their means, wider by their scales.

        No scale becomes less than a tenth of that of all means.

        Raises:
            MixvaeError: for fewer codes than components, or codes that are not finite or all the
                same.
        """
        if len(loc) < len(self.logits):
            raise MixvaeError(
                f"a mixture of {len(self.logits)} normals cannot start from {len(loc)} codes; use "
                "as many components or fewer."
            )
        if not (loc.isfinite() & scale.isfinite()).all():
            raise MixvaeError("the codes to start from are not finite; try a smaller lr.")
        if float((loc.amax(0) - loc.amin(0)).max()) <= ROUNDING * float(loc.abs().max()):
            raise MixvaeError(
                f"the {len(loc)} codes to start from are all the same and have no clusters: the "
                "training data are all alike, or the encoder no longer reads them. Look at the "
                "data, or use start='random' (--start random)."
            )
        fitted = _fit(loc, len(self.logits), seed)
        share = torch.from_numpy(fitted.predict_proba(loc.double().cpu().numpy())).T  # (C, N)
        mass = share.sum(1, keepdim=True).clamp_min(1e-12)
        within = share @ scale.double().cpu().square() / mass
        spread = (torch.from_numpy(fitted.covariances_) + within).sqrt() - MIN_LEVEL_SCALE
        self.logits.copy_(torch.from_numpy(fitted.weights_).log())
        self.loc.copy_(torch.from_numpy(fitted.means_))
        self.raw_scale.copy_(_softplus_inverse(spread.clamp_min(MIN_LEVEL_SCALE)))


def _fit(z: Float[Tensor, "N L"], n_components: int, seed: int) -> Any:
    """scikit-learn's mixture of diagonal normals, the best of five."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    least = 0.01 * float(z.var(0).mean())
    options = {"covariance_type": "diag", "reg_covar": least, "n_init": 5, "random_state": seed}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is a start and no more
        return GaussianMixture(n_components, **options).fit(z.double().cpu().numpy())


def _softplus_inverse(x: Tensor) -> Tensor:
    return x + (-torch.expm1(-x)).log()


def _no_data(x: Tensor) -> Distribution:
    raise AssertionError("this prior does not encode")
