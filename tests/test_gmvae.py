"""GMVAE: a prior of two levels with clusters, its bound, and the clusters of x."""

from math import log

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

import mixvae
from cases import FLAT, Case
from mixvae.distributions import Hierarchical, diagonal_normal, independent_levels, kl_to_mixture
from mixvae.distributions.normal_mixture import NormalMixture
from mixvae.errors import MixvaeError
from mixvae.evaluation import cluster_probabilities, evaluate, log_likelihood
from mixvae.objectives import cluster_elbo
from mixvae.recipes import BuiltRecipe

pytestmark = pytest.mark.usefixtures("maths")
C = 3


def small(**options: object) -> tuple[BuiltRecipe, Tensor]:
    """Codes of one number each, with networks steep enough that clusters lie apart."""
    sizes = {"n_top": 1, "n_latent": 1, "n_clusters": C, "hidden": [8]}
    recipe = mixvae.build("gmvae", (6,), seed=3, **sizes | options)
    model = recipe.model.double()
    with torch.no_grad():
        for p in model.prior.parameters():
            p *= 1.7
    return recipe, torch.rand(4, 6, generator=torch.Generator().manual_seed(2)).round().double()


def levels(recipe: BuiltRecipe, top: Tensor) -> tuple[Tensor, Tensor]:
    """Means and scales (n, C) of the clusters, written out for one number a level."""
    net = recipe.model.prior.second.normals.net
    raw = net(top.unsqueeze(-1))  # (n, C, 2)
    return raw[..., 0], torch.log1p(raw[..., 1].exp()) + 1e-3


def grid() -> tuple[Tensor, float]:
    """Pairs (z2, z1), and the area of each."""
    top, low = torch.linspace(-6, 6, 241), torch.linspace(-20, 20, 1601)
    return torch.cartesian_prod(top, low), float((top[1] - top[0]) * (low[1] - low[0]))


def prior_of(recipe: BuiltRecipe) -> Hierarchical:
    p = recipe.model.prior(recipe.model.encode)
    assert isinstance(p, Hierarchical)
    return p


@torch.no_grad()
def log_p(recipe: BuiltRecipe, x: Tensor) -> Tensor:
    """log p(x) by the sum over a grid of both codes."""
    z, area = grid()
    p_x = recipe.model.decode(z[:, None, None], torch.ones(len(z), 1, 1))
    log_prior = prior_of(recipe).log_prob(z) + log(area)
    return torch.stack([(p_x.log_prob(row).flatten() + log_prior).logsumexp(0) for row in x])


# -- the prior


def test_the_priors_density_is_that_of_its_formula_and_integrates_to_one() -> None:
    recipe, _ = small()
    z, area = grid()
    with torch.no_grad():
        loc, scale = levels(recipe, z[:, 0])
        each = Normal(loc, scale).log_prob(z[:, 1:]) - log(C)
        by_hand = Normal(0.0, 1.0).log_prob(z[:, 0]) + each.logsumexp(-1)
        density = prior_of(recipe).log_prob(z)
    torch.testing.assert_close(density, by_hand)
    torch.testing.assert_close(density.exp().sum() * area, torch.tensor(1.0))
    apart = (loc[:, None] - loc[:, :, None]).abs().amax((1, 2)) / scale.amax(-1)
    assert apart.max() > 2  # clusters, not one normal


def test_the_clusters_posterior_is_bayes_rule() -> None:
    recipe, _ = small()
    z = torch.randn(5, 7, 2)
    loc, scale = levels(recipe, z[..., 0])
    joint = Normal(loc, scale).log_prob(z[..., 1:]).exp()
    found = recipe.model.prior.responsibilities(z)
    torch.testing.assert_close(found, joint / joint.sum(-1, keepdim=True))


def test_samples_of_the_prior_follow_its_density() -> None:
    """The mean of p / q is 1 for samples of q, whatever the normal p."""
    recipe, _ = small()
    with torch.no_grad():
        q = prior_of(recipe)
        z = q.sample((40_000,))
        p = diagonal_normal(z.mean(0), 0.5 * z.std(0))
        ratio = (p.log_prob(z) - q.log_prob(z)).exp()
    assert (ratio.mean() - 1).abs() < 4 * ratio.std() / 40_000**0.5
    assert not q.has_rsample


