"""Defensive importance sampling: unbiased for every recipe, and where posteriors are too narrow."""

import json
from itertools import product
from math import inf, sqrt
from pathlib import Path

import pytest
import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    MixtureSameFamily,
    MultivariateNormal,
)

import mixvae
from cases import Case
from linear_models import DATA, ConstantWeights, Maps
from mixvae.cli import main
from mixvae.errors import MixvaeError
from mixvae.evaluation import annealed_log_likelihood, log_likelihood
from mixvae.evaluation.marginal_likelihood.latent_space import JointCodes
from mixvae.evaluation.marginal_likelihood.local_normal import WIDTHS, local_normals
from mixvae.model import MixtureVAE
from mixvae.parts.decoders import separate
from mixvae.parts.priors import NormalPrior
from mixvae.parts.weights import CategoricalWeights, Weights
from mixvae.recipes import BuiltRecipe, list_recipes

BINARY = torch.tensor(list(product([0.0, 1.0], repeat=2)))  # all images of two pixels
GREY, REAL = ["cb-vae"], ["mfa-vae"]  # recipes whose values are not binary
SMALL = {
    "mvae-gs": {"rate": "shared"},
    "vade": {"start": "random"},
    "semvae": {"n_components": 2},
    "wae-mmd": {"encoder": "gaussian", "likelihood": "bernoulli"},
    "wwae": {"likelihood": "bernoulli"},
    "draw": {"n_steps": 2},
    "ladder-vae": {"n_upper": (2,)},
    "vlae": {"pixelcnn": False},
}


def total(recipe: BuiltRecipe, seed: int, method: str = "defensive") -> float:
    """The estimates of p(x), summed over all x that there are."""
    y = None if recipe.model.labels.n_classes is None else torch.ones(4, dtype=torch.int64)
    model = recipe.model
    return float(
        log_likelihood(model, BINARY, 30, y=y, seed=seed, method=method).log_prob.exp().sum()
    )


def unbiased(recipe: BuiltRecipe, method: str = "defensive", seeds: int = 12) -> None:
    sums = torch.tensor([total(recipe, seed, method) for seed in range(seeds)])
    error = float(sums.std()) / sqrt(len(sums))
    assert error < (0.04 if method == "defensive" else 0.15)
    assert abs(float(sums.mean()) - 1) < 4 * error + 1e-6


@pytest.mark.parametrize("name", sorted({*list_recipes()} - {*GREY, *REAL}))
def test_the_estimates_of_all_binary_images_add_up_to_one(name: str) -> None:
    seeds = 36 if name == "auxiliary-vae" else 12  # its weights have those of two variables
    unbiased(Case(name, SMALL.get(name, {}), (2,)).build(), seeds=seeds)


@pytest.mark.parametrize("name", GREY)
def test_the_estimates_of_all_grey_images_integrate_to_one(name: str) -> None:
    """By Gauss-Legendre quadrature over the square of two pixels."""
    nodes, weights = (torch.from_numpy(t / 2) for t in leggauss(4))
    x = torch.cartesian_prod(nodes + 0.5, nodes + 0.5).float()
    area = torch.cartesian_prod(weights, weights).prod(1)
    model = Case(name, {}, (2,)).build().model
    found = [log_likelihood(model, x, 30, seed=seed).log_prob.exp() @ area for seed in range(12)]
    error = float(torch.stack(found).std()) / sqrt(len(found))
    assert error < 0.04
    assert abs(float(torch.stack(found).mean()) - 1) < 4 * error + 1e-6


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mixture-vae", {"shared_layers": True}),
        ("mixture-vae", {"keep_prior": 0.2}),
        ("m-vae", {"combine": "mixture"}),
        ("dlgmm", {"prior_means": [-1.5, 0.0, 1.5]}),
        ("dlgmm", {"n_layers": 2, "n_components": 2}),
        ("mvae", {"conditional": True, "n_classes": 3}),
        ("gmmp-vae", {"learned_weights": True}),
        ("flow-vae", {"posterior": "flow"}),
    ],
)
def test_so_do_those_of_other_priors_posteriors_and_decoders(name: str, options: dict) -> None:
    unbiased(Case(name, options, (2,)).build())


