"""The variational Gaussian process, against scikit-learn and quadrature."""

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from mixvae.distributions import diagonal_normal
from mixvae.errors import MixvaeError
from mixvae.evaluation import log_likelihood
from mixvae.nn import Linear
from mixvae.parts.gaussian_process import GaussianProcess, GaussianProcessPosterior
from mixvae.parts.posteriors import ConditionalNormal
from test_draw import draw, log_joint, plane

pytestmark = pytest.mark.usefixtures("maths")
GRID = torch.linspace(-8, 8, 401, dtype=torch.float64)
STEP = GRID[1] - GRID[0]


def test_conditionals_are_those_of_scikit_learn():
    points, values, xi = torch.randn(4, 6, 2), torch.randn(4, 6, 3), torch.randn(5, 4, 2)
    precision = torch.tensor([0.7, 2.0])
    found = GaussianProcess(points, values, torch.tensor(1.3), precision, torch.tensor(0.05))
    mean, variance = found.at(xi)
    kernel = ConstantKernel(1.3) * RBF(precision.rsqrt().numpy())
    for row in range(4):
        regressor = GaussianProcessRegressor(kernel, alpha=0.05, optimizer=None)
        regressor.fit(points[row].numpy(), values[row].numpy())
        expected, deviation = regressor.predict(xi[:, row].numpy(), return_std=True)
        np.testing.assert_allclose(mean[:, row].numpy(), expected, rtol=1e-8, atol=1e-10)
        each = variance[:, row, None].expand(-1, 3).sqrt()
        np.testing.assert_allclose(each.numpy(), deviation, rtol=1e-8, atol=1e-10)


def test_equal_points_have_a_finite_process():
    points = torch.zeros(2, 5, 1)
    gp = GaussianProcess(
        points, torch.randn(2, 5, 1), torch.tensor(1.0), torch.ones(1), torch.tensor(1e-4)
    )
    assert all(t.isfinite().all() for t in gp.at(torch.randn(2, 1)))


def posterior(n_features: int = 3, n_latent: int = 1, n_data: int = 4) -> GaussianProcessPosterior:
    torch.manual_seed(2)
    normal = ConditionalNormal(Linear(n_features, 2 * n_latent), n_latent)
    found = GaussianProcessPosterior(normal, n_features, n_latent, n_data)
    with torch.no_grad():
        found.data.weight *= 3
        found.variances += torch.tensor([2.0, 0.0])
    return found


def densities(q) -> tuple[Tensor, Tensor, Tensor]:
    """log q(xi), log q(z | xi) and log r(xi | z) of one row, L = 1, on a grid: (xi, z)."""
    with torch.no_grad():
        xi, z = GRID[:, None, None], GRID[:, None, None]
        prior = diagonal_normal(torch.zeros(1, 1), torch.ones(1, 1)).log_prob(xi)
        given = diagonal_normal(
            *(t[:, None] for t in (q.given(xi).mean, q.given(xi).stddev))
        ).log_prob(z)
        reverse = q.reversed(z)
        reverse = diagonal_normal(reverse.mean[None], reverse.stddev[None]).log_prob(xi[:, None])
    return prior, given.squeeze(-1), reverse.squeeze(-1)


def test_a_code_given_noise_is_the_normal_about_a_random_function():
    """Drawn in the paper's order: noise, the function's value, the code."""
    part, h = posterior(), torch.randn(1, 3)
    q = part(h)
    n = 200_000
    with torch.no_grad():
        xi = torch.randn(n, 1, 1)
        mean, variance = q.process.at(xi)
        f = mean + variance.sqrt().unsqueeze(-1) * torch.randn(n, 1, 1)
        z = q.normal.mean + f + q.normal.stddev * torch.randn(n, 1, 1)
        other = q.rsample((n,))
    for power in (1, 2, 3):
        difference = z**power - other**power
        assert difference.mean().abs() < 4 * difference.std() / n**0.5


def test_the_density_is_exact_where_the_reverse_model_is():
    """The mean of p(z) / q(z) over samples is 1 for any density p, whatever r is."""
    q = posterior()(torch.randn(1, 3))
    with torch.no_grad():
        z, log_q = q.rsample_and_log_prob((400_000,))
        ratio = (diagonal_normal(q.mean, torch.full((1, 1), 0.5)).log_prob(z) - log_q).exp()
    error = float(ratio.std()) / len(z) ** 0.5
    assert error < 0.05
    assert abs(float(ratio.mean()) - 1) < 4 * error


