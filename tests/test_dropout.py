"""Component dropout: the masks, what they do to the weights, and what the rates cost."""

from itertools import pairwise
from math import log

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch.distributions import Bernoulli, kl_divergence

from cases import Case
from mixvae.errors import MixvaeError
from mixvae.parts.component_dropout import (
    ConcreteDropout,
    GaussianDropout,
    polynomial_kl,
    reweigh,
    sigmoid_kl,
)

pytestmark = pytest.mark.usefixtures("maths")
KINDS = {
    "concrete": ConcreteDropout,
    "gaussian": GaussianDropout,
    "polynomial": lambda *args, **options: GaussianDropout(*args, polynomial=True, **options),
}
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())


def set_rates(masks: ConcreteDropout | GaussianDropout, *logits: float) -> None:
    masks.logits.data = torch.tensor(logits)


# -- MVAE (16)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ((1.0, 1.0, 1.0), (0.2, 0.5, 0.3)),
        ((1.0, 0.0, 0.5), (0.2 / 0.35, 0.0, 0.15 / 0.35)),
        ((0.0, 0.0, 0.01), (0.0, 0.0, 1.0)),
        ((2.0, 0.4, 1.0), (0.4 / 0.9, 0.2 / 0.9, 0.3 / 0.9)),
    ],
)
def test_a_mask_reweighs_as_a_hand_computes(mask, expected):
    w = torch.tensor([0.2, 0.5, 0.3])
    torch.testing.assert_close(reweigh(w, torch.tensor(mask).log()), torch.tensor(expected))


def test_masks_that_underflow_still_leave_one_component_and_finite_gradients():
    torch.set_default_dtype(torch.float32)
    w = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1e-30, 0.0], [0.3, 0.3, 0.4]], requires_grad=True)
    log_mask = torch.tensor([-300.0, 0.0, -300.0], requires_grad=True)
    b = reweigh(w, log_mask.expand(3, 3))
    torch.testing.assert_close(b.sum(-1), torch.ones(3))
    assert (b[:, 1] > 0.99).all()  # the one that is not masked, however little it weighed
    reweigh(w, torch.full((3, 3), -300.0)).square().sum().backward()
    assert w.grad.isfinite().all()
    b.square().sum().backward()
    assert log_mask.grad.isfinite().all()


# -- what the rates cost


def true_kl(tau: float) -> float:
    """KL(N(1, tau) to a density that falls as 1/|m|), 0 at infinite tau, by quadrature."""
    zero = -1 / np.sqrt(tau)  # where m is 0, and log|m| has its pole

    def integrand(e: float) -> float:
        return stats.norm.pdf(e) * np.log(abs(1 + np.sqrt(tau) * e))

    ends = [-12.0, *([zero] if zero > -12 else []), 0.0, 12.0]
    pieces = pairwise(ends)
    expected_log = sum(integrate.quad(integrand, *ends, limit=400)[0] for ends in pieces)
    entropy = 0.5 * log(tau)  # the constants of both cancel, but for E log|N(0, 1)|
    return expected_log - entropy + (np.euler_gamma + log(2)) / 2


@pytest.mark.parametrize("log_tau", [-8.0, -5.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0, 8.0])
def test_the_gaussian_rate_costs_its_kl_to_the_log_uniform_prior(log_tau):
    expected = true_kl(np.exp(log_tau))
    found = float(sigmoid_kl(torch.tensor(log_tau)))
    assert found == pytest.approx(expected, abs=0.01)  # a fit; its authors' plot shows as much
    if log_tau <= 0:
        assert float(polynomial_kl(torch.tensor(log_tau))) == pytest.approx(expected, abs=0.04)


def test_less_noise_costs_more():
    log_tau = torch.linspace(-8, 8, 200)
    assert (sigmoid_kl(log_tau).diff() < 0).all()
    assert (polynomial_kl(log_tau[log_tau <= -0.1]).diff() < 0).all()