def test_a_mixture_for_each_code_has_torchs_density() -> None:
    normals = diagonal_normal(torch.randn(5, 4, 3, 2), 0.1 + torch.rand(5, 4, 3, 2))
    weights, z = Categorical(torch.rand(5, 4, 3)), torch.randn(5, 4, 2)
    ours, torchs = NormalMixture(weights, normals), MixtureSameFamily(weights, normals)
    torch.testing.assert_close(ours.log_prob(z), torchs.log_prob(z))
    many = torch.randn(6, 5, 4, 2)
    torch.testing.assert_close(ours.log_prob(many), torchs.log_prob(many))


def test_the_kl_to_a_mixture_for_each_q_is_that_to_each_mixture() -> None:
    q = diagonal_normal(torch.randn(4, 2), 0.1 + torch.rand(4, 2))
    normals = diagonal_normal(torch.randn(4, 3, 2), 0.1 + torch.rand(4, 3, 2))
    probs = torch.rand(4, 3)
    p = NormalMixture(Categorical(probs), normals)
    by_hand = []
    for i in range(4):
        one = diagonal_normal(normals.mean[i], normals.stddev[i])
        q_i = diagonal_normal(q.mean[i : i + 1], q.stddev[i : i + 1])
        by_hand.append(kl_to_mixture(q_i, NormalMixture(Categorical(probs[i]), one)))
    torch.testing.assert_close(kl_to_mixture(q, p), torch.cat(by_hand))


def test_independent_levels_are_the_same_normal() -> None:
    q = diagonal_normal(torch.randn(4, 2, 5), 0.1 + torch.rand(4, 2, 5))
    both, z = independent_levels(q, 3), torch.randn(6, 4, 2, 5)
    torch.testing.assert_close(both.log_prob(z), q.log_prob(z))
    torch.testing.assert_close(both.mean, q.mean)
    sample = both.rsample((20_000,))
    assert ((sample.mean(0) - q.mean) / q.stddev).abs().max() < 4.5 / 20_000**0.5


# -- the bound


def test_the_terms_are_the_papers_and_add_up_with_the_cluster_summed_out() -> None:
    recipe, x = small()
    t = recipe.model(x, 5)
    terms = cluster_elbo(t)
    top, low = t.z[:, :, 0, 0], t.z[:, :, 0, 1]
    m, s = t.q_z.mean[:, 0], t.q_z.stddev[:, 0]
    loc, scale = levels(recipe, top)
    each = Normal(loc, scale).log_prob(low.unsqueeze(-1))
    r = each.softmax(-1)
    log_q = Normal(m[:, 1], s[:, 1]).log_prob(low)
    conditional = (r * (log_q.unsqueeze(-1) - each)).sum(-1)  # E_{p(c | z2, z1)} log q / p
    cluster = torch.xlogy(r, r * C).sum(-1)
    kl_top = 0.5 * (m[:, 0] ** 2 + s[:, 0] ** 2 - 1) - s[:, 0].log()
    torch.testing.assert_close(terms["kl_z"], -conditional.mean(0))
    torch.testing.assert_close(terms["kl_cluster"], -cluster.mean(0))
    torch.testing.assert_close(terms["kl_top"], -kl_top)
    torch.testing.assert_close(terms["log_lik"], t.log_lik[..., 0].mean(0))
    marginal = (each.logsumexp(-1) - log(C) - log_q).mean(0)
    torch.testing.assert_close(terms["kl_z"] + terms["kl_cluster"], marginal)


def test_it_is_below_log_p_by_the_kl_to_the_posterior() -> None:
    """KL(q(z2, z1 | x) || p(z2, z1 | x)) by the sum over a grid."""
    recipe, x = small()
    exact = log_p(recipe, x)
    z, area = grid()
    with torch.no_grad():
        t = recipe.model(x, 40_000)
        each = t.log_lik + t.log_prior - t.log_q
        bound = sum(cluster_elbo(t).values())
        log_q = t.q_z.log_prob(z[:, None, None]).squeeze(-1)
        p_x = recipe.model.decode(z[:, None, None], torch.ones(len(z), 1, 1))
        log_joint = torch.stack([p_x.log_prob(row).flatten() for row in x], -1)
        log_joint += prior_of(recipe).log_prob(z).unsqueeze(-1)
    gap = (log_q.exp() * (log_q - log_joint + exact)).sum(0) * area
    assert gap.min() > 0.05
    error = each.std(0).squeeze(-1) / 40_000**0.5
    assert ((exact - gap - bound).abs() < 4 * error).all()
    assert recipe.objective_is_bound


