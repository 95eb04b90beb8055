r"""Chains from the prior to the posterior of a latent, and back: annealed importance sampling.

They move by HMC under :math:`p(u)\, p(x | u)^\beta` while beta goes from 0 to 1 (Neal 2001).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log

import torch
from jaxtyping import Float, Float64
from torch import Generator, Tensor

from mixvae.errors import whole
from mixvae.seeding import noise_from

from .hmc import adapted, move
from .latent_space import Latents
from .unconstrained import PerChain, Point, Real, UnconstrainedLatent

LARGEST = 10**7  # steps or chains: beyond, an example takes days
SLOPE = 4.0  # of the sigmoid: betas are closest to each other near 0 and 1
PILOT = 0.1  # steps of the pilot run, as a part of those that count,
LEAST_PILOT = 50  # and at least
WARM_UP = 20  # moves of the pilot run under the prior, before the path
FIRST_STEP = 0.5  # size of a leapfrog step, before any was adapted


@dataclass(frozen=True)
class Path:
    """How the chains go: from beta 0 to 1 in ``n_steps``, with a move between any two.

    Raises
    ------
    MixvaeError
        For numbers below 1.
    """

    n_chains: int
    n_steps: int
    n_leapfrog: int

    def __post_init__(self) -> None:
        whole(1, LARGEST, **vars(self))

    @property
    def n_pilot(self) -> int:
        """Steps of the pilot run."""
        return max(LEAST_PILOT, round(PILOT * self.n_steps))


def schedule(n_steps: int) -> Float64[Tensor, " n"]:
    """The n + 1 inverse temperatures: a sigmoid from -4 to 4, made to go from 0 to 1."""
    s = (SLOPE * torch.linspace(-1, 1, n_steps + 1, dtype=torch.float64)).sigmoid()
    return (s - s[0]) / (s[-1] - s[0])


@dataclass(frozen=True)
class Pilot:
    """What a pilot run over fewer temperatures found."""

    log_steps: list[Float[Tensor, "G B"]]  # of the leapfrog steps, at each temperature
    log_w: PerChain


class Chains:
    """S chains of each of B rows, whose log weights :meth:`forward` and :meth:`reverse` find.

    Step sizes are adapted to an acceptance of 0.65, for each row, and for each component of an
    exact mixture, in a pilot run. Its noise is not that of the run that counts, which takes the
    step sizes as they are: so its weights are unbiased.

    Parameters
    ----------
    latent : UnconstrainedLatent
        Of the rows.
    path : Path
        Of the chains.
    n : int
        Chains S.
    generators : sequence of Generator
        What each row's noise is drawn from, on the model's device.
    advance : callable
        Told of every B moves.
    """

    def __init__(
        self,
        latent: UnconstrainedLatent,
        path: Path,
        n: int,
        generators: Sequence[Generator],
        advance: Callable[[int], object],
    ) -> None:
        self.latent, self.path, self.n = latent, path, n
        self.generators, self.advance = generators, advance
        if latent.component is None:
            self.n_groups = 1
            self.group = torch.zeros(n, len(generators), dtype=torch.int64, device=latent.device)
        else:
            self.n_groups, self.group = latent.n_components, latent.component

    def pilot(self) -> Pilot:
        """The step sizes, adapted on the way, and the chains' weights, which are a rough guide."""
        point = self._from_prior()
        log_step = point.u.new_full((self.n_groups, len(self.generators)), log(FIRST_STEP))
        for _ in range(WARM_UP):
            point, log_step = self._adapting(point, 0.0, log_step)
        log_w, found, last = torch.zeros_like(point.log_lik), [log_step], 0.0
        for beta in schedule(self.path.n_pilot).tolist()[1:]:
            log_w = log_w + (beta - last) * point.log_lik
            point, log_step = self._adapting(point, beta, log_step)
            found.append(log_step)
            last = beta
        return Pilot(found, log_w)

    def forward(self, pilot: Pilot | None) -> PerChain:
        """Log weights, whose exponentials have the mean p(x): of an exact mixture, p(x | k).

        A path of one step has no moves and takes no pilot.
        """
        return self._run(self._from_prior(), range(self.path.n_steps + 1), pilot)

    def reverse(self, latents: Latents, pilot: Pilot | None) -> PerChain:
        """Log weights of the way back from an exact sample, (1, B), of the posterior.

        The exponentials of their negatives have the mean 1 / p(x) over samples and chains.
        """
        u = self.latent.to_vector(latents).expand(self.n, -1, -1)
        return -self._run(self.latent.point(u), range(self.path.n_steps, -1, -1), pilot)

    def _run(self, point: Point, order: range, pilot: Pilot | None) -> PerChain:
        """The sum of the steps in beta, each times the log-likelihood where it was made."""
        betas = schedule(self.path.n_steps).tolist()
        total = torch.zeros_like(point.log_lik)
        for here, there in pairwise(order):
            total = total + (betas[there] - betas[here]) * point.log_lik
            if there != order[-1]:
                assert pilot is not None
                nearest = round(there / self.path.n_steps * self.path.n_pilot)
                point, _ = self._move(point, betas[there], pilot.log_steps[nearest])
        return total

    def _adapting(
        self, point: Point, beta: float, log_step: Float[Tensor, "G B"]
    ) -> tuple[Point, Float[Tensor, "G B"]]:
        """A move, and the step sizes that it suggests."""
        point, probability = self._move(point, beta, log_step)
        return point, adapted(log_step, probability, self.group)

    def _move(
        self, point: Point, beta: float, log_step: Float[Tensor, "G B"]
    ) -> tuple[Point, PerChain]:
        step = log_step.exp().gather(0, self.group)
        momentum = self._noise(torch.randn, point.u)
        uniform = self._noise(torch.rand, point.log_lik)
        self.advance(len(self.generators))
        return move(self.latent.point, point, beta, step, self.path.n_leapfrog, momentum, uniform)

    def _from_prior(self) -> Point:
        rows: list[Real] = []
        for row, generator in enumerate(self.generators):
            with noise_from(generator):
                rows.append(self.latent.sample_prior(row, self.n))
        return self.latent.point(torch.cat(rows, 1))

    def _noise(self, draw: Callable[..., Tensor], like: Tensor) -> Tensor:
        """Noise of a tensor's shape, (S, B, ...), each row's from its own generator."""
        shape = (len(like), *like.shape[2:])
        of = {"dtype": like.dtype, "device": like.device}
        return torch.stack([draw(shape, generator=g, **of) for g in self.generators], 1)