def test_a_concrete_rate_costs_its_masks_kl_to_the_sparse_prior():
    masks = ConcreteDropout(3, keep_prior=0.2)
    set_rates(masks, -2.0, 0.3, 4.0)
    expected = kl_divergence(Bernoulli(probs=1 - masks.rate), Bernoulli(probs=0.2)).sum()
    torch.testing.assert_close(masks.penalty(), expected)
    set_rates(masks, *[log(0.8 / 0.2)] * 3)
    torch.testing.assert_close(masks.penalty(), torch.tensor(0.0))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_a_shared_concrete_rate_is_paid_its_entropy_once(rate):
    penalty = ConcreteDropout(5, rate=rate, shared=True).penalty()
    torch.testing.assert_close(penalty, -Bernoulli(probs=torch.tensor(rate)).entropy())


@pytest.mark.parametrize("shared", [False, True])
def test_a_gaussian_mask_costs_the_sum_over_components(shared):
    masks = GaussianDropout(4, rate=0.2, shared=shared)
    torch.testing.assert_close(masks.penalty(), 4 * sigmoid_kl(torch.tensor(log(0.2 / 0.8))))


@pytest.mark.parametrize("name", ["mvae-gs", "mvae-gau"])
def test_the_objective_pays_for_the_rates_and_the_warm_up_scales_it(name):
    case = Case(name, {"beta_dropout": 3.0})
    recipe, x = case.build(), case.data()
    cost = recipe.model.dropout.penalty()
    for scale in (0.0, 0.5, 1.0):
        terms = recipe.objective(recipe.model, x, scale)
        torch.testing.assert_close(terms["dropout"], -3 * scale * cost)


# -- draws


def test_a_concrete_mask_is_the_softmax_of_two_gumbel_logits():
    """MVAE (22), its second log(1 - p) read as log p: the draws' distribution function."""
    masks = ConcreteDropout(1, rate=0.3, temperature=0.5)
    torch.manual_seed(0)
    drawn = masks.draw(torch.ones(200_000, 1, 1)).exp().flatten()
    gumbel = -torch.log(-torch.log(torch.rand(200_000, 2)))
    logits = (gumbel + torch.tensor([0.7, 0.3]).log()) / 0.5
    plain = logits.softmax(-1)[:, 0]
    for q in (0.05, 0.3, 0.5, 0.7, 0.95):
        found, expected = (float((m < q).double().mean()) for m in (drawn, plain))
        assert found == pytest.approx(expected, abs=4 * (0.5 / 200_000**0.5))


def test_a_gaussian_mask_has_mean_one_and_variance_tau_and_is_cut_at_zero():
    masks = GaussianDropout(1, rate=0.5)  # tau = 1
    torch.manual_seed(0)
    m = masks.draw(torch.ones(200_000, 1, 1)).exp().flatten().detach()
    assert (m >= 0).all()
    cut = stats.norm(1, 1)
    assert float((m < 1e-9).double().mean()) == pytest.approx(cut.cdf(0), abs=0.004)
    assert m.mean().item() == pytest.approx(cut.expect(lambda v: max(v, 0)), abs=0.01)


@every_kind
def test_the_selected_number_is_how_many_masks_are_above_the_threshold(make):
    masks = make(3, rate=0.3)
    masks.logits.data += torch.tensor([-1.0, 0.0, 1.0])
    torch.manual_seed(0)
    drawn = masks.draw(torch.ones(1, 100_000, 3)).exp()
    counted = (drawn > masks.THRESHOLD).double().sum(-1).mean()
    assert masks.n_selected().item() == pytest.approx(counted.item(), abs=0.02)


@every_kind
def test_every_sample_example_and_component_has_a_mask_of_its_own(make):
    torch.manual_seed(0)
    drawn = make(3, rate=0.4, shared=True).train()(torch.ones(4, 5, 3))
    above_zero = drawn[drawn > -50]
    assert len(above_zero.unique()) == len(above_zero) > 20


