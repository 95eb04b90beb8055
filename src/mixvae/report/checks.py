"""Posterior predictive checks: statistics of the data beside those of a model's samples."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

N_PERMUTATIONS = 999
NEAR_ZERO = 0.05  # pixels below it count as empty


@dataclass(frozen=True)
class Check:
    """A statistic of data and of samples, and whether they could be of one distribution.

    Attributes
    ----------
    name
        What the statistic is.
    data, samples
        Its values.
    p_value
        Of the permutation test that rows of data and samples can be exchanged.
    """

    name: str
    data: float
    samples: float
    p_value: float


def permutation_p_values(
    data: Float[Tensor, "N F"],
    samples: Float[Tensor, "M F"],
    *,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
) -> tuple[Float64[Tensor, " F"], Float64[Tensor, " F"]]:
    """p-values that the means of data and of samples differ by chance, one a feature.

    Rows of data and samples are exchanged at random. The statistic is the absolute difference of
    the means in units of its standard error. If data and samples have one distribution, the test
    is exact: nothing is assumed of its form.

    Parameters
    ----------
    data, samples
        Features of each row; NaN where one is missing.
    n_permutations
        Random exchanges.
    seed
        Their seed.

    Returns
    -------
    p, adjusted
        (F,), of each feature alone, and adjusted for all of them by the largest statistic
        (Westfall & Young, Resampling-Based Multiple Testing, Wiley 1993).
    """
    both = torch.cat([data, samples]).double()
    known = (~both.isnan()).double()
    both = both - both.nanmean(0)
    spread = both.square().nanmean(0).sqrt().clamp_min(1e-12)
    values = (both / spread).nan_to_num(0.0)
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(n_permutations, len(both), generator=generator).argsort(1)
    chosen = torch.zeros(n_permutations + 1, len(both), dtype=torch.float64)
    chosen[0, : len(data)] = 1.0
    chosen[1:].scatter_(1, order[:, : len(data)], 1.0)
    n, total = chosen @ known, chosen @ values
    rest, other = known.sum(0) - n, values.sum(0) - total
    error = (1 / n.clamp_min(1) + 1 / rest.clamp_min(1)).sqrt()
    found = (total / n.clamp_min(1) - other / rest.clamp_min(1)).abs() / error
    observed = found[0] * (1 - 1e-9)  # a permutation with equal sums counts as equal
    return (found >= observed).double().mean(0), (
        found.amax(1, keepdim=True) >= observed
    ).double().mean(0)


def overall_checks(
    data: Float[Tensor, "N D"], samples: Float[Tensor, "M D"], *, pixels: bool, seed: int = 0
) -> list[Check]:
    """Checks of all entries together: mean, variance, sum of a row, and empty pixels.

    Parameters
    ----------
    data, samples
        Rows; NaN where a value is missing.
    pixels
        Whether entries are pixels in [0, 1], so that those near 0 are empty.
    seed
        Seed of the permutations.
    """
    n = len(data)
    both = torch.cat([data, samples]).double()
    total = both.nansum(1)
    features = {
        "mean of the entries": both.nanmean(1),
        "variance of an entry, mean over entries": (both - both.nanmean(0)).square().nanmean(1),
        "variance of the sum of a row": (total - total.mean()).square(),
    }
    if pixels:
        share = (both <= NEAR_ZERO).double().mean(1)
        features[f"share of pixels up to {NEAR_ZERO}"] = share
    stacked = torch.stack(list(features.values()), 1)
    p = permutation_p_values(stacked[:n], stacked[n:], seed=seed)[0]
    return [
        Check(name, float(v[:n].mean()), float(v[n:].mean()), float(p[i]))
        for i, (name, v) in enumerate(features.items())
    ]


def entry_checks(
    data: Float[Tensor, "N D"], samples: Float[Tensor, "M D"], names: list[str], *, seed: int = 0
) -> list[Check]:
    """Checks of the mean and the standard deviation of every entry, adjusted for their number.

    Parameters
    ----------
    data, samples
        Rows; NaN where a value is missing.
    names
        A name for each entry.
    seed
        Seed of the permutations.
    """
    n = len(data)
    both = torch.cat([data, samples]).double()
    squares = (both - both.nanmean(0)).square()
    features = torch.cat([both, squares], 1)
    p = permutation_p_values(features[:n], features[n:], seed=seed)[1]
    found = []
    for i, name in enumerate(names):
        own, others = both[:n, i], both[n:, i]
        found.append(Check(f"{name}: mean", _mean(own), _mean(others), float(p[i])))
        spreads = _mean(squares[:n, i]) ** 0.5, _mean(squares[n:, i]) ** 0.5
        found.append(Check(f"{name}: standard deviation", *spreads, float(p[len(names) + i])))
    return found


def _mean(values: Tensor) -> float:
    return float(values.nanmean())
