"""Normalising flows as priors and posteriors.

A flow is a bijection between codes and samples of a normal, composed of layers
(:mod:`.flow_layers`). Coupling layers take one pass in either direction; autoregressive ones take
as many as the code has dimensions in one of the two.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from mixvae.distributions import (
    components_at,
    diagonal_normal,
    log_prob_widened,
    mixture,
    widened,
)
from mixvae.distributions.pairs import loc_and_scale
from mixvae.errors import MixvaeError, at_least
from mixvae.nn import full_precision

from .flow_layers import Layers, autoregressive, coupling
from .priors import Encode, NormalPrior

N_CONTEXT = 16  # numbers that a flow reads of a component


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
        return type(self)(self.base.expand(torch.Size(batch_shape)), self.transform)

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


class OneWayFlow(Flowed):
    r"""A distribution transformed by a flow that knows the density of its own samples only.

    .. math:: z = g(u), \qquad \log q(z) = \log b(u) - \log|\det g'(u)|

    Parameters
    ----------
    base
        Distribution b of u, batch (\*batch), event (L,).
    transform
        u (\*sample, \*batch, L) to g(u) and the logarithm of its Jacobian's determinant.
    """

    transform: Callable[[Tensor], tuple[Tensor, Tensor]]

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.rsample_and_log_prob(sample_shape)[0]

    def rsample_and_log_prob(self, sample_shape: Sequence[int] = ()) -> tuple[Tensor, Tensor]:
        r"""Codes (\*sample, \*batch, L) and their log densities, nats."""
        sample = self.base.rsample if self.base.has_rsample else self.base.sample
        return self._codes(sample(torch.Size(sample_shape)))

    def mean_and_log_prob(self) -> tuple[Tensor, Tensor]:
        r"""The code of the base's mean, (\*batch, L), and its log density, nats."""
        return self._codes(self.base.mean)

    def over_widths(self, factors: Sequence[float], shares: Sequence[float]) -> "OneWayFlow":
        """The flow of a mixture of wider bases, a proposal whose samples' density is known too.

        Parameters
        ----------
        factors
            How many times as wide as the base, a diagonal normal, each of J normals is.
        shares
            Their weights, in any unit.
        """
        loc, scale = (t.unsqueeze(-2) for t in loc_and_scale(self.base))
        wider = scale * scale.new_tensor(factors).unsqueeze(-1)
        weights = scale.new_tensor(shares).expand(wider.shape[:-1])
        base = mixture(weights, diagonal_normal(loc.expand_as(wider), wider))
        return OneWayFlow(base, self.transform)

    def to_base(self, value: Float[Tensor, "*n L"]) -> tuple[Tensor, Tensor]:
        raise MixvaeError(
            "a planar or inverse autoregressive posterior knows the density of its own samples "
            "only, and another code's was asked for; use posterior='flow', 'nice' or "
            "'neural-spline' (--posterior), which know that of all codes."
        )

    def _inverse(self, u: Float[Tensor, "*n L"]) -> Float[Tensor, "*n L"]:
        return self._codes(u)[0]

    def _codes(self, u: Float[Tensor, "*n L"]) -> tuple[Tensor, Tensor]:
        with torch.autocast(u.device.type, enabled=False):
            z, log_det = self.transform(u)
            return z, self.base.log_prob(u) - log_det


@widened.register
def _(q: Flowed, factor: float) -> Distribution:
    return type(q)(widened(q.base, factor), q.transform)


@log_prob_widened.register
def _(q: Flowed, factors: Sequence[float], z: Tensor) -> Tensor:
    u, log_det = q.to_base(z)
    return log_prob_widened(q.base, factors, u) + log_det.unsqueeze(-1)


class ComponentFlow(Flowed):
    """Flows of K components by one network, which reads a vector of each: batch (K,).

    Parameters
    ----------
    base
        Distributions of u, batch (*batch), event (L,).
    flow
        Layers: the vectors to a transform of zuko, from codes to u.
    context
        The vectors, which broadcast with (*batch, C).
    """

    def __init__(self, base: Distribution, flow: nn.Module, context: Tensor) -> None:
        super().__init__(base, flow(context))
        self.flow, self.context = flow, context

    def expand(self, batch_shape: Sequence[int], _instance: Distribution | None = None) -> "Flowed":
        return ComponentFlow(self.base.expand(torch.Size(batch_shape)), self.flow, self.context)


