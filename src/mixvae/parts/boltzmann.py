"""A restricted Boltzmann machine as the prior of binary codes, and their posterior.

The gradient of log Z comes from chains of block Gibbs sampling that go on from step to step
(persistent contrastive divergence: Tieleman, ICML 2008); its value from annealed importance
sampling (Salakhutdinov & Murray, ICML 2008).
"""

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from mixvae.distributions.boltzmann import SmoothedBoltzmann, log_potential
from mixvae.distributions.spike_exponential import SpikeAndExponential
from mixvae.errors import MixvaeError, positive, whole
from mixvae.nn import Stacked, full_precision
from mixvae.seeding import Noise

from .priors import Encode, PartitionEstimate

N_RUNS, N_TEMPERATURES = 500, 500  # of annealed importance sampling
REFRESH = 500  # training steps between estimates of log Z, which is tracked meanwhile


class BinaryPosterior(nn.Module):
    """Independent binary codes, smoothed: one linear layer to their logits.

    Parameters
    ----------
    n_features
        Number H of features.
    n_latent
        Number L of binary codes.
    n_components
        Number K of components, each with a layer of its own.
    beta
        Slope of the smoothing, positive.
    """

    def __init__(self, n_features: int, n_latent: int, n_components: int, beta: float) -> None:
        super().__init__()
        positive(beta=beta)
        self.net, self.beta = Stacked(lambda: nn.Linear(n_features, n_latent), n_components), beta

    def forward(self, h: Float[Tensor, "B K H"]) -> Distribution:
        return SpikeAndExponential(full_precision(self.net(h)), self.beta)


class BoltzmannPrior(nn.Module):
    r"""A restricted Boltzmann machine between two halves of L binary codes, smoothed: batch ().

    .. math:: p(z) = \exp(b^\top z + z_1^\top W z_2) / Z

    In training each call moves the chains by ``gibbs_steps`` sweeps, and log Z has the gradient
    that they give. Its value is estimated every 500 steps, and followed by the chains' importance
    weights in between. Otherwise it is that of :meth:`log_partition`.

    Parameters
    ----------
    n_latent
        L, even.
    beta
        Slope of the smoothing, positive.
    n_chains
        Number of chains.
    gibbs_steps
        Sweeps of block Gibbs sampling for each training step.

    Raises
    ------
    MixvaeError
        For an odd or another impossible size.
    """

    chains: Tensor
    log_z: Tensor
    n_steps: Tensor
    old_bias: Tensor
    old_weight: Tensor

    def __init__(
        self, n_latent: int, beta: float, *, n_chains: int = 100, gibbs_steps: int = 10
    ) -> None:
        super().__init__()
        whole(1, n_latent=n_latent, n_chains=n_chains, gibbs_steps=gibbs_steps)
        positive(beta=beta)
        if n_latent % 2:
            raise MixvaeError(
                f"n_latent must be even, as an RBM has two halves of the code; got {n_latent}. Use "
                f"{n_latent + 1}."
            )
        self.beta, self.gibbs_steps, half = beta, gibbs_steps, n_latent // 2
        self.bias = nn.Parameter(torch.zeros(n_latent))
        self.weight = nn.Parameter(0.01 * torch.randn(half, half))
        self.register_buffer("chains", torch.bernoulli(torch.full((n_chains, n_latent), 0.5)))
        self.register_buffer("log_z", torch.zeros(()))
        self.register_buffer("n_steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("old_bias", torch.zeros(n_latent))  # those that log_z is of
        self.register_buffer("old_weight", torch.zeros(half, half))
        self._known: tuple[bytes, PartitionEstimate] | None = None

    def forward(self, encode: Encode) -> Distribution:
        if self.training and torch.is_grad_enabled():
            log_z = self._tracked()
        else:
            log_z = torch.full_like(self.log_z, self.log_partition().value)
        return SmoothedBoltzmann(self.bias, self.weight, self.beta, log_z, self.draw)

    @torch.no_grad()
    def log_partition(self) -> PartitionEstimate:
        """Estimate log Z by annealed importance sampling, with noise of a fixed seed."""
        weights = torch.cat([self.bias, self.weight.flatten()]).cpu().numpy().tobytes()
        if self._known is None or self._known[0] != weights:
            with Noise(0):
                _, log_w = self._annealed(N_RUNS)
            w = (log_w - (shift := log_w.max())).exp()
            value = float(F.softplus(self.bias).sum() + shift + w.mean().log())
            error = float(w.std() / w.mean()) / sqrt(N_RUNS)
            self._known = weights, PartitionEstimate(value, error)
        return self._known[1]

    @torch.no_grad()
    def draw(self, n: int) -> Float[Tensor, "n L"]:
        """Samples of z: the ends of n annealed chains of Gibbs sampling.

        Parameters
        ----------
        n
            How many.
        """
        return self._annealed(n)[0]

    def _annealed(self, n: int) -> tuple[Float[Tensor, "n L"], Float[Tensor, " n"]]:
        """Chains from W = 0 to the whole of W, and their log weights, whose mean is Z / Z_0."""
        z = torch.bernoulli(self.bias.sigmoid().expand(n, -1))
        return self._moved(z, [t / N_TEMPERATURES for t in range(N_TEMPERATURES + 1)])

    @torch.compiler.disable
    def _tracked(self) -> Float[Tensor, ""]:
        """log Z, with the gradient that the chains give, after they moved."""
        with torch.no_grad():
            chains, _ = self._moved(self.chains, [1.0] * (self.gibbs_steps + 1))
        potential = log_potential(chains, self.bias, self.weight)
        with torch.no_grad():
            if int(self.n_steps) % REFRESH == 0:
                self.log_z.fill_(self.log_partition().value)
            else:  # by chains that are samples of the new weights, and have no part in them yet
                log_w = log_potential(chains, self.old_bias, self.old_weight) - potential
                self.log_z -= (log_w - log_w.max()).exp().mean().log() + log_w.max()
            self.n_steps += 1
            self.chains.copy_(chains)
            self.old_bias.copy_(self.bias)
            self.old_weight.copy_(self.weight)
        return self.log_z + potential.mean() - potential.mean().detach()

    def _moved(
        self, z: Float[Tensor, "n L"], scales: Sequence[float]
    ) -> tuple[Float[Tensor, "n L"], Float[Tensor, " n"]]:
        """z after a sweep of Gibbs sampling at each scale of W but the first, and log weights.

        A sweep samples the second half given the first, then the first given the second. The log
        weights add up what each change of the scale adds to log p(z_1) + log Z.
        """
        (bias, other), first, second = self.bias.chunk(2), *z.chunk(2, -1)
        log_w = torch.zeros_like(first[:, 0])
        with torch.autocast(z.device.type, enabled=False):
            for before, scale in pairwise(scales):
                pull = first @ self.weight
                logits = other + scale * pull
                if scale != before:
                    log_w += (F.softplus(logits) - F.softplus(other + before * pull)).sum(-1)
                second = torch.bernoulli(logits.sigmoid())
                first = torch.bernoulli((bias + scale * (second @ self.weight.T)).sigmoid())
        return torch.cat([first, second], -1), log_w
