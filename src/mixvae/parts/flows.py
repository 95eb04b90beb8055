"""Normalising flows as priors and posteriors, from zuko, which is imported when one is built.

A flow is a bijection between codes and samples of a normal, composed of coupling layers: each
scales and shifts half of the dimensions, by a network that reads the other half (RealNVP, Dinh et
al., ICLR 2017). Either direction takes one pass, so that sampling and densities are cheap.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from mixvae.distributions import log_prob_widened, widened
from mixvae.errors import MixvaeError, at_least
from mixvae.nn import full_precision

from .priors import Encode, NormalPrior

MIN_SLOPE = 0.1  # a layer's slopes are between this and its inverse
SHRINK = 0.1  # factor of the last layers' initial weights: flows start near the identity


class Flowed(Distribution):
    r"""A distribution transformed by a flow: :math:`\log q(z) = \log b(f(z)) + \log|\det f'(z)|`.

    Computed in full precision, under autocast too. ``mean`` is the inverse image of the base's mean
    and ``variance`` is first-order about it; both are exact only for a linear f.

    Parameters
    ----------
    base
        Distribution b of u, batch (\*batch), event (L,).
    transform
        f, from codes z to u, (\*sample, \*batch, L): a transform of zuko.
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own protocol
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, base: Distribution, transform: Any) -> None:
        self.base, self.transform = base, transform
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def expand(self, batch_shape: Sequence[int], _instance: Distribution | None = None) -> "Flowed":
        return Flowed(self.base.expand(torch.Size(batch_shape)), self.transform)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._inverse(self.base.rsample(torch.Size(sample_shape)))

    def log_prob(self, value: Float[Tensor, "*n L"]) -> Float[Tensor, "*m"]:
        u, log_det = self.to_base(value)
        return self.base.log_prob(u) + log_det

    def to_base(self, value: Float[Tensor, "*n L"]) -> tuple[Tensor, Tensor]:
        """f(z), and the logarithm of its Jacobian's determinant."""
        shape = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        z = full_precision(value).expand(*shape, -1)
        with torch.autocast(z.device.type, enabled=False):
            u, log_det = self.transform.call_and_ladj(z)
        return u, log_det

    @property
    def mean(self) -> Tensor:
        return self._inverse(self.base.mean)

    @property
    def variance(self) -> Tensor:
        mean, steps = self.base.mean, torch.diag_embed(self.base.stddev).movedim(-2, 0)
        difference = self._inverse(mean + steps) - self._inverse(mean - steps)  # (L, *batch, L)
        return (difference / 2).square().sum(0)

    def _inverse(self, u: Float[Tensor, "*n L"]) -> Float[Tensor, "*n L"]:
        """The codes f maps to u."""
        with torch.autocast(u.device.type, enabled=False):
            return self.transform.inv(u)


@widened.register
def _(q: Flowed, factor: float) -> Distribution:
    return Flowed(widened(q.base, factor), q.transform)


@log_prob_widened.register
def _(q: Flowed, factors: Sequence[float], z: Tensor) -> Tensor:
    u, log_det = q.to_base(z)
    return log_prob_widened(q.base, factors, u) + log_det.unsqueeze(-1)


class FlowPrior(nn.Module):
    r"""A prior that is a learned flow of N(0, I), batch (), event (L,).

    Parameters
    ----------
    n_latent
        Size L of the code.
    n_transforms
        Number of coupling layers.
    hidden
        Widths of a coupling layer's network.

    Raises
    ------
    MixvaeError
        Without zuko, or for sizes under 1.
    """

    def __init__(
        self, n_latent: int, *, n_transforms: int = 4, hidden: Sequence[int] = (64, 64)
    ) -> None:
        super().__init__()
        self.base = NormalPrior(torch.zeros(n_latent))
        self.flow = coupling(n_latent, 0, n_transforms, hidden)

    def forward(self, encode: Encode) -> Distribution:
        return Flowed(self.base(encode), self.flow())


class FlowPosterior(nn.Module):
    r"""A posterior transformed by a flow, which is the same for all components.

    Parameters
    ----------
    base
        A posterior: h (B, K, H) to q(u | x, k), event (L,).
    n_features
        Number H of features, which the flow reads too.
    n_latent
        Size L of the code.
    n_transforms
        Number of coupling layers.
    hidden
        Widths of a coupling layer's network.

    Raises
    ------
    MixvaeError
        Without zuko, or for sizes under 1.
    """

    def __init__(
        self,
        base: nn.Module,
        n_features: int,
        n_latent: int,
        *,
        n_transforms: int = 4,
        hidden: Sequence[int] = (64, 64),
    ) -> None:
        super().__init__()
        self.base = base
        self.flow = coupling(n_latent, n_features, n_transforms, hidden)

    def forward(self, h: Float[Tensor, "B K H"]) -> Distribution:
        return Flowed(self.base(h), self.flow(full_precision(h)))


def coupling(n_latent: int, n_context: int, n_transforms: int, hidden: Sequence[int]) -> nn.Module:
    """Coupling layers, alternating between even and odd dimensions: context to a transform of zuko.

    Their networks read the context, (*n, C), and half of the code. A code of one dimension is
    scaled and shifted by the context alone.
    """
    at_least(1, n_latent=n_latent, n_transforms=n_transforms)
    for width in hidden:
        at_least(1, hidden=width)
    zuko = _zuko()
    flow = zuko.flows.NICE(  # affine layers, as in RealNVP: the older name
        n_latent,
        n_context,
        transforms=n_transforms,
        hidden_features=list(hidden),
        activation=nn.ELU,
        univariate=partial(zuko.transforms.MonotonicAffineTransform, slope=MIN_SLOPE),
    )
    for net in (part for part in flow.modules() if isinstance(part, zuko.nn.MLP)):
        for p in net[-1].parameters():
            p.data *= SHRINK
    return flow.transform


def _zuko() -> Any:
    """The module zuko. Its import switches torch's argument checks off; they are restored."""
    checks = Distribution._validate_args
    try:
        import zuko
    except ImportError as error:
        raise MixvaeError(
            "flows need the package zuko, which is not installed: pip install 'mixvae[flows]'."
        ) from error
    finally:
        Distribution.set_default_validate_args(checks)
    return zuko
