"""The prior of learned accept/reject sampling (LARS), and the estimate of its normaliser."""

import warnings
from collections.abc import Callable, Sequence
from math import log, nan, sqrt
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.distributions import Distribution, constraints

from mixvae.errors import MixvaeWarning, whole
from mixvae.nn import MLP, full_precision

from .priors import Encode, NormalPrior, PartitionEstimate, no_data

TRAINING_SAMPLES = 1024  # of N(0, I), for Z at a training step
SMOOTHING = 0.01  # weight of a step's estimate of Z in the running one
CHUNK, MOST_CHUNKS = 2**15, 32  # samples of N(0, I), for Z in evaluation
ACCURATE = 0.01  # standard error of log Z in evaluation, nats
LARGEST = 1 - 1e-6  # of Z, whose complement has a logarithm

LogAccept = Callable[[Float[Tensor, "*n L"]], Float[Tensor, "*n"]]


class LogZ(NamedTuple):
    """Estimate of log Z, nats."""

    value: Tensor
    """log Z, shape ()."""
    error: float = nan
    """An upper bound on its standard error; NaN of a training step's estimate."""


class Resampled(Distribution):
    r"""Rejection sampling of at most T attempts, the last of which is always accepted.

    .. math:: p(z) = \pi(z) \Big((1 - \alpha) \frac{a(z)}{Z} + \alpha\Big), \qquad
              \alpha = (1 - Z)^{T-1}, \quad Z = \int \pi(z)\, a(z)\, dz

    Samples have exactly this distribution; ``log_prob`` has it up to the error of log Z.

    Parameters
    ----------
    proposal
        Distribution pi of an attempt, batch (\*batch), event (L,).
    log_accept
        Logarithm of the probability a(z) that an attempt is accepted: z (\*n, L) to (\*n,).
    log_z
        Estimate of log Z.
    truncation
        Number T of attempts, at least 1.

    References
    ----------
    Bauer & Mnih (AISTATS 2019), truncated sampling.
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own protocol
    support = constraints.real_vector

    def __init__(
        self, proposal: Distribution, log_accept: LogAccept, log_z: LogZ, truncation: int
    ) -> None:
        self.proposal, self.log_accept = proposal, log_accept
        self.log_z, self.truncation = log_z, truncation
        super().__init__(proposal.batch_shape, proposal.event_shape, validate_args=False)

    def expand(
        self, batch_shape: Sequence[int], _instance: Distribution | None = None
    ) -> "Resampled":
        proposal = self.proposal.expand(torch.Size(batch_shape))
        return Resampled(proposal, self.log_accept, self.log_z, self.truncation)

    def log_prob(self, value: Float[Tensor, "*n L"]) -> Float[Tensor, "*m"]:
        log_z = self.log_z.value
        log_forced = (self.truncation - 1) * torch.log1p(-log_z.exp())  # alpha
        tiny = torch.finfo(log_forced.dtype).tiny
        log_chosen = (-torch.expm1(log_forced)).clamp_min(tiny).log()
        accepted = log_chosen + self.log_accept(value) - log_z
        return self.proposal.log_prob(value) + torch.logaddexp(accepted, log_forced)

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        attempt = self.proposal.sample(torch.Size(sample_shape))
        z = attempt.reshape(-1, attempt.shape[-1])
        waiting = torch.arange(len(z), device=z.device)
        for _ in range(self.truncation - 1):
            accept = self.log_accept(z[waiting]).exp()
            waiting = waiting[torch.rand_like(accept) > accept]
            if not len(waiting):
                break
            z[waiting] = self.proposal.sample(torch.Size(sample_shape)).reshape(z.shape)[waiting]
        return z.reshape(attempt.shape)


class ResampledPrior(nn.Module):
    r"""Rejection sampling of N(0, I) with a learned acceptance probability: LARS.

    Its density needs :math:`Z = E_\pi[a(z)]`, a Monte Carlo mean. In training it is a moving mean
    over steps, through which each step's own estimate has its gradient. In evaluation it is a mean
    over fixed samples of N(0, I), as many as make the standard error of log Z at most 0.01 nats,
    32,768 to 1,048,576 of them. Log densities of z, and so every bound and log p(x), have at most
    that error, except where a(z) is so small that z comes from the last attempt alone. It has the
    same sign for all x, and more samples of z do not reduce it.

    Parameters
    ----------
    n_latent
        Size L of the code.
    hidden
        Widths of the network of the acceptance probability, of tanh units.
    truncation
        Number T of attempts, the last of which is always accepted.

    Raises
    ------
    MixvaeError
        For sizes or a truncation under 1.

    Warns
    -----
    MixvaeWarning
        Where the standard error of log Z is above 0.01 nats in evaluation.

    References
    ----------
    Bauer & Mnih, Resampled priors for variational autoencoders, AISTATS 2019. Their estimate of Z
    in training also includes the code of each x, reweighted; ours does not.

    Examples
    --------
    >>> prior = ResampledPrior(n_latent=2).eval()
    >>> p = prior(lambda x: x)  # it encodes nothing
    >>> p.sample((5,)).shape, p.log_z.error < 0.01
    (torch.Size([5, 2]), True)
    """

    z: Tensor

    def __init__(
        self, n_latent: int, *, hidden: Sequence[int] = (100, 100), truncation: int = 100
    ) -> None:
        super().__init__()
        whole(1, truncation=truncation)
        self.truncation = truncation
        self.net = MLP(n_latent, 1, hidden, nn.Tanh)
        self.proposal = NormalPrior(torch.zeros(n_latent))
        self.register_buffer("z", torch.tensor(0.5))  # the moving mean of Z
        self._known: tuple[object, LogZ] | None = None

    def forward(self, encode: Encode) -> Resampled:
        proposal = self.proposal(encode)
        log_z = self._of_step(proposal) if self.training else self._of_evaluation(proposal)
        return Resampled(proposal, self.log_accept, log_z, self.truncation)

    @torch.no_grad()
    def log_partition(self) -> PartitionEstimate:
        """log Z as in evaluation, and an upper bound on its standard error."""
        found = self._of_evaluation(self.proposal(no_data))
        return PartitionEstimate(float(found.value), found.error)

    def log_accept(self, z: Float[Tensor, "*n L"]) -> Float[Tensor, "*n"]:
        """log a(z), in full precision."""
        with torch.autocast(z.device.type, enabled=False):
            logits: Tensor = self.net(full_precision(z).to(self.z.dtype))
        return nn.functional.logsigmoid(logits.squeeze(-1))

    def _of_step(self, proposal: Distribution) -> LogZ:
        """The moving mean of Z, with the gradient of this step's estimate."""
        now = self.log_accept(proposal.sample(torch.Size([TRAINING_SAMPLES]))).exp().mean()
        with torch.no_grad():
            mean = self.z.lerp(now, SMOOTHING)
            if now.requires_grad:  # a step
                self.z.copy_(mean)
        return LogZ((now + (mean - now).detach()).clamp_max(LARGEST).log())

    def _of_evaluation(self, proposal: Distribution) -> LogZ:
        """The mean over fixed samples, kept until the weights change."""
        state = [(p.data_ptr(), p._version) for p in self.net.parameters()]
        if self._known is None or self._known[0] != state:
            self._known = state, estimate(self.log_accept, self.proposal.loc)
        log_z = self._known[1]
        if log_z.error > ACCURATE:
            warnings.warn(
                f"log Z of the LARS prior has a standard error of {log_z.error:.3f} nats after "
                f"{CHUNK * MOST_CHUNKS:,} samples, and with it every bound and log p(x): hardly "
                "any sample of N(0, I) is accepted. A smaller n_latent helps.",
                MixvaeWarning,
                stacklevel=2,
            )
        return log_z


@torch.no_grad()
def estimate(log_accept: LogAccept, like: Float[Tensor, " L"]) -> LogZ:
    """log of the mean of a(z) under N(0, I), over fixed samples.

    Parameters
    ----------
    log_accept
        log a(z): z (*n, L) to (*n,).
    like
        A tensor of the size, type and device of z.

    Returns
    -------
    LogZ
        The estimate, and the standard error that it would have if every a(z) were 0 or 1, by the
        delta method: no other a(z) of that mean has a larger one.
    """
    generator = Generator(like.device).manual_seed(0)
    total, n = 0.0, 0
    for _ in range(MOST_CHUNKS):
        z = torch.randn(CHUNK, len(like), dtype=like.dtype, device=like.device, generator=generator)
        total, n = total + float(log_accept(z).double().exp().sum()), n + CHUNK
        mean = min(total / n, LARGEST)
        error = sqrt((1 - mean) / (n * mean))
        if error < ACCURATE:
            break
    return LogZ(torch.tensor(log(mean)).to(like), error)
