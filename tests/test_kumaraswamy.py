"""The Kumaraswamy in log space, against quadrature in float64 and 300-digit arithmetic."""

from decimal import Decimal, localcontext
from itertools import pairwise
from math import log

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from torch.distributions import Beta, kl_divergence
from torch.distributions import Kumaraswamy as TorchKumaraswamy

from mixvae.distributions import Kumaraswamy, kl_series
from mixvae.distributions.log_space import log1mexp, log_chord, log_gamma_ratio

pytestmark = pytest.mark.usefixtures("maths")

GRID = [0.02, 0.05, 0.1, 0.3, 0.7, 1.0, 1.3, 3.0, 10.0, 50.0, 200.0, 1000.0]
BETAS = [(1.0, 1.0), (1.0, 5.0), (0.5, 2.0), (5.0, 1.0), (2.0, 3.0), (0.1, 0.1), (1.0, 50.0)]
DTYPES = [torch.float32, torch.float64]
# Of quadrature over the logit of v, or over the logarithm of an exponential draw.
LOGITS = [-3000.0, -1000, -300, -100, -30, -10, -5, 0, 5, 10, 30, 100, 300, 1000, 3000]
LOG_EXPONENTIALS = [-60.0, -20, -10, -5, -3, -1, 0, 1, 2, 3, 4.5]


def grid(dtype=torch.float64, **options) -> Kumaraswamy:
    """Every pair of a and b, each with a gradient."""
    a, b = torch.cartesian_prod(*[torch.tensor(GRID, dtype=dtype)] * 2).T
    return Kumaraswamy(a.clone().requires_grad_(), b.clone().requires_grad_(), **options)


def integral(f, breaks):
    """Adaptive, of a function with an array of values, piece by piece."""
    pieces = (integrate.quad_vec(f, *e, epsabs=1e-13, epsrel=1e-11)[0] for e in pairwise(breaks))
    return sum(pieces)


def expected(q: Kumaraswamy, f):
    """E[f(log v, log(1 - v), log q(v))] by quadrature of v = (1 - exp(-e/b))^(1/a), e exponential.

    Where exp(-e/b) is small, 1 - v is that over a.
    """
    a, b = q.a.detach().double().numpy(), q.b.detach().double().numpy()

    def integrand(log_e):
        e = np.exp(log_e)
        x, far = np.minimum(e / b, 40), e / b > 40
        with np.errstate(divide="ignore"):  # in the form that is not taken
            log1m_w = np.where(x < 1, np.log(-np.expm1(-x)), np.log1p(-np.exp(-x)))
        log_v = np.where(far, -np.exp(-e / b), log1m_w) / a
        log1m_v = np.where(far, -e / b - np.log(a), np.log(-np.expm1(log1m_w / a)))
        log_q = np.log(a * b) + (a - 1) * log_v + (b - 1) * -e / b
        return f(log_v, log1m_v, log_q) * np.exp(log_e - e)

    return integral(integrand, LOG_EXPONENTIALS)


def exact_kl(q: Kumaraswamy, alpha: float, beta: float):
    def ratio(log_v, log1m_v, log_q):
        log_p = (alpha - 1) * log_v + (beta - 1) * log1m_v - special.betaln(alpha, beta)
        return log_q - log_p

    return expected(q, ratio)


def assert_finite_with_gradients(value: torch.Tensor, q: Kumaraswamy) -> None:
    assert value.isfinite().all()
    for gradient in torch.autograd.grad(value.sum(), (q.a, q.b), retain_graph=True):
        assert gradient.isfinite().all()


# -- density, draws, moments


def test_the_density_integrates_to_one():
    q = grid()

    def density(logit):
        log_v, log1m_v = -np.logaddexp(0, -logit), -np.logaddexp(0, logit)
        logs = torch.tensor(log_v), torch.tensor(log1m_v)
        with torch.no_grad():
            return (q.log_prob_of_logs(*logs) + sum(logs)).exp().numpy()

    np.testing.assert_allclose(integral(density, LOGITS), 1, rtol=1e-8)


def test_it_is_torchs_kumaraswamy_where_that_is_well():
    a, b = torch.tensor([0.5, 2.0, 3.0]), torch.tensor([[0.7], [4.0]])
    ours, theirs = Kumaraswamy(a, b), TorchKumaraswamy(a, b)
    v = torch.linspace(0.01, 0.99, 7).reshape(-1, 1, 1)
    assert (ours.batch_shape, ours.event_shape) == ((2, 3), ())
    torch.testing.assert_close(ours.log_prob(v), theirs.log_prob(v))
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.variance, theirs.variance)
    torch.testing.assert_close(ours.entropy(), theirs.entropy())
    torch.testing.assert_close(ours.cdf(v), 1 - (1 - v**a) ** b)
    torch.testing.assert_close(ours.icdf(ours.cdf(v)), v.expand(7, 2, 3))
    ends = torch.tensor([0.0, 1.0])
    torch.testing.assert_close(ours.cdf(ends.reshape(2, 1, 1))[:, 0, 0], ends)
    torch.testing.assert_close(ours.icdf(ends.reshape(2, 1, 1))[:, 0, 0], ends)


