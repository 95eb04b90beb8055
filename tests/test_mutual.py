"""Mutual posterior divergences of MAE against loops over pairs."""

from math import exp, log1p

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Laplace, Normal, kl_divergence

from cases import Case
from mixvae.distributions import diagonal_normal
from mixvae.errors import MixvaeError
from mixvae.objectives import diversity, elbo, mean_mutual_kl, smoothness, std_mutual_kl

pytestmark = pytest.mark.usefixtures("maths")


def normals(n: int, n_latent: int = 3) -> Independent:
    return diagonal_normal(2 * torch.randn(n, n_latent), torch.rand(n, n_latent) + 0.2)


def by_loops(q: Distribution) -> Tensor:
    """KL of every ordered pair of different rows and every dimension, (B (B - 1), L)."""
    loc, scale = q.mean, q.stddev
    rows = [Normal(loc[i], scale[i]) for i in range(len(loc))]
    pairs = [(i, j) for i in range(len(rows)) for j in range(len(rows)) if i != j]
    return torch.stack([kl_divergence(rows[i], rows[j]) for i, j in pairs])


@pytest.mark.parametrize("n", [2, 3, 7])
def test_mean_and_deviation_are_those_of_a_loop_over_pairs(n):
    q = normals(n)
    each = by_loops(q)
    torch.testing.assert_close(mean_mutual_kl(q), each.mean(0))
    torch.testing.assert_close(std_mutual_kl(q), each.sum(1).std())


def test_the_mean_is_that_of_half_the_symmetrised_kl():
    q = normals(2, 1)
    one, other = (Normal(q.mean[i], q.stddev[i]) for i in range(2))
    symmetrised = kl_divergence(one, other) + kl_divergence(other, one)
    torch.testing.assert_close(mean_mutual_kl(q), symmetrised / 2)


def test_components_are_told_apart():
    loc, scale = torch.randn(4, 5, 3), torch.rand(4, 5, 3) + 0.2
    each = [diagonal_normal(loc[k], scale[k]) for k in range(4)]
    q = diagonal_normal(loc, scale)
    torch.testing.assert_close(mean_mutual_kl(q), torch.stack([mean_mutual_kl(p) for p in each]))
    torch.testing.assert_close(std_mutual_kl(q), torch.stack([std_mutual_kl(p) for p in each]))


def test_equal_posteriors_do_not_differ_and_have_a_finite_gradient():
    loc, scale = torch.ones(5, 3).requires_grad_(), torch.full((5, 3), 0.7).requires_grad_()
    q = diagonal_normal(loc, scale)
    torch.testing.assert_close(mean_mutual_kl(q), torch.zeros(3))
    assert std_mutual_kl(q) < 1e-5
    (mean_mutual_kl(q).sum() + std_mutual_kl(q)).backward()
    assert loc.grad.isfinite().all()
    assert scale.grad.isfinite().all()


def test_the_gradients_are_the_slopes():
    inputs = (torch.randn(4, 2, requires_grad=True), (torch.rand(4, 2) + 0.3).requires_grad_())
    assert torch.autograd.gradcheck(lambda *p: mean_mutual_kl(diagonal_normal(*p)), inputs)
    assert torch.autograd.gradcheck(lambda *p: std_mutual_kl(diagonal_normal(*p)), inputs)


def test_posteriors_far_from_the_origin_and_narrow_ones_stay_precise_in_float32():
    loc, scale = torch.randn(6, 3), torch.rand(6, 3) + 0.2
    single = diagonal_normal((loc + 1000).float(), scale.float())
    double = diagonal_normal((loc + 1000).float().double(), scale.float().double())
    torch.testing.assert_close(mean_mutual_kl(single).double(), mean_mutual_kl(double))
    torch.testing.assert_close(std_mutual_kl(single).double(), std_mutual_kl(double))
    narrow = diagonal_normal(100 * loc.float(), torch.full((6, 3), 1e-6))
    assert std_mutual_kl(narrow).dtype == torch.float32
    assert std_mutual_kl(narrow).isfinite()
    assert mean_mutual_kl(narrow).isfinite().all()


def test_the_penalties_are_their_formulas():
    t = Case("mae").build().model(Case("mae").data(), 2)
    each = by_loops(diagonal_normal(t.q_z.mean[:, 0], t.q_z.stddev[:, 0]))
    expected = [-0.3 * log1p(exp(-m / 0.3)) for m in each.mean(0).tolist()]
    assert diversity(t, weight=0.3).item() == pytest.approx(sum(expected))
    torch.testing.assert_close(smoothness(t, weight=0.7), -0.7 * each.sum(1).std())


def test_the_recipe_passes_its_weights_on_and_without_them_is_the_vae():
    recipe, x = Case("mae", {"eta": 0.3, "gamma": 0.7}).build(), Case("mae").data()
    t = recipe.model(x)
    terms, own = recipe.objective.terms(t), elbo(t)
    torch.testing.assert_close(terms["diversity"], diversity(t, weight=0.3))
    torch.testing.assert_close(terms["smoothness"], smoothness(t, weight=0.7))
    assert sum(terms.values()) < sum(own.values()).mean()
    plain = Case("mae", {"eta": 0.0, "gamma": 0.0}).build()
    assert plain.objective.is_bound
    assert not recipe.objective.is_bound
    assert plain.objective.terms(t) == {name: term.mean() for name, term in own.items()}


@pytest.mark.parametrize("option", ["eta", "gamma"])
def test_weights_below_zero_are_refused(option):
    with pytest.raises(MixvaeError, match=f"{option} must be at least 0; got -1"):
        Case("mae", {option: -1.0}).build()


@pytest.mark.parametrize("statistic", [mean_mutual_kl, std_mutual_kl])
def test_one_row_and_other_distributions_are_refused(statistic):
    with pytest.raises(MixvaeError, match="at least two rows; got 1"):
        statistic(normals(1))
    laplace = Independent(Laplace(torch.zeros(3, 2), torch.ones(3, 2)), 1)
    with pytest.raises(MixvaeError, match="diagonal normals; got Independent"):
        statistic(laplace)
