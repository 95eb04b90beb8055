"""Likelihoods: each is normalised, or says that it is not."""

from itertools import product
from math import log, pi

import pytest
import torch
import torch.nn.functional as F

from cases import CASES, Case
from mixvae.errors import MixvaeError
from mixvae.likelihoods import (
    BernoulliLikelihood,
    CrossEntropy,
    GaussianLikelihood,
    likelihood,
)

pytestmark = pytest.mark.usefixtures("maths")
NAMES = ["bernoulli", "gaussian", "squared-error", "cross-entropy"]
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
    assert all(likelihood(name, (1,)).is_density for name in NAMES[:3])


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


def test_a_bernoulli_refuses_grey_levels_and_says_what_to_do():
    made = likelihood("bernoulli", (2,))
    made.check(torch.tensor([[0.0, 1.0]]))
    for grey in (0.5, 2.0, float("nan")):
        with pytest.raises(MixvaeError, match=r"0 or 1.*binarize='dynamic'.*gaussian"):
            made.check(torch.tensor([[0.0, grey]]))


@pytest.mark.parametrize("name", NAMES[1:])
def test_the_other_likelihoods_take_grey_levels(name):
    likelihood(name, (2,)).check(torch.tensor([[0.2, 0.5]]))


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_likelihood_is_named_with_the_nearest():
    with pytest.raises(MixvaeError, match="Did you mean 'gaussian'"):
        likelihood("gausian", (2,))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_only_a_density_has_a_bound_and_is_called_a_log_likelihood(case: Case):
    recipe, x = case.build(), case.data()
    is_score = case.options.get("likelihood") == "cross-entropy"
    assert (recipe.bound is None) == is_score
    names = recipe.objective(recipe.model, x, y=case.labels(x)).keys()
    assert ("log_lik" in names) == (not is_score and case.recipe != "iwae")
    assert ("cross_entropy" in names) == is_score