@components_at.register
def _(p: ComponentFlow, index: Tensor) -> Distribution:
    return ComponentFlow(components_at(p.base, index), p.flow, p.context[index])


class FlowPrior(nn.Module):
    r"""A prior that is a learned flow of N(0, I), batch (), event (L,).

    Parameters
    ----------
    n_latent
        Size L of the code.
    layers
        Makes the layers of the flow, from codes to noise.
    n_transforms
        Number of layers.
    hidden
        Widths of the network of a layer.

    Raises
    ------
    MixvaeError
        Without zuko, or for sizes under 1.
    """

    def __init__(
        self,
        n_latent: int,
        *,
        layers: Layers = coupling,
        n_transforms: int = 4,
        hidden: Sequence[int] = (64, 64),
    ) -> None:
        super().__init__()
        self.base = NormalPrior(torch.zeros(n_latent))
        self.flow = layers(n_latent, 0, n_transforms, hidden)

    def forward(self, encode: Encode) -> Distribution:
        return Flowed(self.base(encode), self.flow())


class ComponentFlowPrior(nn.Module):
    r"""A prior of each component by one learned flow of N(0, I): batch (K,), event (L,).

    The flow reads a learned vector of the component, of 16 numbers. A network's first layer would
    make as much of the component's one-hot, but its size would depend on K; here a component is
    removed with its vector.

    Parameters
    ----------
    n_components
        Number K of components.
    n_latent
        Size L of the code.
    layers
        Makes the layers of the flow, from codes to noise.
    n_transforms
        Number of layers.
    hidden
        Widths of the network of a layer.

    Raises
    ------
    MixvaeError
        Without zuko, or for sizes under 1.
    """

    def __init__(
        self,
        n_components: int,
        n_latent: int,
        *,
        layers: Layers = coupling,
        n_transforms: int = 4,
        hidden: Sequence[int] = (64, 64),
    ) -> None:
        super().__init__()
        at_least(1, n_components=n_components)
        self.base = NormalPrior(torch.zeros(n_components, n_latent))
        self.context = nn.Parameter(torch.randn(n_components, N_CONTEXT))
        self.flow = layers(n_latent, N_CONTEXT, n_transforms, hidden)

    def forward(self, encode: Encode) -> Distribution:
        return ComponentFlow(self.base(encode), self.flow, self.context)


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
    layers
        Makes the layers of the flow, from codes to samples of the base.
    n_transforms
        Number of layers.
    hidden
        Widths of the network of a layer.

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
        layers: Layers = coupling,
        n_transforms: int = 4,
        hidden: Sequence[int] = (64, 64),
    ) -> None:
        super().__init__()
        self.base = base
        self.flow = layers(n_latent, n_features, n_transforms, hidden)

    def forward(self, h: Float[Tensor, "B K H"]) -> Distribution:
        return Flowed(self.base(h), self.flow(full_precision(h)))


class InverseAutoregressivePosterior(FlowPosterior):
    r"""A posterior transformed by an inverse autoregressive flow (IAF), one for all components.

    Each layer scales and shifts :math:`u_i` by functions of :math:`u_{<i}` and the features, in one
    pass, and the order of the dimensions is then reversed. The scale is the exponential of a
    bounded function, where the paper's is a sigmoid. The flow reads the features of the encoder.

    Parameters
    ----------
    base, n_features, n_latent, n_transforms, hidden
        As those of :class:`FlowPosterior`.

    Raises
    ------
    MixvaeError
        Without zuko, or for sizes under 1.

    References
    ----------
    Kingma et al., Improving variational inference with inverse autoregressive flow, NeurIPS 2016.
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
        sizes: dict[str, Any] = {"n_transforms": n_transforms, "hidden": hidden}
        super().__init__(base, n_features, n_latent, layers=autoregressive, **sizes)

    def forward(self, h: Float[Tensor, "B K H"]) -> Distribution:
        return OneWayFlow(self.base(h), self.flow(full_precision(h)).call_and_ladj)
