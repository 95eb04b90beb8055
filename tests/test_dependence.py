"""Dependence between codes, beside its value under independence."""

import pytest
import torch

from mixvae import build
from mixvae.data import Split
from mixvae.evaluation import dependence, evaluate
from mixvae.objectives.kernels import dhsic


def model(**options):
    torch.manual_seed(0)
    return build("m-vae", (6,), n_components=3, n_latent=2, hidden=[8], **options)


X = torch.rand(2000, 6, generator=torch.Generator().manual_seed(1)).round()


def spread(recipe, scale):
    """Codes that hardly depend on noise: the posterior's means grow and its scales shrink."""
    head = recipe.model.posterior.net.body
    with torch.no_grad():
        head.weight[:, :2] *= 20
        head.bias[:, 2:] = scale
    return recipe.model


def test_codes_of_the_same_x_depend_on_each_other_and_shuffled_ones_do_not():
    found = dependence(spread(model(), -8.0), X, batch_size=100)
    assert found["dhsic"] > 2 * found["permuted"]


def test_codes_that_are_noise_look_like_shuffled_ones():
    recipe = model()
    with torch.no_grad():
        recipe.model.posterior.net.body.weight.zero_()
    found = dependence(recipe.model, X, batch_size=100)
    assert found["dhsic"] == pytest.approx(found["permuted"], rel=0.2)  # spread over seeds: 0.1


def test_it_is_the_mean_over_even_batches_of_the_statistic_of_one_draw():
    recipe = model().model
    found = dependence(recipe, X[:200], batch_size=100, seed=4)
    torch.manual_seed(4)
    each = []
    for batch in X[:200].split(100):
        each.append(float(dhsic(recipe.infer(batch)[0].sample(), "gaussian")))
        for _ in range(3):
            torch.randperm(100)
    assert found["dhsic"] == pytest.approx(sum(each) / 2, rel=1e-5)


def test_pairs_name_the_two_components_that_share_their_code():
    recipe = spread(model(), -8.0)
    head, trunk = recipe.posterior.net.body, recipe.trunk[1].body
    with torch.no_grad():  # component 2 becomes a copy of component 0; 1 codes noise
        for layer in (head, *(m for m in trunk.modules() if hasattr(m, "share_input"))):
            layer.weight[2], layer.bias[2] = layer.weight[0], layer.bias[0]
        head.weight[1] = 0
        head.bias[1, 2:] = 0
    found = dependence(recipe, X, batch_size=100)
    pairs, permuted = torch.tensor(found["pairs"]), torch.tensor(found["pairs_permuted"])
    torch.testing.assert_close(pairs, pairs.T)
    assert pairs[0, 2] > 3 * permuted[0, 2]
    for k in (0, 2):
        assert pairs[1, k] == pytest.approx(permuted[1, k].item(), rel=0.3)


def test_it_is_measured_of_joint_mixtures_alone():
    assert "dependence" in evaluate(model(), Split(X))
    exact = build("mixture-vae", (6,), n_components=3, n_latent=2, hidden=[8])
    assert "dependence" not in evaluate(exact, Split(X))
