"""The deep mixture for tables: at its start a mixture of factor analysers, and its densities."""

from math import log

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm
from scipy.stats import t as student
from sklearn.datasets import load_wine
from sklearn.mixture import GaussianMixture
from torch import Tensor

import mixvae
from mixvae import MixvaeError
from mixvae.data.dataset import Dataset, Split
from mixvae.evaluation import log_likelihood
from mixvae.initialization.gaussian_mixture import (
    Mixture,
    Tried,
    best_of,
    factors,
    one_standard_error,
    search,
)
from mixvae.likelihoods import likelihood
from mixvae.parts.factor_analysers import FactorAnalysers
from mixvae.recipes import BuiltRecipe

pytestmark = pytest.mark.usefixtures("maths")


def standardised(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(0)) / x.std(0)


def table(x: np.ndarray, n_val: int = 40) -> Dataset:
    rows = np.random.default_rng(0).permutation(standardised(x))
    parts = [Split(torch.from_numpy(part).float()) for part in np.split(rows, [n_val, 2 * n_val])]
    return Dataset("table", train=parts[2], val=parts[0], test=parts[1])


WINE = table(load_wine().data)
START = {"n_components": 3, "covariance": "full", "reg_covar": 0.01}


def density(recipe: BuiltRecipe, x: Tensor) -> np.ndarray:
    """log p(x) of the mixture of factor analysers, by SciPy."""
    model = recipe.model
    linear = model.decoder.branch.linear
    mean, loadings = linear.mean.detach().numpy(), linear.loadings.detach().numpy()
    variance = linear.log_scales.detach().exp().square().numpy()
    each = [
        multivariate_normal(m, w @ w.T + np.diag(v)).logpdf(x.numpy())
        for m, w, v in zip(mean, loadings, variance, strict=True)
    ]
    weights = model.weights.generate(1)[0].detach().numpy()
    return np.logaddexp.reduce(np.log(weights)[:, None] + np.array(each))


@pytest.mark.parametrize("noise", ["decoder", "component", "column", "all"])
@pytest.mark.parametrize("n_latent", [1, 5, 12])
def test_at_its_start_every_bound_is_the_log_density_of_the_factor_analysers(
    noise: str, n_latent: int
):
    recipe = mixvae.build("mfa-vae", WINE, noise=noise, n_latent=n_latent, **START)
    model, x = recipe.model.double().eval(), WINE.test.x.double()
    expected = torch.from_numpy(density(recipe, x))
    with torch.no_grad():
        trace = model(x, 2)
        bound = sum(recipe.objective.bound(trace).values())
    if noise in ("decoder", "component"):  # whose start leaves the posterior diagonal
        torch.testing.assert_close(trace.log_weight, expected.expand(2, -1))
        torch.testing.assert_close(bound, expected)
    found = log_likelihood(model, x[:5], 500)
    torch.testing.assert_close(found.log_prob, expected[:5], atol=0.05, rtol=0)


def test_with_a_code_of_one_dimension_less_the_start_is_the_gaussian_mixture():
    recipe = mixvae.build("mfa-vae", WINE, n_latent=12, **START)
    model, x = recipe.model.double().eval(), WINE.test.x.double()
    mixture = GaussianMixture(3, reg_covar=0.01, random_state=0, max_iter=200)
    expected = mixture.fit(WINE.train.x.double().numpy())
    with torch.no_grad():
        trace = model(x)
        log_weight, found = trace.log_weight[0], model.family.log_weights(trace)[0].softmax(-1)
    torch.testing.assert_close(
        log_weight, torch.from_numpy(expected.score_samples(x.numpy())), atol=1e-4, rtol=0
    )
    proba = torch.from_numpy(expected.predict_proba(x.numpy()))
    torch.testing.assert_close(found, proba, atol=1e-3, rtol=0)


def test_one_component_without_loadings_is_a_diagonal_normal():
    start = {"n_components": 1, "covariance": "diag", "reg_covar": 0.0}
    recipe = mixvae.build("mfa-vae", WINE, **start)
    x, train = WINE.test.x.double(), WINE.train.x.double().numpy()
    with torch.no_grad():
        log_weight = recipe.model.double().eval()(x).log_weight[0]
    expected = norm(train.mean(0), train.std(0)).logpdf(x.numpy()).sum(1)
    torch.testing.assert_close(log_weight, torch.from_numpy(expected), atol=1e-5, rtol=1e-5)


