"""Bounds and penalties of joint models, against closed forms, quadrature and each other."""

from dataclasses import replace
from functools import partial
from math import lgamma, pi

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Beta,
    Dirichlet,
    Independent,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from cases import CASES, Case
from linear_gaussian import LinearGaussian, sigma_points
from mixvae.distributions import Delta
from mixvae.errors import MixvaeError
from mixvae.families import ExactMixture, Family, Joint
from mixvae.objectives import (
    Objective,
    dhsic,
    elbo,
    iwae,
    kernels,
    log_mean_exp,
    masked,
    matched,
    mixture_bound,
    mixture_elbo,
    weighted_elbo,
)
from mixvae.recipes import BuiltRecipe
from mixvae.trace import Trace

pytestmark = pytest.mark.usefixtures("maths")
JOINT = [
    Case("m-vae"),
    Case("m-vae", {"combine": "mixture"}),
    Case("m-vae", {"concentration": "normalised", "likelihood": "gaussian"}),
    Case("mvae"),
]
joint = pytest.mark.parametrize("case", JOINT, ids=str)


def traced(case: Case, n_samples: int = 1, n: int = 6) -> Trace:
    model = case.build().model
    torch.manual_seed(1)
    return model(case.data(n), n_samples)


# -- the ELBO is the family's


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_elbo_is_the_bound_of_the_traces_own_family(case: Case) -> None:
    recipe, x = case.build(), case.data()
    t = recipe.model.eval()(x.double(), 2, case.labels(x))
    if isinstance(t.family, Joint):
        by_hand = partial(weighted_elbo, kl_reduction="sum")
    else:
        by_hand = mixture_bound if isinstance(t.family, ExactMixture) else mixture_elbo
    if case.options.get("stick_kl") != "series":
        torch.testing.assert_close(elbo(t, 0.7), by_hand(t, 0.7), rtol=0, atol=0)
    torch.testing.assert_close(elbo(t), (recipe.bound or elbo)(t), rtol=0, atol=0)


def test_a_family_that_says_no_elbo_has_the_mean_of_its_log_weights() -> None:
    class Other(Joint):
        elbo = Family.elbo

    t = replace(traced(Case("m-vae"), 5), family=Other())
    torch.testing.assert_close(elbo(t), {"elbo": t.log_weight.mean(0)})


# -- the KLs


def test_the_kl_of_a_normal_is_its_closed_form_and_its_integral():
    q, p = Normal(torch.tensor(0.8), torch.tensor(0.4)), Normal(0.0, 1.0)
    z = torch.linspace(-6, 6, 20_001)
    integral = torch.trapezoid(q.log_prob(z).exp() * (q.log_prob(z) - p.log_prob(z)), z)
    torch.testing.assert_close(kl_divergence(q, p), integral)
    closed = 0.5 * (0.8**2 + 0.4**2 - 1) - torch.tensor(0.4).log()
    torch.testing.assert_close(closed, integral)


def test_the_kl_of_a_dirichlet_is_its_closed_form_and_its_integral():
    a, b = torch.tensor([2.5, 4.0]), torch.tensor([1.0, 1.5])
    w = torch.linspace(0, 1, 40_001)[1:-1]
    q, p = Beta(*a), Beta(*b)
    integral = torch.trapezoid(q.log_prob(w).exp() * (q.log_prob(w) - p.log_prob(w)), w)
    torch.testing.assert_close(
        kl_divergence(Dirichlet(a), Dirichlet(b)), integral, rtol=1e-5, atol=0
    )
    closed = (
        lgamma(a.sum())
        - lgamma(b.sum())
        - sum(lgamma(n) for n in a)
        + sum(lgamma(n) for n in b)
        + ((a - b) * (a.digamma() - a.sum().digamma())).sum()
    )
    torch.testing.assert_close(closed, integral, rtol=1e-5, atol=0)


