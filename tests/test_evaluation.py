"""Judging a model: component health, reconstruction, log p(x), bounds, clustering."""

import json
from math import exp, sqrt
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution

from cases import CASES, Case
from linear_models import DATA, LinearPosterior, Maps, Repeat, stacked
from mixvae import report
from mixvae.data.dataset import Split
from mixvae.distributions import Delta
from mixvae.errors import MixvaeError
from mixvae.evaluation import (
    bounds,
    clustering,
    component_health,
    evaluate,
    reconstruction,
    responsibilities,
)
from mixvae.evaluation.batches import n_clusters
from mixvae.families import ExactMixture, Joint
from mixvae.likelihoods import GaussianLikelihood
from mixvae.model import MixtureVAE
from mixvae.objectives import Objective, mixture_bound
from mixvae.parts.decoders import Decoder
from mixvae.parts.priors import NormalPrior
from mixvae.parts.weights import CategoricalWeights, Weights
from mixvae.recipes import BuiltRecipe, MixtureOfVAEs, build


class FirstPixel(Weights):
    """w = (x, 1 - x)."""

    n_components = 2

    def forward(self, h: Tensor) -> Distribution:
        return Delta(torch.stack([h[:, 0, 0], 1 - h[:, 0, 0]], -1))

    def prior(self) -> None:
        return None

    def generate(self, n: int) -> Tensor:
        return torch.full((n, 2), 0.5)


def one_pixel(family: Any, weights: Weights) -> MixtureVAE:
    """Two components on one pixel: codes N(3x, 1) and N(x/10, 1), means z_0/3 and z_1."""
    slope = torch.tensor([3.0, 0.1]).view(2, 1, 1)
    decode = stacked(torch.tensor([1 / 3, 1.0]).view(2, 1, 1), torch.zeros(2, 1))
    return MixtureVAE(
        trunk=Repeat(2),
        posterior=LinearPosterior(slope, torch.zeros(2, 1), torch.ones(2, 1)),
        weights=weights,
        decoder=Decoder(decode, GaussianLikelihood((1,), from_mean=True, scale=1.0)),
        prior=NormalPrior(torch.zeros(1)),
        family=family,
    )


X = torch.tensor([[0.2], [0.8], [1.0]])


def small(name: str = "m-vae", **options: Any) -> BuiltRecipe:
    torch.manual_seed(0)
    defaults = {"n_latent": 3, "hidden": [8], "likelihood": "gaussian"}
    if name in ("m-vae", "mixture-vae"):
        defaults["n_components"] = 3
    return build(name, (1, 4, 4), **(defaults | options))


def images(n: int = 23) -> Tensor:
    return torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(3))


# Component health


def test_the_health_of_two_components_on_one_pixel_is_what_a_hand_computes() -> None:
    health = component_health(one_pixel(Joint(), FirstPixel()), X)
    mean_square = (0.04 + 0.64 + 1) / 3
    assert health.kl.tolist() == pytest.approx([4.5 * mean_square, 0.005 * mean_square], rel=1e-4)
    assert health.active_units.tolist() == [1, 0]  # variances 1.04 and 0.0012
    assert health.share.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert health.used.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert health.sse_alone.tolist() == pytest.approx([0, 0.81 * mean_square], abs=1e-6)
    assert health.effective_components == pytest.approx(9 / 5)
    assert health.effective_per_example == pytest.approx((2 / 0.68 + 1) / 3)


def test_an_exact_mixtures_share_is_its_responsibility() -> None:
    model = one_pixel(ExactMixture(), CategoricalWeights(2))
    health = component_health(model, X[:1])
    elbo = [-4.5 * 0.04, -0.5 * 0.81 * 0.04 - 0.005 * 0.04]
    r = exp(elbo[0]) / (exp(elbo[0]) + exp(elbo[1]))
    assert health.share.tolist() == pytest.approx([r, 1 - r])
    assert responsibilities(model, X[:1])[0].tolist() == pytest.approx([r, 1 - r])


def test_an_exact_mixtures_component_is_charged_its_kl_where_it_answers_for_x() -> None:
    model = one_pixel(ExactMixture(), CategoricalWeights(2))
    squares = [0.04, 0.64, 1.0]
    odds = [exp(-4.5 * s) / exp(-0.41 * s) for s in squares]  # ELBOs -4.5 x² and -(.405+.005) x²
    first = [o / (1 + o) for o in odds]
    expected = 4.5 * sum(r * s for r, s in zip(first, squares, strict=True)) / sum(first)
    assert float(component_health(model, X).kl[0]) == pytest.approx(expected, rel=1e-4)
    assert expected < 4.5 * sum(squares) / 3  # it answers most for the x near zero


