"""Held-out log p(x) by importance sampling."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from math import log, nan, sqrt
from typing import Any

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.distributions import Distribution

from mixvae.errors import MixvaeError, seeds, whole
from mixvae.families import ExactMixture
from mixvae.likelihoods import bits_per_dim
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes
from mixvae.progress import track

from .batches import batches, check_model, check_x, device_of
from .mode import evaluation_mode
from .one_pass import Batch
from .pareto import MAX_K, MAX_SHARE, pareto_k, unreliable

CODES = 500  # decoded at a time: fewer are slower, and more take memory and win no time
MAX_SAMPLES = 10**8  # an example: beyond, their weights alone take gigabytes, and each x hours
Figures = tuple[float, float, float, float]
PILOT = 0.1  # codes that say who answers for x, as a part of those that count
EVEN = 0.1  # of the codes that count: dealt out evenly, whatever the pilot says


@dataclass(frozen=True, eq=False)
class LogLikelihood:
    """Estimates of log p(x), one an example."""

    log_prob: Float64[Tensor, " N"]  # nats
    standard_error: Float64[Tensor, " N"]  # of the estimate, by the delta method; NaN for one draw
    ess: Float64[Tensor, " N"]  # effective number of draws, between 1 and n_draws
    k_hat: Float64[Tensor, " N"]  # how heavy the weights' tail is; NaN for fewer than 125 draws
    bits_per_dim: float  # the mean over examples
    n_samples: int  # S, as asked for
    n_draws: int  # S, where a draw is a sample of each of K components S/K; at least K if dealt out
    example: Int64[Tensor, " N"] | None = None  # which one each row is; None is all different

    @property
    def mean(self) -> float:
        """The mean over examples, nats."""
        return float(self.log_prob.mean())

    @property
    def mean_error(self) -> float:
        """Standard error of the mean: of the sampling of codes alone, not of the choice of x.

        Equal rows have the same noise, so that their errors add up; others' are independent.
        """
        error = self.standard_error
        if self.example is not None:
            error = error.new_zeros(len(error)).index_add(0, self.example, error)
        return float(error.square().sum().sqrt() / len(error))

    @property
    def reliable(self) -> bool | None:
        """Whether k-hat is above 0.7 for at most 5% of the examples; None where there is none."""
        if self.k_hat.isnan().all():
            return None
        return bool((self.k_hat > MAX_K).double().mean() <= MAX_SHARE)

    @property
    def caveat(self) -> str | None:
        """What stands beside the mean where it is not reliable; None where it is, or none knows."""
        if self.reliable is not False:
            return None
        return unreliable(float((self.k_hat > MAX_K).double().mean()))

    def warning(self) -> str | None:
        """The examples whose weights have too heavy a tail, and what to do, or None."""
        n = int((self.k_hat > MAX_K).sum())
        if not n:
            return None
        worst = int(self.k_hat.nan_to_num(-torch.inf).argmax())
        return (
            f"k-hat is above {MAX_K} for {n:,} of {len(self.k_hat):,} examples (at most "
            f"{self.k_hat[worst]:.2f}, of example {worst}, counted from 0): a few draws have most "
            "of the weight, whose variance may be infinite; log p(x) is then likely to be too low, "
            "and its error larger than stated. Draw more samples."
        )

    def to_dict(self) -> dict[str, Any]:
        """The means as plain numbers, and how far they can be relied on."""
        values: dict[str, Any] = {
            "mean": self.mean,
            "mean_error": self.mean_error,
            "bits_per_dim": self.bits_per_dim,
            "n_samples": self.n_samples,
            "n_draws": self.n_draws,
            "ess_mean": float(self.ess.mean()),
            "ess_min": float(self.ess.min()),
            "reliable": self.reliable,
            "warning": self.warning(),
        }
        known = self.k_hat[~self.k_hat.isnan()]
        if len(known):
            above = float((self.k_hat > MAX_K).double().mean())
            values |= {"k_hat_max": float(known.max()), "k_hat_above": above}
        return values


def log_likelihood(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    n_samples: int = 5000,
    *,
    y: Classes | None = None,
    seed: int = 0,
    progress: bool = False,
) -> LogLikelihood:
    r"""Importance sampling: :math:`\log \frac1S \sum_s w_s`, the weights those of the family.

    Low in expectation (Burda et al. 2016, Theorem 1), by about half the squared standard error.

    Examples go through one at a time, with many samples each, and the noise of each is seeded by
    what it holds: the figure of an example depends on the model, its x (and y, of a conditional
    model), ``n_samples`` and ``seed``; not on its place, nor on any other example, so that equal
    ones have equal figures. There is no batch size; a fixed number of codes is decoded at a time,
    whatever N and S.

    The codes of an exact mixture that can decode its components one by one (they share layers, and
    training takes some at a time) are dealt out among them: by the responsibilities in a pilot of a
    tenth as many, but for a tenth that is dealt out evenly. The estimate stays unbiased, and has at
    most the error that is stated, which is that of independent draws.

    Parameters
    ----------
    model
        A model, in any mode, to which it returns. It runs in its own precision; sums are float64.
    x
        (N, *X), data in the likelihood's support.
    n_samples
        Samples S of the latent variables for each example, at most 10**8. A mixture posterior has K
        samples in each pass, so that there are S/K passes, rounded up. Exact mixtures other than
        those above: S codes of each component.
    y
        (N,), the classes of x, for a conditional model: log p(x | y).
    seed
        Seed of the noise.
    progress
        Show a progress bar over the examples.

    Raises
    ------
    MixvaeError
        For fewer than one sample, a likelihood that is not a normalised density, or data outside
        its support.
    """
    check_model(model)
    whole(1, MAX_SAMPLES, n_samples=n_samples)
    seeds(seed=seed)
    check_density(model, x)
    weigh, n_draws = _log_weights, model.family.n_draws(n_samples, model.n_components)
    if model.gate is not None:
        weigh, n_draws = _dealt, max(n_samples, model.n_components)  # at least one each
    known: dict[int, tuple[int, Figures]] = {}  # by seed: which example it is, and its figures
    found = []
    with evaluation_mode(model), torch.no_grad():
        p_z, generator = model.prior(model.encode), torch.Generator(device_of(model))
        for row in track(batches(model, x, y, 1), "log p(x)", len(x), show=progress):
            if (its_seed := seed_of_row(seed, *row)) not in known:
                generator.manual_seed(its_seed)
                figures = _estimate(weigh(model, *row, p_z, n_draws, generator))
                known[its_seed] = len(known), figures
            found.append(known[its_seed])
    example = torch.tensor([number for number, _ in found])
    each = torch.tensor([figures for _, figures in found], dtype=torch.float64)
    log_prob, error, ess, k_hat = each.unbind(1)
    bits = bits_per_dim(float(log_prob.mean()), model.decoder.likelihood)
    return LogLikelihood(log_prob, error, ess, k_hat, bits, n_samples, n_draws, example)


class LogLikelihoods:
    """Log p(x) as one of a run's figures: estimated example by example, after the pass of all.

    ``keep`` is handed the estimates. Raises as :func:`check_density`, before the work.
    """

    def __init__(
        self,
        model: MixtureVAE,
        x: Float[Tensor, "N *X"],
        n_samples: int,
        keep: Callable[[LogLikelihood], object] | None = None,
        **options: Any,
    ) -> None:
        check_density(model, x)
        self.estimate = partial(log_likelihood, model, x, n_samples, **options)
        self.keep = keep

    def add(self, batch: Batch) -> None: ...

    def result(self) -> dict[str, Any]:
        found = self.estimate()
        if self.keep is not None:
            self.keep(found)
        return found.to_dict()


def seed_of_row(seed: int, x: Float[Tensor, "1 *X"], y: Classes | None = None) -> int:
    """The 64-bit seed of an example's noise: a hash of x, of its class if any, and of ``seed``."""
    said = repr((seed, None if y is None else y.tolist())).encode()
    values = (x.cpu() + 0.0).contiguous().numpy()  # -0.0 is 0.0
    return int.from_bytes(blake2b(said + values.tobytes(), digest_size=8).digest())


