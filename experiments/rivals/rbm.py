"""RBM: restricted Boltzmann machine of binary pixels, log Z by annealed importance sampling.

Trained by persistent contrastive divergence (Tieleman, ICML 2008), one Gibbs step an update. log Z
is estimated as by Salakhutdinov & Murray (ICML 2008), from independent pixels with the training
images' means, with more intermediate distributions near the RBM. The estimate of Z is unbiased, so
that that of log Z is too low in expectation, and log p(x) too high.
"""

from collections.abc import Callable
from itertools import pairwise
from math import log
from typing import NamedTuple

import torch
import torch.nn.functional as F
from experiments.rivals.system import BATCH, LogPx, System, Trained, batches
from torch import Tensor

from mixvae.data import Dataset

N_HIDDEN, LR = 500, 0.05
CHAINS, STEPS, SAMPLE_STEPS = 100, 10_000, 1000
PARTS = ((0.0, 0.5, 1), (0.5, 0.9, 8), (0.9, 1.0, 20))  # inverse temperatures, share of steps
ESTIMATE = "estimate, too high in expectation: log Z by annealed importance sampling"


class RBM:
    """p(v) proportional to the sum over h of exp(v b + h c + v W h)."""

    def __init__(self, start: Tensor, n_hidden: int) -> None:
        """Small random weights; the visible biases are given, (D,)."""
        self.b, self.c = start.clone(), torch.zeros(n_hidden)
        self.w = 0.01 * torch.randn(len(start), n_hidden)
        self.start = start

    @property
    def n_parameters(self) -> int:
        """Weights and biases."""
        return self.w.numel() + len(self.b) + len(self.c)

    def hidden(self, v: Tensor) -> Tensor:
        """Logits of p(h = 1 | v)."""
        return self.c + v @ self.w

    def visible(self, h: Tensor) -> Tensor:
        """Logits of p(v = 1 | h)."""
        return self.b + h @ self.w.T

    def log_unnormalised(self, v: Tensor) -> Tensor:
        """log p(v) + log Z of each row."""
        return v @ self.b + F.softplus(self.hidden(v)).sum(1)


class LogZ(NamedTuple):
    """log Z, its standard error, and the chains' last states."""

    value: float
    error: float
    states: Tensor


def draw(logits: Tensor) -> Tensor:
    """Bernoulli values."""
    return torch.bernoulli(logits.sigmoid())


def temperatures(n_steps: int) -> Tensor:
    """Inverse temperatures from 0 to 1."""
    whole = sum(share for *_, share in PARTS)
    counts = [max(1, n_steps * share // whole) for *_, share in PARTS]
    ends = zip(PARTS, counts, strict=True)
    parts = [torch.linspace(low, high, n + 1)[1:] for (low, high, _), n in ends]
    return torch.cat([torch.zeros(1), *parts])


@torch.no_grad()
def annealed(rbm: RBM, n_chains: int, n_steps: int) -> LogZ:
    """log Z by annealed importance sampling (Neal 2001).

    The distribution at inverse temperature t has visible biases (1 - t) a + t b, where a are those
    of independent pixels, hidden biases t c and weights t W.
    """
    a, b = rbm.start, rbm.b
    v = draw(a.expand(n_chains, -1))
    logits, weight = rbm.hidden(v), torch.zeros(n_chains, dtype=torch.float64)
    log_p = lambda t: v @ ((1 - t) * a + t * b) + F.softplus(t * logits).sum(1)
    steps = temperatures(n_steps).tolist()
    for before, t in pairwise(steps):
        weight += log_p(t) - log_p(before)
        h = draw(t * logits)
        v = draw((1 - t) * a + t * rbm.visible(h))
        logits = rbm.hidden(v)
    ratio = (weight - weight.max()).exp()
    error = float(ratio.std() / ratio.mean() / n_chains**0.5)
    base = len(rbm.c) * log(2) + float(F.softplus(a.double()).sum())
    return LogZ(base + float(weight.max() + ratio.mean().log()), error, v)


def log_z_of(rbm: RBM) -> LogZ:
    """log Z as every row estimates it."""
    return annealed(rbm, CHAINS, STEPS)


def samples_of(rbm: RBM, n: int) -> Tensor:
    """Last states of n chains, samples of v but for what annealing leaves."""
    return annealed(rbm, n, SAMPLE_STEPS).states


@torch.no_grad()
def fit(data: Dataset, n_hidden: int, epochs: int, below: Callable[[Tensor], Tensor]) -> RBM:
    """An RBM of rows that ``below`` makes of batches of images; the step size falls to 0."""
    means = torch.cat([below(x) for x in batches(data)]).mean(0)
    rbm = RBM(means.clamp(0.01, 0.99).logit(), n_hidden)
    chains, n_steps, done = None, epochs * max(1, len(data.train) // BATCH), 0
    for _ in range(epochs):
        for x in batches(data):
            v, lr = below(x), LR * (1 - done / n_steps)
            chains = draw(rbm.visible(draw(rbm.hidden(v if chains is None else chains))))
            up, down = rbm.hidden(v).sigmoid(), rbm.hidden(chains).sigmoid()
            rbm.w += lr * (v.T @ up / len(v) - chains.T @ down / len(chains))
            rbm.b += lr * (v.mean(0) - chains.mean(0))
            rbm.c += lr * (up.mean(0) - down.mean(0))
            done += 1
    return rbm


def train(data: Dataset, epochs: int) -> Trained:
    """An RBM of images."""
    rbm = fit(data, N_HIDDEN, epochs, lambda x: x.flatten(1))

    def log_px(x: Tensor) -> LogPx:
        log_z = log_z_of(rbm)
        log_p = float(rbm.log_unnormalised(x.flatten(1)).double().mean()) - log_z.value
        return LogPx(log_p, log_z.error, ESTIMATE)

    def sample(n: int) -> Tensor:
        return rbm.visible(draw(rbm.hidden(samples_of(rbm, n)))).sigmoid().view(n, *data.x_shape)

    return Trained(rbm.n_parameters, sample=sample, log_px=log_px)


SYSTEM = System(
    "rbm",
    train,
    epochs={"mnist": 200, "omniglot": 200},
    quoted={"omniglot": (("gmmpvae/table3", "RBM"),)},
    binary=True,
    n_images=1000,
)
