"""A mixture of proposals whose shares a pilot run decides, example by example.

Every sample is weighed by the density of the whole mixture (the balance heuristic, Veach & Guibas
1995), so that weights are bounded where the prior is one of the proposals (defensive importance
sampling, Hesterberg 1995) and the estimate is unbiased whatever the shares are. They are chosen by
a few steps of EM for the Kullback-Leibler divergence from the posterior to the mixture, from the
pilot's weighted samples (population Monte Carlo: Cappe, Douc, Guillin, Marin & Robert 2008).
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float64, Int64
from torch import Generator, Tensor

from mixvae.seeding import noise_from

from .latent_space import LatentSpace, LogDensities

FACTORS = (1.0, 1.2, 1.5, 2.5)  # times the posterior's own width
SHARES = (0.5, 0.2, 0.15, 0.05)  # of the samples, before the pilot
FROM_PRIOR = 0.1  # the prior's share, before the pilot
PILOT = 0.1  # samples of the pilot, as a part of those that count
FLOOR = 0.1  # part of the samples whose shares stay as they were before the pilot
CAUTION = 20.0  # effective samples that it takes for the pilot to be believed by half
STEPS = 10  # of EM


class ProposalMixture:
    """The proposals for one example's latent, and the share of the samples that each has.

    Parameters
    ----------
    space : LatentSpace
        Of the example.
    n_samples : int
        Samples S that will be drawn, at least one for each group of proposals. The pilot draws a
        tenth as many more, and at least one for each proposal.
    n_codes : int
        Codes to decode at a time.
    generator : Generator
        What all noise is drawn from, on the model's device.
    local : bool
        Whether normals about modes of the exact posterior are proposals too.
    """

    def __init__(
        self,
        space: LatentSpace,
        n_samples: int,
        n_codes: int,
        generator: Generator,
        *,
        local: bool = False,
    ) -> None:
        self.space, self.n_codes, self.generator = space, n_codes, generator
        self.groups = space.groups()
        self.share = space.shares(SHARES[: space.n_factors], FROM_PRIOR)
        if len(self.share) == 1:
            return
        n_pilot = max(round(PILOT * n_samples), len(self.share))
        if local:
            space.add_local(n_codes)
            self._add_local()
        self.share = self._adapted(n_pilot)

    def _add_local(self) -> None:
        """Give half of the samples to the normals about modes, whose widths have equal parts."""
        if self.space.local is None:
            return
        own = self.space.local.components().cpu()
        exact = len(self.groups.unique()) > 1
        new = torch.full((len(own),), 0.5 / len(own), dtype=torch.float64)
        self.groups = torch.cat([self.groups, own if exact else torch.zeros_like(own)])
        self.share = torch.cat([0.5 * self.share, new])

    def log_weights(self, n: int) -> tuple[Float64[Tensor, " n"], Int64[Tensor, " n"]]:
        """The log importance weights of n samples, whose mean is p(x), and each one's proposal."""
        counts = deal(self.share, self.groups, n)
        log_part = (counts.double() / n).log()
        log_w = [
            found.joint - (found.proposals + log_part).logsumexp(-1)
            for found in self._sample(counts)
        ]
        return torch.cat(log_w), torch.cat(self._blocks(counts))

    def _adapted(self, n: int) -> Float64[Tensor, " P"]:
        """The shares, moved from where they are towards the posterior's, as n samples show it."""
        counts = deal(self.share, self.groups, n)
        found = list(self._sample(counts))
        log_joint = torch.cat([part.joint for part in found])
        log_q = torch.cat([part.proposals for part in found])
        log_w = log_joint - (log_q + (counts.double() / n).log()).logsumexp(-1)
        if not log_w.isfinite().any():
            return self.share
        w, share = log_w.softmax(0), self.share
        for _ in range(STEPS):
            # NaN where all shares of a sample's group have gone: such samples have no weight.
            share = w @ (log_q + share.log()).softmax(-1).nan_to_num(0.0)
        n_effective = 1 / float(w.square().sum())
        believed = (1 - FLOOR) * n_effective / (n_effective + CAUTION)
        return believed * share + (1 - believed) * self.share

    def _sample(self, counts: Int64[Tensor, " P"]) -> Iterator[LogDensities]:
        """The densities of so many samples of each proposal, a block of them at a time."""
        for block in self._blocks(counts):
            with noise_from(self.generator):
                latents = self.space.sample(block)
            yield self.space.log_densities(latents)

    def _blocks(self, counts: Int64[Tensor, " P"]) -> list[Int64[Tensor, " n"]]:
        """The proposals of the samples that are taken at a time, in ascending order.

        Groups follow each other, as their codes may have decoders of their own.
        """
        proposal = torch.arange(len(counts)).repeat_interleave(counts)
        by_group = proposal[self.groups[proposal].argsort(stable=True)]
        return [block.sort().values for block in by_group.split(self.n_codes)]


def deal(share: Float64[Tensor, " P"], groups: Int64[Tensor, " P"], n: int) -> Int64[Tensor, " P"]:
    """How many of n samples each proposal has: its share of them, rounded up or down.

    Every group whose shares are not all zero has at least one, as what it would find is missed
    otherwise; n is at least the number of these groups.
    """
    best = [
        int(torch.where(groups == group, share, -1.0).argmax())
        for group in groups[share > 0].unique().tolist()
    ]
    first = torch.zeros_like(share).index_fill(0, torch.tensor(best), 1.0)
    wanted = (n * share - first).clamp_min(0)
    wanted = (n - len(best)) * wanted / wanted.sum().clamp_min(torch.finfo(wanted.dtype).tiny)
    counts = wanted.floor()
    left = n - len(best) - int(counts.sum())
    counts[(wanted - counts).topk(left).indices] += 1
    return (first + counts).long()
