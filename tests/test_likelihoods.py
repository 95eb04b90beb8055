"""Likelihoods: each is normalised, or says that it is not."""

from itertools import product
from math import exp, log, log2, pi, prod
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from scipy.integrate import quad
from scipy.stats import binom, chisquare, kstest

from cases import CASES, Case
from mixvae import recipes
from mixvae.distributions import Bernoulli, BinomialLevels, ContinuousBernoulli
from mixvae.errors import MixvaeError
from mixvae.likelihoods import (
    LIKELIHOODS,
    BernoulliLikelihood,
    BinomialLikelihood,
    CrossEntropy,
    GaussianLikelihood,
    LikelihoodName,
    LogisticLikelihood,
    LogisticMixtureLikelihood,
    bits_per_dim,
    likelihood,
)
from mixvae.likelihoods.pixelcnn import PixelCNNLikelihood

pytestmark = pytest.mark.usefixtures("maths")
NAMES = ["bernoulli", "gaussian", "squared-error", "cross-entropy", "continuous-bernoulli"]
LEVELS = ["logistic", "logistic-mixture"]
LOGITS = torch.tensor([[-2.0, 0.3, 1.5], [0.0, -0.7, 4.0]])


def logits() -> torch.Tensor:
    return LOGITS.double()


@pytest.mark.parametrize("from_mean", [False, True])
def test_a_bernoulli_sums_to_one_over_all_images(from_mean):
    p = BernoulliLikelihood((3,), from_mean=from_mean)(
        logits().sigmoid() if from_mean else logits()
    )
    images = torch.tensor(list(product([0.0, 1.0], repeat=3)))
    torch.testing.assert_close(p.log_prob(images[:, None]).exp().sum(0), torch.ones(2))


@pytest.mark.parametrize("name", ["gaussian", "squared-error"])
def test_a_gaussian_integrates_to_one(name):
    p = likelihood(name, (2,))(logits()[:1, :2])
    x = torch.linspace(-5, 6, 801)
    density = p.log_prob(torch.cartesian_prod(x, x)[:, None]).exp().reshape(801, 801)
    integral = torch.trapezoid(torch.trapezoid(density, x), x)
    torch.testing.assert_close(integral, torch.tensor(1.0))


def test_cross_entropy_does_not_integrate_to_one_and_says_so():
    p = CrossEntropy((1,))(torch.tensor([[1.0]]))
    x = torch.linspace(0, 1, 1001)
    integral = torch.trapezoid(p.log_prob(x[:, None, None]).exp()[:, 0], x)
    assert integral < 0.7
    assert not CrossEntropy.is_density
    densities = set(LIKELIHOODS) - {"cross-entropy"}
    assert all(likelihood(name, (1,), n_trials=16).is_density for name in densities)


def test_squared_error_is_a_density_less_a_constant():
    x = torch.rand(2, 3)
    sse = (x - logits().sigmoid()).square().sum(-1)
    p = likelihood("squared-error", (3,))
    torch.testing.assert_close(p(logits()).log_prob(x), -sse - 1.5 * log(pi))
    assert not list(p.parameters())


def test_a_gaussian_learns_one_scale_for_all_pixels():
    made = likelihood("gaussian", (3,))
    made.log_scale.data.fill_(log(0.5))
    x = torch.rand(2, 3)
    z = (x - logits().sigmoid()) / 0.5
    expected = (-0.5 * z.square() - log(0.5) - 0.5 * log(2 * pi)).sum(-1)
    torch.testing.assert_close(made(logits()).log_prob(x), expected)
    assert [name for name, _ in made.named_parameters()] == ["log_scale"]


def test_a_scale_that_vanishes_leaves_finite_densities():
    torch.set_default_dtype(torch.float32)
    made = GaussianLikelihood((3,))
    made.log_scale.data.fill_(-200.0)
    assert made(LOGITS).log_prob(torch.rand(2, 3)).isfinite().all()


def test_cross_entropy_is_torchs():
    x = torch.rand(2, 3)
    expected = -F.binary_cross_entropy_with_logits(logits(), x, reduction="none").sum(-1)
    torch.testing.assert_close(CrossEntropy((3,))(logits()).log_prob(x), expected)