@pytest.mark.parametrize("name", ["vae", "m-vae", "mixture-vae"])
def test_health_does_not_depend_on_the_batch_size(name: str) -> None:
    model, x = small(name).model, images()
    whole = component_health(model, x, batch_size=23).to_dict()
    for batch_size in (1, 5, 22, 1000):
        parts = component_health(model, x, batch_size=batch_size).to_dict()
        for key, value in whole.items():
            if key != "warning":
                assert parts[key] == pytest.approx(value, rel=1e-5)


def test_the_warning_names_the_dead_component_and_what_to_try() -> None:
    health = component_health(one_pixel(Joint(), FirstPixel()), X)
    assert health.dead == [1]
    assert "1 of 2 components is dead" in health.warning()
    assert "component 1 (KL 0.00 nats, share 0.333)" in health.warning()
    assert "component 0" not in health.warning()
    assert "beta_w 20" in health.warning()
    exact = component_health(one_pixel(ExactMixture(), CategoricalWeights(2)), X)
    assert "beta_w" not in exact.warning()
    assert "another seed" in exact.warning()


def test_a_component_that_nothing_uses_is_dead_though_its_code_is_full() -> None:
    model = one_pixel(Joint(), FirstPixel())
    with torch.no_grad():
        model.posterior.slope.fill_(30.0)
    assert component_health(model, torch.full((5, 1), 0.95)).dead == [1]
    assert component_health(model, torch.full((5, 1), 0.80)).dead == []
    assert component_health(model, torch.full((5, 1), 0.80)).warning() is None


def test_a_lone_component_has_all_the_share_and_dies_of_its_kl_alone() -> None:
    health = component_health(small("vae").model, images())
    assert health.share.tolist() == health.used.tolist() == [1]
    assert health.effective_components == health.effective_per_example == 1
    assert health.dead == [0]
    assert "beta-vae" in health.warning()


def test_a_component_whose_kl_is_nan_is_not_called_alive() -> None:
    model = one_pixel(Joint(), FirstPixel())
    with torch.no_grad():
        model.posterior.slope[0] = torch.nan
    assert 0 in component_health(model, X).dead


def turned_off(model: MixtureVAE) -> MixtureVAE:
    """Component 0 codes N(3, 1) whatever x is: 4.5 nats, and not one of them says anything."""
    with torch.no_grad():
        model.posterior.slope[0] = 0
        model.posterior.offset[0] = 3
    return model


@pytest.mark.parametrize(
    ("family", "remedy"), [(Joint(), "smaller beta_kl"), (ExactMixture(), "more start_epochs")]
)
def test_a_component_without_an_active_unit_is_collapsed_and_a_remedy_is_named(
    family: Any, remedy: str
) -> None:
    weights = FirstPixel() if isinstance(family, Joint) else CategoricalWeights(2)
    model = turned_off(one_pixel(family, weights))
    with torch.no_grad():
        model.posterior.slope[1] = 3  # alive
        model.decoder.branch.body.weight.zero_()
        model.decoder.branch.body.bias.fill_(0.5)
    health = component_health(model, X)
    assert (float(health.kl[0]), health.active_units.tolist()) == (pytest.approx(4.5), [0, 1])
    found = health.to_dict()
    assert found["collapsed"] == [0]
    assert 0 not in found["dead"]
    assert "components is collapsed, counted from 0: component 0 (KL 4.50 nats" in found["warning"]
    assert remedy in found["warning"]
    assert "warmup_epochs" in found["warning"]
    table = report.table({"health": found})
    assert next(row for row in table.splitlines() if row.split()[:1] == ["0"])[-9:] == "collapsed"
    assert "\n  collapsed: not dead, but no active unit" in table


def test_the_remedy_for_a_collapsed_lone_component_is_not_a_lower_weight_of_its_kl() -> None:
    model = small("vae").model
    with torch.no_grad():
        for parameter in model.posterior.parameters():
            parameter.zero_()
        next(p for name, p in model.posterior.named_parameters() if "bias" in name).fill_(3)
    health = component_health(model, images())
    assert health.collapsed == [0]
    assert "more epochs" in health.warning()
    assert "beta" not in health.warning()


