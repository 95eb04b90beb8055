"""Log p(x, k) of an exact mixture, estimated for many rows at a time, in float64.

For a table of thousands of rows: :func:`.log_likelihood.log_likelihood` takes one x at a time, with
proposals about the modes of its exact posterior; here are the encoder's posterior, a wider one and
the prior alone.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from math import log
from typing import Any

import torch
from jaxtyping import Float, Float64, Int64
from torch import Generator, Tensor
from torch.distributions import Distribution

from mixvae.data.rows import Rows, TensorOrRows, parts_of
from mixvae.distributions import (
    CorrelatedNormal,
    NormalMixture,
    components_at,
    diagonal_normal,
    widened,
)
from mixvae.distributions.pairs import is_diagonal_normal, loc_and_scale
from mixvae.errors import MixvaeError, is_a, seeds, whole
from mixvae.families import ExactMixture
from mixvae.model import MixtureVAE
from mixvae.parts.flows import ComponentFlow
from mixvae.parts.labels import Classes
from mixvae.seeding import seed_of_row

from ..batches import check_labels, check_x
from .log_likelihood import LogLikelihood, check_normalised, mean_bits
from .pareto import pareto_k

Value = Callable[[Distribution], Tensor]  # of p(x | z), (S, n, 1, *X), to (S, n, 1, F)
SHARES = (0.9, 0.08, 0.02)  # of the samples: from the posterior, one twice as wide, the prior
WIDER = 2.0
PILOT = 4  # samples that tell which components matter for a row
NEGLIGIBLE = log(1e-4)  # of p(x): a component that has less keeps its pilot's estimate
WIDE = 200  # columns; of more, a row's responsibilities are by few samples where these are clear
CLEAR = -12.0  # nats; what a component of a wide table has less than the best, to be left out
ROWS, VALUES = 200, 2**23  # at a time: rows, and values of x given a code


def can_be_estimated(model: MixtureVAE) -> bool:
    """Whether :func:`log_joint` takes the model."""
    if not isinstance(model.family, ExactMixture):
        return False
    prior = model.prior(model.encode)
    return is_diagonal_normal(prior) or isinstance(prior, NormalMixture | ComponentFlow)


def log_joint(
    model: MixtureVAE,
    x: TensorOrRows,
    n_samples: int = 200,
    y: Classes | None = None,
    *,
    seed: int = 0,
) -> tuple[Float64[Tensor, "N K"], LogLikelihood]:
    r"""Log p(x, k) of each row and component, and log p(x), by importance sampling.

    For each component :math:`\log \pi_k \frac1S \sum_s p(x|z_s, k)\, p(z_s) / q(z_s|x, k)`, where q
    is the mixture of the encoder's posterior, one of twice its scale and the prior (where that is a
    mixture or a flow, a normal of its mean and variances), from each of which a fixed number of
    codes is sampled. A few samples show which components matter for a row; those with less than
    1e-4 of p(x) keep that estimate.

    The noise of a row depends on ``seed`` and its values alone, so that its result depends neither
    on its place nor on other rows, but for rounding in float64.

    Parameters
    ----------
    model
        An exact mixture with normal posteriors, in any mode and precision.
    x
        Rows, (N, *X), in float64 or in the model's precision.
    n_samples
        Samples S for each component that matters.
    y
        (N,), the classes or batches of x, for a model that reads them: log p(x, k | y).
    seed
        Seed of the noise.

    Returns
    -------
    log_joint
        log p(x, k), nats; its softmax over k is p(k | x), and its log-sum-exp log p(x).
    log_likelihood
        log p(x) with its standard errors and k-hat, which there is from 125 samples on.

    Raises
    ------
    MixvaeError
        For another family or posterior, labels that do not fit, or data outside the support.

    References
    ----------
    Owen & Zhou, Safe and effective importance sampling, JASA 2000.
    """
    with torch.no_grad():
        figures = [_figures(part) for part in samples_of(model, x, n_samples, seed, y=y)]
    joint, log_prob, error, ess, k_hat = (torch.cat(t) for t in zip(*figures, strict=True))
    bits = mean_bits(log_prob, model)
    estimate = LogLikelihood(log_prob, error, ess, k_hat, bits, n_samples, "by component")
    return joint, estimate


def responsibilities(
    model: MixtureVAE,
    x: TensorOrRows,
    n_samples: int,
    y: Classes | None = None,
    *,
    seed: int = 0,
) -> Float[Tensor, "N K"]:
    r"""Responsibilities p(k | x) of each row, from :func:`log_joint`.

    Of more than 200 columns the components are mostly many nats apart, and samples take long. There
    each component is first estimated at its posterior's mean code :math:`\mu`, by
    :math:`\log \pi_k\, p(x|\mu, k)\, p(\mu) / q(\mu|x, k)`, which is log p(x, k) itself where q is
    the exact posterior. Only rows with several components within 12 nats of the best are sampled,
    and of these components. This is in float32, to some thousandths of a nat.

    Parameters
    ----------
    model, x, n_samples, y, seed
        As of :func:`log_joint`, whose errors it raises.
    """
    is_wide = x.shape[1:].numel() > WIDE
    with torch.no_grad():
        parts = samples_of(model, x, n_samples, seed, y=y, clear=CLEAR if is_wide else None)
        return torch.cat([part.joint for part in parts]).softmax(1)


def samples_of(
    model: MixtureVAE,
    x: TensorOrRows,
    n_samples: int,
    seed: int,
    *,
    value: Value | None = None,
    y: Classes | None = None,
    clear: float | None = None,
) -> Iterator["Samples"]:
    """The weighted samples of :func:`log_joint`, some rows at a time.

    Parameters
    ----------
    model, x, n_samples, seed
        As of :func:`log_joint`, whose errors it raises.
    value
        A function of p(x | z), of which means are computed too.
    y
        As of :func:`log_joint`.
    clear
        As of :class:`Samples`.

    Yields
    ------
    Samples
        Of rows in order.
    """
    seeds(seed=seed)
    whole(PILOT, n_samples=n_samples)
    if not can_be_estimated(model):
        raise MixvaeError(
            "log p(x, k) is estimated by component for exact mixtures with normal codes, such as "
            "mfa-vae and mixture-vae; for others there is mixvae.evaluation.log_likelihood."
        )
    check_normalised(model)
    dtype = torch.float64 if clear is None else torch.float32
    model = deepcopy(model).cpu().to(dtype).eval()
    is_a((Tensor, Rows), "torch.from_numpy makes one of an array", x=x)
    check_labels(x, y)
    y = None if y is None or model.labels.n_classes is None else y.cpu()
    start = 0
    with torch.no_grad():
        p_z = model.prior(model.encode).expand((model.n_components,))
        rows = max(1, min(ROWS, VALUES // ((PILOT + n_samples) * x.shape[1:].numel())))
        for part in parts_of(x, rows):
            part = part.detach().cpu().to(dtype)
            check_x(model, part)
            model.decoder.likelihood.check(part)
            own = None if y is None else y[start : start + len(part)]
            yield Samples(model, p_z, part, n_samples, seed, value=value, y=own, clear=clear)
            start += len(part)


class Samples:
    """Some rows, with the log weights of the samples of each component that matters.

    Parameters
    ----------
    model
        In evaluation mode and float64.
    p_z
        Its prior, of all components.
    x
        The rows.
    n_samples, seed
        As of :func:`log_joint`.
    value
        A function of p(x | z), of which means are computed too.
    y
        The rows' labels, where the model reads them.
    clear
        What components have less than the best, in nats, to be left out, and rows with one other
        alone not to be sampled; the pilot is then the posterior's mean. None: all are sampled.

    Attributes
    ----------
    joint
        log p(x, k), (n, K).
    noise
        Standard normal noise of the samples, (S, n, L).
    weights
        Of each component that matters to some rows: these rows, and their log weights (S, n).
    means
        Of each of these: the means of ``value`` given x_observed and k, (n, F).
    """

    def __init__(
        self,
        model: MixtureVAE,
        p_z: Distribution,
        x: Tensor,
        n_samples: int,
        seed: int,
        *,
        value: Value | None = None,
        y: Classes | None = None,
        clear: float | None = None,
    ) -> None:
        self.model, self.x, self.p_z, self.y = model, x, p_z, y
        q_z, q_w = model.infer(x, y)
        self.q_z = q_z
        kept = model.kept.log()  # 0, or -inf for components that dropout removed
        self.log_pi = q_w.mean.log() + kept  # (N, K)
        noise = [self._noise(row, PILOT + n_samples, seed) for row in x]
        pilot, self.noise = torch.stack(noise, 1).to(x.dtype).split([PILOT, n_samples])
        pilot = pilot if clear is None else torch.zeros_like(pilot[:1])
        every = torch.arange(len(x))
        components = range(model.n_components)
        first = [self._weigh(pilot, every, k)[0].logsumexp(0) - log(len(pilot)) for k in components]
        self.joint = torch.stack(first, 1) + self.log_pi
        least = NEGLIGIBLE if clear is None else clear
        self.matters = self.joint - self.joint.logsumexp(1, keepdim=True) >= least
        if clear is not None:
            self.matters &= self.matters.sum(1, keepdim=True) > 1
        self.weights: dict[int, tuple[Int64[Tensor, " n"], Float[Tensor, "S n"]]] = {}
        self.means: dict[int, Float[Tensor, "n F"]] = {}
        for k in components:
            rows = self.matters[:, k].nonzero().squeeze(1)
            if len(rows):
                log_w, p_x = self._weigh(self.noise[:, rows], rows, k)
                if value is not None:
                    share = log_w.softmax(0)
                    self.means[k] = torch.einsum("sn,snf->nf", share, value(p_x).squeeze(2))
                self.weights[k] = rows, log_w + self.log_pi[rows, k]
                self.joint[rows, k] = self.weights[k][1].logsumexp(0) - log(n_samples)

    def _noise(self, row: Tensor, n: int, seed: int) -> Float64[Tensor, "n L"]:
        generator = Generator().manual_seed(seed_of_row(seed, row))
        return torch.randn(n, *self.q_z.event_shape, generator=generator, dtype=torch.float64)

    def _weigh(
        self, noise: Float[Tensor, "S n L"], rows: Int64[Tensor, " n"], k: int
    ) -> tuple[Float[Tensor, "S n"], Distribution]:
        """log p(x, z | k) - log q(z | x, k) of samples of component k, and p(x | z, k)."""
        z, log_ratio = self.codes(noise, rows, k)
        p_x = self.decode(z.unsqueeze(2), rows, k)
        return p_x.log_prob(self.x[rows].unsqueeze(1)).squeeze(2) + log_ratio, p_x

    def decode(self, z: Float[Tensor, "S n 1 L"], rows: Int64[Tensor, " n"], k: int) -> Any:
        """p(x | z, k) of codes of some rows, of which the labels are read.

        Parameters
        ----------
        z
            Codes.
        rows
            Which of the rows.
        k
            The component.
        """
        y = None if self.y is None else self.y[rows]
        return self.model.decoder.of_component(self.model.labels.condition_z(z, y), k)

    def codes(
        self, noise: Float[Tensor, "S n L"], rows: Int64[Tensor, " n"], k: int
    ) -> tuple[Float[Tensor, "S n L"], Float[Tensor, "S n"]]:
        """Samples of component k for some rows, and their log p(z | k) - log q(z | x, k).

        Parameters
        ----------
        noise
            Standard normal noise of each sample.
        rows
            Which of the rows.
        k
            The component.
        """
        prior = components_at(self.p_z, torch.tensor(k))
        wide = _normal_like(prior)
        own = _at(self.q_z, rows, k)
        wider = widened(own, WIDER)
        counts = _counts(len(noise))
        proposals = [q for q, n in zip((own, wider, wide), counts, strict=True) if n]
        parts = noise.split([n for n in counts if n])
        z = torch.cat([_of_noise(q, e) for q, e in zip(proposals, parts, strict=True)])
        shares = [log(n / len(noise)) for n in counts if n]
        log_q = torch.stack(
            [q.log_prob(z) + share for q, share in zip(proposals, shares, strict=True)]
        ).logsumexp(0)
        return z, prior.log_prob(z) - log_q


def _at(q: Distribution, rows: Int64[Tensor, " n"], k: int) -> Distribution:
    """The posteriors of component k for some rows."""
    if isinstance(q, CorrelatedNormal):
        return q.at(rows, k)
    loc, scale = loc_and_scale(q)
    return diagonal_normal(loc[rows, k], scale[rows, k])


def _normal_like(prior: Distribution) -> Distribution:
    """The normal itself, or one of the mean and the variances of a mixture or, about, of a flow."""
    if isinstance(prior, NormalMixture | ComponentFlow):
        return diagonal_normal(prior.mean, prior.variance.sqrt())
    return prior


def _of_noise(q: Distribution, noise: Float[Tensor, "S n L"]) -> Float[Tensor, "S n L"]:
    """Samples of a normal, from standard normal noise."""
    if isinstance(q, CorrelatedNormal):
        return q.of_noise(noise)
    return torch.addcmul(q.mean, q.stddev, noise)


def _counts(n: int) -> list[int]:
    """How many of n samples are from each proposal, in the order of ``SHARES``."""
    rest = [round(share * n) for share in SHARES[1:]]
    return [n - sum(rest), *rest]


def _figures(rows: Samples) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """log p(x, k), log p(x), its standard error, effective samples and k-hat of each row."""
    log_prob = rows.joint.logsumexp(1)
    variance, square = torch.zeros_like(log_prob), torch.zeros_like(log_prob)
    k_hat = torch.full_like(log_prob, -torch.inf)
    n = len(rows.noise)
    for its, log_w in rows.weights.values():
        w = (log_w - log_prob[its]).exp()  # whose means over samples add up to 1
        split = w.split([c for c in _counts(n) if c])
        variances = [len(part) * part.var(0, correction=len(part) > 1) for part in split]
        variance[its] += torch.stack(variances).sum(0) / n**2
        square[its] += w.square().sum(0)
        ks = [pareto_k(one) for one in log_w.T]
        large = w.mean(0) >= 0.01
        k_hat[its] = torch.where(large, k_hat[its].maximum(torch.tensor(ks).to(w)), k_hat[its])
    ess = (n**2 / square).clamp_max(n)
    return rows.joint, log_prob, variance.sqrt(), ess, k_hat
