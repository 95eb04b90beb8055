"""MMD, the W2 distance of fitted normals, and the recipes with them; deterministic encoders."""

from functools import partial
from math import exp, log, pi

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor
from torch.distributions import kl_divergence

import mixvae
from cases import FLAT, IMAGE, Case
from mixvae.data import Dataset, Split
from mixvae.distributions import Delta, diagonal_normal
from mixvae.errors import MixvaeError
from mixvae.evaluation import bidirectional, bounds, component_health, evaluate, log_likelihood
from mixvae.evaluation.latent_operations import scales
from mixvae.objectives import elbo, mmd, mmd_penalty, reconstruction, squared_w2, w2_penalty
from mixvae.objectives.kernels import imq, rbf

pytestmark = pytest.mark.usefixtures("maths")


def by_loops(z: Tensor, other: Tensor, kernel, unbiased: bool) -> float:
    """The MMD by its definition, a pair at a time; ``kernel`` is of a squared distance."""

    def mean(a: Tensor, b: Tensor, without_equal: bool = False) -> float:
        rows = [(i, j) for i in range(len(a)) for j in range(len(b))]
        rows = [(i, j) for i, j in rows if not (without_equal and i == j)]
        each = [kernel((a[i] - b[j]).square().sum().item()) for i, j in rows]
        return sum(each) / len(each)

    return mean(z, z, unbiased) + mean(other, other, unbiased) - 2 * mean(z, other)


# -- kernels and MMD


@pytest.mark.parametrize("unbiased", [False, True])
def test_mmd_is_a_double_loop_over_pairs(unbiased):
    z, other = torch.randn(5, 3), 0.5 + 2 * torch.randn(5, 3)
    expected = by_loops(z, other, lambda d2: exp(-0.3 * d2), unbiased)
    found = mmd(z, other, partial(rbf, gamma=0.3), unbiased=unbiased)
    assert found.item() == pytest.approx(expected, rel=1e-10)
    widths = [0.6, 6.0, 60.0]
    expected = by_loops(z, other, lambda d2: sum(c / (c + d2) for c in widths), unbiased)
    found = mmd(z, other, partial(imq, widths=widths), unbiased=unbiased)
    assert found.item() == pytest.approx(expected, rel=1e-10)


def expected_rbf(gamma: float, n_latent: int, variance: float, distance2: float = 0.0) -> float:
    """E exp(-gamma |d|²), d ~ N(delta, variance I), in closed form."""
    widened = 1 + 2 * gamma * variance
    return widened ** (-n_latent / 2) * exp(-gamma * distance2 / widened)


@pytest.mark.parametrize("unbiased", [False, True])
def test_the_mean_mmd_of_normals_under_an_rbf_kernel_is_its_closed_form(unbiased):
    """20,000 batches of six rows; the tolerance is four standard errors."""
    gamma, n_latent, scale, mean, n = 0.4, 2, 0.5, torch.tensor([0.7, -0.3]), 6
    own = expected_rbf(gamma, n_latent, 2 * scale**2)
    prior = expected_rbf(gamma, n_latent, 2.0)
    cross = expected_rbf(gamma, n_latent, scale**2 + 1, float(mean.square().sum()))
    expected = own + prior - 2 * cross
    if not unbiased:  # a pair of equal rows has kernel 1
        expected += (2 - own - prior) / n
    z, other = mean + scale * torch.randn(20_000, n, n_latent), torch.randn(20_000, n, n_latent)
    kernel = partial(rbf, gamma=gamma)
    found = torch.vmap(lambda a, b: mmd(a, b, kernel, unbiased=unbiased))(z, other)
    error = float(found.std()) / len(found) ** 0.5
    assert abs(float(found.mean()) - expected) < 4 * error
    assert error < 0.01 * expected


@pytest.mark.parametrize("kernel", [partial(rbf, gamma=0.4), partial(imq, widths=[1.0, 5.0])])
def test_only_the_unbiased_mmd_is_ever_negative(kernel):
    pairs = [torch.randn(2, 4, 3) for _ in range(50)]
    assert all(mmd(*pair, kernel) > 0 for pair in pairs)
    assert any(mmd(*pair, kernel, unbiased=True) < 0 for pair in pairs)
    z = torch.randn(4, 3)
    assert mmd(z, z, kernel).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("kernel", [partial(rbf, gamma=0.4), partial(imq, widths=[1.0, 5.0])])
