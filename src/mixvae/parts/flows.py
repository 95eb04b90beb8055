"""Normalising flows on codes, as priors and posteriors. They are zuko's, imported when one is made.

A flow is a bijection between codes and a normal, by coupling layers: each scales and shifts half of
the dimensions, as a network says that reads the other half (RealNVP, Dinh et al. 2017). One pass
goes either way, so that draws and densities are cheap.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from mixvae.distributions import widened
from mixvae.errors import MixvaeError, at_least
from mixvae.nn import full_precision

from .priors import Encode, NormalPrior

MIN_SLOPE = 0.1  # of a layer, whose slopes are between this and its inverse
NEAR = 0.1  # of the usual start of what says scales and shifts: flows start near the identity


class Flowed(Distribution):
    r"""What a flow f makes of a base: :math:`\log q(z) = \log b(f(z)) + \log|\det f'(z)|`.

    All of it is in full precision, under autocast too. ``mean`` is the code that the base's mean
    flows to, and ``variance`` is to first order about it: moments only where f is linear.

    Args:
        base: over u, batch (*batch), event (L,).
        transform: f, from codes z to u, each (*sample, *batch, L): one of zuko's.
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
        return self._back(self.base.rsample(torch.Size(sample_shape)))

    def log_prob(self, value: Float[Tensor, "*n L"]) -> Float[Tensor, "*m"]:
        shape = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        z = full_precision(value).expand(*shape, -1)
        with torch.autocast(z.device.type, enabled=False):
            u, log_det = self.transform.call_and_ladj(z)
        return self.base.log_prob(u) + log_det

    @property
    def mean(self) -> Tensor:
        return self._back(self.base.mean)

    @property
    def variance(self) -> Tensor:
        steps = torch.diag_embed(self.base.stddev).movedim(-2, 0)  # one axis each, (L, *batch, L)
        across = self._back(self.base.mean + steps) - self._back(self.base.mean - steps)
        return (across / 2).square().sum(0)

    def _back(self, u: Float[Tensor, "*n L"]) -> Float[Tensor, "*n L"]:
        """The codes that flow to u."""
        with torch.autocast(u.device.type, enabled=False):
            return self.transform.inv(u)


@widened.register
def _(q: Flowed, factor: float) -> Distribution:
    return Flowed(widened(q.base, factor), q.transform)


class FlowPrior(nn.Module):
    r"""A learned flow to N(0, I), batch (), event (L,).

    Raises:
        MixvaeError: without zuko, or for sizes under 1.
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
    r"""A posterior that a flow transforms, one for all components; it reads their features too.

    Raises:
        MixvaeError: without zuko, or for sizes under 1.
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
    """Coupling layers for the even dimensions and the odd ones by turns: context to a Transform.

    Their networks read the context, (*n, C), beside half of the code. A code of one dimension is
    scaled and shifted as the context alone says.
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
            p.data *= NEAR
    return flow.transform


def _zuko() -> Any:
    """zuko. Its import turns torch's checks of arguments off for everybody; they are put back."""
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