def test_the_bound_lacks_what_the_two_divergences_are():
    """log p(x) - bound = KL(q(z) || p(z | x)) + E KL(q(xi | z) || r(xi | z)), by quadrature."""
    model = draw((3,), n_steps=1, n_latent=1, posterior="gaussian-process", n_data=5)
    x = torch.tensor([[1.0, 0.0, 1.0]])
    q = model.posterior.step(model.posterior.start(x), None)[0]
    prior, given, reverse = densities(q)
    joint = prior + given  # of xi and z
    marginal = (joint.logsumexp(0) + STEP.log()).squeeze()
    log_p_xz = log_joint(model, x, GRID[:, None])
    log_p = log_p_xz.logsumexp(0) + STEP.log()
    mass = joint.exp() * STEP**2
    torch.testing.assert_close(mass.sum(), torch.tensor(1.0))
    bound = (mass * (log_p_xz - joint + reverse)).sum()
    of_code = (marginal.exp() * (marginal - log_p_xz + log_p)).sum() * STEP
    of_noise = (mass * (joint - marginal - reverse)).sum()
    assert of_code > 0
    assert of_noise > 0
    torch.testing.assert_close(log_p - bound, of_code + of_noise)
    with torch.no_grad():
        trace = model(x, 50_000)
        found, error = trace.log_weight.mean(), trace.log_weight.std() / 50_000**0.5
        elbo = sum(trace.family.elbo(trace).values())
    assert abs(found - bound) < 4 * error
    torch.testing.assert_close(elbo.squeeze(), found)
    assert bound < log_p


@pytest.mark.parametrize("n_steps", [1, 2])
def test_importance_sampling_agrees_with_quadrature(n_steps: int):
    model = draw((3,), n_steps=n_steps, n_latent=1, posterior="gaussian-process", n_data=5)
    x = torch.tensor([[1.0, 0.0, 1.0]])
    z = GRID[:, None] if n_steps == 1 else plane()
    log_p = log_joint(model, x, z).logsumexp(0) + n_steps * STEP.log()
    found = log_likelihood(model, x, 20_000)
    assert found.standard_error.max() < 0.05
    assert ((found.log_prob - log_p).abs() < 4 * found.standard_error).all()


def test_without_variance_and_values_it_is_the_normal():
    part, h = posterior(), torch.randn(5, 3)
    with torch.no_grad():
        part.data.weight.zero_()
        part.data.bias[part.n_data :] = 0
        part.variances[0] = -50.0
    q, xi = part(h), torch.randn(5, 1)
    kl = kl_divergence(q.given(xi), part.normal(h))
    torch.testing.assert_close(q.mean, part.normal(h).mean)
    assert kl.max() < 1e-3


def test_the_mean_is_that_without_noise():
    """And its log ratio that of noise 0, from normals written out."""
    part, h = posterior(n_latent=2), torch.randn(5, 3)
    q = part(h)
    zero = torch.zeros(5, 2)
    mean, variance = q.process.at(zero)
    z, log_ratio = q.mean_and_log_prob()
    torch.testing.assert_close(z, q.normal.mean + mean)
    torch.testing.assert_close(z, q.mean)
    scale = (q.normal.variance + variance.unsqueeze(-1)).sqrt()
    reverse = part.reverse(torch.cat([h, z], -1))
    expected = Normal(0.0, 1.0).log_prob(zero) + Normal(z, scale).log_prob(z)
    expected = expected - Normal(reverse.mean, reverse.stddev).log_prob(zero)
    torch.testing.assert_close(log_ratio, expected.sum(-1))


def test_any_code_of_a_sequence_of_them_has_no_density():
    model = draw((3,), n_steps=2, posterior="gaussian-process")
    q, _ = model.infer(torch.zeros(2, 3))
    with pytest.raises(MixvaeError, match="rsample_and_log_prob"):
        q.log_prob(q.sample())


@pytest.mark.usefixtures("unchecked")
def test_no_data_are_refused():
    with pytest.raises(MixvaeError, match="n_data must be at least 1"):
        GaussianProcessPosterior(ConditionalNormal(Linear(3, 2), 1), 3, 1, 0)