def test_so_do_those_of_plain_importance_sampling() -> None:
    unbiased(Case("mixture-vae", {}, (2,)).build(), "plain")


def dropped(name: str, **options: object) -> BuiltRecipe:
    """A model of three components of which dropout has taken the second out."""
    recipe = Case(name, options, (2,)).build()
    assert recipe.model.dropout is not None
    with torch.no_grad():
        recipe.model.dropout.logits.copy_(torch.tensor([-9.0, 9.0, -9.0]))
    return recipe


@pytest.mark.parametrize(
    ("name", "options"), [("mixture-vae", {"keep_prior": 0.2}), ("mvae-gs", {}), ("mvae-gau", {})]
)
def test_a_component_that_dropout_took_out_is_never_sampled(name: str, options: dict) -> None:
    recipe = dropped(name, **options)
    found = log_likelihood(recipe.model, BINARY, 4000)
    with torch.no_grad():  # whatever it would have said
        for part in (recipe.model.posterior, recipe.model.decoder.branch):
            for parameter in part.parameters():
                if len(parameter) == 3:
                    parameter[1] += 100
    again = log_likelihood(recipe.model, BINARY, 4000)
    pruned = log_likelihood(mixvae.prune(recipe).model, BINARY, 4000)
    for other in (again, pruned):
        error = (found.standard_error.square() + other.standard_error.square()).sqrt()
        assert ((found.log_prob - other.log_prob) / error).abs().max() < 4
    assert found.standard_error.max() < 0.05


# -- weights that are not even, against closed forms


def uneven(random: bool) -> tuple[Weights, Tensor]:
    """Mixing weights of three components, and their mean under the prior."""
    if random:
        return ConstantWeights(1.0, 1.5, 2.0, prior=(4.0, 2.0, 1.0)), torch.tensor([4, 2, 1]) / 7
    weights = CategoricalWeights(3).double()
    weights.logits.copy_(torch.tensor([1.0, 0.0, -1.0]))
    return weights, weights.logits.softmax(0)


def check_against(model: MixtureVAE, share: Tensor, each: Distribution) -> None:
    """The estimates are log p(x) of the mixture of each component's p(x), with these shares."""
    p_x = MixtureSameFamily(Categorical(share.double()), each)
    x = p_x.mean + 0.5 * DATA
    for method in ("defensive", "plain"):
        found = log_likelihood(model, x, 4000, method=method)
        assert ((found.log_prob - p_x.log_prob(x)) / found.standard_error).abs().max() < 4
        assert found.standard_error.max() < 0.3


@pytest.mark.parametrize("random", [False, True])
def test_outputs_kept_apart_are_weighed_by_the_mixing_weights(random: bool) -> None:
    maps, (weights, share) = Maps(3), uneven(random)
    model = maps.joint(weights)
    model.decoder.combine = separate
    check_against(model, share, maps.each())


@pytest.mark.parametrize("random", [False, True])
def test_priors_of_components_are_weighed_by_the_mean_of_the_weights_prior(random: bool) -> None:
    maps, (weights, share) = Maps(3, shared=True), uneven(random)
    model, _ = maps.posterior(0.3, weights)
    means = torch.tensor([[-1.0, 0.0], [0.0, 1.0], [1.0, 0.5]], dtype=torch.float64)
    model.prior = NormalPrior(means)
    check_against(model, share, maps.each(means))


# -- posteriors that are too narrow


def narrow(factor: float) -> tuple[torch.nn.Module, Tensor, Tensor]:
    """A model of one code of one dimension, whose posterior's scale is ``factor`` of the exact."""
    maps = Maps(1)
    model, p_x = maps.exact()
    with torch.no_grad():
        model.posterior.scale[:, 0] *= factor
    x = p_x.mean + 0.3 * DATA
    return model, x, p_x.log_prob(x)