def test_a_component_is_dead_before_it_is_collapsed() -> None:
    health = component_health(one_pixel(Joint(), FirstPixel()), X)
    assert (health.dead, health.active_units.tolist(), health.collapsed) == ([1], [1, 0], [])


def test_one_example_says_nothing_of_collapse() -> None:
    model = turned_off(one_pixel(Joint(), FirstPixel()))
    assert component_health(model, X[2:]).collapsed == []
    assert component_health(model, X[1:]).collapsed == [0]


def test_a_broken_stick_is_not_called_collapsed_by_the_variance_of_its_small_weights() -> None:
    recipe = Case("sb-vae", {"n_latent": 30}).build()
    health = component_health(recipe.model, recipe_data(recipe, 20))
    assert health.active_units.tolist() == [0]
    assert health.collapsed == []


def test_evaluating_leaves_modes_and_the_random_state_as_they_were() -> None:
    recipe = small()
    recipe.model.train()
    recipe.model.decoder.eval()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    evaluate(recipe, Split(images()), log_likelihood=3)
    assert torch.equal(torch.rand(3), expected)
    assert recipe.model.training
    assert not recipe.model.decoder.training
    assert all(p.grad is None for p in recipe.model.parameters())


# Reconstruction


@pytest.mark.usefixtures("unchecked")
def test_squared_errors_are_sums_over_pixels_and_means_over_images() -> None:
    model = one_pixel(Joint(), FirstPixel())
    found = reconstruction(model, X, n_samples=1000)
    # The means are (z_0/3, z_1), so the mixture's is w_0 x + w_1 x/10 with w = (x, 1 - x) ...
    mean = [x * x + (1 - x) * x / 10 for x in (0.2, 0.8, 1.0)]
    bias = sum((m - x) ** 2 for m, x in zip(mean, (0.2, 0.8, 1.0), strict=True)) / 3
    assert found["sse_deterministic"] == pytest.approx(bias, rel=1e-5)
    # ... and its variance w_0^2/9 + w_1^2.
    variance = sum(x**2 / 9 + (1 - x) ** 2 for x in (0.2, 0.8, 1.0)) / 3
    assert found["sse"] == pytest.approx(bias + variance, rel=0.1)
    assert found["rmse"] == pytest.approx(sqrt(found["sse"]))


def test_the_deterministic_error_does_not_depend_on_batch_size_or_seed() -> None:
    model, x = small("mixture-vae").model, images()
    first = reconstruction(model, x)["sse_deterministic"]
    second = reconstruction(model, x, batch_size=4, seed=9)["sse_deterministic"]
    assert second == pytest.approx(first, rel=1e-6)


def test_a_seed_gives_the_same_stochastic_error_again() -> None:
    model, x = small().model, images()
    assert reconstruction(model, x, seed=1) == reconstruction(model, x, seed=1)
    assert reconstruction(model, x, seed=1)["sse"] != reconstruction(model, x, seed=2)["sse"]


# Bounds


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_the_exact_mixtures_bound_is_log_p_where_the_posterior_is_exact(batch_size: int) -> None:
    model, p_x = Maps(3).exact()
    recipe = BuiltRecipe(MixtureOfVAEs(), (4,), model, Objective(mixture_bound))
    found = bounds(recipe, DATA, batch_size=batch_size)
    assert found["elbo"] == pytest.approx(float(p_x.log_prob(DATA).mean()), abs=1e-9)
    assert found["objective"] == pytest.approx(found["elbo"])


@pytest.mark.parametrize("name", ["vae", "beta-vae", "iwae", "m-vae", "mixture-vae"])
def test_the_terms_add_up_to_the_objective(name: str) -> None:
    found = bounds(small(name), images(), batch_size=5)
    terms = [value for key, value in found.items() if key.startswith("objective/")]
    assert found["objective"] == pytest.approx(sum(terms), rel=1e-5)
    assert isinstance(found["elbo"], float)


def test_what_is_no_density_has_an_objective_and_no_elbo() -> None:
    found = bounds(small(likelihood="cross-entropy"), images())
    assert "objective/cross_entropy" in found
    assert found["elbo"] is None
    assert "not a normalised density" in found["elbo_note"]


def test_an_importance_weighted_objective_keeps_its_own_number_of_samples() -> None:
    recipe = small("iwae", n_samples=20)
    own, single = bounds(recipe, images()), bounds(recipe, images(), n_samples=1)
    assert own["objective"] > single["objective"]
    assert own == bounds(recipe, images(), n_samples=20)