def test_autocast_does_not_change_mmd(kernel):
    z, other = (torch.randn(16, 4, dtype=torch.float32) for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        inside = mmd(z, other, kernel)
    assert inside.dtype == torch.float32
    expected = mmd(z.double(), other.double(), kernel)
    torch.testing.assert_close(inside.double(), expected, rtol=1e-4, atol=1e-6)


# -- W2


def fitted(z: Tensor) -> tuple[np.ndarray, np.ndarray]:
    return z.mean(0).numpy(), np.cov(z.numpy(), rowvar=False)


@pytest.mark.parametrize(("n", "n_latent"), [(20, 4), (5, 4), (4, 2)])
def test_the_w2_distance_is_its_formula_with_a_matrix_square_root(n, n_latent):
    z = torch.randn(n, n_latent) @ torch.randn(n_latent, n_latent) + 1
    mean, covariance = fitted(z)
    root = scipy.linalg.sqrtm(covariance)
    expected = mean @ mean + np.trace(covariance + np.eye(n_latent) - 2 * root)
    assert squared_w2(z).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_w2_distance_of_few_rows_is_its_formula_with_the_roots_of_eigenvalues(n):
    """A root of rounding, about 1e-8, stands for each that is 0."""
    z = torch.randn(n, 4) + 1
    mean, covariance = fitted(z)
    values = np.linalg.eigvalsh(covariance).clip(0)
    expected = mean @ mean + (values + 1 - 2 * values**0.5).sum()
    assert squared_w2(z).item() == pytest.approx(expected, rel=1e-6)


def test_the_w2_distance_of_independent_dimensions_is_a_sum_over_them():
    """Rows ± a_l e_l: mean 0, variances 2 a_l² / (B - 1)."""
    a = torch.tensor([0.5, 1.0, 3.0])
    z = torch.cat([a.diag(), -a.diag()]) + torch.tensor([2.0, 0.0, -1.0])
    stddev = (2 * a.square() / 5).sqrt()
    torch.testing.assert_close(squared_w2(z), 5 + (stddev - 1).square().sum())


def test_codes_with_mean_zero_and_unit_covariance_have_no_distance():
    z = torch.linalg.qr(torch.randn(9, 4) - torch.randn(9, 4).mean(0)).Q
    z = z - z.mean(0)
    z = torch.linalg.qr(z).Q * 8**0.5
    assert squared_w2(z).item() == pytest.approx(0, abs=1e-12)


def test_codes_of_the_prior_have_about_the_distance_that_the_docstring_says():
    """500 batches; four standard errors, and a hundredth for higher orders of L/B."""
    n, n_latent = 1000, 5
    found = torch.stack([squared_w2(torch.randn(n, n_latent)) for _ in range(500)])
    expected = n_latent * (n_latent + 5) / (4 * n)
    error = 4 * float(found.std()) / len(found) ** 0.5 + 0.01 * expected
    assert abs(float(found.mean()) - expected) < error < 0.15 * expected


def test_the_gradient_of_the_w2_distance_is_its_slope():
    assert torch.autograd.gradcheck(squared_w2, torch.randn(7, 3, requires_grad=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_a_singular_covariance_has_a_bounded_gradient(n, dtype):
    """Few rows, and rows that are equal in part or all: a root's own slope would be infinite."""
    for z in (torch.randn(n, 4), torch.randn(n, 4)[[0] * n], torch.randn(n, 1) * torch.ones(4)):
        z = z.to(dtype).requires_grad_()
        value = squared_w2(z)
        value.backward()
        assert value >= 4 - n + 1 - 1e-4
        assert z.grad.isfinite().all()
        assert z.grad.norm() < 100


def test_codes_at_a_point_are_the_distance_of_the_point_and_of_all_dimensions():
    z = torch.tensor([1.0, 2.0, 0.0]).expand(6, -1)
    assert squared_w2(z).item() == pytest.approx(5 + 3)


def test_autocast_does_not_change_the_w2_distance():
    z = torch.randn(16, 4, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        inside, of_half = squared_w2(z), squared_w2(z.bfloat16())
    torch.testing.assert_close(inside.double(), squared_w2(z.double()), rtol=1e-4, atol=1e-5)
    assert torch.equal(of_half, squared_w2(z.bfloat16().float()))


@pytest.mark.parametrize("statistic", [squared_w2, lambda z: mmd(z, z, partial(rbf, gamma=1.0))])
def test_one_row_is_an_error(statistic):
    with pytest.raises(MixvaeError, match="at least two rows; got 1"):
        statistic(torch.randn(1, 3))


# -- penalties and recipes


def test_penalties_are_means_over_samples_and_components():
    model = Case("m-vae").build().model
    t = model(Case("m-vae").data(), 2)
    each = [squared_w2(t.z[s, :, k]) for s in range(2) for k in range(3)]
    torch.testing.assert_close(w2_penalty(t, weight=3.0), -3 * torch.stack(each).mean())
    kernel = partial(rbf, gamma=0.2)
    torch.manual_seed(5)
    found = mmd_penalty(t, weight=3.0, kernel=kernel, unbiased=True)
    torch.manual_seed(5)
    prior = torch.randn(2, 6, 3, 2)
    pairs = [(t.z[s, :, k], prior[s, :, k]) for s in range(2) for k in range(3)]
    each = [mmd(z, other, kernel, unbiased=True) for z, other in pairs]
    torch.testing.assert_close(found, -3 * torch.stack(each).mean())


def test_an_info_vae_with_alpha_0_and_lambda_1_is_the_vae():
    recipe, x = Case("info-vae").build(lambda_mmd=1.0), Case("vae").data()
    vae = Case("vae").build()
    assert recipe.objective.is_bound
    assert not Case("info-vae").build().objective.is_bound
    terms = []
    for built in (recipe, vae):
        torch.manual_seed(1)
        terms.append(built.objective(built.model, x))
    assert terms[0] == terms[1]


@pytest.mark.parametrize(("kernel", "of_distance"), [("rbf", exp), ("imq", lambda u: 1 / (1 - u))])
def test_an_info_vae_weighs_its_terms_as_its_options_say(kernel, of_distance):
    options = {"alpha": 0.25, "lambda_mmd": 3.0, "kernel": kernel, "bandwidth": 0.5}
    recipe, x = Case("info-vae", options).build(), Case("vae").data()
    t = recipe.model(x)
    torch.manual_seed(5)
    terms = recipe.objective.terms(t)
    torch.manual_seed(5)
    prior = torch.randn(1, 6, 1, 2)[0, :, 0]
    width = 2 * 2 * 0.25  # 2 L bandwidth²
    statistic = by_loops(t.z[0, :, 0], prior, lambda d2: of_distance(-d2 / width), unbiased=False)
    assert terms["mmd"].item() == pytest.approx(-2.25 * statistic)
    torch.testing.assert_close(terms["kl_z"], 0.75 * elbo(t)["kl_z"].mean())
    torch.testing.assert_close(terms["log_lik"], elbo(t)["log_lik"].mean())


def test_a_wae_is_squared_error_and_the_papers_mmd():
    recipe, x = Case("wae-mmd").build(lambda_mmd=7.0), Case("vae").data()
    t = recipe.model(x)
    torch.manual_seed(5)
    terms = recipe.objective.terms(t)
    torch.manual_seed(5)
    prior = torch.randn(1, 6, 1, 2)[0, :, 0]
    widths = [2 * 2 * s for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)]
    kernel = lambda d2: sum(c / (c + d2) for c in widths)
    statistic = by_loops(t.z[0, :, 0], prior, kernel, unbiased=True)
    assert terms["mmd"].item() == pytest.approx(-7 * statistic)
    sse = (x - recipe.model.reconstruct(x)).square().flatten(1).sum(1).mean()
    torch.testing.assert_close(terms["log_lik"], -sse - 6 * log(pi))
    assert set(terms) == {"log_lik", "mmd"}


def test_a_wwae_passes_its_weight_on_and_ignores_the_warm_up():
    recipe, x = Case("wwae").build(lambda_w2=3.0), Case("vae").data()
    t = recipe.model(x)
    terms = recipe.objective.terms(t, 0.1)
    torch.testing.assert_close(terms["w2"], -3 * squared_w2(t.z[0, :, 0]))
    torch.testing.assert_close(terms["log_lik"], reconstruction(t)["log_lik"].mean())
    assert not recipe.objective.is_bound
    assert not Case("wwae").build(lambda_w2=0.0).objective.is_bound


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("info-vae", {"alpha": 1.5}, "alpha must be at most 1, .* got alpha 1.5"),
        ("info-vae", {"alpha": 0.5, "lambda_mmd": 0.03}, r"at least 1, .* lambda_mmd 0\.03"),
        ("info-vae", {"bandwidth": 0.0}, "bandwidth must be"),
        ("info-vae", {"kernel": "gauss"}, "unknown kernel 'gauss'"),
        ("wae-mmd", {"lambda_mmd": -1.0}, "lambda_mmd must be at least 0; got -1"),
        ("wae-mmd", {"scales": []}, "scales must name at least one scale"),
        ("wae-mmd", {"scales": [1.0, 0.0]}, "scales must be"),
        ("wae-mmd", {"encoder": "normal"}, "unknown encoder 'normal'"),
        ("wwae", {"lambda_w2": -1.0}, "lambda_w2 must be at least 0; got -1"),
    ],
)
def test_options_that_cannot_be_used_are_refused(name, options, said):
    with pytest.raises(MixvaeError, match=said):
        mixvae.build(name, IMAGE, **options)


@pytest.mark.parametrize("name", ["info-vae", "wae-mmd", "wwae", "mae"])
def test_a_single_row_has_no_objective_and_is_said_to_have_none(name):
    recipe = Case(name).build()
    found = bounds(recipe, Case(name).data()[:1])
    assert found["objective"] is None
    assert "a statistic of several" in found["objective_note"]
    assert isinstance(found["objective/log_lik"], float)


@pytest.mark.parametrize("name", ["info-vae", "wae-mmd", "wwae", "mae"])
def test_training_on_batches_of_one_row_is_refused(name, tmp_path):
    torch.set_default_dtype(torch.float32)
    x = torch.rand(8, *IMAGE).round()
    data = Dataset("made up", *(Split(x),) * 3)
    recipe = mixvae.build(name, data, hidden=[8], n_latent=2)
    with pytest.raises(MixvaeError, match=r"at least two rows; got 1\..*use a larger batch_size"):
        mixvae.fit(recipe, data, batch_size=1, max_epochs=1, out=tmp_path / "run")


# -- a deterministic encoder


def deterministic(**options):
    return Case("wae-mmd", options, FLAT).build()


def test_the_kl_of_a_point_is_infinite_and_its_variance_zero():
    point, normal = Delta(torch.ones(3, 1, 2)), diagonal_normal(torch.zeros(2), torch.ones(2))
    assert torch.equal(kl_divergence(point, normal), torch.full((3, 1), torch.inf))
    assert torch.equal(point.variance, torch.zeros(3, 1, 2))


def test_a_deterministic_encoder_has_no_elbo_and_says_why():
    recipe, x = deterministic(), Case("wae-mmd", x_shape=FLAT).data()
    assert recipe.bound is None
    found = bounds(recipe, x)
    assert found["elbo"] is None
    assert "deterministic" in found["elbo_note"]
    gaussian = bounds(deterministic(encoder="gaussian"), x)
    assert isinstance(gaussian["elbo"], float)
    both = bounds(deterministic(likelihood="cross-entropy"), x)
    assert "not a normalised density" in both["elbo_note"]


def test_a_deterministic_encoder_has_no_finite_kl_and_is_not_dead():
    recipe, x = deterministic(), torch.rand(6, 12)
    health = component_health(recipe.model, x)
    assert health.kl.isinf().all()
    assert health.dead == []
    assert torch.equal(scales(recipe.model, x), torch.zeros(6, 1, 2))


@pytest.mark.parametrize("method", ["defensive", "plain"])
def test_importance_sampling_from_a_deterministic_encoder_is_refused(method):
    torch.set_default_dtype(torch.float32)
    recipe, x = deterministic(), torch.rand(2, 12)
    with pytest.raises(MixvaeError, match=f"method {method} .*deterministic.*'ais'"):
        log_likelihood(recipe.model, x, 10, method=method)
    with pytest.raises(MixvaeError, match=f"method {method} .*deterministic.*'ais'"):
        evaluate(recipe, Split(x), log_likelihood=10, method=method)


def test_annealing_needs_no_posterior_and_finds_log_p_of_a_deterministic_model():
    """One latent: log p(x) by quadrature."""
    recipe, x = deterministic(n_latent=1), torch.rand(3, 12)
    grid = torch.linspace(-8, 8, 4001)
    p_x = recipe.model.decode(grid[:, None, None, None], torch.ones(4001, 1, 1))
    log_prior = -0.5 * grid.square() - 0.5 * log(2 * pi)
    with torch.no_grad():
        log_joint = torch.stack([p_x.log_prob(row).flatten() + log_prior for row in x])
    expected = log_joint.logsumexp(1) + log(16 / 4000)
    found = log_likelihood(recipe.model, x, 32, method="ais", n_steps=30)
    assert ((found.log_prob - expected).abs() < 4 * found.standard_error + 1e-3).all()
    assert (found.standard_error < 0.05).all()
    bracket = bidirectional(recipe.model, 2, n_chains=8, n_steps=30)
    assert abs(float(bracket.gap.mean())) < 0.1


def test_a_codes_samples_are_its_mean_without_a_posterior():
    recipe, x = deterministic(), torch.rand(3, 12)
    t = recipe.model(x, 4)
    torch.testing.assert_close(t.z, t.q_z.mean.expand(4, -1, -1, -1))
    torch.testing.assert_close(t.p_x.mean[0, :, 0], recipe.model.reconstruct(x))
