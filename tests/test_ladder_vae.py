"""The ladder VAE: precision-weighted posteriors, against closed forms and quadrature."""

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, kl_divergence

import mixvae
from cases import FLAT, IMAGE, Case
from mixvae import data, recipes
from mixvae.data.dataset import Split
from mixvae.distributions import diagonal_normal
from mixvae.errors import MixvaeError
from mixvae.evaluation import evaluate, log_likelihood
from mixvae.likelihoods import GaussianLikelihood
from mixvae.nn import Shared
from mixvae.objectives import elbo, elbo_of_levels
from mixvae.parts.decoders import Decoder, LowerLevel
from mixvae.parts.ladder import product
from mixvae.recipes.building import BuiltRecipe

pytestmark = pytest.mark.usefixtures("maths")
NOISE = 0.6  # scale of x given z1
SLOPE, SCALE = 0.8, 0.5  # z1 given z2


def raw(scale: Tensor | float, least: float) -> Tensor:
    """The inverse of softplus + least."""
    return (torch.as_tensor(scale) - least).expm1().log()


def set_linear(layer: nn.Module, weight: Tensor, bias: Tensor) -> None:
    """The weights of a linear layer, or of a stack of one."""
    layer.weight.data = weight.reshape(layer.weight.shape)
    layer.bias.data = bias.reshape(layer.bias.shape)


def linear_ladder(widen: float = 1.0) -> BuiltRecipe:
    """A ladder x = z1 + noise, z1 = SLOPE z2 + noise of 2 pixels, with its exact posterior.

    The upward pass gives N(x, NOISE^2) to z1, the likelihood as a density of z1, and to z2 its
    exact posterior, with a scale that is ``widen`` times as large.
    """
    options = {"n_latent": 2, "n_upper": [2], "likelihood": "gaussian"}
    recipe = recipes.build("ladder-vae", (2,), **options)
    model, eye = recipe.model, torch.eye(2)
    model.trunk = nn.Unflatten(1, (1, 2))
    first, second = model.posterior.bottom_up.heads
    model.posterior.bottom_up.steps[0] = nn.Identity()
    total = SCALE**2 + NOISE**2  # the variance of x given z2
    variance = 1 / (1 + SLOPE**2 / total)
    for head, gain, scale in (
        (first, 1.0, NOISE),
        (second, variance * SLOPE / total, widen * variance**0.5),
    ):
        head.net = nn.Linear(2, 4)
        weight = torch.cat([gain * eye, 0 * eye])
        set_linear(head.net, weight, torch.cat([torch.zeros(2), raw(scale, 1e-6).expand(2)]))
    level = model.prior.levels[0]
    level.net = nn.Linear(2, 4)
    bias = torch.cat([torch.zeros(2), raw(SCALE, 1e-3).expand(2)])
    set_linear(level.net, torch.cat([SLOPE * eye, 0 * eye]), bias)
    likelihood = GaussianLikelihood((2,), from_mean=True, scale=NOISE)
    model.decoder = Decoder(Shared(LowerLevel(2)), likelihood)
    return recipe


def log_evidence(x: Tensor) -> Tensor:
    variance = NOISE**2 + SCALE**2 + SLOPE**2
    return MultivariateNormal(torch.zeros(2), variance * torch.eye(2)).log_prob(x)


def test_the_posterior_of_a_linear_ladder_is_exact_and_its_bound_is_log_p() -> None:
    """Precision weights are Bayes' rule where the upward pass is the likelihood."""
    recipe, x = linear_ladder(), 2 * torch.randn(5, 2)
    t = recipe.model(x, 3)
    torch.testing.assert_close(t.log_weight, log_evidence(x).expand(3, -1))
    terms = elbo_of_levels(recipe.model(x, 4000))
    torch.testing.assert_close(sum(terms.values()), log_evidence(x), atol=0.1, rtol=0)


def test_with_another_posterior_the_bound_is_below_and_importance_sampling_agrees() -> None:
    recipe, x = linear_ladder(widen=1.7), 2 * torch.randn(5, 2)
    t = recipe.model(x, 20_000)
    bound = sum(elbo_of_levels(t).values())
    q, p = t.q_z.first, diagonal_normal(torch.zeros(2), torch.full((2,), 1.0))
    exact = linear_ladder().model(x).q_z.first
    gap = kl_divergence(q, exact).squeeze(1)  # that of z1 given z2 is exact
    torch.testing.assert_close(bound, log_evidence(x) - gap, atol=0.03, rtol=0)
    torch.testing.assert_close(-elbo_of_levels(t)["kl_z2"], kl_divergence(q, p).squeeze(1))
    estimate = log_likelihood(recipe.model, x, n_samples=2000)
    assert (estimate.standard_error < 0.05).all()
    assert ((estimate.log_prob - log_evidence(x)).abs() < 4 * estimate.standard_error + 1e-4).all()


