"""A restricted Boltzmann machine of binary codes, smoothed (Rolfe, ICLR 2017)."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl

from mixvae.errors import MixvaeError

from .spike_exponential import SpikeAndExponential, inverse_cdf, log_smoothing


class SmoothedBoltzmann(Distribution):
    r"""A restricted Boltzmann machine's binary z, smoothed to :math:`\zeta`: batch (), event (L,).

    .. math:: p(z) = \exp(b^\top z + z_1^\top W z_2) / Z, \qquad z = (z_1, z_2)

    Smoothing is that of :class:`SpikeAndExponential`, so that z is 1 where :math:`\zeta > 0`.

    Parameters
    ----------
    bias
        b, (L,).
    weight
        W, (L/2, L/2).
    beta
        Slope of the smoothing.
    log_z
        log Z, or an estimate of it, (); nats.
    draw
        From n to n samples of z, (n, L).
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own protocol
    is_sampled_exactly = False  # but by Markov chains

    def __init__(
        self,
        bias: Float[Tensor, " L"],
        weight: Float[Tensor, "M M"],
        beta: float,
        log_z: Float[Tensor, ""],
        draw: Callable[[int], Tensor],
        batch_shape: Sequence[int] = (),
    ) -> None:
        self.bias, self.weight, self.beta, self.log_z, self.draw = bias, weight, beta, log_z, draw
        super().__init__(torch.Size(batch_shape), bias.shape, validate_args=False)

    @constraints.dependent_property(is_discrete=False, event_dim=1)
    def support(self) -> constraints.Constraint:
        return constraints.independent(constraints.unit_interval, 1)

    def expand(
        self, batch_shape: Sequence[int], _instance: Distribution | None = None
    ) -> "SmoothedBoltzmann":
        own = (self.bias, self.weight, self.beta, self.log_z, self.draw)
        return SmoothedBoltzmann(*own, batch_shape)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        z = self.draw(shape[:-1].numel()).reshape(shape)
        return z * inverse_cdf(torch.rand_like(z), self.beta)

    def log_prob(self, value: Float[Tensor, "*n L"]) -> Float[Tensor, "*n"]:
        if bool((value < 0).any()) or bool((value > 1.001).any()):
            raise _continuous("codes outside [0, 1]")
        z = (value > 0).to(value.dtype)
        score = log_potential(z, self.bias, self.weight)
        return score - self.log_z + log_smoothing(value, self.beta)


def log_potential(
    z: Float[Tensor, "*n L"], bias: Float[Tensor, " L"], weight: Float[Tensor, "M M"]
) -> Float[Tensor, "*n"]:
    r"""Minus the energy, :math:`b^\top z + z_1^\top W z_2`; in full precision, under autocast too.

    Of probabilities q it is the mean over independent z, as no term has a variable twice.
    """
    with torch.autocast(z.device.type, enabled=False):
        first, second = z.chunk(2, -1)
        return z @ bias + ((first @ weight) * second).sum(-1)


@register_kl(SpikeAndExponential, SmoothedBoltzmann)
def _(q: SpikeAndExponential, p: SmoothedBoltzmann) -> Tensor:
    """-H(q) - E_q[log potential] + log Z: in closed form but for log Z; the smoothing cancels."""
    if q.beta != p.beta:
        raise MixvaeError(
            f"posterior and prior must smooth alike; got beta {q.beta} and {p.beta}. Use one beta."
        )
    return p.log_z - q.entropy() - log_potential(q.probs, p.bias, p.weight)


@register_kl(Distribution, SmoothedBoltzmann)
def _(q: Distribution, p: SmoothedBoltzmann) -> Tensor:
    raise _continuous(f"a {type(q).__name__}")


def _continuous(what: str) -> MixvaeError:
    return MixvaeError(
        f"an RBM prior needs binary codes, smoothed to [0, 1]; got {what}. Use BinaryPosterior, as "
        "the recipe discrete-vae does, or another prior."
    )