@pytest.mark.parametrize("dtype", DTYPES)
def test_draws_follow_the_cdf(dtype):
    """Kolmogorov-Smirnov on 5,000 draws of each of 144 pairs, of which one may fail, and on all."""
    q = grid(dtype)
    log_v, log1m_v = (t.detach().double() for t in q.rsample_logs((5000,)))
    a, b = q.a.double(), q.b.double()
    rest = torch.where(log1m_v > -30, -torch.expm1(a * log_v), a * log1m_v.exp())
    uniform = (1 - rest**b).detach().numpy()
    p_values = [stats.kstest(column, "uniform").pvalue for column in uniform.T]
    assert sorted(p_values)[1] > 1e-3
    assert stats.kstest(uniform.flatten(), "uniform", method="asymp").pvalue > 1e-3


def test_a_draw_moves_with_its_parameters_as_the_cdf_says():
    """Implicit differentiation, dv/da = -(dF/da) / p(v), and the same of b."""
    a = torch.tensor([0.3, 2.0, 20.0], requires_grad=True)
    b = torch.tensor([4.0, 0.5, 7.0], requires_grad=True)
    q = Kumaraswamy(a, b)
    v = q.rsample((50,))
    log1m = q.rsample_logs((50,))[1]
    for i in range(50):
        along = torch.autograd.grad(v[i].sum(), (a, b), retain_graph=True)
        of_cdf = torch.autograd.grad(q.cdf(v[i].detach()).sum(), (a, b))
        for moved, slope in zip(along, of_cdf, strict=True):
            torch.testing.assert_close(moved, -slope / q.log_prob(v[i]).exp().detach())
    rest = log1m.detach().exp()
    one = torch.autograd.grad(log1m.sum(), (a, b), retain_graph=True)
    slopes = [torch.autograd.grad(q.cdf(1 - r).sum(), (a, b)) for r in rest]
    for k in range(2):  # d log(1 - v) = -dv / (1 - v)
        each = [s[k] / (q.log_prob(1 - r).exp() * r) for s, r in zip(slopes, rest, strict=True)]
        torch.testing.assert_close(one[k], sum(each).detach(), rtol=1e-6, atol=1e-8)


def test_both_logarithms_are_of_one_number():
    log_v, log1m_v = grid().rsample_logs((100,))
    torch.testing.assert_close(log_v.exp() + log1m_v.exp(), torch.ones_like(log_v))


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_draw_density_or_gradient_is_infinite(dtype):
    q = grid(dtype)
    logs, v = q.rsample_logs((500,)), q.rsample((500,))
    assert ((v > 0) & (v < 1)).all()
    values = [*logs, v, q.log_prob_of_logs(*logs), q.log_prob(v), *q.log_means()]
    values += [q.mean, q.variance, q.entropy(), q.cdf(v.detach())]
    values += [kl(q, Beta(*q.a.new_tensor(p))) for p in BETAS for kl in (kl_divergence, kl_series)]
    for value in values:
        assert_finite_with_gradients(value, q)
    edge = q.a.new_tensor([[0.0], [1.0]], requires_grad=True)
    density = q.log_prob(edge)
    assert_finite_with_gradients(density, q)
    assert torch.autograd.grad(density.sum(), edge)[0].isfinite().all()


def test_the_density_of_the_logs_is_that_of_the_value():
    q = grid()
    v = torch.linspace(0.01, 0.99, 9).unsqueeze(-1)
    of_logs = q.log_prob_of_logs(v.log(), (1 - v).log())
    torch.testing.assert_close(q.log_prob(v), of_logs)


def test_float32_densities_are_those_of_float64():
    """To 2 in a million of the terms that they are the sum of."""
    q = grid()
    log_v, log1m_v = (t.detach() for t in q.rsample_logs((200,)))
    exact = q.log_prob_of_logs(log_v, log1m_v)
    rough = grid(torch.float32).log_prob_of_logs(log_v.float(), log1m_v.float())
    terms = ((q.a - 1) * log_v).abs() + ((q.b - 1) * log1m_v).abs() + q.a + q.b + 10
    assert ((rough - exact).abs() / terms).max() < 2e-6