def test_a_product_of_normals_is_the_product_of_their_densities() -> None:
    grid = torch.linspace(-12, 12, 4001)[:, None]
    q = diagonal_normal(torch.tensor([0.7]), torch.tensor([0.4]))
    p = diagonal_normal(torch.tensor([-1.1]), torch.tensor([1.3]))
    log_density = q.log_prob(grid) + p.log_prob(grid)
    normalised = log_density - (log_density.logsumexp(0) + (grid[1] - grid[0]).log())
    torch.testing.assert_close(product(q, p).log_prob(grid), normalised)


def test_a_ladder_of_one_level_is_the_vae() -> None:
    """The same weights, in the same order, give the same terms, codes and samples."""
    ladder = Case("ladder-vae", {"n_upper": ()}).build()
    vae = Case("vae").build(seed=1)
    pairs = zip(ladder.model.parameters(), vae.model.parameters(), strict=True)
    with torch.no_grad():
        for ours, its in pairs:
            ours.copy_(its.reshape(ours.shape))
    x, found = torch.rand(6, *IMAGE).round(), []
    for recipe in (ladder, vae):
        torch.manual_seed(2)
        terms = recipe.objective(recipe.model, x).values()
        found.append((*terms, recipe.model.sample(3), recipe.model.reconstruct(x)))
    for ours, its in zip(*found, strict=True):
        torch.testing.assert_close(ours, its)


def test_the_levels_kls_add_up_to_that_of_the_code() -> None:
    recipe = Case("ladder-vae").build()
    t = recipe.model(torch.rand(4, *IMAGE).round(), 7)
    by_level, whole = elbo_of_levels(t), elbo(t)
    assert list(by_level) == ["log_lik", "kl_z1", "kl_z2", "kl_z3"]
    torch.testing.assert_close(sum(by_level.values()), sum(whole.values()))
    torch.testing.assert_close(by_level["log_lik"], whole["log_lik"])


def test_importance_sampling_of_three_levels_agrees_with_a_grid() -> None:
    torch.manual_seed(1)
    sizes = {"n_latent": 1, "n_upper": [1, 1], "hidden": [8], "level_hidden": [6]}
    model, x = recipes.build("ladder-vae", (5,), **sizes).model, torch.rand(3, 5).round()
    p = model.prior(model.encode)
    grid = torch.linspace(-9, 9, 100)
    with torch.no_grad():
        z = torch.cartesian_prod(grid, grid, grid)[:, None, None]
        log_prior = p.log_prob(z) + 3 * (grid[1] - grid[0]).log()
        torch.testing.assert_close(log_prior.exp().sum(), torch.tensor(1.0), atol=1e-5, rtol=0)
        p_x = model.decode(z, torch.ones(len(z), 1, 1))
        exact = torch.stack([(p_x.log_prob(row) + log_prior).logsumexp(0).squeeze() for row in x])
    estimate = log_likelihood(model, x, n_samples=3000)
    assert (estimate.standard_error < 0.05).all()
    assert ((estimate.log_prob - exact).abs() < 4 * estimate.standard_error + 1e-5).all()


def test_the_priors_networks_are_shared_and_saved_once() -> None:
    model = Case("ladder-vae").build().model
    assert list(model.posterior.levels) == list(model.prior.levels)
    assert not any("levels" in name for name, _ in model.posterior.named_parameters())


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("wrong", [{"n_upper": [3, 0]}, {"n_latent": 0}, {"level_hidden": []}])
def test_levels_of_no_size_are_refused(wrong: dict[str, object]) -> None:
    (option,) = wrong
    with pytest.raises(MixvaeError, match=option):
        recipes.build("ladder-vae", FLAT, **wrong)


def test_it_trains_resumes_and_is_judged_as_every_model(tmp_path) -> None:
    torch.set_default_dtype(torch.float32)
    digits = data.load("digits", binarize="dynamic").subset(300)
    options = {"n_latent": 4, "n_upper": [3, 2], "hidden": [16], "level_hidden": [8]}
    how = {"pictures": False, "progress": False, "accelerator": "cpu", "seed": 3}
    recipe = recipes.LadderVAE(**options)
    run = mixvae.fit(recipe, digits, out=tmp_path / "whole", max_epochs=3, **how)
    assert run.history[-1]["val/objective"] > run.history[0]["val/objective"]
    assert {f"train/kl_z{i}" for i in (1, 2, 3)} <= set(run.history[-1])
    mixvae.fit(recipe, digits, out=tmp_path / "half", max_epochs=1, **how)
    again = {key: value for key, value in how.items() if key != "seed"}
    resumed = mixvae.resume(tmp_path / "half", digits, max_epochs=3, **again)
    states = [r.recipe.model.state_dict() for r in (run, resumed)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[1])
    x = digits.test.x[:20]
    found = evaluate(run.recipe, Split(x))["bounds"]["elbo"]
    assert found < log_likelihood(run.recipe.model, x, n_samples=200).mean < 0
