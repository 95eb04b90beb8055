"""Held-out log p(x) by importance sampling."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isnan, log, nan, sqrt
from typing import Any, Literal

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.distributions import Distribution

from mixvae.data.rows import TensorOrRows, parts_of
from mixvae.distributions.sampling import with_log_prob
from mixvae.errors import MixvaeError, one_of, seeds, whole
from mixvae.families import ExactMixture
from mixvae.likelihoods import bits_per_dim
from mixvae.model import MixtureVAE
from mixvae.parts.flows import OneWayFlow
from mixvae.parts.labels import Classes
from mixvae.progress import track
from mixvae.seeding import seed_of_row

from ..batches import batches, check_model, check_x, device_of
from ..mode import evaluation_mode
from ..one_pass import Batch
from .latent_space import space_of
from .pareto import MAX_K, MAX_SHARE, pareto_k, unreliable
from .proposals import FACTORS, SHARES, ProposalMixture

CODES = 1000  # decoded at a time: fewer are slower, and more take memory
MAX_SAMPLES = 10**8  # an example: beyond, their weights alone take gigabytes, and each x hours
HELP = (
    "More samples rarely help; annealed importance sampling does (method 'ais'), and so does "
    "training that makes posteriors wider: the importance-weighted bound, or a likelihood whose "
    "scale is not so small."
)
NEGLIGIBLE = 0.01  # of p(x): a component that has less is not asked for its k-hat
N_SAMPLES, N_CHAINS = 5000, 16  # an example, where nothing is said
Method = Literal["defensive", "plain", "ais"]
METHODS: tuple[Method, ...] = ("defensive", "plain", "ais")
Figures = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class LogLikelihood:
    """Estimates of log p(x), one an example."""

    log_prob: Float64[Tensor, " N"]  # nats
    standard_error: Float64[Tensor, " N"]  # of the estimate, by the delta method; NaN for one draw
    ess: Float64[Tensor, " N"]  # effective number of samples, between 1 and S
    k_hat: Float64[Tensor, " N"]  # how heavy the weights' tail is; NaN for fewer than 125 samples
    bits_per_dim: float | None  # the mean over examples; None of real values, which have no levels
    n_samples: int  # S
    method: str = "defensive"  # how it was estimated
    example: Int64[Tensor, " N"] | None = None  # which one each row is; None is all different
    weight: Float[Tensor, " N"] | None = None  # of each example, with a mean of 1; None is all 1

    @property
    def mean(self) -> float:
        """The mean over examples, nats."""
        weighted = self.log_prob if self.weight is None else self.weight * self.log_prob
        return float(weighted.mean())

    @property
    def mean_error(self) -> float:
        """Standard error of the mean: of the sampling of codes alone, not of the choice of x.

        Equal rows have the same noise, so that their errors add up; others' are independent.
        """
        error = self.standard_error if self.weight is None else self.weight * self.standard_error
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
            f"{self.k_hat[worst]:.2f}, of example {worst}, counted from 0): a few samples have "
            "most of the weight, whose variance may be infinite; log p(x) is then likely to be "
            f"too low, and its error larger than stated. {HELP}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The means as plain numbers, and how far they can be relied on."""
        values: dict[str, Any] = {
            "mean": self.mean,
            "mean_error": self.mean_error,
            **({} if self.bits_per_dim is None else {"bits_per_dim": self.bits_per_dim}),
            "method": self.method,
            "n_samples": self.n_samples,
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
    x: TensorOrRows,
    n_samples: int | None = None,
    *,
    y: Classes | None = None,
    seed: int = 0,
    method: Method = "defensive",
    n_steps: int = 1000,
    progress: bool = False,
) -> LogLikelihood:
    r"""Log p(x) of each example: by importance sampling, :math:`\log \frac1S \sum_s w_s`.

    The estimate of p(x) is unbiased, and its logarithm low in expectation (Burda et al. 2016,
    Theorem 1), by about half the squared standard error.

    Examples go through one at a time, with many samples each, and the noise of each is seeded by
    its content: the estimate of an example depends on the model, its x (and y, of a conditional
    model), the options and ``seed``; not on its place, nor on any other example, so that equal ones
    have equal estimates. A fixed number of codes is decoded at a time, whatever N and S.

    Parameters
    ----------
    model
        A model, in any mode, to which it returns. It runs in its own precision; sums are float64.
    x
        (N, *X), data in the likelihood's support.
    n_samples
        Samples S of the latent variables for each example, at most 10**8; by default 5,000, or with
        ``method="ais"`` 16 chains. Of an exact mixture, at least one for each component.
    y
        (N,), the classes of x, for a conditional model: log p(x | y).
    seed
        Seed of the noise.
    method
        ``"defensive"``: samples from the posterior, wider ones, the prior, and normals about modes
        of the exact posterior, weighed by the density of their mixture; of a posterior that knows
        its own samples' density alone, from the posterior and, where it is a flow of a normal, of
        wider ones. ``"plain"``: from the
        posterior alone; an exact mixture's samples are allocated to its components by a pilot.
        ``"ais"``: :func:`annealed_log_likelihood`, which is slower and does not rely on the
        encoder.
    n_steps
        Steps of annealed importance sampling from the prior to the posterior.
    progress
        Show a progress bar over the examples.

    Returns
    -------
    LogLikelihood
        The estimates, their errors, and how reliable they are.

    Raises
    ------
    MixvaeError
        For too few samples, a likelihood that is not a normalised density, data outside its
        support, or a deterministic encoder, for which there is ``"ais"`` alone.

    References
    ----------
    Hesterberg, Weighted average importance sampling and defensive mixture distributions,
    Technometrics 1995. Veach & Guibas, Optimally combining sampling techniques for Monte Carlo
    rendering, SIGGRAPH 1995. Owen & Zhou, Safe and effective importance sampling, JASA 2000.
    """
    check_model(model)
    one_of("method", method, METHODS)
    whole(1, n_steps=n_steps)
    if n_samples is None:
        n_samples = N_CHAINS if method == "ais" else N_SAMPLES
    whole(1, MAX_SAMPLES, n_samples=n_samples)
    if method == "ais":
        from .annealed import annealed_log_likelihood  # which is built on this module

        estimate = partial(annealed_log_likelihood, n_chains=n_samples, n_steps=n_steps)
        return estimate(model, x, y=y, seed=seed, progress=progress)
    seeds(seed=seed)
    check_density(model, x)
    check_method(model, method)
    if isinstance(model.family, ExactMixture) and n_samples < (least := int(model.kept.sum())):
        raise MixvaeError(
            f"n_samples must be at least {least}, one for each component of the mixture; got "
            f"{n_samples}."
        )
    known: dict[int, tuple[int, Figures]] = {}  # by seed: which example it is, and its figures
    found = []
    with evaluation_mode(model), torch.no_grad():
        p_z, generator = model.prior(model.encode), torch.Generator(device_of(model))
        for row in track(batches(model, x, y, 1), "log p(x)", len(x), show=progress):
            if (its_seed := seed_of_row(seed, *row)) not in known:
                generator.manual_seed(its_seed)
                weighted = _weighted(model, *row, p_z, n_samples, method, generator)
                known[its_seed] = len(known), _estimate(weighted)
            found.append(known[its_seed])
    example = torch.tensor([number for number, _ in found])
    each = torch.tensor([figures for _, figures in found], dtype=torch.float64)
    log_prob, error, ess, k_hat = each.unbind(1)
    bits = mean_bits(log_prob, model)
    return LogLikelihood(log_prob, error, ess, k_hat, bits, n_samples, method, example)


