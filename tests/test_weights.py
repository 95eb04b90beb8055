"""Component weights: known ones, and Dirichlet ones with implicit gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Dirichlet

from cases import Case
from mixvae.distributions import Delta
from mixvae.parts.weights import MIN_CONCENTRATION, CategoricalWeights, DirichletWeights

pytestmark = pytest.mark.usefixtures("maths")


def test_known_weights_are_the_softmax_of_their_logits_for_every_row():
    weights = CategoricalWeights(3, learned=True)
    weights.logits.data.copy_(torch.tensor([1.0, 0.0, -2.0]))
    expected = weights.logits.softmax(0)
    q = weights(torch.zeros(4, 3, 5))
    torch.testing.assert_close(q.rsample((2,)), expected.expand(2, 4, 3))
    torch.testing.assert_close(weights.generate(6), expected.expand(6, 3))
    assert weights.prior() is None


def test_uniform_weights_are_uniform_and_not_learned():
    weights = CategoricalWeights(4)
    torch.testing.assert_close(weights.generate(2), torch.full((2, 4), 0.25))
    assert not list(weights.parameters())
    assert list(weights.state_dict()) == ["logits"]


def test_free_concentrations_are_the_softplus_of_one_output_per_component():
    weights, h = DirichletWeights(5, 3), torch.randn(4, 3, 5)
    layer = weights.net.body
    raw = torch.stack([h[:, k] @ layer.weight[k, 0] + layer.bias[k, 0] for k in range(3)], 1)
    torch.testing.assert_close(weights(h).concentration, F.softplus(raw) + 1e-6)
    torch.testing.assert_close(weights.prior().concentration, torch.ones(3))


def test_normalised_concentrations_are_the_free_ones_over_their_sum():
    h = torch.randn(4, 3, 5)
    free, normalised = DirichletWeights(5, 3), DirichletWeights(5, 3, normalised=True)
    normalised.net.load_state_dict(free.net.state_dict())
    a = free(h).concentration
    torch.testing.assert_close(normalised(h).concentration, a / a.sum(-1, keepdim=True))
    torch.testing.assert_close(normalised.prior().concentration, torch.full((3,), 1 / 3))


@pytest.mark.parametrize("normalised", [False, True])
def test_the_priors_concentration_can_be_given(normalised):
    weights = DirichletWeights(5, 3, normalised=normalised, prior_concentration=0.2)
    torch.testing.assert_close(weights.prior().concentration, torch.full((3,), 0.2))


@pytest.mark.parametrize("b0", [0.5, 1.0, 4.0])
def test_generated_weights_have_the_priors_mean_and_spread(b0):
    """20,000 draws; the variance of w_k is b0² (K - 1) K / ((K b0)² (K b0 + 1) K)."""
    w = DirichletWeights(5, 3, prior_concentration=b0).generate(20_000)
    torch.testing.assert_close(w.sum(-1), torch.ones(20_000))
    variance = (1 / 3) * (2 / 3) / (3 * b0 + 1)
    error = (variance / 20_000) ** 0.5
    assert ((w.mean(0) - 1 / 3).abs() < 4 * error).all()
    torch.testing.assert_close(w.var(0), torch.full((3,), variance), rtol=0.05, atol=0)


@pytest.mark.parametrize("a", [[2.0, 1.0, 0.5], [0.3, 0.2, 0.1], [30.0, 10.0, 5.0]])
def test_implicit_gradients_are_those_of_the_means_that_are_known(a):
    """E[w_k] = a_k / A and E[w_k²] = a_k (a_k + 1) / (A (A + 1)); 50,000 draws, four errors."""
    a = torch.tensor(a)
    A = a.sum()
    first = torch.autograd.functional.jacobian(lambda a: (a / a.sum())[0], a)
    second = torch.autograd.functional.jacobian(
        lambda a: a[0] * (a[0] + 1) / (a.sum() * (a.sum() + 1)), a
    )
    assert first[0] == pytest.approx(float((A - a[0]) / A**2))
    for power, exact in ((1, first), (2, second)):
        each = a.expand(50_000, 3).clone().requires_grad_()
        Dirichlet(each).rsample()[:, 0].pow(power).sum().backward()
        error = each.grad.std(0) / 50_000**0.5
        assert ((each.grad.mean(0) - exact).abs() < 4 * error + 1e-9).all()
        assert (error < 0.05 * exact.abs().max()).all(), "too few draws to tell"


@pytest.mark.parametrize("raw", [-60.0, 1e4], ids=["1e-6", "huge"])
@pytest.mark.parametrize("concentration", ["free", "normalised"])
@pytest.mark.parametrize("recipe", ["m-vae", "mvae"])
def test_extreme_concentrations_leave_finite_numbers_and_gradients(recipe, concentration, raw):
    """In float32, as in training: all components at the extreme, or one of them."""
    torch.set_default_dtype(torch.float32)
    case = Case(recipe, {"concentration": concentration, "kl_reduction": "sum"})
    for which in ([0], [0, 1, 2]):
        recipe_, x = case.build(), case.data()
        model = recipe_.model
        model.weights.net.body.bias.data[which] = raw
        a = model.infer(x)[1].concentration
        if raw < 0 and concentration == "free":
            torch.testing.assert_close(a[:, which], torch.full_like(a[:, which], MIN_CONCENTRATION))
        t = model(x, 50)
        assert t.log_weight.isfinite().all()
        torch.testing.assert_close(t.w.sum(-1), torch.ones(50, len(x)))
        (t.log_weight.mean() + sum(recipe_.bound(t).values()).mean()).backward()
        for name, p in model.named_parameters():
            assert p.grad.isfinite().all(), name


def test_a_delta_is_its_point_and_passes_gradients_to_it():
    loc = torch.randn(4, 3, requires_grad=True)
    p = Delta(loc)
    assert (p.batch_shape, p.event_shape) == ((4,), (3,))
    assert torch.equal(p.mean, loc)
    p.rsample((5,)).sum().backward()
    assert torch.equal(loc.grad, torch.full((4, 3), 5.0))
