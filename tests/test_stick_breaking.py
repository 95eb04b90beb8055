"""Broken sticks: against the Dirichlet, which is one of them, and against loops."""

from itertools import pairwise

import pytest
import torch
from torch.distributions import Beta, Dirichlet, kl_divergence
from torch.distributions import Kumaraswamy as TorchKumaraswamy

from mixvae.distributions import (
    Kumaraswamy,
    StickBreaking,
    dirichlet_sticks,
    kl_series,
    mixture,
    process_sticks,
)
from mixvae.errors import MixvaeError
from mixvae.parts.posteriors import StickPosterior
from mixvae.parts.priors import StickPrior
from mixvae.parts.weights import StickWeights

pytestmark = pytest.mark.usefixtures("maths")

DTYPES = [torch.float32, torch.float64]
EXTREMES = [0.02, 0.1, 0.5, 1.0, 5.0, 50.0, 1000.0]


def sticks_of(concentration: torch.Tensor) -> Beta:
    """The sticks of a Dirichlet: Beta(alpha_k, alpha_(k+1) + ... + alpha_K)."""
    after = concentration.flip(-1).cumsum(-1).flip(-1)[..., 1:]
    return Beta(concentration[..., :-1], after)


def kumaraswamy(*batch: int) -> StickBreaking:
    a, b = (torch.rand(*batch) * 3 + 0.4 for _ in range(2))
    return StickBreaking(Kumaraswamy(a, b))


CONCENTRATIONS = torch.tensor(
    [[1.0, 1, 1, 1], [0.3, 2.0, 5.0, 0.7], [40.0, 0.1, 9.0, 100.0]], dtype=torch.float64
)


# -- the Dirichlet


def test_the_density_of_the_right_betas_is_the_dirichlets():
    dirichlet, broken = Dirichlet(CONCENTRATIONS), StickBreaking(sticks_of(CONCENTRATIONS))
    w = dirichlet.sample((200,))
    assert (broken.batch_shape, broken.event_shape) == ((3,), (4,))
    torch.testing.assert_close(broken.log_prob(w), dirichlet.log_prob(w))


def test_the_mean_and_the_kl_of_the_right_betas_are_the_dirichlets():
    q, p = CONCENTRATIONS, CONCENTRATIONS.flip(0)
    broken = [StickBreaking(sticks_of(c)) for c in (q, p)]
    torch.testing.assert_close(broken[0].mean, Dirichlet(q).mean)
    torch.testing.assert_close(kl_divergence(*broken), kl_divergence(Dirichlet(q), Dirichlet(p)))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_the_finite_priors_weights_are_a_symmetric_dirichlet(alpha):
    p, dirichlet = StickBreaking(dirichlet_sticks(5, alpha)), Dirichlet(torch.full((5,), alpha))
    w = dirichlet.sample((100,))
    torch.testing.assert_close(p.log_prob(w), dirichlet.log_prob(w))
    w = p.sample((20_000,))
    error = (dirichlet.variance / 20_000).sqrt()
    assert ((w.mean(0) - 0.2).abs() < 4 * error).all()
    torch.testing.assert_close(w.var(0), dirichlet.variance, rtol=0.06, atol=0)


def test_the_processs_weights_are_those_of_a_gem():
    """E[w_k] = (1 / (1 + alpha)) (alpha / (1 + alpha))^(k-1), the last the rest."""
    p = StickBreaking(process_sticks(6, 2.0))
    pieces = (2 / 3) ** torch.arange(6)
    expected = torch.cat([pieces[:5] / 3, pieces[5:]])
    torch.testing.assert_close(p.mean, expected)
    assert expected.sum() == pytest.approx(1)


# -- sticks of either kind


