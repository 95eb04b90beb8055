"""Likelihoods of counts and of categories, against SciPy and against sums over all values."""

import numpy as np
import pytest
import torch
from scipy import stats

from mixvae.distributions import Codes, ZeroInflated
from mixvae.errors import MixvaeError
from mixvae.likelihoods import (
    CategoricalLikelihood,
    NegativeBinomialLikelihood,
    OrdinalLikelihood,
    PoissonLikelihood,
    ZeroInflatedNegativeBinomialLikelihood,
    ZeroInflatedPoissonLikelihood,
    bits_per_dim,
    likelihood,
)

pytestmark = pytest.mark.usefixtures("maths")
COUNTS = ("poisson", "negative-binomial", "zero-inflated-poisson")
COUNTS += ("zero-inflated-negative-binomial",)
LOG_RATE = torch.tensor([-1.0, 0.4, 2.5], dtype=torch.float64)
LOGITS = torch.tensor([-2.0, 0.0, 1.5], dtype=torch.float64)
DISPERSION = torch.tensor([0.3, 1.0, 2.0], dtype=torch.float64)


def made(name: str, from_mean: bool = False):
    """A likelihood of three counts, and a decoder's output for it."""
    one = likelihood(name, (3,), from_mean=from_mean)
    if hasattr(one, "log_dispersion"):
        one.log_dispersion.data.copy_(DISPERSION.log())
    if hasattr(one, "zero_logits"):
        one.zero_logits.data.copy_(LOGITS)
    rate = LOG_RATE.exp() if from_mean else LOG_RATE
    return one, torch.cat([rate, LOGITS]) if one.n_params == 6 else rate


def scipys(name: str, x: np.ndarray) -> np.ndarray:
    """The logarithms of SciPy's probabilities of x in each of the three columns."""
    mean, size = LOG_RATE.exp().double().numpy(), 1 / DISPERSION.double().numpy()
    p = stats.poisson(mean).pmf(x)
    if name.endswith("negative-binomial"):
        p = stats.nbinom(size, size / (size + mean)).pmf(x)
    zero = LOGITS.double().sigmoid().numpy() if name.startswith("zero") else 0.0
    return np.log(zero * (x == 0) + (1 - zero) * p)


@pytest.mark.parametrize("from_mean", [False, True])
@pytest.mark.parametrize("name", COUNTS)
def test_probabilities_of_counts_are_scipys(name, from_mean):
    one, params = made(name, from_mean)
    x = np.array([[0, 0, 0], [1, 3, 10], [40, 7, 0]])
    found = one(params.double()).log_prob(torch.from_numpy(x).double())
    np.testing.assert_allclose(found.detach(), scipys(name, x).sum(1), rtol=1e-9)


@pytest.mark.parametrize("name", COUNTS)
def test_mean_variance_and_samples_of_counts_agree(name):
    one, params = made(name)
    with torch.no_grad():
        p = one(params.double())
        x = torch.arange(3000.0)[:, None].expand(-1, 3)
        probability = p.base_dist.log_prob(x).exp()
        mean = (probability * x).sum(0)
        torch.testing.assert_close(p.mean, mean)
        torch.testing.assert_close(p.variance, (probability * (x - mean).square()).sum(0))
        torch.manual_seed(0)
        drawn = p.sample((20_000,))
    assert (drawn == drawn.floor()).all()
    assert ((drawn.mean(0) - p.mean).abs() < 4 * (p.variance / 20_000).sqrt()).all()
    zeros, expected = (drawn == 0).double().mean(0), probability[0]
    assert ((zeros - expected).abs() < 4 * (expected * (1 - expected) / 20_000).sqrt()).all()


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("extreme", [-1e4, -30.0, 30.0, 1e4])
def test_probabilities_of_counts_and_gradients_are_finite_at_extremes(name, extreme):
    torch.set_default_dtype(torch.float32)
    one = likelihood(name, (2,))
    params = torch.full((one.n_params,), extreme, requires_grad=True)
    if hasattr(one, "log_dispersion"):
        one.log_dispersion.data.fill_(extreme)
    log_p = one(params).log_prob(torch.tensor([[0.0, 3.0], [1e6, 0.0]]))
    log_p.sum().backward()
    assert log_p.isfinite().all()
    assert params.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in one.parameters())


def test_a_small_dispersion_is_nearly_a_poisson():
    one = NegativeBinomialLikelihood((3,))
    one.log_dispersion.data.fill_(-9.0)
    x = torch.tensor([0.0, 2.0, 11.0])
    poisson = PoissonLikelihood((3,))(LOG_RATE.double()).log_prob(x)
    assert abs(one(LOG_RATE.double()).log_prob(x) - poisson) < 1e-2


@pytest.mark.parametrize("bad", [-1.0, 0.5, torch.nan, torch.inf])
@pytest.mark.parametrize("name", COUNTS)
def test_what_is_no_count_is_refused(name, bad):
    one = likelihood(name, (2,))
    one.check(torch.tensor([[0.0, 3.0]]))
    with pytest.raises(MixvaeError, match="whole numbers from 0 on; 1 of 2 values are not"):
        one.check(torch.tensor([[bad, 3.0]]))