def mean_bits(log_prob: Float64[Tensor, " N"], model: MixtureVAE) -> float | None:
    """Bits per dimension of the mean over examples; None where the likelihood has none."""
    likelihood = model.decoder.likelihood
    return bits_per_dim(float(log_prob.mean()), likelihood) if likelihood.has_levels else None


@dataclass(frozen=True)
class Weighted:
    """The samples of one example."""

    log_w: Float64[Tensor, " S"]  # importance weights, whose mean is p(x)
    proposal: Int64[Tensor, " S"]  # which each is from
    group: Int64[Tensor, " S"]  # which part of the latent's space each is of


class LogLikelihoods:
    """Log p(x) as one of a run's figures: estimated example by example, after the pass of all.

    ``keep`` is handed the estimates. Raises as :func:`check_density` and
    :func:`check_method`, before the work.
    """

    def __init__(
        self,
        model: MixtureVAE,
        x: TensorOrRows,
        n_samples: int,
        keep: Callable[[LogLikelihood], object] | None = None,
        weight: Float[Tensor, " N"] | None = None,
        **options: Any,
    ) -> None:
        check_density(model, x)
        check_method(model, options.get("method", "defensive"))
        self.estimate = partial(log_likelihood, model, x, n_samples, **options)
        self.keep, self.weight, self.likelihood = keep, weight, model.decoder.likelihood

    def add(self, batch: Batch) -> None: ...

    def result(self) -> dict[str, Any]:
        found = self.estimate()
        if self.weight is not None:
            found = replace(found, weight=self.weight)
            if found.bits_per_dim is not None:
                bits = bits_per_dim(found.mean, self.likelihood)
                found = replace(found, bits_per_dim=bits)
        if self.keep is not None:
            self.keep(found)
        return found.to_dict()


def check_density(model: MixtureVAE, x: TensorOrRows) -> None:
    """Raise a MixvaeError unless the model's likelihood is a density, and one of these data."""
    check_x(model, x)
    check_normalised(model)
    for part in parts_of(x):
        model.decoder.likelihood.check(part)


