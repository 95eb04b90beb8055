"""Wider versions of distributions: the proposals of importance sampling."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Beta, Dirichlet, Distribution, Normal

from mixvae.distributions import (
    Face,
    Hierarchical,
    Kumaraswamy,
    OuterProduct,
    StickBreaking,
    diagonal_normal,
    log_prob_widened,
    widened,
)

FACTOR = 1.5


def simplex(k: int) -> Dirichlet:
    return Dirichlet(torch.rand(k, dtype=torch.float64) + 2)


def sticks(n: int) -> Beta:
    return Beta(torch.rand(n, dtype=torch.float64) + 2, torch.rand(n, dtype=torch.float64) + 3)


def normal(*shape: int) -> Distribution:
    loc = torch.randn(shape, dtype=torch.float64)
    return diagonal_normal(loc, torch.rand(shape, dtype=torch.float64) + 0.5)


def two_levels() -> Hierarchical:
    def second(above: Tensor) -> Distribution:
        return diagonal_normal(above[..., :2].sin(), above[..., 1:].exp())

    return Hierarchical(normal(4, 3), second, 2)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_a_normal_has_its_scale_multiplied() -> None:
    q = normal(4, 3)
    wide = widened(q, FACTOR)
    torch.testing.assert_close(wide.mean, q.mean)
    torch.testing.assert_close(wide.stddev, FACTOR * q.stddev)


@pytest.mark.parametrize("q", [simplex(3), sticks(3)], ids=["dirichlet", "beta"])
def test_a_dirichlet_and_a_beta_are_powers_of_their_densities(q: Distribution) -> None:
    wide, x = widened(q, FACTOR), q.sample((5,))
    of_power = q.log_prob(x) / FACTOR**2
    torch.testing.assert_close(wide.log_prob(x).diff(dim=0), of_power.diff(dim=0))


def test_a_kumaraswamy_keeps_its_median() -> None:
    q = Kumaraswamy(torch.tensor([0.7, 2.0, 9.0]).double(), torch.tensor([0.4, 3.0, 20.0]).double())
    wide = widened(q, FACTOR)
    assert isinstance(wide, Kumaraswamy)
    torch.testing.assert_close(wide.a, q.a / FACTOR)
    medians = [(1 - 0.5 ** (1 / p.b)) ** (1 / p.a) for p in (q, wide)]
    torch.testing.assert_close(medians[0], medians[1])


def test_weights_and_levels_are_widened_one_by_one() -> None:
    rows, columns, beta, deep = simplex(2), simplex(3), sticks(3), two_levels()
    x = OuterProduct(rows, columns).sample((5,))
    expected = OuterProduct(widened(rows, FACTOR), widened(columns, FACTOR)).log_prob(x)
    torch.testing.assert_close(widened(OuterProduct(rows, columns), FACTOR).log_prob(x), expected)

    kept = torch.tensor([True, False, True])
    w = Face(rows, kept).sample((5,))
    on_face = widened(Face(rows, kept), FACTOR)
    torch.testing.assert_close(on_face.log_prob(w), widened(rows, FACTOR).log_prob(w[:, kept]))

    w = StickBreaking(beta).sample((5,))
    broken = StickBreaking(
        Beta(*(1 + (c - 1) / FACTOR**2 for c in (beta.concentration1, beta.concentration0)))
    )
    torch.testing.assert_close(widened(StickBreaking(beta), FACTOR).log_prob(w), broken.log_prob(w))

    z = deep.sample((5,))
    above, below = z.split([3, 2], -1)
    first = Normal(deep.first.mean, FACTOR * deep.first.stddev).log_prob(above).sum(-1)
    p = deep.second(above)
    second = Normal(p.mean, FACTOR * p.stddev).log_prob(below).sum(-1)
    torch.testing.assert_close(widened(deep, FACTOR).log_prob(z), first + second)


def test_a_factor_of_one_changes_nothing_and_other_kinds_stay_as_they_are() -> None:
    for q in (normal(4, 3), simplex(3), sticks(3)):
        x = q.sample()
        torch.testing.assert_close(widened(q, 1.0).log_prob(x), q.log_prob(x))
    other = Normal(0.0, 1.0)
    assert widened(other, FACTOR) is other


@pytest.mark.parametrize("make", [lambda: normal(4, 3), two_levels, lambda: simplex(3)])
def test_densities_of_several_widths_are_those_of_each(make: Callable[[], Distribution]) -> None:
    q = make()
    x, factors = q.sample((5,)), (1.0, 1.2, 2.5)
    each = torch.stack([widened(q, factor).log_prob(x) for factor in factors], -1)
    torch.testing.assert_close(log_prob_widened(q, factors, x), each)