def test_counts_have_no_bits_per_dimension():
    with pytest.raises(MixvaeError, match="no bits per dimension"):
        bits_per_dim(-1.0, PoissonLikelihood((2,)))


@pytest.mark.parametrize(
    "kind", [ZeroInflatedPoissonLikelihood, ZeroInflatedNegativeBinomialLikelihood]
)
def test_zero_inflation_by_the_decoder_comes_after_the_rates(kind):
    p = kind((2,))(torch.tensor([0.0, 0.0, -50.0, 50.0])).base_dist
    assert isinstance(p, ZeroInflated)
    torch.testing.assert_close(p.mean, torch.tensor([1.0, 0.0]))


def test_probabilities_of_categories_are_scipys():
    one = CategoricalLikelihood((3,), (2, 4, 3))
    logits = torch.linspace(-1, 2, 9).double()
    x = torch.tensor([[0.0, 3.0, 1.0], [1.0, 0.0, 2.0]])
    found = one(logits).log_prob(x)
    for row, log_p in zip(x, found, strict=True):
        each = zip(logits.split([2, 4, 3]), row.long().tolist(), strict=True)
        expected = sum(
            stats.multinomial(1, own.softmax(0).numpy()).logpmf(np.eye(len(own))[c])
            for own, c in each
        )
        assert abs(log_p.item() - expected) < 1e-9


@pytest.mark.parametrize("n_levels", [(2, 5, 3), (4, 4, 4), (2, 2, 2)])
def test_probabilities_of_ordered_categories_sum_to_one(n_levels):
    one = OrdinalLikelihood((3,), n_levels)
    torch.nn.init.normal_(one.steps)
    eta = torch.tensor([-1.0, 0.3, 4.0]).double()
    p = one(eta).base_dist
    for column, n in enumerate(n_levels):
        codes = torch.arange(float(n))
        each = torch.stack([p.log_prob(c.expand(3))[column] for c in codes]).exp()
        torch.testing.assert_close(each.sum(), torch.tensor(1.0).double())
        t = one.thresholds[column, : n - 1]  # the sums are the model: P(x <= c) = sigma(t_c - eta)
        torch.testing.assert_close(each.cumsum(0)[:-1], (t - eta[column]).sigmoid())


def test_the_thresholds_start_from_probabilities():
    one = OrdinalLikelihood((2,), (3, 4))
    cumulative = torch.tensor([[0.2, 0.9, 0.99], [0.1, 0.5, 0.6]])
    one.start_from(cumulative)
    torch.testing.assert_close(one.thresholds.sigmoid(), cumulative)


@pytest.mark.parametrize("extreme", [-1e4, 1e4])
@pytest.mark.parametrize("kind", [CategoricalLikelihood, OrdinalLikelihood])
def test_probabilities_of_categories_and_gradients_are_finite_at_extremes(kind, extreme):
    torch.set_default_dtype(torch.float32)
    one = kind((2,), (2, 4))
    params = torch.zeros(one.n_params).index_fill(0, torch.tensor([0]), extreme).requires_grad_()
    log_p = one(params).log_prob(torch.tensor([[0.0, 3.0], [1.0, 0.0]]))
    log_p.sum().backward()
    assert log_p.isfinite().all()
    assert params.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in one.parameters())


@pytest.mark.parametrize("kind", [CategoricalLikelihood, OrdinalLikelihood])
def test_samples_of_categories_have_their_probabilities(kind):
    one = kind((2,), (2, 4))
    torch.manual_seed(0)
    p = one(torch.randn(one.n_params)).base_dist
    assert isinstance(p, Codes)
    drawn = p.sample((20_000,))
    assert drawn.dtype == torch.get_default_dtype()
    for column, n in enumerate((2, 4)):
        counts = torch.stack([(drawn[:, column] == c).sum() for c in range(n)])
        expected = 20_000 * p.probs[column, :n]
        assert stats.chisquare(counts.numpy(), expected.detach().numpy()).pvalue > 1e-3
        assert p.mean[column] == expected.argmax()


@pytest.mark.parametrize("bad", [-1.0, 2.0, 0.5, torch.nan])
@pytest.mark.parametrize("kind", [CategoricalLikelihood, OrdinalLikelihood])
def test_codes_outside_are_refused(kind, bad):
    one = kind((2,), (2, 4))
    one.check(torch.tensor([[1.0, 3.0]]))
    with pytest.raises(MixvaeError, match=r"codes 0 \.\.\. C - 1, C from 2 to 4"):
        one.check(torch.tensor([[bad, 3.0]]))


def test_a_single_category_is_refused():
    with pytest.raises(MixvaeError, match="n_levels"):
        CategoricalLikelihood((2,), (1, 4))
    with pytest.raises(MixvaeError, match="must be 2 numbers"):
        CategoricalLikelihood((2,), (3, 4, 5))