def check_method(model: MixtureVAE, method: Method) -> None:
    """Raise a MixvaeError where the method needs a density q(z | x) and there is none."""
    if model.is_deterministic and method != "ais":
        raise MixvaeError(
            f"method {method} samples codes from q(z | x), and this model's encoder is "
            "deterministic, without such a density. Use method 'ais' (--method ais), which does "
            "not need one, or train with encoder='gaussian'."
        )


def check_normalised(model: MixtureVAE) -> None:
    """Raise a MixvaeError unless the model's likelihood is a density."""
    likelihood = model.decoder.likelihood
    if not likelihood.is_density:
        raise MixvaeError(
            f"{type(likelihood).__name__} is not a normalised density of x, so that there is no "
            "log p(x) to estimate. Train with likelihood gaussian, or binarise the data and use "
            "bernoulli."
        )


def _weighted(
    model: MixtureVAE,
    x: Float[Tensor, "1 *X"],
    y: Classes | None,
    p_z: Distribution,
    n_samples: int,
    method: Method,
    generator: torch.Generator,
) -> Weighted:
    """The log importance weights of S samples for one example, and the group of each."""
    space = space_of(model)
    if space is None:
        return _of_traces(model, x, y, p_z, n_samples, generator)
    factors = FACTORS if method == "defensive" else FACTORS[:1]
    from_prior = method == "defensive" and getattr(p_z, "is_sampled_exactly", True)
    own = space(model, x, y, p_z, factors, from_prior=from_prior)
    if with_log_prob(own.q_z) is not None:
        widths = SHARES if method == "defensive" else None
        return _of_traces(model, x, y, p_z, n_samples, generator, widths)
    n_codes = max(1, CODES // model.family.n_codes(model.n_components))
    local = method == "defensive"
    mixture = ProposalMixture(own, n_samples, n_codes, generator, local=local)
    log_w, proposal = mixture.log_weights(n_samples)
    return Weighted(log_w, proposal, mixture.groups[proposal])


def _of_traces(
    model: MixtureVAE,
    x: Float[Tensor, "1 *X"],
    y: Classes | None,
    p_z: Distribution,
    n_samples: int,
    generator: torch.Generator,
    widths: Sequence[float] | None = None,
) -> Weighted:
    """The weights of the family's own, of a posterior whose density other samples cannot have.

    A flow of a normal is replaced by that of normals of all widths, with these shares.
    """
    q_z, q_w = model.infer(x, y)
    if widths is not None and isinstance(q_z, OneWayFlow):
        q_z = q_z.over_widths(FACTORS, widths)
    log_w = torch.empty(n_samples, dtype=torch.float64)
    for block in log_w.split(max(1, CODES // model.n_components)):
        t = model.draw(x, q_z, q_w, len(block), y, p_z, generator=generator)
        block[:] = t.log_weight.squeeze(1).cpu()
    same = torch.zeros(n_samples, dtype=torch.int64)
    return Weighted(log_w, same, same)


def _estimate(weighted: Weighted) -> Figures:
    """log p(x), its standard error, the effective number of samples, and k-hat."""
    log_w, n = weighted.log_w, len(weighted.log_w)
    log_prob = log_w.logsumexp(0) - log(n)
    w = (log_w - log_prob).exp()  # of mean 1
    error = sqrt(float(_variances(w, weighted.proposal).mean()) / n) if n > 1 else nan
    ess = min(float(n / w.square().mean()), n)  # rounding
    return float(log_prob), error, ess, _k_hat(log_w, weighted.group)


def _variances(w: Float64[Tensor, " S"], proposal: Int64[Tensor, " S"]) -> Float64[Tensor, " S"]:
    """The variance of each weight, whose mean over all is 1, within its own proposal.

    What a proposal's samples are worth more than another's is no error, as its number of samples
    is fixed. Of a proposal with one sample the distance from the mean of all is taken.
    """
    _, its, counts = proposal.unique(return_inverse=True, return_counts=True)
    zero = torch.zeros(len(counts), dtype=w.dtype)
    means = zero.index_add(0, its, w) / counts
    squares = zero.index_add(0, its, (w - means[its]).square()) / (counts - 1).clamp_min(1)
    return torch.where(counts[its] > 1, squares[its], (w - 1).square())


def _k_hat(log_w: Float64[Tensor, " S"], group: Int64[Tensor, " S"]) -> float:
    """The largest of the groups' k-hats, of those that have a hundredth of p(x) or more.

    The components of an exact mixture are groups, each estimated by itself. Together, weights of
    two sizes would look as one heavy tail.
    """
    found = []
    for one in group.unique():
        own = log_w[group == one]
        if own.logsumexp(0) - log_w.logsumexp(0) >= log(NEGLIGIBLE):
            found.append(pareto_k(own))
    known = [k for k in found if not isnan(k)]
    return max(known) if known else pareto_k(log_w)  # groups too small to have one
