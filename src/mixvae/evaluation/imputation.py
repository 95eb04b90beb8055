r"""Missing values of rows given the observed ones, by an exact mixture's importance samples.

Samples (k, z) of the posterior's estimate have weights proportional to
:math:`p(x_{obs}, z, k) / q(z | x_{obs}, k)`, and given them missing values are independent of what
is observed (Mattei & Frellsen, ICML 2019).
"""

import torch
from jaxtyping import Float, Float64
from torch import Generator, Tensor
from torch.distributions import Distribution

from mixvae.distributions import Columns
from mixvae.errors import MixvaeError, whole
from mixvae.likelihoods import ColumnLikelihood
from mixvae.likelihoods.columns import OF_CATEGORIES, REAL
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes
from mixvae.seeding import Noise, seed_of, seed_of_row

from .marginal_likelihood.by_component import Samples, samples_of


def impute(
    model: MixtureVAE,
    x: Float[Tensor, "N D"],
    n_samples: int = 200,
    y: Classes | None = None,
    *,
    draws: int | None = None,
    seed: int = 0,
) -> Float64[Tensor, "*M N D"]:
    r"""Rows with their missing values (NaN) filled in, and the observed ones as they are.

    Missing values are taken to be missing at random. By default they are the conditional means
    :math:`E[x_{mis} | x_{obs}]`, self-normalised importance-weighted means of p(x | z, k). In
    columns of other than real values, each is one that the column can have: of categories and of 0
    and 1 the most probable one, by probabilities that are averaged so, and of counts the mean
    rounded. With ``draws`` they are samples of :math:`p(x_{mis} | x_{obs})` with the likelihood's
    noise, for multiple imputation, of codes that are drawn again by their weights.

    Parameters
    ----------
    model
        An exact mixture for tables with missing values (mfa-vae), in any mode and precision.
    x
        Rows, (N, D), in float64 or in the model's precision.
    n_samples
        Importance samples for each component that matters for a row.
    y
        (N,), the batches of x, for a model that reads them.
    draws
        Number m of samples of each row's missing values.
    seed
        Seed of the noise. That of a row depends on it and the row's values alone.

    Returns
    -------
    Tensor
        (N, D), or with ``draws`` (m, N, D).

    Raises
    ------
    MixvaeError
        For a model that does not take missing values, and as :func:`mixvae.evaluation.log_joint`.

    References
    ----------
    Mattei & Frellsen, MIWAE: deep generative modelling and imputation of incomplete data sets, ICML
    2019. Rubin, Multiple imputation for nonresponse in surveys, 1987.
    """
    if not model.decoder.likelihood.missing:
        raise MixvaeError(
            "the model does not take missing values; train one that does, such as mfa-vae."
        )
    whole(1, draws=1 if draws is None else draws)
    filled = x.detach().cpu().double().clone()
    filled = filled if draws is None else filled.repeat(draws, 1, 1)
    rows = x.isnan().any(1).nonzero().squeeze(1).cpu()
    start = 0
    value = _value if draws is None else None
    read = None if y is None else y.cpu()[rows]
    some = x[rows.to(x.device)]
    own_samples = samples_of(model, some, n_samples, seed, value=value, y=read)
    for part in own_samples if len(rows) else ():
        own = rows[start : start + len(part.x)]
        start += len(part.x)
        with torch.no_grad():
            values = _means(part) if draws is None else _draws(part, draws, seed)
        missing = part.x.isnan().expand_as(values)
        filled[..., own, :] = torch.where(missing, values, part.x)
    return filled


def _value(p_x: Distribution) -> Float64[Tensor, "*S F"]:
    """The means of D columns, and of several kinds of columns the probabilities of their codes."""
    base = p_x.base_dist  # type: ignore[attr-defined]
    more = [base.probs.flatten(-2)] if isinstance(base, Columns) else []
    return torch.cat([p_x.mean, *more], -1)


def _means(part: Samples) -> Float64[Tensor, "n D"]:
    """E[x | x_obs] of some rows, or the value nearest to it or most probable that there is."""
    share = part.joint.masked_fill(~part.matters, -torch.inf).softmax(1)
    n_values = next(iter(part.means.values())).shape[1]
    found = torch.zeros(len(part.x), n_values, dtype=torch.float64)
    for k, (rows, _) in part.weights.items():
        found[rows] += share[rows, k].unsqueeze(1) * part.means[k]
    d, likelihood = part.x.shape[1], part.model.decoder.likelihood
    mean = found[:, :d]
    if isinstance(likelihood, ColumnLikelihood):
        kinds = likelihood.kinds
        others = [i for i in range(d) if i not in kinds.those(*REAL, *OF_CATEGORIES)]
        mean[:, others] = mean[:, others].round()
        codes = kinds.those(*OF_CATEGORIES)
        probs = found[:, d:].unflatten(1, (d, -1))[:, codes]
        mean[:, codes] = probs.argmax(-1).to(mean)
    return mean


def _draws(part: Samples, m: int, seed: int) -> Float64[Tensor, "m n D"]:
    """Samples of p(x | x_obs) of some rows."""
    n, n_samples = len(part.x), len(part.noise)
    components = sorted(part.weights)
    log_w = torch.full((n, len(components), n_samples), -torch.inf, dtype=torch.float64)
    z = torch.zeros(n, len(components), n_samples, part.noise.shape[-1], dtype=torch.float64)
    for i, k in enumerate(components):
        rows, own = part.weights[k]
        log_w[rows, i] = own.T
        z[rows, i] = part.codes(part.noise[:, rows], rows, k)[0].transpose(0, 1)
    found = torch.empty(m, *part.x.shape, dtype=torch.float64)
    for i, row in enumerate(part.x):
        generator = Generator().manual_seed(seed_of(seed_of_row(seed, row), DRAWS))
        with Noise(generator):
            picked = torch.multinomial(log_w[i].flatten().softmax(0), m, replacement=True)
            of, its = picked // n_samples, picked % n_samples
            for j in of.unique().tolist():
                own = (of == j).nonzero().squeeze(1)
                codes = z[i, j, its[own]][:, None, None]
                p_x = part.decode(codes, torch.tensor([i]), components[j])
                found[own, i] = p_x.sample()[:, 0, 0]
    return found


DRAWS = 1  # the stream of a row's noise, besides that of its codes