@joint
def test_the_elbo_is_the_likelihood_less_the_closed_form_kls(case):
    """The slow version: every number from the parameters, by its formula."""
    t = traced(case, n_samples=2)
    terms = elbo(t)
    loc, scale = t.q_z.base_dist.loc, t.q_z.base_dist.scale
    kl_z = 0.5 * (loc**2 + scale**2 - 1 - 2 * scale.log()).sum((1, 2))
    torch.testing.assert_close(terms["kl_z"], -kl_z)

    a, b = t.q_w.concentration, t.p_w.concentration
    kl_w = (
        a.sum(-1).lgamma()
        - b.sum(-1).lgamma()
        - (a.lgamma() - b.lgamma()).sum(-1)
        + ((a - b) * (a.digamma() - a.sum(-1, keepdim=True).digamma())).sum(-1)
    )
    torch.testing.assert_close(terms["kl_w"], -kl_w)

    each = t.p_x.log_prob(t.x.expand(2, *t.x.shape).unsqueeze(2))
    log_lik = (t.w * each.exp()).sum(-1).log() if each.shape[-1] == 3 else each[..., 0]
    torch.testing.assert_close(terms["log_lik"], log_lik.mean(0))
    assert terms.keys() == {"log_lik", "kl_z", "kl_w"}


# -- models whose evidence is known


def test_the_elbo_of_a_linear_gaussian_model_with_its_exact_posterior_is_the_evidence():
    model = LinearGaussian(n_components=1)
    x = model.data()
    q, one = model.posterior(x), torch.ones(5, 1)
    z = sigma_points(q)  # exact for the quadratic log p(x | z)
    t = model.joint_trace(x, q, z, one.expand(len(z), -1, -1), Delta(one), None, blend=False)
    torch.testing.assert_close(sum(elbo(t).values()), model.log_evidence(x))


def test_iwae_with_the_exact_posterior_is_the_evidence_for_any_draw():
    model = LinearGaussian(n_components=1)
    x = model.data()
    q, one = model.posterior(x), torch.ones(5, 1)
    z = q.sample((3,))
    t = model.joint_trace(x, q, z, one.expand(3, -1, -1), Delta(one), None, blend=False)
    torch.testing.assert_close(t.log_weight, model.log_evidence(x).expand(3, -1))
    torch.testing.assert_close(iwae(t)["iwae"], model.log_evidence(x))


def test_the_elbo_of_k_blended_codes_falls_short_by_the_kl_to_their_posterior():
    """Known weights; the codes' exact posterior correlates them, and q does not."""
    model = LinearGaussian(n_components=2)
    x, w = model.data(), model.pi
    q = model.posterior(x, widen=1.5)
    z = sigma_points(q)
    weights = w.expand(len(x), -1)
    t = model.joint_trace(x, q, z, weights.expand(len(z), -1, -1), Delta(weights), None, blend=True)
    # The same model as one code (z_1, z_2) under one map (w_1 A_1, w_2 A_2).
    whole = LinearGaussian(n_components=1)
    whole.a = torch.cat(list(w[:, None, None] * model.a), 1)[None]
    whole.c, whole.pi = (w[:, None] * model.c).sum(0, keepdim=True), torch.ones(1)
    joint_q = MultivariateNormal(
        q.loc.flatten(1),
        torch.stack([torch.block_diag(*row) for row in q.covariance_matrix]),
    )
    exact = whole.posterior(x)
    exact = MultivariateNormal(exact.loc[:, 0], exact.covariance_matrix[:, 0])
    expected = whole.log_evidence(x) - kl_divergence(joint_q, exact)
    torch.testing.assert_close(sum(elbo(t).values()), expected)


@pytest.mark.parametrize("blend", [True, False], ids=["blend", "mixture"])
def test_the_weights_of_a_joint_model_average_to_the_evidence_and_the_elbo_stays_below(
    blend,
):
    """Dirichlet weights; 40,000 draws, and a tolerance of four standard errors."""
    model, S = LinearGaussian(n_components=2, n_latent=1), 40_000
    x, p_w = model.data(3), Dirichlet(torch.tensor([2.0, 1.0]))
    q_w = Dirichlet(torch.tensor([1.6, 0.9]).expand(3, 2))
    # As wide as the prior, so that the weights' variance is finite; no component is shut out.
    q = MultivariateNormal(0.3 * model.posterior(x).loc, 1.2 * torch.eye(1).expand(3, 2, 1, 1))
    z, w = q.sample((S,)), q_w.sample((S,))
    if not blend:  # p(x) needs no integral: E[w_k] weighs the components
        model.pi = p_w.mean
        exact = model.log_evidence(x)
    else:
        grid, width = torch.linspace(0, 1, 2001)[1:-1], 1 / 2000
        w_grid = torch.stack([grid, 1 - grid], -1)
        whole = LinearGaussian(n_components=len(grid), n_latent=2)
        whole.a = torch.cat(
            [w_grid[:, :1, None] * model.a[0], w_grid[:, 1:, None] * model.a[1]], -1
        )
        whole.c = w_grid @ model.c
        whole.pi = p_w.log_prob(w_grid).exp() * width
        exact = whole.log_evidence(x)
    t = model.joint_trace(x, q, z, w, q_w, p_w, blend=blend)
    assert_averages_to(exact, t.log_weight)
    assert (sum(elbo(t).values()) < exact).all()