def check_density(model: MixtureVAE, x: Float[Tensor, "N *X"]) -> None:
    """Raise a MixvaeError unless the model's likelihood is a density, and one of these data."""
    check_x(model, x)
    likelihood = model.decoder.likelihood
    if not likelihood.is_density:
        raise MixvaeError(
            f"{type(likelihood).__name__} is no density of x, so that there is no log p(x) to "
            "estimate. Train with likelihood gaussian, or binarise the data and use bernoulli."
        )
    likelihood.check(x)


def _log_weights(
    model: MixtureVAE,
    x: Float[Tensor, "1 *X"],
    y: Classes | None,
    p_z: Distribution,
    n_draws: int,
    generator: torch.Generator,
) -> Float64[Tensor, " T"]:
    """The log importance weights of T draws for one example."""
    posteriors = model.infer(x, y)
    log_w = torch.empty(n_draws, dtype=torch.float64)
    for block in log_w.split(max(1, CODES // model.n_components)):
        t = model.draw(x, *posteriors, len(block), y, p_z, generator=generator)
        block[:] = t.log_weight.squeeze(1).cpu()
    return log_w


def _dealt(
    model: MixtureVAE,
    x: Float[Tensor, "1 *X"],
    y: Classes | None,
    p_z: Distribution,
    n_draws: int,
    generator: torch.Generator,
) -> Float64[Tensor, " T"]:
    """The log importance weights of T codes of an exact mixture, dealt out to its components."""
    assert isinstance(model.family, ExactMixture)
    h, n_components = model.features(x, y), model.n_components
    posteriors = model.posterior(h), model.weights(h)
    each = torch.full((n_components,), -torch.inf, dtype=torch.float64)
    n_pilot = max(1, round(PILOT * n_draws / n_components))
    for block in torch.arange(n_pilot).split(max(1, CODES // n_components)):
        t = model.draw(x, *posteriors, len(block), y, p_z, generator=generator)
        found = model.family.log_weights(t).squeeze(1).logsumexp(0).double().cpu()
        each = each.logaddexp(found)
    counts = deal((1 - EVEN) * each.softmax(0) + EVEN / n_components, n_draws)
    component_index = torch.arange(n_components).repeat_interleave(counts)
    log_w = torch.empty(n_draws, dtype=torch.float64)
    for block, of in zip(log_w.split(CODES), component_index.split(CODES), strict=True):
        k, repeats = (t.unsqueeze(0).to(x.device) for t in (of, counts[of]))
        t = model.sample_components(x, h, k, repeats, y=y, p_z=p_z, generator=generator)
        block[:] = model.family.log_weights(t).squeeze((0, 1)).cpu()
    return log_w + log(n_draws)  # whose mean, and not whose sum, is p(x)


def deal(share: Float64[Tensor, " K"], n: int) -> Int64[Tensor, " K"]:
    """How many of ``n`` codes each component has: one, and its share of those that are left."""
    upto = ((n - len(share)) * share.cumsum(0)).round().long()
    return 1 + upto.diff(prepend=upto.new_zeros(1))


def _estimate(log_w: Float64[Tensor, " T"]) -> Figures:
    """log p(x), its standard error, the effective number of draws, and k-hat."""
    n = len(log_w)
    log_prob = log_w.logsumexp(0) - log(n)
    w = (log_w - log_prob).exp()  # of mean 1
    error = float(w.std()) / sqrt(n) if n > 1 else nan
    ess = min(float(n / w.square().mean()), n)  # rounding
    return float(log_prob), error, ess, pareto_k(log_w)