@pytest.mark.parametrize("kind", ["kumaraswamy", "beta"])
def test_weights_are_the_pieces_that_a_loop_breaks_off(kind, monkeypatch):
    """With sticks held at 0.5, 0.2 and 0.9: 0.5, 0.5 of 0.2, ..."""
    v = torch.tensor([[0.5, 0.2, 0.9], [0.1, 0.6, 0.3]])
    logs = v.log(), (1 - v).log()
    held = StickBreaking(Kumaraswamy(v, v) if kind == "kumaraswamy" else Beta(v, v))
    if kind == "kumaraswamy":
        monkeypatch.setattr(Kumaraswamy, "rsample_logs", lambda *_: logs)
    else:
        draw = lambda *_: torch.stack((v, 1 - v), -1)
        monkeypatch.setattr(Dirichlet, "rsample", draw)
    for row, found in zip(v, held.rsample(), strict=True):
        left, expected = 1.0, []
        for stick in row:
            expected.append(left * stick)
            left = left * (1 - stick)
        torch.testing.assert_close(found, torch.stack([*expected, left]))


def test_the_density_is_that_of_the_sticks_by_change_of_variables():
    """log q(w) = log q(v) - log |det dw/dv|, with autograd's Jacobian."""

    def first_weights(v):
        left = torch.cat([torch.ones(1), (1 - v).cumprod(0)])
        return left[:-1] * v

    q = kumaraswamy(4, 3)
    for row in range(4):
        v = torch.rand(3) * 0.8 + 0.1
        w = first_weights(v)
        jacobian = torch.autograd.functional.jacobian(first_weights, v)
        row_sticks = Kumaraswamy(q.sticks.a[row], q.sticks.b[row])
        expected = row_sticks.log_prob(v).sum() - jacobian.det().abs().log()
        found = q.log_prob(torch.cat([w, 1 - w.sum(0, keepdim=True)]).expand(4, 4))[row]
        torch.testing.assert_close(found, expected)


def test_mean_weights_are_those_of_draws():
    q = kumaraswamy(2, 5)
    w = q.sample((20_000,))
    assert ((w.mean(0) - q.mean).abs() < 4 * w.std(0) / 20_000**0.5).all()
    torch.testing.assert_close(q.mean.sum(-1), torch.ones(2))


@pytest.mark.parametrize("make", [dirichlet_sticks, process_sticks])
def test_importance_weights_of_draws_have_mean_one(make):
    """E_q[p(w) / q(w)] = 1, from 40,000 draws of a broader q; four errors."""
    p, q = StickBreaking(make(6, 1.2)), StickBreaking(Kumaraswamy(torch.full((5,), 0.8), 0.9))
    w = q.sample((40_000,))
    ratio = (p.log_prob(w) - q.log_prob(w)).exp()
    error = ratio.std() / 40_000**0.5
    assert error < 0.05, "too few draws to tell"
    assert abs(ratio.mean() - 1) < 4 * error


def test_the_kl_is_the_mean_log_ratio_of_draws():
    q, p = kumaraswamy(3, 4), StickBreaking(process_sticks(5, 2.0))
    w = q.sample((20_000,))
    ratio = q.log_prob(w) - p.log_prob(w)
    assert ((ratio.mean(0) - kl_divergence(q, p)).abs() < 4 * ratio.std(0) / 20_000**0.5).all()


def test_the_series_kl_is_the_sum_of_the_sticks_series():
    a, b, prior = torch.rand(3, 4) + 0.2, torch.rand(3, 4) + 0.2, process_sticks(5, 5.0)
    q, p = StickBreaking(Kumaraswamy(a, b, series=True)), StickBreaking(prior)
    series = sum(kl_series(Kumaraswamy(a[:, k], b[:, k]), Beta(1.0, 5.0)) for k in range(4))
    torch.testing.assert_close(kl_divergence(q, p), series)
    wider = q.expand((2, 3))
    assert wider.batch_shape == (2, 3)
    torch.testing.assert_close(kl_divergence(wider, p)[1], series)


# -- extremes