def assert_averages_to(exact: Tensor, log_weight: Tensor) -> None:
    """The mean of exp(log_weight) (S, B) is exp(exact), to four standard errors."""
    relative = (log_weight - exact).exp()
    error = relative.std(0) / len(relative) ** 0.5
    assert (error < 0.05).all(), "too few draws to tell"
    assert ((relative.mean(0) - 1).abs() < 4 * error).all(), (relative.mean(0), error)


SMALL = {"n_latent": 1}
TWO = SMALL | {"n_components": 2}
INTEGRABLE = [
    Case("vae", SMALL),
    Case("iwae", SMALL | {"likelihood": "gaussian"}),
    Case("m-vae", TWO),
    Case("m-vae", TWO | {"combine": "mixture"}),
    Case("m-vae", TWO | {"combine": "expected"}),
    Case("mvae", TWO),
    Case("mixture-vae", TWO),
]


@pytest.mark.parametrize("case", INTEGRABLE, ids=str)
def test_bounds_stay_below_the_integrated_evidence_and_importance_weights_reach_it(case):
    """log p(x) of whole models by quadrature over one-dimensional codes and the weights."""
    recipe, x = case.build(), case.data(3)
    with torch.no_grad():
        recipe.model.posterior.net.body.bias[:, 1:] += 1.0  # wide: the weights' variance is finite
        exact = integrated(recipe, x)
        torch.manual_seed(1)
        t = recipe.model(x, 20_000)
        assert_averages_to(exact, t.log_weight)
        bound = sum(recipe.bound(t).values())
        assert (bound < exact).all()
        torch.testing.assert_close(iwae(t)["iwae"], exact, rtol=0, atol=0.05)


def integrated(recipe: BuiltRecipe, x: Tensor) -> Tensor:
    """Gauss-Hermite over each code, Gauss-Legendre over w_1 in (0, 1), as p(w) is uniform there."""
    decoder, K = recipe.model.decoder, recipe.n_components
    nodes, mass = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(30))
    mass = mass / mass.sum()
    if recipe.name == "mixture-vae":  # one code
        p_x = decoder.each(nodes[None, :, None, None].expand(1, -1, K, 1))
        each = p_x.log_prob(x[:, None, None]) + recipe.model.weights.logits.log_softmax(0)
        return (each + mass.log()[:, None]).flatten(1).logsumexp(-1)
    z = torch.cartesian_prod(*[nodes] * K).reshape(-1, 1, K, 1)
    z_mass = torch.cartesian_prod(*[mass] * K).reshape(-1, 1, K).prod(-1)
    w, w_mass = torch.ones(1, K), torch.ones(1)
    if K == 2:
        nodes, mass = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(20))
        w, w_mass = torch.stack([1 + nodes, 1 - nodes], -1) / 2, mass / 2
    z, w = z.expand(-1, len(w), -1, -1), w.expand(len(z), -1, -1)
    p_x = decoder(z, w)
    out = []
    for row in x:
        log_lik = p_x.log_prob(row)
        if log_lik.shape[-1] == K:
            log_lik = (log_lik + w.log()).logsumexp(-1, keepdim=True)
        out.append((log_lik[..., 0] + z_mass.log() + w_mass.log()).flatten().logsumexp(0))
    return torch.stack(out)


# -- identities


def test_iwae_with_one_sample_is_the_elbo_with_a_sampled_kl():
    t = traced(Case("vae"))
    sampled = (t.log_lik + t.log_prior - t.log_q)[0, :, 0]
    torch.testing.assert_close(iwae(t)["iwae"], sampled)