def test_the_moments_are_those_of_quadrature():
    q = grid()
    mean = expected(q, lambda log_v, log1m_v, _: np.exp(log_v))
    rest = expected(q, lambda log_v, log1m_v, _: np.exp(log1m_v))
    fourth = expected(q, lambda log_v, log1m_v, _: np.exp(4 * log_v))
    log_mean, log1m_mean = q.log_means()
    np.testing.assert_allclose(q.mean.detach(), mean, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(log_mean.exp().detach(), mean, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(log1m_mean.exp().detach(), rest, rtol=1e-8)
    np.testing.assert_allclose(q.log_moment(4).exp().detach(), fourth, rtol=1e-8, atol=1e-12)
    about = expected(q, lambda log_v, log1m_v, _: (np.exp(log1m_v) - rest) ** 2)
    np.testing.assert_allclose(q.variance.detach(), about, rtol=1e-6, atol=1e-12)


def test_float32_means_of_a_stick_and_of_its_rest_keep_their_digits():
    """E[v] to 3e-5 of itself and E[1 - v] to 2e-4; by lgamma alone, that would be 3% off."""
    (mean, rest), (exact, exact_rest) = grid(torch.float32).log_means(), grid().log_means()
    torch.testing.assert_close(mean, exact.float(), rtol=1e-6, atol=3e-5)
    torch.testing.assert_close(rest, exact_rest.float(), rtol=1e-6, atol=2e-4)


def test_the_entropy_is_that_of_quadrature():
    q = grid()
    by_hand = -expected(q, lambda log_v, log1m_v, log_q: log_q)
    np.testing.assert_allclose(q.entropy().detach(), by_hand, rtol=1e-8, atol=1e-8)


# -- KL to a Beta


@pytest.mark.parametrize("p", BETAS)
def test_the_kl_is_that_of_adaptive_quadrature(p):
    """Float64: to 1e-5; float32: to 1e-4, and 1e-5 nats where the KL is next to nothing."""
    exact = exact_kl(grid(), *p)
    for dtype, rtol, atol in ((torch.float64, 1e-5, 1e-8), (torch.float32, 1e-4, 1e-5)):
        kl = kl_divergence(grid(dtype), Beta(*torch.tensor(p, dtype=dtype)))
        assert kl.dtype == dtype
        np.testing.assert_allclose(kl.detach(), exact, rtol=rtol, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_kl_is_zero_where_the_two_agree_and_never_negative(dtype):
    """Kumaraswamy(a, 1) is Beta(a, 1), and Kumaraswamy(1, b) is Beta(1, b)."""
    atol = 1e-6 if dtype == torch.float64 else 1e-5
    t, one = torch.tensor(GRID, dtype=dtype), torch.ones(len(GRID), dtype=dtype)
    for q, p in (((t, one), (t, one)), ((one, t), (one, t))):
        kl = kl_divergence(Kumaraswamy(*q), Beta(*p))
        assert (kl.abs() <= atol * (1 + t.log().abs())).all()
    near = torch.linspace(0.9, 1.1, 41, dtype=dtype)
    a, b = torch.cartesian_prod(near, near).T
    for scale in (0.1, 1.0, 10.0):
        p = Beta(torch.ones_like(a), torch.full_like(a, scale))
        assert (kl_divergence(Kumaraswamy(a, scale * b), p) > -atol).all()


@pytest.mark.parametrize("p", [(1.0, 5.0), (0.5, 2.0)])
def test_the_kls_gradient_is_the_slope_of_adaptive_quadrature(p):
    """Over steps of 0.01% in a and b, both ways; float32 gradients are within 0.1% of float64's."""
    q = grid()
    step = 1e-4
    kl = kl_divergence(q, Beta(*torch.tensor(p)))
    gradients = torch.autograd.grad(kl.sum(), (q.a, q.b))
    rough = grid(torch.float32)
    kl = kl_divergence(rough, Beta(*torch.tensor(p, dtype=torch.float32)))
    rough_gradients = torch.autograd.grad(kl.sum(), (rough.a, rough.b))
    for k in range(2):
        up, down = ([q.a.detach(), q.b.detach()] for _ in range(2))
        up[k], down[k] = up[k] * (1 + step), down[k] * (1 - step)
        slope = exact_kl(Kumaraswamy(*up), *p) - exact_kl(Kumaraswamy(*down), *p)
        value = (q.a, q.b)[k].detach().numpy()
        in_logs = gradients[k].numpy() * value
        np.testing.assert_allclose(in_logs, slope / (2 * step), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(rough_gradients[k].numpy() * value, in_logs, 1e-3, 1e-4)


def test_the_published_series_is_nats_off_where_b_is_small():
    """Against Beta(1, 5), which the adaptive quadrature says too: 2, 6 and 14 nats too small."""
    q, p = Kumaraswamy(torch.tensor([1.0, 10.0, 100.0]), torch.tensor(0.5)), Beta(1.0, 5.0)
    exact = exact_kl(q, 1.0, 5.0)
    np.testing.assert_allclose(kl_divergence(q, p), exact, rtol=1e-5)
    off = torch.tensor(exact) - kl_series(q, p)
    assert off.round().tolist() == [2.0, 6.0, 14.0]
    same = Kumaraswamy(torch.tensor(1.0), torch.tensor(1.5))  # as Beta(1, 1.5)
    assert kl_series(same, Beta(1.0, 1.5)) < -1e-3


def test_the_series_is_the_published_formula():
    a, b, alpha, beta = 0.7, 2.5, 1.5, 4.0
    m = np.arange(1, 12)
    published = (
        (a - alpha) / a * (-np.euler_gamma - special.digamma(b) - 1 / b)
        + log(a * b)
        + special.betaln(alpha, beta)
        - (b - 1) / b
        + (beta - 1) * b * (special.beta(m / a, b) / (m + a * b)).sum()
    )
    series = kl_series(Kumaraswamy(torch.tensor(a), torch.tensor(b)), Beta(alpha, beta))
    assert series.item() == pytest.approx(published)


def test_with_more_terms_the_series_becomes_the_kl():
    q, p = Kumaraswamy(torch.tensor([0.3, 2.0]), torch.tensor(3.0)), Beta(2.0, 3.0)
    errors = [(kl_series(q, p, n) - kl_divergence(q, p)).abs().max() for n in (11, 100, 1000)]
    assert errors[0] > 1e-3
    assert errors[1] < 1e-4
    assert errors[2] < 1e-7


def test_the_series_option_decides_the_kl_and_stays_with_the_distribution():
    q, p = grid(series=True), Beta(1.0, 5.0)
    torch.testing.assert_close(kl_divergence(q, p), kl_series(grid(), p))
    wider = q.expand((2, len(GRID) ** 2))
    assert wider.batch_shape == (2, len(GRID) ** 2)
    torch.testing.assert_close(kl_divergence(wider, p)[1], kl_series(grid(), p))
    torch.testing.assert_close(wider.mean[1], q.mean)
    assert Kumaraswamy.from_logs(q.a.log(), q.b.log(), series=True).series


def test_logs_of_parameters_are_kept_in_range_and_have_gradients_inside():
    raw = torch.tensor([-50.0, -3.0, 0.0, 6.0, 50.0], requires_grad=True)
    q = Kumaraswamy.from_logs(raw, -raw)
    kept = torch.tensor([0.02, np.exp(-3), 1.0, np.exp(6), 1000.0])
    torch.testing.assert_close(q.a, kept)
    torch.testing.assert_close(q.b, torch.tensor([1000.0, np.exp(3), 1.0, 0.02, 0.02]))
    (q.a.log().sum()).backward()
    assert raw.grad.tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan")])
def test_parameters_that_are_not_positive_are_refused(bad):
    with pytest.raises(ValueError, match="parameter"):
        Kumaraswamy(torch.tensor(bad), torch.tensor(1.0))
    with pytest.raises(ValueError, match="parameter"):
        Kumaraswamy(torch.tensor(1.0), torch.tensor(bad))
    with pytest.raises(ValueError, match="support"):
        Kumaraswamy(torch.tensor(1.0), torch.tensor(1.0)).log_prob(torch.tensor(1.5))


# -- the logarithms it is made of


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("log1m_p", [-600.0, -80.0, -33.0, -31.0, -10.0, -1.0, -0.1, -1e-6, -1e-30])
def test_logarithms_near_zero_and_one_are_those_of_300_digits(log1m_p, dtype):
    with localcontext() as context:
        context.prec = 300
        rest = Decimal(log1m_p).exp()
        log_p = (1 - rest).ln()
        chords = [((1 - (c * log_p).exp()) / rest).ln() for c in map(Decimal, GRID)]
    x, c = torch.tensor(log1m_p, dtype=dtype), torch.tensor(GRID, dtype=dtype)
    rtol = 3e-6 if dtype == torch.float32 else 1e-13
    torch.testing.assert_close(log1mexp(x), x.new_tensor(float(log_p)), rtol=rtol, atol=0)
    exact = x.new_tensor([float(chord) for chord in chords])
    found = log_chord(x.new_tensor(float(log_p)), x, c)
    torch.testing.assert_close(found, exact, rtol=rtol, atol=3 * rtol)


def test_ratios_of_gamma_functions_are_scipys():
    x = torch.tensor([0.02, 1.0, 1.02, 2.0, 7.5, 1001.0]).unsqueeze(-1)
    c = torch.tensor([0.001, 0.02, 1.0, 50.0, 550.0])
    exact = special.gammaln((x + c).numpy()) - special.gammaln(x.numpy())
    torch.testing.assert_close(log_gamma_ratio(x, c), torch.tensor(exact), rtol=1e-9, atol=1e-11)
    rough = log_gamma_ratio(x.float(), c.float())
    torch.testing.assert_close(rough, torch.tensor(exact).float(), rtol=1e-6, atol=1e-6)