@pytest.mark.parametrize("n_sticks", [1, 4, 20])
@pytest.mark.parametrize("dtype", DTYPES)
def test_no_weight_density_kl_or_gradient_is_infinite(dtype, n_sticks):
    """Draws that underflow have gradients too, of q as of p."""
    pairs = torch.cartesian_prod(*[torch.tensor(EXTREMES, dtype=dtype)] * 2)
    a, b = (t.unsqueeze(-1).repeat(1, n_sticks).requires_grad_() for t in pairs.unbind(-1))
    q, one = StickBreaking(Kumaraswamy(a, b)), torch.ones(n_sticks, dtype=dtype)
    p = StickBreaking(Beta(one, 50 * one))
    w = q.rsample((300,))
    torch.testing.assert_close(w.sum(-1), torch.ones_like(w[..., 0]))
    assert dtype == torch.float64 or (w == 0).any(), "nothing underflowed"
    density = q.log_prob(w)
    for value in (w[..., 0], density, p.log_prob(w) - density, kl_divergence(q, p), q.mean[:, -1]):
        assert value.isfinite().all()
        for gradient in torch.autograd.grad(value.sum(), (a, b), retain_graph=True):
            assert gradient.isfinite().all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("alpha", [0.02, 0.1])
def test_draws_of_sharp_priors_have_finite_densities(alpha, dtype):
    torch.set_default_dtype(dtype)
    for sticks in (dirichlet_sticks(20, alpha), process_sticks(20, alpha)):
        p = StickBreaking(sticks)
        w = p.sample((1000,))
        torch.testing.assert_close(w.sum(-1), torch.ones(1000))
        assert p.log_prob(w).isfinite().all()


def test_sticks_are_recovered_from_weights_without_cancelling():
    """A first stick of 1 - 1e-20, whose rest is divided in two: in float32 as in float64."""
    w = torch.tensor([1 - 1e-20, 1e-20 * 0.25, 1e-20 * 0.75])
    a, b = torch.tensor([30.0, 2.0]), torch.tensor([3.0, 0.5])
    exact = (
        Kumaraswamy(a, b)
        .log_prob_of_logs(
            torch.tensor([-1e-20, 0.25]).where(
                torch.tensor([True, False]), torch.tensor(0.25).log()
            ),
            torch.tensor([1e-20, 0.75]).log(),
        )
        .sum()
        - torch.tensor(1e-20).log()
    )
    torch.testing.assert_close(StickBreaking(Kumaraswamy(a, b)).log_prob(w), exact)
    rough = StickBreaking(Kumaraswamy(a.float(), b.float())).log_prob(w.float())
    torch.testing.assert_close(rough, exact.float(), rtol=1e-5, atol=1e-4)


def test_without_sticks_the_one_weight_is_one():
    q = StickBreaking(Kumaraswamy(torch.ones(3, 0), torch.ones(3, 0)))
    p = StickBreaking(dirichlet_sticks(1))
    for one in (q, p.expand((3,))):
        assert one.rsample((2,)).tolist() == [[[1.0]] * 3] * 2
        assert one.mean.tolist() == [[1.0]] * 3
        assert one.log_prob(torch.ones(2, 3, 1)).tolist() == [[0.0] * 3] * 2
    assert kl_divergence(q, p).tolist() == [0.0] * 3


# -- the parts


def test_stick_k_reads_the_features_of_component_k():
    weights, h = StickWeights(5, 4, dirichlet_sticks(4)), torch.randn(2, 4, 5)
    sticks = weights(h).sticks
    layer = weights.net.body
    for k in range(3):
        raw = h[:, k] @ layer.weight[k].T + layer.bias[k]
        torch.testing.assert_close(sticks.a[:, k], raw[:, 0].exp())
        torch.testing.assert_close(sticks.b[:, k], raw[:, 1].exp())


def test_stick_weights_generate_from_their_prior_which_moves_with_them():
    weights = StickWeights(5, 4, process_sticks(4, 2.0))
    w = weights.generate(20_000)
    mean = weights.prior().mean
    assert ((w.mean(0) - mean).abs() < 4 * w.std(0) / 20_000**0.5).all()
    assert weights.float().generate(2).dtype == torch.float32
    assert weights(torch.randn(3, 4, 5).float()).mean.dtype == torch.float32
    kl = kl_divergence(weights(torch.randn(3, 4, 5).float()), weights.prior())
    assert kl.shape == (3,)


