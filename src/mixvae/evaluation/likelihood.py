"""Held-out log p(x) by importance sampling."""

from dataclasses import dataclass
from math import log, nan

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ..errors import MixvaeError, at_least
from ..labels import Classes
from ..model import MixtureVAE
from .passes import batches, evaluating


@dataclass(frozen=True, eq=False)
class LogLikelihood:
    """Estimates of log p(x), one an example."""

    log_prob: Float64[Tensor, " N"]  # nats
    standard_error: Float64[Tensor, " N"]  # of the estimate, by the delta method; NaN at S = 1
    ess: Float64[Tensor, " N"]  # effective sample size, between 1 and S
    n_samples: int

    @property
    def mean(self) -> float:
        """The mean over examples, nats."""
        return float(self.log_prob.mean())

    @property
    def mean_error(self) -> float:
        """Standard error of the mean: of the sampling of codes alone, not of the choice of x."""
        return float(self.standard_error.square().sum().sqrt() / len(self.standard_error))

    def to_dict(self) -> dict[str, float]:
        """The means as plain numbers, and the sample size behind the worst of them."""
        return {
            "mean": self.mean,
            "mean_error": self.mean_error,
            "n_samples": self.n_samples,
            "ess_mean": float(self.ess.mean()),
            "ess_min": float(self.ess.min()),
        }


def log_likelihood(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    n_samples: int = 5000,
    *,
    y: Classes | None = None,
    chunk: int = 500,
    seed: int = 0,
    progress: bool = False,
) -> LogLikelihood:
    r"""Importance sampling: :math:`\log \frac1S \sum_s w_s`, the weights those of the family.

    Low in expectation (Burda et al. 2016, Theorem 1), by about half the squared standard error.

    Examples go through one at a time, with many samples each, and each has noise of its own: the
    figure of example i depends on the model, x[i], i, ``n_samples``, ``chunk`` and ``seed``, and
    on no other example. There is no batch size; memory grows neither with N nor with S.

    Args:
        model: it is left in the mode that it came in; run in its own precision, summed in float64.
        x: (N, *X), data that the likelihood has a density for.
        n_samples: samples S an example.
        y: (N,), the classes of x, for a conditional model: log p(x | y).
        chunk: samples decoded at a time; another one draws other noise.
        seed: of the noise.
        progress: show a bar over the examples.

    Raises:
        MixvaeError: for fewer than one sample, a likelihood that is no density, or data that it
            has none for.
    """
    from tqdm import tqdm

    at_least(1, n_samples=n_samples, chunk=chunk)
    check_density(model, x)
    seeds = np.random.SeedSequence(seed).generate_state(len(x), np.uint64)
    estimates = []
    with evaluating(model):
        rows = zip(seeds.tolist(), batches(model, x, y, 1), strict=True)
        for row_seed, row in tqdm(rows, "log p(x)", len(x), disable=not progress):
            torch.manual_seed(row_seed)
            estimates.append(_estimate(model, *row, n_samples, chunk))
    log_prob, error, ess = torch.tensor(estimates, dtype=torch.float64).unbind(1)
    return LogLikelihood(log_prob, error, ess, n_samples)


def check_density(model: MixtureVAE, x: Float[Tensor, "N *X"]) -> None:
    """Raise a MixvaeError unless the model's likelihood is a density, and one of these data."""
    likelihood = model.decoder.likelihood
    if not likelihood.is_density:
        raise MixvaeError(
            f"{type(likelihood).__name__} is no density of x, so that there is no log p(x) to "
            "estimate. Train with likelihood='gaussian', or binarise the data and use 'bernoulli'."
        )
    likelihood.check(x)


def _estimate(
    model: MixtureVAE,
    x: Float[Tensor, "1 *X"],
    y: Classes | None,
    n_samples: int,
    chunk: int,
) -> tuple[float, float, float]:
    """log p(x), its standard error and the effective sample size, of one example."""
    log_sum = log_squares = torch.tensor(-torch.inf, dtype=torch.float64)
    for start in range(0, n_samples, chunk):
        log_w = model(x, min(chunk, n_samples - start), y).log_weight.squeeze(1).cpu().double()
        log_sum = log_sum.logaddexp(log_w.logsumexp(0))
        log_squares = log_squares.logaddexp((2 * log_w).logsumexp(0))
    ess = float((2 * log_sum - log_squares).exp())
    return float(log_sum) - log(n_samples), _standard_error(n_samples, ess), ess


def _standard_error(n_samples: int, ess: float) -> float:
    """Of log(mean w): the standard error of the mean over the mean."""
    if n_samples == 1:
        return nan
    return (max(n_samples / ess - 1, 0.0) / (n_samples - 1)) ** 0.5  # rounding: ess may exceed S