@pytest.mark.parametrize("shape", [(7,), (4, 7), (4, 1, 7), (1, 7)])
def test_bernoullis_and_its_gradients_are_torchs_in_float64(shape):
    logits = torch.tensor([-200.0, -30.0, -3.0, 0.0, 0.5, 30.0, 200.0]).expand(shape).clone()
    x = torch.stack([torch.zeros(7), torch.ones(7), torch.linspace(0, 1, 7), torch.rand(7)])
    x = x if len(shape) > 1 else x[3]
    results = []
    for kind, dtype in ((Bernoulli, torch.float32), (torch.distributions.Bernoulli, torch.float64)):
        leaves = logits.to(dtype).requires_grad_(), x.to(dtype).requires_grad_()
        log_p = kind(logits=leaves[0], validate_args=False).log_prob(leaves[1])
        results.append([log_p, *torch.autograd.grad(log_p.sum(), leaves)])
    for ours, exact in zip(*results, strict=True):
        torch.testing.assert_close(ours.double(), exact.double(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(1,), (111,), (1, 28, 28), (3, 20, 20)])
def test_a_bernoulli_image_without_a_gradient_is_torchs_in_float64(shape):
    torch.manual_seed(0)
    params = torch.randn(4, 2, prod(shape)) * torch.logspace(-1, 2, 4)[:, None, None]
    x = torch.rand(2, *shape).round()
    p = BernoulliLikelihood(shape)(params)
    base = torch.distributions.Bernoulli(logits=params.unflatten(-1, shape).double())
    exact = torch.distributions.Independent(base, len(shape)).log_prob(x.double())
    with torch.no_grad():
        torch.testing.assert_close(p.log_prob(x).double(), exact, rtol=1e-6, atol=1e-5)
        grey = CrossEntropy(shape)(params).log_prob(0.5 * x)
    torch.testing.assert_close(grey, CrossEntropy(shape)(params).log_prob(0.5 * x))


# -- counts of n