def test_the_posterior_of_the_linear_model_is_the_exact_one():
    linear = FactorAnalysers(5, 2, 3)
    x = torch.randn(4, 5)
    mean, scale = linear.posterior(x)
    for k in range(3):
        w, s = linear.loadings[k], linear.log_scales[k].exp()
        joint = torch.cat([torch.cat([torch.eye(2), w.T], 1), torch.cat([w, w @ w.T], 1)])
        joint[2:, 2:] += s.square().diag()  # covariance of (z, x)
        gain = joint[:2, 2:] @ torch.linalg.inv(joint[2:, 2:])
        torch.testing.assert_close(mean[:, k], (x - linear.mean[k]) @ gain.T)
        covariance = joint[:2, :2] - gain @ joint[2:, :2]
        best = torch.linalg.inv(covariance).diagonal().rsqrt()  # of all diagonal normals
        torch.testing.assert_close(scale[k], best)


def test_factors_of_a_covariance_that_has_them():
    w, s = torch.randn(2, 6, 2), torch.rand(2, 6) + 0.5
    covariance = w @ w.mT + torch.diag_embed(s.square())
    for n_latent in (2, 5):
        loadings, scale = factors(covariance, n_latent, n_steps=5000)
        found = loadings @ loadings.mT + torch.diag_embed(scale.square())
        torch.testing.assert_close(found, covariance, atol=1e-5, rtol=1e-5)
        inner = loadings.mT @ (loadings / scale.square().unsqueeze(2))
        torch.testing.assert_close(inner, torch.diag_embed(inner.diagonal(dim1=1, dim2=2)))


@pytest.mark.parametrize("n_latent", [1, 2, 4])
def test_a_diagonal_covariance_has_no_loadings(n_latent: int):
    variances = torch.rand(2, 3) + 0.5
    covariance = torch.diag_embed(variances)
    covariance[1, 0, 1] = covariance[1, 1, 0] = 0.2
    loadings, scale = factors(covariance, n_latent)
    assert not loadings[0].any()
    assert loadings[1].any()
    torch.testing.assert_close(scale[0], variances[0].sqrt())


def test_more_latent_dimensions_than_columns_are_without_loadings():
    loadings, scale = factors(torch.eye(3).expand(1, 3, 3) * 4, 5)
    assert loadings.shape == (1, 3, 5)
    torch.testing.assert_close(loadings @ loadings.mT, torch.zeros(1, 3, 3))
    torch.testing.assert_close(scale, torch.full((1, 3), 2.0))


def test_the_search_stops_and_prefers_few_components():
    rng = np.random.default_rng(0)
    centres = np.array([[-4.0, 0], [4, 0], [0, 6]])
    x = centres[rng.integers(0, 3, 600)] + rng.normal(size=(600, 2))
    found = search(x[:400], x[400:], cross_validate=False)
    chosen = one_standard_error(found)
    assert chosen.mixture.n_components == 3
    assert best_of(found).mean >= chosen.mean
    by_hand = GaussianMixture(3, covariance_type="tied", reg_covar=1e-3, random_state=0)
    tied = next(t for t in found if t.mixture == Mixture(3, "tied"))
    assert tied.mean == pytest.approx(by_hand.fit(x[:400]).score(x[400:]))
    full = [t.mixture.n_components for t in found if t.mixture.covariance == "full"]
    assert 50 not in full


def test_few_rows_are_cross_validated_and_the_difference_is_paired_over_all_of_them():
    x = np.random.default_rng(0).normal(size=(50, 2))
    found = search(x[:40], x[40:], covariance="full", reg_covar=0.1)
    assert [t.mixture.n_components for t in found] == [1, 2, 3]
    fold = np.arange(50) % 5
    for one in found[:2]:
        mixture = GaussianMixture(one.mixture.n_components, reg_covar=0.1, random_state=0)
        for i in range(5):
            expected = mixture.fit(x[fold != i]).score_samples(x[fold == i])
            np.testing.assert_allclose(one.log_p[10 * i : 10 * (i + 1)], expected)
    assert one_standard_error(found).mixture.n_components == 1
    for n, n_components in ((1000, 1), (50, 11)):  # many rows, and fewer than five a component
        x = np.random.default_rng(0).normal(size=(n, 2))
        one = search(x[:-10], x[-10:], n_components=n_components, covariance="diag", reg_covar=0.1)
        assert one[0].log_p.shape == (10,)


