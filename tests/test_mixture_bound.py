"""The exact mixture: ``mixture_bound``, its terms and its responsibilities."""

from dataclasses import replace
from math import log

import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from cases import Case
from linear_gaussian import LinearGaussian, sigma_points
from mixvae.families import ExactMixture
from mixvae.objectives import elbo, iwae, mixture_bound
from mixvae.trace import Trace

pytestmark = pytest.mark.usefixtures("maths")


def traced(n_samples: int = 1, **options: object) -> Trace:
    """A small mixture-vae's trace, its proportions away from uniform."""
    model = Case("mixture-vae").build(**options).model
    model.weights.logits.data.copy_(torch.linspace(-1, 1, len(model.weights.logits)))
    torch.manual_seed(1)
    return model(Case("mixture-vae").data(), n_samples)


def total(t: Trace, kl_scale: float = 1.0) -> torch.Tensor:
    return sum(mixture_bound(t, kl_scale).values())


# -- linear-Gaussian mixtures, whose evidence is known


def test_exact_posteriors_make_the_bound_the_evidence_for_any_draw():
    model = LinearGaussian()
    x = model.data()
    q = model.posterior(x)
    for z in (q.sample((1,)), q.sample((3,))):
        t = model.mixture_trace(x, q, z)
        torch.testing.assert_close(total(t), model.log_evidence(x))
        torch.testing.assert_close(iwae(t)["iwae"], model.log_evidence(x))


def test_wrong_posteriors_keep_the_bound_below_the_evidence_and_iwae_reaches_it():
    """20,000 draws; four standard errors."""
    model, S = LinearGaussian(), 20_000
    x = model.data()
    q = model.posterior(x, widen=1.6)
    t = model.mixture_trace(x, q, q.sample((S,)))
    exact = model.log_evidence(x)
    error = t.log_weight.std(0) / S**0.5
    assert (total(t) + 4 * error < exact).all()
    relative = (t.log_weight - exact).exp()
    error = relative.std(0) / S**0.5
    assert (error < 0.02).all()
    assert ((relative.mean(0) - 1).abs() < 4 * error).all()


def test_with_exact_posteriors_the_responsibilities_are_the_components_posterior():
    model = LinearGaussian()
    x = model.data()
    q = model.posterior(x)
    t = model.mixture_trace(x, q, sigma_points(q))
    exact = (model.log_evidence_each(x) + model.pi.log()).softmax(-1)
    assert exact.max(-1).values.min() < 0.99  # not all of them are certain
    torch.testing.assert_close(t.family.responsibilities(t), exact)


# -- identities


def test_with_one_component_it_is_the_vaes_bound_with_a_sampled_kl():
    one, vae = Case("mixture-vae").build(n_components=1).model, Case("vae").build(seed=1).model
    one.load_state_dict(vae.state_dict())
    x, traces = Case("vae").data(), []
    for model in (one, vae):
        torch.manual_seed(1)
        traces.append(model(x, 3))
    mixture, plain = traces
    sampled = (plain.log_lik + plain.log_prior - plain.log_q).mean((0, 2))
    torch.testing.assert_close(total(mixture), sampled)
    torch.testing.assert_close(mixture_bound(mixture)["log_lik"], elbo(plain)["log_lik"])
    torch.testing.assert_close(mixture_bound(mixture)["kl_index"], torch.zeros(len(x)))
    torch.testing.assert_close(iwae(mixture)["iwae"], iwae(plain)["iwae"])


def test_it_is_the_log_of_the_weighted_mean_of_the_components_weights():
    """Without a logarithm's tricks: log sum_k pi_k p(x|z_k) p(z_k) / q(z_k|x)."""
    t = traced(n_samples=2)
    ratio = t.log_lik.exp() * t.log_prior.exp() / t.log_q.exp()
    torch.testing.assert_close(total(t), (t.w * ratio).sum(-1).log().mean(0))
    assert mixture_bound(t).keys() == {"log_lik", "kl_z", "kl_index"}


def test_every_draw_is_at_least_each_component_by_itself_less_the_price_of_its_name():
    t = traced()
    each = (t.log_lik + t.log_prior - t.log_q + t.w.log())[0]
    assert (total(t)[:, None] >= each).all()