@pytest.mark.parametrize("factor", [0.9, 0.7, 0.4])
def test_k_hat_of_a_posterior_too_narrow_by_a_factor_is_what_theory_says(factor: float) -> None:
    """The weights of a normal with too small a variance have a tail of shape 1 - factor^2."""
    model, x, _ = narrow(factor)
    found = [log_likelihood(model, x[:1], 20_000, seed=s, method="plain") for s in range(8)]
    k_hat = torch.stack([f.k_hat for f in found]).mean()
    assert float(k_hat) == pytest.approx(1 - factor**2, abs=0.15)


@pytest.mark.parametrize(("factor", "reliable"), [(0.9, True), (0.7, True), (0.2, False)])
def test_plain_estimates_of_narrow_posteriors_are_called_unreliable(
    factor: float, reliable: bool
) -> None:
    """The threshold: k-hat of 0.7, where the scale is 0.55 of what it should be."""
    model, x, exact = narrow(factor)
    found = log_likelihood(model, x, 5000, method="plain")
    assert found.reliable is reliable
    defensive = log_likelihood(model, x, 5000)
    assert defensive.reliable
    assert ((defensive.log_prob - exact) / defensive.standard_error).abs().max() < 4
    assert defensive.mean_error < 0.01


@pytest.mark.parametrize("factor", [0.05, 1.0, 20.0])
def test_defensive_samples_find_log_p_whatever_the_posteriors_scale(factor: float) -> None:
    model, p_x = Maps(3).exact()
    with torch.no_grad():
        model.posterior.scale *= factor
    x = p_x.mean + 0.3 * DATA
    found = log_likelihood(model, x, 5000)
    assert ((found.log_prob - p_x.log_prob(x)) / found.standard_error).abs().max() < 4
    assert found.mean_error < 0.02
    assert found.reliable


def test_with_codes_that_depend_on_each_other_the_right_normal_is_found() -> None:
    """Outputs blended: the exact posterior is a normal of full covariance, the proposal with it."""
    maps = Maps(2)
    model = maps.joint(mixvae.parts.CategoricalWeights(2))
    p_x = maps.evidence(torch.full((2,), 0.5, dtype=torch.float64))
    x = p_x.mean + 0.3 * DATA
    plain, found = (log_likelihood(model, x, 4000, method=m) for m in ("plain", "defensive"))
    assert torch.allclose(found.log_prob, p_x.log_prob(x), atol=0.02)
    assert found.ess.min() > 2 * plain.ess.max()


def test_weights_of_components_of_different_sizes_raise_no_alarm() -> None:
    """Exact posteriors of ten components: in each all weights are equal."""
    model, p_x = Maps(10).exact()
    found = log_likelihood(model, p_x.mean + 0.3 * DATA, 1000, method="plain")
    assert found.k_hat.tolist() == [-inf] * 7


def test_a_component_without_any_weight_leaves_a_finite_estimate() -> None:
    """Its likelihood underflows beside the others', by so much that its share becomes 0."""
    model = Case("mixture-vae", {"likelihood": "gaussian"}, (2,)).build().model
    with torch.no_grad():
        model.decoder.likelihood.log_scale.fill_(-5.0)
        model.decoder.branch.body[-1].bias[0] += 50
    found = log_likelihood(model, torch.full((1, 2), 0.01), 200)
    assert found.log_prob.isfinite().all()
    assert not found.k_hat.isnan().any()  # of all samples, where groups are too small


# -- the normal about the mode


def test_the_local_normals_of_normals_are_themselves() -> None:
    """Of two normals at once, each from a start of its own."""
    torch.manual_seed(0)
    lower = torch.tril(torch.randn(2, 4, 4, dtype=torch.float64), -1)
    mean = torch.randn(2, 4, dtype=torch.float64)
    exact = MultivariateNormal(mean, scale_tril=0.5 * lower + torch.eye(4).double())
    scale = exact.precision_matrix.diagonal(dim1=1, dim2=2).rsqrt()

    def log_joint(z: Tensor, k: Tensor) -> Tensor:
        return exact.log_prob(z.unsqueeze(1)).gather(1, k.unsqueeze(1)).squeeze(1)

    found = local_normals(log_joint, torch.zeros(2, 4).double(), scale, torch.arange(2), 7)
    assert found is not None
    assert found.components().tolist() == [0, 0, 0, 1, 1, 1]
    assert torch.allclose(found.mean, mean, atol=1e-6)
    assert torch.allclose(found.root @ found.root.mT, exact.covariance_matrix, atol=1e-6)
    z = mean[1] + torch.randn(5, 4)
    log_prob = found.log_prob(z)
    index = torch.arange(6).repeat_interleave(100_000)
    samples = found.sample(index, torch.float64).split(100_000)
    for j, (k, factor) in enumerate(product(range(2), WIDTHS)):
        wide = MultivariateNormal(mean[k], scale_tril=factor * exact.scale_tril[k])
        assert torch.allclose(log_prob[:, j], wide.log_prob(z))
        assert torch.allclose(samples[j].var(0), wide.variance, rtol=0.05)
        assert torch.allclose(samples[j].mean(0), mean[k], atol=0.05)