@pytest.mark.parametrize("n", [1, 2, 16, 255])
def test_a_binomial_is_scipys_and_torchs_and_sums_to_one(n):
    levels = torch.arange(n + 1) / n
    p = BinomialLevels(n, logits())
    log_prob = p.log_prob(levels[:, None, None])
    expected = torch.distributions.Binomial(n, logits=logits())
    torch.testing.assert_close(log_prob, expected.log_prob(n * levels[:, None, None]))
    by_scipy = binom.logpmf(n * levels[:, None, None].numpy(), n, logits().sigmoid().numpy())
    torch.testing.assert_close(log_prob, torch.tensor(by_scipy), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(log_prob.exp().sum(0), torch.ones(2, 3))
    torch.testing.assert_close(p.mean, expected.mean / n)
    torch.testing.assert_close(p.variance, expected.variance / n**2)


def test_a_binomial_of_one_trial_is_a_bernoulli():
    x = torch.rand(2, 3).round()
    one, coin = BinomialLikelihood((3,), n_trials=1), BernoulliLikelihood((3,))
    torch.testing.assert_close(one(logits()).log_prob(x), coin(logits()).log_prob(x))


def test_samples_of_a_binomial_are_levels_with_its_probabilities():
    p = BinomialLevels(4, torch.tensor(0.7))
    x = p.sample((5000,))
    BinomialLikelihood((1,), n_trials=4).check(x[:, None])
    counts = torch.bincount((4 * x).round().long(), minlength=5)
    expected = 5000 * p.log_prob(torch.arange(5) / 4).exp()
    assert chisquare(counts, expected).pvalue > 1e-3


def test_a_binomial_of_means_is_that_of_their_logits():
    x = torch.randint(17, (2, 3)) / 16
    one, other = (BinomialLikelihood((3,), n_trials=16, from_mean=flag) for flag in (False, True))
    of_logits, of_means = one(logits()), other(logits().sigmoid())
    torch.testing.assert_close(of_logits.log_prob(x), of_means.log_prob(x))
    torch.testing.assert_close(of_logits.mean, of_means.mean)


@pytest.mark.parametrize("extreme", [-1e4, 0.0, 1e4])
def test_a_binomial_has_finite_probabilities_and_gradients_in_float32(extreme):
    torch.set_default_dtype(torch.float32)
    params = (extreme * torch.randn(50, 3)).requires_grad_()
    x = torch.tensor([0.0, 0.5, 1.0])
    log_prob = BinomialLikelihood((3,), n_trials=16)(params).log_prob(x)
    log_prob.sum().backward()
    assert log_prob.isfinite().all()
    assert (log_prob <= 0).all()
    assert params.grad.isfinite().all()


@pytest.mark.parametrize("n", [1, 2, 3, 10, 16, 32, 255])
def test_levels_of_any_number_are_found_again_in_float32(n):
    torch.set_default_dtype(torch.float32)
    BinomialLikelihood((n + 1,), n_trials=n).check(torch.arange(n + 1)[None] / n)


@pytest.mark.parametrize("name", NAMES)
def test_means_and_their_logits_give_the_same_density(name):
    x = torch.rand(2, 3).round()
    of_logits, of_means = (likelihood(name, (3,), from_mean=flag) for flag in (False, True))
    one, other = of_logits(logits()), of_means(logits().sigmoid())
    torch.testing.assert_close(one.log_prob(x), other.log_prob(x))
    torch.testing.assert_close(one.mean, other.mean)


@pytest.mark.parametrize("name", NAMES)
def test_means_of_zero_and_one_have_finite_densities_and_gradients(name):
    torch.set_default_dtype(torch.float32)
    means = torch.tensor([[0.0, 1.0, 1.0]], requires_grad=True)
    log_prob = likelihood(name, (3,), from_mean=True)(means).log_prob(torch.tensor([1.0, 0.0, 1.0]))
    log_prob.sum().backward()
    assert log_prob.isfinite().all()
    assert means.grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_the_event_is_the_image_and_its_density_the_sum_over_pixels(name):
    made = likelihood(name, (1, 2, 3))
    params, x = torch.randn(4, 5, 6), torch.rand(1, 2, 3).round()
    p = made(params)
    assert (p.batch_shape, p.event_shape) == ((4, 5), (1, 2, 3))
    pixels = made.pixels(params).log_prob(x.flatten()).sum(-1)
    torch.testing.assert_close(p.log_prob(x), pixels)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_raised_before_the_density(name):
    torch.set_default_dtype(torch.float32)
    x, params = torch.rand(2, 3).round(), LOGITS.bfloat16()
    made = likelihood(name, (3,))
    assert made(params).log_prob(x).dtype == torch.float32
    assert torch.equal(made(params).log_prob(x), made(params.float()).log_prob(x))


# -- the continuous Bernoulli


def test_cb_vae_is_the_vae_with_this_likelihood():
    one, other = Case("cb-vae").build(), Case("vae", {"likelihood": "continuous-bernoulli"}).build()
    x = Case("cb-vae").data()
    terms = []
    for recipe in (one, other):
        torch.manual_seed(1)
        terms.append(recipe.objective(recipe.model, x))
    assert terms[0] == terms[1]
    assert one.objective_is_bound


@pytest.mark.usefixtures("unchecked")
def test_cb_vae_has_no_other_likelihood():
    with pytest.raises(MixvaeError, match="unknown likelihood 'gaussian'"):
        recipes.build("cb-vae", (3,), likelihood="gaussian")


ETAS = [-2000.0, -60.0, -15.0, -0.51, -0.49, -1e-3, 0.0, 1e-8, 0.2, 0.4999, 0.5, 3.0, 40.0, 500.0]


def mass(eta: float) -> float:
    """The integral of exp(eta (x - its likelier end)) over [0, 1]."""
    scale = abs(eta) + 1  # in whose units nothing is steep
    return quad(lambda t: exp(-abs(eta) * t / scale) / scale, 0, scale, limit=200, points=[1, 30])[
        0
    ]


@pytest.mark.parametrize("eta", ETAS)
def test_a_continuous_bernoulli_integrates_to_one(eta):
    x = torch.linspace(0, 1, 11)
    end = float(eta > 0)
    expected = eta * (x - end) - log(mass(eta))
    p = ContinuousBernoulli(torch.tensor(eta))
    torch.testing.assert_close(p.log_prob(x), expected, rtol=1e-9, atol=1e-11)


def test_a_continuous_bernoulli_is_torchs_where_that_one_is_sound():
    logits, x = torch.linspace(-12, 12, 50), torch.rand(20, 50)
    p, torchs = ContinuousBernoulli(logits), torch.distributions.ContinuousBernoulli(logits=logits)
    torch.testing.assert_close(p.log_prob(x), torchs.log_prob(x), rtol=0, atol=1e-8)
    torch.testing.assert_close(p.mean, torchs.mean, rtol=0, atol=1e-6)


def test_its_mean_is_what_the_slope_of_its_log_density_lacks():
    """As of every exponential family: d log p(x) / d eta = x - E[x]. The series join the rest."""
    logits = torch.tensor([*ETAS, *torch.linspace(-0.51, 0.51, 41)], requires_grad=True)
    p = ContinuousBernoulli(logits)
    (slope,) = torch.autograd.grad(p.log_prob(torch.tensor(0.3)).sum(), logits)
    torch.testing.assert_close(slope, 0.3 - p.mean, rtol=0, atol=1e-10)
    assert p.mean[ETAS.index(0.0)] == 0.5
    assert ((p.mean >= 0) & (p.mean <= 1)).all()


def variance_of(eta: float) -> float:
    """Of a continuous Bernoulli, by 400 terms of its partial fractions: no difference of two."""
    terms = [
        2 * (k**2 - eta**2) / (k**2 + eta**2) ** 2 for k in (2 * pi * n for n in range(1, 400))
    ]
    rest = 2 / (4 * pi**2 * 399.5)  # of the terms left out, eta far below their poles
    return sum(terms) + rest


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_slope_of_its_mean_is_its_variance_for_logits_of_any_size(dtype):
    """1/eta^2 - e^-eta / (1 - e^-eta)^2; 1/12 at 0, where the two are nearly equal."""
    sizes = [0.0, 1e-8, 0.1, 0.49, 0.5, 0.51, 3.0, 88.0, 89.0, 120.0, 709.0, 1e4, 1e9, 1e30]
    eta = torch.tensor([-v for v in sizes] + sizes, dtype=dtype, requires_grad=True)
    mean = ContinuousBernoulli(eta).mean
    (slope,) = torch.autograd.grad(mean.sum(), eta)
    assert slope.isfinite().all()
    size = eta.detach().double().abs()
    exact = size**-2 - (-size).exp() / torch.expm1(-size) ** 2
    small = size < 1
    exact[small] = torch.tensor([variance_of(float(v)) for v in size[small]], dtype=torch.float64)
    torch.testing.assert_close(slope.double(), exact, rtol=2e-5, atol=1e-30)


def test_the_slope_of_its_mean_is_what_finite_differences_give():
    eta = torch.tensor([-120.0, -89.0, -30.0, -0.5, 0.0, 0.2, 5.0, 89.0, 300.0]).double()
    step = 1e-4 * eta.abs().clamp_min(1)
    ends = [ContinuousBernoulli(eta + side * step).mean for side in (1, -1)]
    single = eta.float().requires_grad_()
    (slope,) = torch.autograd.grad(ContinuousBernoulli(single).mean.sum(), single)
    torch.testing.assert_close(slope.double(), (ends[0] - ends[1]) / (2 * step), rtol=1e-4, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_slope_of_its_log_density_is_finite_for_logits_of_any_size(dtype):
    """And it is x less the mean."""
    eta = torch.tensor([-1e30, -1e6, -89.0, 0.0, 89.0, 1e6, 1e30], dtype=dtype, requires_grad=True)
    x = torch.full_like(eta, 0.25)
    p = ContinuousBernoulli(eta)
    (slope,) = torch.autograd.grad(p.log_prob(x).sum(), eta)
    torch.testing.assert_close(slope, x - p.mean.detach())


def test_a_continuous_bernoulli_keeps_its_digits_in_float32():
    logits = torch.tensor([*ETAS, *torch.linspace(-30, 30, 301)])
    x = torch.tensor([0.0, 1e-3, 0.5, 0.7, 1.0])[:, None].float()
    single, double = (logits.to(t).requires_grad_() for t in (torch.float32, torch.float64))
    p, exact = ContinuousBernoulli(single), ContinuousBernoulli(double)
    log_prob, expected = p.log_prob(x), exact.log_prob(x.double())
    torch.testing.assert_close(log_prob.double(), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(p.mean.double(), exact.mean, rtol=0, atol=2e-6)
    for value in (log_prob, expected):
        value.sum().backward()
    torch.testing.assert_close(single.grad.double(), double.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("eta", [-50.0, -2.0, 0.0, 0.3, 7.0])
def test_draws_of_a_continuous_bernoulli_have_its_distribution(eta):
    p = ContinuousBernoulli(torch.tensor(eta))
    grid = torch.linspace(0, 1, 20001)
    cdf = torch.cumulative_trapezoid(p.log_prob(grid).exp(), grid)
    at = lambda x: torch.cat([torch.zeros(1), cdf])[
        (torch.tensor(x) * 20000).round().long()
    ].numpy()
    x = p.sample((5000,))
    assert kstest(x.numpy(), at).pvalue > 1e-3
    assert ((x >= 0) & (x <= 1)).all()


# -- grey levels, whose distributions test_discretized is about


def test_a_logistic_has_the_networks_mean_and_scale_pixel_by_pixel():
    made = LogisticLikelihood((1, 2, 3))
    params = torch.randn(4, 12)
    p = made(params).base_dist
    assert made.n_params == 12
    torch.testing.assert_close(p.loc.flatten(1), params[:, :6].sigmoid())
    raw = params[:, 6:]
    assert (p.scale.flatten(1).argsort(1) == raw.argsort(1)).all()
    zero = made(torch.zeros(1, 12)).base_dist.scale
    torch.testing.assert_close(zero, torch.full_like(zero, 0.1 + 1 / 2040))
    tiny = made(torch.full((1, 12), -1e4)).base_dist.scale
    torch.testing.assert_close(tiny, torch.full_like(tiny, 1 / 2040))


def test_a_logistic_of_means_has_a_parameter_for_each_pixels_scale():
    of_means, of_logits = LogisticLikelihood((2, 3), from_mean=True), LogisticLikelihood((2, 3))
    assert of_means.n_params == 6
    assert [(name, p.shape) for name, p in of_means.named_parameters()] == [("raw_scale", (2, 3))]
    of_means.raw_scale.data = torch.randn(2, 3)
    logits, x = torch.randn(4, 6), (255 * torch.rand(2, 3)).round() / 255
    raw = of_means.raw_scale.detach().flatten().expand(4, 6)
    one, other = of_means(logits.sigmoid()), of_logits(torch.cat([logits, raw], 1))
    torch.testing.assert_close(one.log_prob(x), other.log_prob(x))


@pytest.mark.parametrize(
    ("x_shape", "n_maps", "n_places"),
    [((12,), 3, 12), ((1, 3, 4), 3, 12), ((3, 6, 5), 10, 30), ((2, 6, 5), 6, 30), ((3, 4), 3, 12)],
    ids=str,
)
def test_a_logistic_mixture_has_ten_outputs_for_each_logistic_of_a_colour(
    x_shape, n_maps, n_places
):
    made = LogisticMixtureLikelihood(x_shape, n_logistics=4)
    assert made.n_params == 4 * n_maps * n_places
    p = made(torch.randn(2, 5, made.n_params))
    x = p.sample()
    assert (p.batch_shape, p.event_shape, x.shape) == ((2, 5), x_shape, (2, 5, *x_shape))
    assert p.log_prob(x).shape == (2, 5)
    made.check(x)


def test_a_logistic_mixture_reads_its_parameters_map_by_map():
    """Logits, then the means of red, green and blue, their scales, and three slopes."""
    made = LogisticMixtureLikelihood((3, 1, 2), n_logistics=4)
    maps = torch.randn(5, 10, 4, 2)
    p = made(maps.reshape(5, -1)).base_dist
    torch.testing.assert_close(p.log_weights, maps[:, 0].log_softmax(1))
    torch.testing.assert_close(p.loc, (1 + maps[:, 1:4]) / 2)
    torch.testing.assert_close(p.scale, F.softplus(maps[:, 4:7] + log(exp(0.1) - 1)) + 1 / 2040)
    torch.testing.assert_close(p.slopes, maps[:, 7:].tanh())


def test_a_mixture_of_one_logistic_is_the_logistic():
    mixed, one = LogisticMixtureLikelihood((6,), n_logistics=1), LogisticLikelihood((6,))
    params, x = torch.randn(4, 18), (255 * torch.rand(4, 6)).round() / 255
    logits = ((1 + params[:, 6:12]) / 2).clamp(0.01, 0.99).logit()
    params[:, 6:12] = 2 * logits.sigmoid() - 1
    same = one(torch.cat([logits, params[:, 12:]], 1))
    torch.testing.assert_close(mixed(params).log_prob(x), same.log_prob(x))
    torch.testing.assert_close(mixed(params).mean, same.mean)


def test_blended_means_have_no_logistic_mixture_and_the_error_says_what_has():
    said = "got one that blends means. Use likelihood logistic, or do not blend"
    with pytest.raises(MixvaeError, match=said):
        recipes.build("m-vae", (1, 4, 4), likelihood="logistic-mixture")
    with pytest.raises(MixvaeError, match="n_logistics must be at least 1; got 0"):
        LogisticMixtureLikelihood((4,), n_logistics=0)


@pytest.mark.parametrize("name", LEVELS)
@pytest.mark.parametrize("extreme", [-1e4, 0.0, 1e4])
def test_grey_levels_have_finite_probabilities_and_gradients_in_float32(name, extreme):
    torch.set_default_dtype(torch.float32)
    made = likelihood(name, (3, 2, 2))
    params = (extreme * torch.randn(50, made.n_params)).requires_grad_()
    log_prob = made(params).log_prob(
        torch.tensor([0.0, 1.0, 127 / 255])[:, None, None].expand(3, 2, 2)
    )
    log_prob.sum().backward()
    assert log_prob.isfinite().all()
    assert params.grad.isfinite().all()
    assert (log_prob <= 0).all()


@pytest.mark.parametrize("name", LEVELS)
def test_a_pixelcnn_may_have_pixels_of_grey_levels(name):
    made = PixelCNNLikelihood(likelihood(name, (3, 2, 3)), n_context=2, n_features=4, n_layers=2)
    assert made.is_discrete
    p = made(torch.randn(4, made.n_params))
    x = p.sample()
    assert x.shape == (4, 3, 2, 3)
    made.check(x)
    assert (p.log_prob(x) < 0).all()


# -- what each is for

REFUSED = [
    ("bernoulli", 0.5, r"are 0 or 1; 1 of 3 .* such as 0.5. .*binarize dynamic.*gaussian"),
    ("bernoulli", 2.0, "such as 2"),
    ("bernoulli", float("nan"), "such as nan"),
    ("gaussian", float("nan"), "pixels that are finite; 1 of 3 values are not, such as nan"),
    ("squared-error", float("inf"), "such as inf. Remove or repair"),
    ("cross-entropy", float("nan"), r"cross-entropy .* in \[0, 1\]; 1 of 3 .* such as nan"),
    ("cross-entropy", 255.0, "such as 255. .*scale them"),
    ("continuous-bernoulli", -0.1, r"continuous-bernoulli .* in \[0, 1\].*such as -0.1.*scale"),
    ("continuous-bernoulli", 1.5, "such as 1.5"),
    ("continuous-bernoulli", float("nan"), "such as nan"),
    ("binomial", 0.3, r"binomial .* k / 16 for k = 0 ... 16; 1 of 3 .* such as 0.3. Round.*gaus"),
    ("binomial", 17 / 16, "such as 1.0625"),
    ("binomial", float("nan"), "such as nan"),
    ("logistic", 0.5, "logistic .* k / 255 for k = 0 ... 255; 1 of 3 .* such as 0.5. Give 8-bit"),
    ("logistic", 256 / 255, "such as 1.00392"),
    ("logistic", float("nan"), "such as nan"),
    ("logistic-mixture", -1 / 255, "logistic-mixture .* such as -0.00392157.*continuous-bernoulli"),
    ("logistic-mixture", 100.01 / 255, "such as 0.392196"),
]


@pytest.mark.parametrize(("name", "value", "said"), REFUSED)
def test_what_a_likelihood_is_not_for_is_refused_with_the_value_and_what_to_do(name, value, said):
    with pytest.raises(MixvaeError, match=said):
        likelihood(name, (3,), n_trials=16).check(torch.tensor([[0.0, 1.0, value]]))


@pytest.mark.parametrize("name", get_args(LikelihoodName))
def test_every_likelihood_takes_what_it_is_for(name):
    x = {"bernoulli": [0.0, 1.0], "gaussian": [-3.0, 2.0], "squared-error": [-3.0, 2.0]}
    levels = torch.arange(256).to(torch.uint8).float() / 255
    made = likelihood(name, (1,), n_trials=255)
    if "poisson" in name or "negative" in name:
        x[name] = [0.0, 1.0, 1e6]
    made.check(torch.tensor(x[name])[:, None] if name in x else levels[:, None])


def test_levels_may_come_in_any_type_that_holds_them():
    for made in (likelihood(name, (256,)) for name in LEVELS):
        made.check(torch.arange(256).double()[None] / 255)
        made.check(torch.arange(256).float()[None] * (1 / 255))


def test_bits_per_dimension_are_of_the_levels_or_of_a_density_that_is_even_over_them():
    even = torch.zeros(1, 12)
    coin, flat = likelihood("bernoulli", (3, 4)), likelihood("continuous-bernoulli", (3, 4))
    x = torch.rand(1, 3, 4)
    torch.testing.assert_close(bits_per_dim(coin(even).log_prob(x.round()), coin), torch.ones(1))
    torch.testing.assert_close(bits_per_dim(flat(even).log_prob(x), flat), torch.full((1,), 8.0))
    levels = likelihood("logistic", (3, 4))
    assert bits_per_dim(12 * log(1 / 256), levels) == pytest.approx(8)
    assert bits_per_dim(-12.0, levels) == pytest.approx(1 / log(2))
    counts = likelihood("binomial", (3, 4), n_trials=16)
    assert bits_per_dim(12 * log(1 / 17), counts) == pytest.approx(log2(17))


def test_a_wide_densitys_bits_are_nearly_those_of_the_levels_that_it_is_rounded_to():
    """Eight more: of widths of 1/256, where levels are 1/255 apart."""
    density, levels = likelihood("gaussian", (1,)), likelihood("logistic", (1,))
    x = torch.arange(1, 255)[:, None] / 255
    p = levels(torch.zeros(1, 2))
    u = (x - 0.5) / p.base_dist.scale
    log_density = u - p.base_dist.scale.log() - 2 * F.softplus(u)  # of the logistic
    bits, expected = bits_per_dim(log_density, density), bits_per_dim(p.log_prob(x), levels)
    torch.testing.assert_close(bits[:, 0], expected, rtol=0, atol=0.01)


def test_what_is_no_density_has_no_bits_per_dimension():
    with pytest.raises(MixvaeError, match=r"CrossEntropy is not a normalised density.*'logistic'"):
        bits_per_dim(-3.0, likelihood("cross-entropy", (2,)))


def test_only_probabilities_are_discrete():
    made = {name: likelihood(name, (2,), n_trials=16) for name in LIKELIHOODS}
    counts = {name for name in made if name.endswith(("poisson", "negative-binomial"))}
    discrete = {name for name in made if made[name].is_discrete}
    assert discrete == counts | {"bernoulli", "binomial", "logistic", "logistic-mixture"}


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_likelihood_is_named_with_the_nearest():
    with pytest.raises(MixvaeError, match="Did you mean 'gaussian'"):
        likelihood("gausian", (2,))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_only_a_density_has_a_bound_and_is_called_a_log_likelihood(case: Case):
    recipe, x = case.build(), case.data()
    is_score = case.options.get("likelihood") == "cross-entropy"
    assert (recipe.bound is None) == (is_score or recipe.model.is_deterministic)
    names = recipe.objective(recipe.model, x, y=case.labels(x)).keys()
    inside = names & {"iwae", "miselbo"}  # of which the likelihood is no term by itself
    assert ("log_lik" in names) == (not is_score and not inside)
    assert ("cross_entropy" in names) == (is_score and not inside)