def test_one_cluster_is_the_vae_of_two_normal_levels() -> None:
    recipe, x = small(n_clusters=1)
    t = recipe.model(x, 6)
    net = recipe.model.prior.second.normals.net
    second = lambda z2: Independent(
        Normal(net(z2)[..., 0, :1], torch.log1p(net(z2)[..., 0, 1:].exp()) + 1e-3), 1
    )
    p = Hierarchical(diagonal_normal(torch.zeros(1), torch.ones(1)), second, 1)
    torch.testing.assert_close(t.log_prior, p.log_prob(t.z))
    terms = cluster_elbo(t)
    torch.testing.assert_close(terms["kl_cluster"], torch.zeros(4))
    torch.testing.assert_close(t.family.elbo(t)["log_lik"], terms["log_lik"])
    q = independent_levels(t.q_z, 1)
    z2, z1 = p.split(t.z)
    log_ratio = (p.second(z2).log_prob(z1) - q.second(z2).log_prob(z1)).mean(0).squeeze(-1)
    torch.testing.assert_close(terms["kl_z"], log_ratio)


def test_free_bits_are_a_floor_of_the_clusters_kl_without_a_gradient_below_it() -> None:
    recipe, x = small()
    t = recipe.model(x, 4)
    kl = -cluster_elbo(t)["kl_cluster"]
    floor = float(kl.detach().median()) + 1e-9
    assert kl.min() < floor < kl.max()
    found = -cluster_elbo(t, free_bits=floor)["kl_cluster"]
    torch.testing.assert_close(found, kl.clamp_min(floor))
    for bits, moved in ((0.0, True), (log(C) + 1, False)):
        term = cluster_elbo(recipe.model(x, 4), free_bits=bits)["kl_cluster"].sum()
        slopes = torch.autograd.grad(term, list(recipe.model.prior.parameters()))
        assert any(slope.any() for slope in slopes) == moved


def test_free_bits_keep_the_bound_a_bound() -> None:
    recipe, x = small(free_bits=0.8)
    with torch.no_grad():
        t = recipe.model(x, 500)
        assert (sum(recipe.objective.bound(t).values()) <= sum(cluster_elbo(t).values())).all()
    assert recipe.objective_is_bound


@pytest.mark.usefixtures("unchecked")
def test_free_bits_are_refused_with_iwae_and_below_zero() -> None:
    with pytest.raises(MixvaeError, match="free_bits is of the bound elbo alone"):
        small(free_bits=0.5, bound="iwae")
    with pytest.raises(MixvaeError, match="free_bits must be at least 0"):
        small(free_bits=-1.0)


# -- evaluation


@pytest.mark.parametrize("method", ["defensive", "ais"])
def test_log_p_is_that_of_quadrature(method: str) -> None:
    recipe, x = small()
    x = x if method == "defensive" else x[1:2]
    exact = log_p(recipe, x)
    n = {"ais": 32}.get(method, 4000)
    found = log_likelihood(recipe.model, x, n, method=method, n_steps=20)
    assert ((found.log_prob - exact).abs() < 4 * found.standard_error).all()
    assert found.standard_error.max() < 0.5


def test_clusters_of_x_are_the_posterior_mean_of_the_clusters() -> None:
    recipe, x = small()
    found = cluster_probabilities(recipe.model, x)
    assert found.shape == (4, C)
    with torch.no_grad():
        z = recipe.model(x, 50_000).z.squeeze(2)
        mean = recipe.model.prior.responsibilities(z).mean(0)
    assert (found - mean).abs().max() < 4 * 0.5 / 64**0.5  # a mean of 64, of values in [0, 1]
    alone = cluster_probabilities(recipe.model, x[2:3])
    torch.testing.assert_close(alone[0], found[2])


def test_the_decoder_reads_the_lower_code_alone() -> None:
    recipe, _ = small()
    z = torch.randn(3, 1, 1, 2)
    moved = z + torch.tensor([1.0, 0.0])
    w = torch.ones(3, 1, 1)
    assert torch.equal(recipe.model.decode(z, w).mean, recipe.model.decode(moved, w).mean)


def test_health_has_the_kl_of_both_levels_given_the_upper_ones_mean() -> None:
    recipe, x = small()
    t = recipe.model.mean_trace(x)
    q = independent_levels(t.q_z, 1)
    above = q.first.mean
    below = kl_to_mixture(q.second(above), prior_of(recipe).second(above))
    top = cluster_elbo(t)["kl_top"]
    torch.testing.assert_close(t.kl.squeeze(-1), below.squeeze(-1) - top)


def test_evaluation_scores_the_clusters() -> None:
    torch.set_default_dtype(torch.float32)
    case = Case("gmvae", {}, FLAT)
    split = mixvae.data.dataset.Split(case.data(40), torch.arange(40) % 4)
    found = evaluate(case.build(), split)["clustering"]
    assert 0 < found["acc"] <= 1