def test_it_is_at_least_the_best_components_elbo_less_the_price_of_its_name():
    """On average over 5,000 draws; four standard errors."""
    t = traced(5000)
    each = t.log_lik.mean(0) - kl_divergence(t.q_z, t.p_z) + t.w[0].log()
    error = t.log_weight.std(0) / 5000**0.5
    assert (total(t) + 4 * error > each.max(-1).values).all()


@pytest.mark.parametrize("kl_scale", [1.0, 0.3])
def test_its_terms_are_weighed_by_the_responsibilities_and_the_index_costs_their_kl(kl_scale):
    t = traced()
    ratio = kl_scale * (t.log_prior - t.log_q)[0]
    each = Categorical(logits=t.log_lik[0] + ratio + t.w[0].log())
    terms = mixture_bound(t, kl_scale)
    torch.testing.assert_close(terms["log_lik"], (each.probs * t.log_lik[0]).sum(-1))
    torch.testing.assert_close(terms["kl_z"], (each.probs * ratio).sum(-1))
    torch.testing.assert_close(terms["kl_index"], -kl_divergence(each, Categorical(t.w[0])))


@pytest.mark.parametrize("kl_scale", [1.0, 0.3, 0.0])
def test_its_gradient_is_that_of_the_plain_log_sum_exp(kl_scale):
    """The responsibilities inside the terms are detached; the sum is stationary in them."""
    case, gradients = Case("mixture-vae", {"likelihood": "gaussian"}), []
    for value in (
        lambda t: total(t, kl_scale),
        lambda t: (
            (t.log_lik + kl_scale * (t.log_prior - t.log_q) + t.w.log()).logsumexp(-1).mean(0)
        ),
    ):
        model = case.build().model
        torch.manual_seed(1)
        bound = value(model(case.data(), 2)).mean()
        gradients.append(
            (bound, *torch.autograd.grad(bound, [*model.parameters()], allow_unused=True))
        )
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_identical_components_are_iwae_with_as_many_samples():
    """K equal components, uniform proportions: the K codes are K draws of one VAE's posterior."""
    model, vae = Case("mixture-vae").build().model, Case("vae").build().model
    for name, p in vae.state_dict().items():
        model.state_dict()[name].copy_(p)  # one component's parameters, to all of them
    x = Case("vae").data()
    t = model(x)
    z = t.z.transpose(0, 2)  # (K, B, 1, L): the components' axis becomes the samples'
    q_z, _ = vae.infer(x)
    w = torch.ones(3, len(x), 1)
    plain = replace(vae(x, 3), z=z, w=w, q_z=q_z, p_x=vae.decoder(z, w))
    torch.testing.assert_close(total(t), iwae(plain)["iwae"])


def test_a_component_without_weight_changes_nothing():
    whole = Case("mixture-vae").build()
    part = Case("mixture-vae").build(n_components=2)
    whole.model.weights.logits.data.copy_(torch.tensor([0.5, -0.5, -800.0]))
    state = {name: p[:2] for name, p in whole.model.state_dict().items()}
    part.model.load_state_dict(state)
    x = Case("mixture-vae").data()
    for name, term in mixture_bound(part.model.mean_trace(x)).items():
        torch.testing.assert_close(mixture_bound(whole.model.mean_trace(x))[name], term)


def test_the_proportions_learn_the_responsibilities():
    """d bound / d logits = mean r - pi, with the sampled responsibilities."""
    recipe, x = Case("mixture-vae").build(), Case("mixture-vae").data()
    t = recipe.model(x)
    total(t).mean().backward()
    r = (t.log_lik + t.log_prior - t.log_q + log(1 / 3)).softmax(-1).mean((0, 1))
    torch.testing.assert_close(recipe.model.weights.logits.grad, r - 1 / 3)


def test_responsibilities_are_the_proportions_times_the_exponential_of_each_elbo():
    t = traced(4)
    elbo_each = t.log_lik.mean(0) - kl_divergence(t.q_z, t.p_z)
    expected = t.w[0] * elbo_each.exp()
    expected = expected / expected.sum(-1, keepdim=True)
    torch.testing.assert_close(ExactMixture().responsibilities(t), expected)