def test_a_last_batch_of_one_does_not_break_a_penalty_on_pairs() -> None:
    assert "objective/dhsic" in bounds(small(), images(11), batch_size=10)


def recipe_data(recipe: BuiltRecipe, n: int) -> Tensor:
    x = torch.rand(n, *recipe.x_shape, generator=torch.Generator().manual_seed(3))
    return x.round()


def test_a_dependence_of_one_row_is_not_defined_and_stops_nothing(tmp_path: Any) -> None:
    for found in (
        evaluate(small(), Split(images(1))),
        evaluate(small(), Split(images(4)), batch_size=1),
    ):
        bounds, dependence = found["bounds"], found["dependence"]
        assert bounds["objective/dhsic"] is bounds["objective"] is dependence["dhsic"] is None
        assert "single row" in bounds["objective_note"]
        assert "single row" in dependence["note"]
        assert isinstance(bounds["elbo"], float)
        assert isinstance(bounds["objective/kl_z"], float)
        rows = report.table(found).splitlines()
        for start in ("    dhsic", "  objective (maximised)", "  dHSIC"):
            assert next(row for row in rows if row.startswith(start)).split("  ")[-1] != ""
            assert "--" in next(row for row in rows if row.startswith(start))
        assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert evaluate(small(), Split(images(2)))["dependence"]["dhsic"] is not None


SMALLEST = list(
    {
        (c.recipe, c.options.get("network"), str(c.options.get("keep_prior"))): c for c in CASES
    }.values()
)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("case", SMALLEST, ids=str)
def test_a_few_examples_can_be_judged(case: Case, n: int) -> None:
    recipe, x = case.build(), case.data(n)
    y = torch.arange(n) % case.options.get("n_classes", 2)
    found = evaluate(recipe, Split(x, y), log_likelihood=3 if recipe.bound is not None else 0)
    assert found["n"] == n
    assert all(value == value for value in found["reconstruction"].values())
    assert ("clustering" in found) == (n > 1 and n_clusters(recipe.model) > 1)
    assert report.table(found)


# Clustering, and all of it


def test_clustering_accuracy_is_that_of_the_best_one_to_one_map() -> None:
    component = torch.tensor([0, 0, 1, 1, 2, 2])
    assert clustering(component, torch.tensor([5, 5, 3, 3, 9, 9])) == pytest.approx(
        {"acc": 1, "nmi": 1, "ari": 1}
    )
    fewer_classes = clustering(component, torch.tensor([1, 1, 0, 0, 0, 1]))
    assert fewer_classes["acc"] == pytest.approx(4 / 6)  # the third component maps to nothing
    more_classes = clustering(torch.tensor([0, 0, 0, 1]), torch.tensor([4, 5, 5, 6]))
    assert more_classes["acc"] == pytest.approx(3 / 4)


def test_one_cluster_for_everything_is_no_better_than_chance() -> None:
    found = clustering(torch.zeros(6, dtype=torch.int64), torch.tensor([0, 0, 1, 1, 2, 2]))
    assert found == pytest.approx({"acc": 1 / 3, "nmi": 0, "ari": 0})


@pytest.mark.parametrize("name", ["vae", "m-vae", "mixture-vae"])
def test_evaluation_is_json_and_has_clusters_only_where_they_mean_something(name: str) -> None:
    y = torch.arange(23) % 3
    metrics = evaluate(small(name), Split(images(), y), log_likelihood=4, batch_size=10)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert metrics["n"] == 23
    assert metrics["log_likelihood"]["n_samples"] == 4
    assert ("clustering" in metrics) == (name != "vae")
    assert len(metrics["health"]["kl"]) == metrics["n_components"]
    unlabelled = evaluate(small(name), Split(images()))
    assert "clustering" not in unlabelled
    assert "log_likelihood" not in unlabelled


def test_evaluation_refuses_data_of_another_shape() -> None:
    with pytest.raises(MixvaeError, match=r"shape \(1, 4, 4\), and the data have \(16,\)"):
        evaluate(small(), Split(images().flatten(1)))


def test_importance_sampling_of_no_density_is_refused_before_the_work() -> None:
    with pytest.raises(MixvaeError, match="not a normalised density"):
        evaluate(small(likelihood="cross-entropy"), Split(images()), log_likelihood=5)