def test_codes_that_are_not_over_the_reals_have_no_local_normal() -> None:
    """A normal would propose values without a density, of a posterior of one's own kind too."""
    model = Case("vae", {}, (2,)).build().model.eval()
    q_z = model.infer(BINARY[:1])[0]
    positive = torch.distributions.TransformedDistribution(
        q_z, torch.distributions.ExpTransform(), validate_args=False
    )
    with torch.no_grad():
        for posterior, none in ((q_z, False), (positive, True)):
            space = JointCodes(model, BINARY[:1], None, model.prior(model.encode))
            space.q_z = posterior
            space.add_local(100)
            assert (space.local is None) is none


def test_a_log_density_that_is_not_finite_has_no_local_normal() -> None:
    zero, one, first = torch.zeros(1, 2), torch.ones(1, 2), torch.zeros(1, dtype=torch.int64)
    assert local_normals(lambda z, _: z.sum(1) * torch.nan, zero, one, first, 10) is None


# -- what is refused


def test_an_exact_mixture_asks_for_a_sample_of_each_component() -> None:
    model = Case("mixture-vae", {}, (2,)).build().model
    with pytest.raises(MixvaeError, match="n_samples must be at least 3, one for each component"):
        log_likelihood(model, BINARY, 2)
    assert log_likelihood(model, BINARY, 3).log_prob.isfinite().all()
    masked = dropped("mixture-vae", keep_prior=0.2).model
    assert log_likelihood(masked, BINARY, 2).log_prob.isfinite().all()


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_method_is_refused() -> None:
    model = Case("vae", {}, (2,)).build().model
    with pytest.raises(MixvaeError, match="method"):
        log_likelihood(model, BINARY, 10, method="best")  # type: ignore[arg-type]


def test_the_method_is_that_of_the_call() -> None:
    model = Case("vae", {}, (2,)).build().model
    annealed = log_likelihood(model, BINARY, method="ais", n_steps=20)
    assert (annealed.method, annealed.n_samples) == ("ais", 16)
    assert log_likelihood(model, BINARY, 10).method == "defensive"
    assert torch.equal(
        annealed.log_prob,
        annealed_log_likelihood(model, BINARY, n_chains=16, n_steps=20).log_prob,
    )


def test_the_command_line_names_the_method_where_the_number_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    small = "--data digits --binarize threshold --max-epochs 1 --hidden 4 --n-latent 2 --subset 50"
    main(["train", "vae", *small.split(), "--out", str(run)])
    for method, words in {
        "defensive": "by importance sampling",
        "plain": "by plain importance sampling",
        "ais": "by annealed importance sampling",
    }.items():
        out = tmp_path / f"{method}.json"
        options = f"--log-likelihood --method {method} --n-test 2 --n-steps 20 --out {out}"
        capsys.readouterr()
        main(["evaluate", str(run), *options.split()])
        assert words in capsys.readouterr().out
        found = json.loads(out.read_text())["log_likelihood"]
        assert found["method"] == method
        assert found["n_samples"] == (16 if method == "ais" else 5000)
    assert len(list(run.glob("log_likelihood*.npz"))) == 3
    assert main(["evaluate", str(run), "--method", "ais"]) == 2
    assert "give log_likelihood (--log-likelihood) too" in capsys.readouterr().err
