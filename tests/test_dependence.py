"""Dependence between codes, beside its value under independence."""

import pytest
import torch

from mixvae import build, report
from mixvae.data import Split
from mixvae.errors import MixvaeError
from mixvae.evaluation import dependence, evaluate
from mixvae.evaluation.dependence import p_value, permuted_statistics
from mixvae.objectives.kernels import dhsic, pairwise_hsic


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


def test_a_test_changes_no_statistic_and_counts_itself():
    recipe = model().model
    before = dependence(recipe, X[:60], batch_size=20, seed=3)
    found = dependence(recipe, X[:60], batch_size=20, seed=3, n_permutations=9)
    assert {name: found[name] for name in before} == before
    assert found["n_permutations"] == 9
    assert round(10 * found["p_value"], 9) in range(1, 11)  # of 9 permutations and the codes' own
    pairs = torch.tensor(found["pairs_p_value"])
    torch.testing.assert_close(pairs, pairs.T)
    assert pairs.diagonal().tolist() == [1, 1, 1]


def test_permuted_statistics_are_those_of_permuted_codes():
    z = torch.randn(30, 3, 2)
    found = permuted_statistics(z, 4, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    for i in range(4):
        rows = [torch.randperm(30, generator=generator) for _ in range(3)]
        moved = torch.stack([z[r, k] for k, r in enumerate(rows)], 1)
        torch.testing.assert_close(found["dhsic_under_null"][i], dhsic(moved, "gaussian"))
        torch.testing.assert_close(found["pairs_under_null"][i], pairwise_hsic(moved, "gaussian"))


def test_codes_that_depend_are_found_out_in_every_pair_that_does():
    recipe = spread(model(), -8.0)
    head = recipe.posterior.net.body
    with torch.no_grad():  # component 1 codes noise
        head.weight[1] = 0
        head.bias[1, 2:] = 0
    found = dependence(recipe, X[:200], batch_size=100, n_permutations=99)
    assert found["p_value"] == pytest.approx(0.01)
    assert found["pairs_p_value"][0][2] == pytest.approx(0.01)
    assert min(found["pairs_p_value"][1][k] for k in (0, 2)) > 0.02


def test_the_p_value_of_independent_codes_is_uniform():
    """Of 200 tests of 19 permutations; the largest gap to the uniform is under 0.122 in 99.5 %."""
    generator, found = torch.Generator().manual_seed(0), []
    for _ in range(200):
        z = torch.randn(12, 3, 2, generator=generator)
        null = permuted_statistics(z, 19, generator)["dhsic_under_null"]
        found.append(p_value(dhsic(z, "gaussian"), null).item())
    p = torch.tensor(found)
    levels = torch.arange(1, 21) / 20
    below = (p.unsqueeze(1) <= levels + 1e-6).double().mean(0)
    assert (below - levels).abs().max() < 0.122


def test_a_p_value_of_equal_statistics_is_one_and_of_none_is_none():
    same = torch.full((7,), 0.3)
    assert p_value(torch.tensor(0.3 * (1 + 1e-7)), same) == 1
    assert p_value(torch.tensor(0.2), same) == 1
    assert p_value(torch.tensor(0.4), same) == pytest.approx(1 / 8)
    assert p_value(torch.tensor(torch.nan), same).isnan()


def test_the_test_is_in_the_report_and_of_one_row_it_is_not_defined():
    found = evaluate(model(), Split(X[:40]), metrics=["dependence"], n_permutations=9)
    text = report.table(found)
    assert "dependence of the codes, tested by 9 permutations" in text
    assert f"p-value of independence  {found['dependence']['p_value']:.3f}" in text
    found = evaluate(model(), Split(X[:1]), metrics=["dependence"], n_permutations=9)
    assert found["dependence"]["p_value"] is None
    assert "p_value" not in evaluate(model(), Split(X[:40]), metrics=["dependence"])["dependence"]
    with pytest.raises(MixvaeError, match="n_permutations must be at least 0"):
        dependence(model().model, X, n_permutations=-1)
