"""Missing entries of tables: densities, posteriors and starts of what is observed."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.datasets import load_wine
from torch import Tensor
from torch.distributions import kl_divergence

import mixvae
from mixvae import MixvaeError
from mixvae.data.dataset import Dataset, Split
from mixvae.distributions import CorrelatedNormal, diagonal_normal, log_prob_widened, widened
from mixvae.evaluation import log_joint, log_likelihood
from mixvae.likelihoods import WITH_MISSING, likelihood
from mixvae.parts.factor_analysers import FactorAnalysers, ObservedFeatures
from mixvae.recipes import BuiltRecipe
from mixvae.seeding import seed_of_row

pytestmark = pytest.mark.usefixtures("maths")

WINE = load_wine().data[:, :6]
WINE = (WINE - WINE.mean(0)) / WINE.std(0)
START = {"n_components": 3, "covariance": "full", "reg_covar": 0.01, "hidden": [16]}


def with_holes(x: np.ndarray, share: float = 0.3, seed: int = 0) -> np.ndarray:
    missing = np.random.default_rng(seed).random(x.shape) < share
    return np.where(missing, np.nan, x)


def table(x: np.ndarray) -> Dataset:
    rows = torch.from_numpy(np.random.default_rng(0).permutation(x)).float()
    val, test, train = (Split(part) for part in rows.split([40, 40, 98]))
    return Dataset("table", train=train, val=val, test=test)


INCOMPLETE = table(with_holes(WINE))


def linear_joint(recipe: BuiltRecipe, x: Tensor) -> np.ndarray:
    """log p(x_observed, k) of the mixture of factor analysers, by SciPy."""
    model = recipe.model
    linear = model.decoder.branch.linear
    mean, loadings = (t.detach().numpy() for t in (linear.mean, linear.loadings))
    variance = linear.log_scales.detach().exp().square().numpy()
    found = np.zeros((len(x), len(mean)))
    for row, out in zip(x.numpy(), found, strict=True):
        o = ~np.isnan(row)
        for k, w in enumerate(loadings):
            if o.any():
                covariance = w[o] @ w[o].T + np.diag(variance[k, o])
                out[k] = multivariate_normal(mean[k, o], covariance).logpdf(row[o])
    return found + np.log(model.weights.generate(1)[0].detach().numpy())


@pytest.mark.parametrize("name", WITH_MISSING)
def test_a_density_is_the_sum_over_observed_entries(name: str) -> None:
    own = likelihood(name, (4,), missing=True)
    params = torch.randn(5, own.n_params, requires_grad=True)
    x = (torch.rand(5, 4) < 0.5).double()
    missing = torch.rand(5, 4) < 0.4
    missing[0] = True
    holes = x.masked_fill(missing, torch.nan)
    p = own(params)
    each = p.base_dist.log_prob(x)
    expected = (each * ~missing).sum(1)
    found = p.log_prob(holes)
    torch.testing.assert_close(found, expected)
    assert found[0] == 0
    gradients = [
        torch.autograd.grad(t.sum(), params, retain_graph=True)[0] for t in (found, expected)
    ]
    torch.testing.assert_close(*gradients)
    own.check(holes)
    with pytest.raises(MixvaeError):
        likelihood(name, (4,)).check(holes)


@pytest.mark.parametrize("name", WITH_MISSING)
def test_complete_rows_have_the_density_of_a_likelihood_without_missing_values(name: str) -> None:
    x = (torch.rand(50, 4) < 0.5).double()
    own, plain = likelihood(name, (4,), missing=True), likelihood(name, (4,))
    params = torch.randn(50, own.n_params)
    assert torch.equal(own(params).log_prob(x), plain(params).log_prob(x))


def test_images_are_complete() -> None:
    with pytest.raises(MixvaeError, match="missing values are for tables"):
        likelihood("bernoulli", (1, 4, 4), missing=True)
    with pytest.raises(MixvaeError, match="missing values are for tables"):
        likelihood("logistic", (4,), missing=True)
    with pytest.raises(MixvaeError, match=r"mfa-vae takes missing values"):
        likelihood("normal", (4,)).check(torch.tensor([[0.0, torch.nan, 1.0, 1.0]]))


def test_the_posterior_of_the_linear_model_is_that_given_the_observed_entries() -> None:
    linear = FactorAnalysers(5, 2, 3)
    x, observed = torch.randn(6, 5), torch.rand(6, 5) < 0.6
    observed[0], observed[1], observed[2] = True, False, observed[3]
    mean, root = linear.posterior_of_observed(x.masked_fill(~observed, torch.nan), observed)
    found = root @ root.mT
    for b in range(6):
        o = observed[b]
        for k in range(3):
            w, s = linear.loadings[k, o], linear.log_scales[k, o].exp()
            precision = torch.eye(2) + w.T @ (s**-2).diag() @ w
            expected = torch.linalg.solve(precision, w.T @ ((x[b] - linear.mean[k])[o] / s**2))
            torch.testing.assert_close(mean[b, k], expected)
            exact = precision.diagonal().diag() if o.all() else precision
            torch.testing.assert_close(found[b, k], exact)
    complete = linear.posterior(x)
    torch.testing.assert_close(
        linear.posterior_of_observed(x, torch.ones_like(observed))[0], complete[0]
    )
    torch.testing.assert_close(mean[0], complete[0][0])
    torch.testing.assert_close(found[0].diagonal(dim1=1, dim2=2).rsqrt(), complete[1])
    torch.testing.assert_close(mean[1], torch.zeros(3, 2))  # the prior
    torch.testing.assert_close(found[1], torch.eye(2).expand(3, 2, 2))


def test_gradients_of_the_posterior_are_those_of_its_values() -> None:
    linear = FactorAnalysers(3, 2, 2)
    x = torch.randn(4, 3).masked_fill(torch.rand(4, 3) < 0.4, torch.nan)

    def posterior(*parameters: Tensor) -> tuple[Tensor, Tensor]:
        names = [name for name, _ in linear.named_parameters()]
        values = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(linear, values, (x, ~x.isnan()), tie_weights=False)

    linear.forward = linear.posterior_of_observed  # type: ignore[method-assign]
    assert torch.autograd.gradcheck(posterior, tuple(linear.parameters()))


def test_features_are_the_values_and_the_mask() -> None:
    x = torch.tensor([[2.0, torch.nan, -1.0]])
    assert ObservedFeatures()(x).tolist() == [[2, 0, -1, 1, 0, 1]]
    assert ObservedFeatures(mask=False)(x).tolist() == [[2, 0, -1]]


def test_at_its_start_the_model_has_the_density_of_observed_entries() -> None:
    recipe = mixvae.build("mfa-vae", INCOMPLETE, **START)
    assert recipe.options["missing"]
    model, x = recipe.model.double().eval(), INCOMPLETE.test.x.double()
    x[3] = torch.nan
    expected = linear_joint(recipe, x)
    log_p = torch.from_numpy(logsumexp(expected, 1))
    with torch.no_grad():
        trace = model(x, 2)
        bound = sum(recipe.objective.bound(trace).values())
    torch.testing.assert_close(trace.log_weight, log_p.expand(2, -1))
    torch.testing.assert_close(bound, log_p)
    joint, found = log_joint(model, x, 1000, seed=1)
    np.testing.assert_allclose(found.log_prob, log_p, atol=0.03)
    large = expected - logsumexp(expected, 1, keepdims=True) > -4
    np.testing.assert_allclose(joint.numpy()[large], expected[large], atol=0.03)
    np.testing.assert_allclose(joint[3], model.weights.generate(1)[0].detach().log(), atol=0.01)
    slow = log_likelihood(model, x[:5], 500)
    np.testing.assert_allclose(slow.log_prob, log_p[:5], atol=0.03)


def test_a_model_of_complete_rows_reads_incomplete_ones() -> None:
    recipe = mixvae.build("mfa-vae", table(WINE), **START)
    assert not recipe.options["missing"]
    model, x = recipe.model.double().eval(), INCOMPLETE.test.x.double()
    _, found = log_joint(model, x, 2000)
    expected = logsumexp(linear_joint(recipe, x), 1)
    np.testing.assert_allclose(found.log_prob, expected, atol=0.03)


def test_the_start_is_the_mixture_of_observed_entries() -> None:
    recipe = mixvae.build("mfa-vae", INCOMPLETE, n_latent=5, **START)
    own = mixvae.initialization.expectation_maximization.fit(
        INCOMPLETE.train.x.double().numpy(), 3, reg_covar=0.01, max_iter=200
    )
    x = INCOMPLETE.test.x.double()
    expected = own.score_samples(x.numpy())
    np.testing.assert_allclose(logsumexp(linear_joint(recipe, x), 1), expected, atol=1e-3)


def test_gradients_of_the_bound_are_those_of_its_values() -> None:
    recipe = mixvae.build("mfa-vae", INCOMPLETE, **START | {"hidden": [3]}, n_latent=2)
    model, x = recipe.model.double(), INCOMPLETE.test.x[:5].double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)

    def bound(*_: Tensor) -> Tensor:
        torch.manual_seed(0)
        return sum(recipe.objective.bound(model(x)).values())

    assert torch.autograd.gradcheck(bound, tuple(model.parameters()))


def test_noise_of_a_row_does_not_depend_on_how_nan_is_represented() -> None:
    one = torch.tensor([1.0, torch.nan])
    other = torch.from_numpy(np.array([0x3F800000, 0xFFC00001], np.uint32).view(np.float32))
    assert other[0] == 1
    assert other[1].isnan()
    assert seed_of_row(0, one.float()) == seed_of_row(0, other)


def test_rows_do_not_interact_whatever_is_missing_in_others() -> None:
    recipe = mixvae.build("mfa-vae", INCOMPLETE, **START)
    model, x = recipe.model.double().eval(), INCOMPLETE.test.x.double()
    assert not x[:4].isnan().any(1).all()
    for parameter in model.posterior.residual.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    with torch.no_grad():
        together = model.infer(x)[0]
        for i in range(4):
            alone = model.infer(x[i : i + 1])[0]
            torch.testing.assert_close(alone.mean[0], together.mean[i])
            torch.testing.assert_close(alone.stddev[0], together.stddev[i])


def test_a_correlated_normal_is_scipys() -> None:
    a = torch.randn(3, 4, 4)
    precision = a @ a.mT + torch.eye(4)
    loc, scale = torch.randn(3, 4), torch.rand(3, 4) + 0.5
    q = CorrelatedNormal(loc, scale, torch.linalg.cholesky(precision))
    covariance = scale.diag_embed() @ torch.linalg.inv(precision) @ scale.diag_embed()
    theirs = torch.distributions.MultivariateNormal(loc, covariance)
    z = torch.randn(5, 3, 4)
    torch.testing.assert_close(q.log_prob(z), theirs.log_prob(z))
    torch.testing.assert_close(q.variance, theirs.variance)
    torch.testing.assert_close(q.entropy(), theirs.entropy())
    torch.testing.assert_close(widened(q, 2).variance, 4 * q.variance)
    wide = log_prob_widened(q, (1, 2), z)
    torch.testing.assert_close(wide[..., 1], widened(q, 2).log_prob(z))
    p = diagonal_normal(torch.randn(4), torch.rand(4) + 0.5)
    full = torch.distributions.MultivariateNormal(p.mean, p.variance.diag_embed())
    torch.testing.assert_close(kl_divergence(q, p), kl_divergence(theirs, full))
    samples = q.rsample((100_000,))
    torch.testing.assert_close(samples[:, 0].T.cov(), covariance[0], atol=0.03, rtol=0)