def test_the_stick_posterior_reads_each_component_by_itself():
    posterior, prior, h = StickPosterior(5, 4, 3), StickPrior(4, 5.0), torch.randn(2, 3, 5)
    q, p = posterior(h), prior(lambda x: pytest.fail("no need to encode"))
    assert (q.batch_shape, q.event_shape) == ((2, 3), (4,))
    assert (p.batch_shape, p.event_shape) == ((), (4,))
    assert p.mean[0] == pytest.approx(1 / 6)
    layer = posterior.net.body
    for k in range(3):
        a, b = (h[:, k] @ layer.weight[k].mT + layer.bias[k]).exp().chunk(2, -1)
        torch.testing.assert_close(q.mean[:, k], StickBreaking(Kumaraswamy(a, b)).mean)
    kl = kl_divergence(q, p)
    assert kl.shape == (2, 3)
    z = q.sample((5000,))
    ratio = q.log_prob(z) - p.log_prob(z)
    assert ((ratio.mean(0) - kl).abs() < 4 * ratio.std(0) / 5000**0.5).all()


@pytest.mark.parametrize("make", [StickPosterior, StickWeights])
def test_the_parts_pass_the_series_on(make):
    size = {"n_latent": 4, "n_components": 3} if make is StickPosterior else {"n_components": 4}
    if make is StickWeights:
        size["prior"] = process_sticks(4)
    h = torch.randn(2, size["n_components"], 5)
    for series in (False, True):
        assert make(5, series=series, **size)(h).sticks.series is series


def test_a_mixture_of_stick_posteriors_has_a_density():
    q, weights = StickPosterior(5, 4, 3)(torch.randn(2, 3, 5)), torch.tensor([0.2, 0.3, 0.5])
    aggregated = mixture(weights.expand(2, 3), q)
    z = aggregated.sample((7,))
    each = q.log_prob(z.unsqueeze(-2)) + weights.log()
    torch.testing.assert_close(aggregated.log_prob(z), each.logsumexp(-1))
    torch.testing.assert_close(aggregated.mean, (weights.unsqueeze(-1) * q.mean).sum(1))


# -- errors


@pytest.mark.parametrize("make", [dirichlet_sticks, process_sticks])
def test_a_prior_needs_a_weight_and_a_positive_concentration(make):
    with pytest.raises(MixvaeError, match="n_weights must be at least 1; got 0"):
        make(0, 1.0)
    for bad in (0.0, -1.0, float("nan")):
        with pytest.raises(MixvaeError, match="concentration must be positive, such as 1; got"):
            make(3, bad)


def test_parts_say_what_they_need():
    with pytest.raises(MixvaeError, match="n_components must be at least 1; got 0"):
        StickWeights(5, 0, dirichlet_sticks(1))
    with pytest.raises(MixvaeError, match=r"3 weights needs a batch of 2 sticks; got \(3,\)"):
        StickWeights(5, 3, dirichlet_sticks(4))
    with pytest.raises(MixvaeError, match="n_latent must be at least 2; got 1"):
        StickPosterior(5, 1, 3)
    with pytest.raises(MixvaeError, match="n_latent must be at least 2; got 1"):
        StickPrior(1)
    with pytest.raises(MixvaeError, match="n_copies must be at least 1; got 0"):
        StickPosterior(5, 4, 0)
    with pytest.raises(MixvaeError, match="concentration must be positive"):
        StickPrior(4, 0.0)


def test_a_kl_needs_as_many_weights_on_both_sides():
    sizes = [2, 5, 3]
    for one, other in pairwise(sizes):
        q, p = StickBreaking(dirichlet_sticks(one)), StickBreaking(dirichlet_sticks(other))
        with pytest.raises(MixvaeError, match=f"got {one} and {other}"):
            kl_divergence(q, p)


@pytest.mark.usefixtures("unchecked")
def test_torchs_own_kumaraswamy_is_not_taken_for_a_beta():
    one = torch.ones(3)
    with pytest.raises(MixvaeError, match=r"got torch\.distributions\.kumaraswamy\.Kumaraswamy"):
        StickBreaking(TorchKumaraswamy(one, one))
