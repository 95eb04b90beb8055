"""log p(x, k) of exact mixtures for many rows at a time."""

import pytest
import torch
from torch import Tensor

import mixvae
from cases import FLAT, Case
from mixvae import MixvaeError
from mixvae.evaluation import log_likelihood
from mixvae.evaluation.marginal_likelihood.by_component import can_be_estimated, log_joint
from mixvae.recipes import BuiltRecipe

pytestmark = pytest.mark.usefixtures("maths")


def small(**options: object) -> BuiltRecipe:
    """Two columns and a code of one number, which quadrature integrates."""
    sizes = {"n_components": 3, "n_latent": 1, "hidden": [6]}
    recipe = mixvae.build("mfa-vae", (2,), seed=5, **sizes | options)
    recipe.model.double()
    with torch.no_grad():
        recipe.model.weights.logits.copy_(torch.tensor([0.5, 0.1, -0.9]))
    return recipe


def by_quadrature(recipe: BuiltRecipe, x: Tensor) -> Tensor:
    """log p(x, k), by a sum over a grid of codes."""
    model, grid = recipe.model, torch.linspace(-8, 8, 4001)
    z = grid.reshape(-1, 1, 1, 1).expand(-1, 1, 3, 1)
    with torch.no_grad():
        p_x = model.decode_each(z)
        log_lik = p_x.log_prob(x.unsqueeze(0).unsqueeze(2).expand(len(grid), -1, 3, -1))
    log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(grid)
    step = (grid[1] - grid[0]).log()
    joint = (log_lik + log_prior.reshape(-1, 1, 1) + step).logsumexp(0)
    return joint + model.weights.logits.log_softmax(0)


@pytest.mark.parametrize("likelihood", ["normal", "student-t"])
def test_it_is_the_integral_over_codes(likelihood: str):
    recipe, x = small(likelihood=likelihood), 1.5 * torch.randn(6, 2)
    expected = by_quadrature(recipe, x)
    joint, found = log_joint(recipe.model, x, 20_000, seed=1)
    large = expected - expected.logsumexp(1, keepdim=True) > -6
    torch.testing.assert_close(joint[large], expected[large], atol=0.05, rtol=0)
    error = found.log_prob - expected.logsumexp(1)
    assert (error.abs() < 5 * found.standard_error + 1e-6).all()
    assert found.standard_error.max() < 0.05
    assert found.k_hat.max() < 0.7


def test_the_estimates_integrate_to_one():
    axis = torch.linspace(-15, 15, 51)
    x = torch.cartesian_prod(axis, axis)
    _, found = log_joint(small().model, x, 200, seed=2)
    area = (axis[1] - axis[0]) ** 2
    assert float(found.log_prob.exp().sum() * area) == pytest.approx(1, abs=0.03)


def test_errors_are_those_of_repeated_estimates():
    recipe, x = small(), torch.randn(3, 2)
    found = [log_joint(recipe.model, x, 100, seed=s)[1] for s in range(200)]
    spread = torch.stack([one.log_prob for one in found]).std(0)
    stated = torch.stack([one.standard_error for one in found]).mean(0)
    torch.testing.assert_close(stated, spread, rtol=0.25, atol=0)


def test_it_agrees_with_the_estimate_of_one_at_a_time():
    recipe = Case("mixture-vae", {"likelihood": "normal-columns"}, FLAT).build()
    x = Case("mixture-vae", {"likelihood": "normal-columns"}, FLAT).data(5).double()
    joint, found = log_joint(recipe.model.double(), x, 4000)
    single = log_likelihood(recipe.model, x, 4000)
    torch.testing.assert_close(found.log_prob, single.log_prob, atol=0.05, rtol=0)
    torch.testing.assert_close(joint.logsumexp(1), found.log_prob)


def test_a_row_has_its_result_whatever_its_place_and_company():
    recipe, x = small(), torch.randn(7, 2)
    joint, found = log_joint(recipe.model, x, 50)
    order = torch.tensor([3, 0, 3, 6])
    again, fewer = log_joint(recipe.model, x[order], 50)
    torch.testing.assert_close(again, joint[order], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(fewer.log_prob, found.log_prob[order], rtol=1e-12, atol=1e-12)
    other, _ = log_joint(recipe.model, x, 50, seed=1)
    assert (other != joint).all()


def test_the_model_is_left_as_it_was():
    recipe = small()
    recipe.model.float().train()
    log_joint(recipe.model, torch.randn(2, 2).float(), 10)
    assert recipe.model.training
    assert next(recipe.model.parameters()).dtype == torch.float32


def test_what_cannot_be_estimated_is_refused():
    for recipe in ("m-vae", "sb-vae", "wae-mmd"):
        case = Case(recipe, x_shape=FLAT)
        assert not can_be_estimated(case.build().model)
        with pytest.raises(MixvaeError, match="estimated by component for exact mixtures"):
            log_joint(case.build().model, case.data())
    with pytest.raises(MixvaeError, match="n_samples must be at least 4"):
        log_joint(small().model, torch.randn(2, 2), 3)
    with pytest.raises(MixvaeError, match="values that are finite"):
        log_joint(small().model, torch.tensor([[0.0, torch.inf]]))