def test_a_higher_rate_drops_more():
    torch.manual_seed(0)
    masks = ConcreteDropout(2)
    set_rates(masks, -2.0, 2.0)
    low, high = masks.draw(torch.ones(1, 10_000, 2)).exp().mean((0, 1)).tolist()
    assert low == pytest.approx(torch.tensor(2.0).sigmoid().item(), abs=0.02)
    assert high == pytest.approx(torch.tensor(-2.0).sigmoid().item(), abs=0.02)


# -- evaluation


@every_kind
def test_evaluation_is_not_random_and_keeps_the_kept_alike(make):
    masks = make(3).eval()
    set_rates(masks, -2.0, 9.0, -1.0)
    mask = masks(torch.ones(2, 4, 3)).exp()
    assert torch.equal(mask, masks.kept().double().expand(2, 4, 3))


@pytest.mark.parametrize(
    ("make", "logits", "kept"),
    [
        (ConcreteDropout, (-0.1, 0.1, 5.0), [True, False, False]),
        (GaussianDropout, (-0.1, 2.9, 3.1), [True, True, False]),
        (KINDS["polynomial"], (-1.0, 5.0, 50.0), [True, True, True]),  # tau stays below 1
    ],
    ids=KINDS,
)
def test_the_rule_of_what_is_kept(make, logits, kept):
    masks = make(3)
    set_rates(masks, *logits)
    assert masks.kept().tolist() == kept


@every_kind
def test_the_best_component_is_kept_at_any_rate(make):
    masks = make(3)
    set_rates(masks, 30.0, 20.0, 30.0)
    assert masks.kept()[1]
    assert make(3, shared=True).kept().all()
    shared = ConcreteDropout(3, rate=0.9, shared=True)
    assert shared.kept().sum() == 1


def test_polynomial_rates_stay_below_one_half():
    masks = GaussianDropout(2, rate=0.4, polynomial=True)
    torch.testing.assert_close(masks.rate, torch.full((2,), 0.4))
    set_rates(masks, 3.0, 30.0)
    assert (masks.rate <= 0.5).all()


@pytest.mark.parametrize("name", ["mvae-gs", "mvae-gau"])
def test_a_dropped_component_takes_no_part_in_evaluation(name):
    case = Case(name)
    model, x = case.build().model.eval(), case.data()
    model.dropout.logits.data = torch.tensor([-2.0, 9.0, -2.0])
    trace = model(x, 5)
    assert (trace.b[..., 1] == 0).all()
    assert (trace.w[..., 1] == 0).all()
    other = trace.z.clone()
    other[:, :, 1] += 1
    torch.testing.assert_close(model.decode(other, trace.b).mean, trace.p_x.mean)
    assert (model.family.responsibilities(model.mean_trace(x))[:, 1] == 0).all()
    assert model.kept.tolist() == [True, False, True]


# -- what cannot be used


@every_kind
@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_rates_outside_the_unit_interval_are_refused(make, rate):
    with pytest.raises(MixvaeError, match="rate must be between 0 and"):
        make(3, rate=rate)


def test_a_polynomial_rate_of_one_half_is_refused():
    with pytest.raises(MixvaeError, match=r"between 0 and 0\.5, both excluded; got 0\.5"):
        GaussianDropout(3, rate=0.5, polynomial=True)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(MixvaeError, match="temperature must be positive"):
        ConcreteDropout(3, temperature=temperature)


@pytest.mark.parametrize("keep_prior", [0.0, 1.0])
def test_a_certain_prior_is_refused(keep_prior):
    with pytest.raises(MixvaeError, match="keep_prior must be between 0 and 1"):
        ConcreteDropout(3, keep_prior=keep_prior)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rate": "shard"}, "unknown rate 'shard'"),
        ({"start_rate": 1.0}, "rate must be between"),
        ({"beta_dropout": -1.0}, "beta_dropout must be at least 0"),
    ],
)
@pytest.mark.parametrize("name", ["mvae-gs", "mvae-gau"])
@pytest.mark.usefixtures("unchecked")
def test_recipes_refuse_what_their_masks_cannot_take(name, options, said):
    with pytest.raises(MixvaeError, match=said):
        Case(name).build(**options)