def test_one_standard_error_is_that_of_the_paired_difference():
    noise = np.random.default_rng(0).normal(size=100)
    best = Tried(Mixture(8), noise)
    near = Tried(Mixture(3), noise - 0.01 + 0.2 * np.roll(noise, 1))
    far = Tried(Mixture(1), noise - 1)
    assert one_standard_error([far, near, best]) is near
    close = Tried(Mixture(2), noise - 0.01)  # worse in every row
    assert one_standard_error([close, best]) is best


def test_rows_are_noisy_in_training_alone():
    recipe = mixvae.build("mfa-vae", WINE, x_noise=0.5, **START)
    x, seen = WINE.test.x.double(), []
    hook = recipe.model.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    for training in (False, True):
        recipe.objective(recipe.model.train(training), x)
    hook.remove()
    assert torch.equal(seen[0], x)
    assert (seen[1] - x).std().item() == pytest.approx(0.5, rel=0.15)
    assert mixvae.build("mfa-vae", WINE, **START).objective.x_noise == pytest.approx(0.1)
    for other in ({"x_noise": 0.0}, {"start": "random"}):
        assert mixvae.build("mfa-vae", WINE, **START | other).objective.x_noise == 0


def test_options_are_decided_by_the_data():
    recipe = mixvae.build("mfa-vae", WINE, covariance="diag")
    assert recipe.options["n_latent"] == 7
    assert recipe.options["covariance"] == "diag"
    assert recipe.options["n_components"] in (1, 2, 3, 5, 8, 12, 20, 30)
    assert mixvae.build("mfa-vae", (7,)).options["n_components"] == 10


def test_pruning_keeps_the_components_of_the_linear_model():
    recipe = mixvae.build("mfa-vae", WINE, n_latent=12, **START)
    small = mixvae.prune(recipe, [0, 2])
    linear, kept = recipe.model.decoder.branch.linear, small.model.decoder.branch.linear
    torch.testing.assert_close(kept.mean, linear.mean[[0, 2]])
    trace = small.model(WINE.test.x.double())
    assert trace.log_weight.isfinite().all()


def test_values_that_are_not_allowed():
    with pytest.raises(MixvaeError, match="reg_covar must be at least 0"):
        mixvae.build("mfa-vae", (4,), reg_covar=-1.0)
    with pytest.raises(MixvaeError, match="x_noise must be at least 0"):
        mixvae.build("mfa-vae", (4,), x_noise=-0.1)
    with pytest.raises(MixvaeError, match="hidden must name at least one width"):
        mixvae.build("mfa-vae", (4,), hidden=[])


# -- the likelihoods


def test_densities_of_real_values():
    params, x = torch.randn(4, 6), torch.randn(4, 3)
    loc, scale = params[:, :3].numpy(), params[:, 3:].exp().numpy()
    made = likelihood("normal", (3,))(params).log_prob(x)
    np.testing.assert_allclose(made, norm(loc, scale).logpdf(x.numpy()).sum(1), rtol=1e-6)
    found = likelihood("student-t", (3,)).double()(params).log_prob(x)
    expected = student(30, loc, scale).logpdf(x.numpy()).sum(1)
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-6)
    for name in ("normal-columns", "normal-shared"):
        p = likelihood(name, (3,))
        with torch.no_grad():
            p.log_scale.fill_(log(2))
        expected = norm(params[:, :3].numpy(), 2).logpdf(x.numpy()).sum(1)
        np.testing.assert_allclose(p(params[:, :3]).log_prob(x).detach(), expected, rtol=1e-6)


def test_scales_have_a_floor_and_values_must_be_finite():
    p = likelihood("normal", (1,))
    assert p(torch.tensor([[0.0, -100.0]])).stddev.item() == pytest.approx(1e-3)
    with pytest.raises(MixvaeError, match="values that are finite; 1 of 2"):
        p.check(torch.tensor([[1.0], [torch.nan]]))