@pytest.mark.parametrize("case", [Case("vae"), *JOINT, Case("mixture-vae")], ids=str)
def test_iwae_grows_with_samples(case):
    """A mean over subsets is below the whole, for any draws (Burda et al. 2016, Theorem 1)."""
    log_weight = traced(case, n_samples=60).log_weight
    one, six, all_of_them = (
        log_mean_exp(log_weight.reshape(60 // n, n, -1), 1).mean(0) for n in (1, 6, 60)
    )
    assert (one < six).all()
    assert (six < all_of_them).all()


def test_log_mean_exp_is_what_it_says_even_far_from_zero():
    a = torch.randn(4, 3)
    torch.testing.assert_close(log_mean_exp(a, 0), a.exp().mean(0).log())
    torch.testing.assert_close(log_mean_exp(a - 5000, 1), a.exp().mean(1).log() - 5000)


@joint
def test_the_papers_objective_with_summed_kl_is_the_elbo(case):
    t = traced(case)
    torch.testing.assert_close(weighted_elbo(t, kl_reduction="sum"), elbo(t))


@joint
def test_the_papers_mean_kl_differs_from_the_elbo_by_exactly_the_kl_that_it_leaves_out(case):
    t = traced(case)
    left_out = (1 - 1 / 3) * kl_divergence(t.q_z, t.p_z).sum(-1)
    paper, bound = sum(weighted_elbo(t).values()), sum(elbo(t).values())
    torch.testing.assert_close(paper - bound, left_out)


def test_the_expected_reading_is_below_the_mixture_reading_and_equal_where_components_agree():
    t = traced(Case("m-vae", {"combine": "mixture"}), n_samples=1)
    expected = weighted_elbo(t, expected=True)["log_lik"]
    mixture = weighted_elbo(t)["log_lik"]
    assert (expected < mixture).all()
    torch.testing.assert_close(expected, (t.w * t.log_lik)[0].sum(-1))


@joint
def test_each_beta_weighs_its_own_kl_and_kl_scale_both(case):
    t = traced(case)
    plain = weighted_elbo(t)
    scaled = weighted_elbo(t, 0.5, beta_kl=3.0, beta_w=7.0)
    torch.testing.assert_close(scaled["kl_z"], 0.5 * 3 * plain["kl_z"])
    torch.testing.assert_close(scaled["kl_w"], 0.5 * 7 * plain["kl_w"])
    torch.testing.assert_close(scaled["log_lik"], plain["log_lik"])


@pytest.mark.parametrize("case", [Case("vae"), *JOINT], ids=str)
def test_kl_scale_weighs_the_prior_part_of_iwae(case):
    t = traced(case, 3)
    log_lik = t.log_lik[..., 0] if t.blended else (t.log_lik + t.w.log()).logsumexp(-1)
    torch.testing.assert_close(iwae(t, 0.0)["iwae"], log_mean_exp(log_lik, 0))
    half = log_lik + 0.5 * (t.log_weight - log_lik)
    torch.testing.assert_close(iwae(t, 0.5)["iwae"], log_mean_exp(half, 0))


def test_beta_vae_with_beta_one_is_the_vae_and_iwae_differs_by_the_bound_alone():
    case = Case("vae")
    values = []
    for recipe in (case.build(), Case("beta-vae").build(beta_kl=1.0)):
        torch.manual_seed(1)
        values.append(recipe.objective(recipe.model, case.data()))
    assert values[0] == values[1]
    states = [Case(name).build().model.state_dict() for name in ("vae", "iwae")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))


def test_an_m_vae_of_one_component_with_summed_kl_is_the_vae():
    one = Case("m-vae", {"n_components": 1, "kl_reduction": "sum"}).build()
    vae = Case("vae").build().model
    state = {
        k.replace("branch.0.body", "branch.body"): v for k, v in one.model.state_dict().items()
    }
    vae.load_state_dict({key: state.get(key, value) for key, value in vae.state_dict().items()})
    x = Case("vae").data()
    terms = elbo(one.model.mean_trace(x))
    torch.testing.assert_close(terms.pop("kl_w"), torch.zeros(len(x)))
    for name, term in elbo(vae.mean_trace(x)).items():
        torch.testing.assert_close(terms[name], term)


BETAS = {"beta_kl": 0.5, "beta_w": 3.0, "kl_reduction": "sum"}


@pytest.mark.parametrize(
    ("case", "objective", "bound"),
    [
        (Case("vae"), elbo, elbo),
        (
            Case("beta-vae", {"beta_kl": 0.25}),
            lambda t: weighted_elbo(t, kl_reduction="sum", beta_kl=0.25),
            elbo,
        ),
        (Case("iwae", {"n_samples": 3}), iwae, elbo),
        (Case("m-vae"), weighted_elbo, elbo),
        (Case("m-vae", BETAS), lambda t: weighted_elbo(t, **BETAS), elbo),
        (Case("m-vae", {"combine": "mixture"}), weighted_elbo, elbo),
        (
            Case("m-vae", {"combine": "expected"}),
            lambda t: weighted_elbo(t, expected=True),
            elbo,
        ),
        (Case("mvae"), weighted_elbo, elbo),
        (Case("mvae", BETAS), lambda t: weighted_elbo(t, **BETAS), elbo),
        (Case("mixture-vae"), mixture_bound, mixture_bound),
    ],
    ids=lambda value: str(value) if isinstance(value, Case) else "",
)
def test_a_recipe_maximises_and_reports_what_its_row_says(case, objective, bound):
    recipe, t = case.build(), traced(case, 3)
    torch.testing.assert_close(recipe.objective.bound(t), objective(t))
    torch.testing.assert_close(recipe.bound(t), bound(t))
    assert recipe.objective.n_samples == case.options.get("n_samples", 1)


# -- penalties


def test_the_dhsic_penalty_is_minus_the_mean_of_the_statistic_over_samples():
    t = traced(Case("m-vae"), n_samples=3)
    each = torch.stack([kernels.dhsic(z, "gaussian") for z in t.z])
    assert (each > 0).all()
    torch.testing.assert_close(dhsic(t), -each.mean())
    torch.testing.assert_close(dhsic(t, weight=2.5), -2.5 * each.mean())
    torch.testing.assert_close(dhsic(t, root=True), -(each + 1e-12).sqrt().mean())
    median = torch.stack([kernels.dhsic(z) for z in t.z]).mean()
    torch.testing.assert_close(dhsic(t, gamma=None), -median)


def test_the_root_of_no_dependence_has_a_finite_gradient():
    z = torch.zeros(1, 6, 3, 2, requires_grad=True)
    dhsic(replace(traced(Case("m-vae")), z=z), root=True).backward()
    assert z.grad.isfinite().all()


@pytest.mark.parametrize("name", ["m-vae", "mvae"])
def test_a_recipe_passes_its_options_on_to_the_penalty(name):
    options = {"beta_dhsic": 2.5, "dhsic_root": True, "bandwidth": 0.5}
    recipe = Case(name, options).build()
    torch.manual_seed(1)
    t = recipe.model(Case(name).data())
    expected = -2.5 * (kernels.dhsic(t.z[0], 0.5) + 1e-12).sqrt()
    torch.testing.assert_close(recipe.objective.penalties["dhsic"](t), expected)


@pytest.mark.parametrize("name", ["m-vae", "mvae"])
def test_one_component_or_no_weight_means_no_penalty(name):
    assert "dhsic" in Case(name).build().objective.penalties
    assert not Case(name).build(n_components=1).objective.penalties
    assert not Case(name).build(beta_dhsic=0.0).objective.penalties


def test_an_objective_needs_a_sample():
    with pytest.raises(MixvaeError, match="n_samples must be at least 1; got 0"):
        Objective(elbo, n_samples=0)


def test_the_warm_up_reaches_the_bound_and_leaves_the_penalty_alone():
    recipe, x = Case("m-vae").build(), Case("m-vae").data()
    torch.manual_seed(1)
    full = recipe.objective(recipe.model, x)
    torch.manual_seed(1)
    none = recipe.objective(recipe.model, x, kl_scale=0.0)
    assert none["kl_z"] == none["kl_w"] == 0
    assert none["dhsic"] == full["dhsic"]
    assert none["log_lik"] == full["log_lik"]


def test_squared_error_counts_as_a_density_with_its_constant():
    """Independent of the recipe: log N(x; m, I/2) = -|x - m|² - (D/2) log pi."""
    x, mean = torch.rand(12), torch.rand(12)
    density = Independent(Normal(mean, 0.5**0.5), 1).log_prob(x)
    torch.testing.assert_close(density, -(x - mean).square().sum() - 6 * torch.tensor(pi).log())


# -- objectives of other models are refused


def test_the_cost_of_dropout_rates_needs_component_dropout() -> None:
    with pytest.raises(MixvaeError, match="masked needs a model with component dropout"):
        masked(traced(Case("mvae")), bound=elbo)


def test_a_matched_kl_needs_pseudo_inputs() -> None:
    with pytest.raises(MixvaeError, match="matched needs a prior of pseudo-inputs"):
        matched(traced(Case("semvae")))
