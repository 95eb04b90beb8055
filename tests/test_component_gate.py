"""Sparse training: a gate, the components that it draws, and the bound over them."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from cases import Case
from linear_models import DATA, Maps
from mixvae.families import ExactMixture
from mixvae.nn import Stacked
from mixvae.objectives import iwae, mixture_bound, routed
from mixvae.parts.component_sampler import ComponentGate, by_component
from mixvae.trace import Trace

pytestmark = pytest.mark.usefixtures("maths")

K = 4
SPARSE = Case("mixture-vae", {"n_components": K, "shared_layers": True, "n_active": 2})


def sparse(**options: object) -> tuple[nn.Module, Trace]:
    """A small model under training, its proportions away from uniform, and a pass of it."""
    model = SPARSE.build(**options).model
    model.weights.logits.data.copy_(torch.linspace(-1, 1, K))
    torch.manual_seed(1)
    return model, model(SPARSE.data(), 3)


def test_rows_of_some_components_are_what_those_layers_make_of_them():
    net = Stacked(lambda: nn.Linear(3, 5), K)
    x, some = torch.randn(6, 2, 3), torch.tensor([[0, 3], [3, 1], [3, 0], [3, 2], [0, 3], [3, 0]])
    made = by_component(net.body, x, some)
    for b in range(6):
        for m in range(2):
            whole = net(x[b, m].expand(1, K, 3))
            torch.testing.assert_close(made[b, m], whole[0, some[b, m]])


def test_their_gradients_are_those_of_taking_all_layers_and_leaving_some_out():
    net = Stacked(lambda: nn.Linear(3, 5), K)
    x, some = torch.randn(6, 2, 3), torch.randint(K, (6, 2))
    rows = torch.arange(6).unsqueeze(1)
    gradients = []
    for take in ("some", "all"):
        leaf = x.clone().requires_grad_()
        if take == "some":
            made = by_component(net.body, leaf, some)
        else:
            made = torch.stack([net(leaf[:, m : m + 1].expand(-1, K, -1)) for m in range(2)], 1)
            made = made[rows, torch.arange(2), some]
        net.zero_grad()
        made.square().sum().backward()
        gradients.append([leaf.grad, *(p.grad.clone() for p in net.parameters())])
    torch.testing.assert_close(*gradients)


def test_components_are_drawn_as_often_as_the_gate_says_and_counted():
    """60,000 draws; five standard errors."""
    gate, n = torch.tensor([0.5, 0.3, 0.15, 0.05]), 60_000
    torch.manual_seed(0)
    some, times = ComponentGate(3, K, n_active=3).draw(gate.log().expand(n, -1))
    for slot in some.T:
        found = torch.bincount(slot, minlength=K) / n
        assert ((found - gate).abs() < 5 * (gate * (1 - gate) / n).sqrt()).all()
    for row, counted in zip(some[:50].tolist(), times[:50].tolist(), strict=True):
        assert counted == [row.count(k) for k in row]


@pytest.mark.parametrize("n_active", [1, 2, 5])
def test_with_exact_posteriors_a_sparse_bound_is_the_density_of_the_components_drawn(n_active):
    """In closed form, whatever the codes: each component once, however often it was drawn."""
    maps = Maps(3)
    model, p_x = maps.exact()
    model.sampler, chosen = ComponentGate(4, 3, n_active), []
    draw = model.sampler.draw
    model.sampler.draw = lambda gate: chosen.append(draw(gate)) or chosen[-1]
    t = model.train()(DATA, 4)
    drawn = torch.zeros(len(DATA), 3).scatter(1, chosen[0][0], 1.0)
    log_each = p_x.component_distribution.log_prob(DATA.unsqueeze(1)) - math.log(3)
    expected = (log_each + drawn.log()).logsumexp(-1)
    torch.testing.assert_close(ExactMixture().log_weight(t), expected.expand(4, -1))
    assert (expected <= p_x.log_prob(DATA) + 1e-9).all()


def test_an_x_whose_gate_is_sure_has_the_bound_of_iwae_for_its_component():
    """And its proportion: log pi_k + log of the mean weight of both codes."""
    model = SPARSE.build().model
    model.weights.logits.data.copy_(torch.linspace(-1, 1, K))
    model.sampler.net[-1].weight.data.zero_()
    model.sampler.net[-1].bias.data.copy_(torch.tensor([-50.0, -50.0, 50.0, -50.0]))
    t = model(SPARSE.data(), 3)
    pi = model.weights.logits.softmax(0)[2]
    each = t.log_lik + t.log_prior - t.log_q
    expected = pi.log() + each.exp().mean(-1).log()
    torch.testing.assert_close(ExactMixture().log_weight(t), expected)


def test_a_sparse_pass_has_the_densities_of_the_components_that_it_names():
    """Each chosen code decoded, and inferred, with all components as evaluation does."""
    model = SPARSE.build().model
    x, chosen = SPARSE.data(), []
    draw = model.sampler.draw
    model.sampler.draw = lambda gate: chosen.append(draw(gate)) or chosen[-1]
    t = model(x, 3)
    ((some, times),), rows = chosen, torch.arange(len(x)).unsqueeze(1)
    q_z, q_w = model.infer(x)
    torch.testing.assert_close(t.q_z.mean, q_z.mean[rows, some])
    torch.testing.assert_close(t.w[0], q_w.mean[rows, some] / times)
    for m in range(2):
        z = t.z[:, :, m : m + 1].expand(-1, -1, K, -1)
        every = model.decode(z, q_w.mean.expand(3, -1, -1)).log_prob(x.unsqueeze(1))
        torch.testing.assert_close(t.log_lik[..., m], every[:, rows[:, 0], some[:, m]])


def test_the_bound_over_some_components_is_below_the_bound_over_all_on_average():
    """2,000 draws of each, five standard errors: the gate leaves much out before it is trained."""
    model, _ = sparse()
    x, each = SPARSE.data(), []
    with torch.no_grad():
        for training in (True, False):
            t = model.train(training)(x, 2000)
            each.append(ExactMixture().log_weight(t))  # (S, B)
            assert t.w.shape[-1] == (2 if training else K)
    part, whole = each
    error = (part.var(0) / 2000 + whole.var(0) / 2000).sqrt()
    assert (part.mean(0) + 5 * error < whole.mean(0)).all()


def test_the_bound_over_two_components_by_turns_is_that_of_their_own_proportions():
    """Whatever the gate draws, components keep the proportions they have among all."""
    model, t = sparse()
    pi = model.weights.logits.detach().softmax(0)
    pairs = {round(float(w), 9) for w in t.w.detach().sum(-1).flatten()}
    possible = {round(float(pi[i] + pi[j] * (i != j)), 9) for i in range(K) for j in range(i + 1)}
    assert pairs <= possible


@pytest.mark.parametrize("bound", [mixture_bound, iwae])
def test_the_gate_costs_its_kl_from_the_responsibilities_and_learns_by_nothing_else(bound):
    model, t = sparse()
    terms, plain = routed(t, bound=bound), bound(t)
    assert (terms["gate"] <= 0).all()
    assert {name: terms[name] for name in plain}.keys() == plain.keys()
    for name, value in plain.items():
        torch.testing.assert_close(terms[name], value)
    r = ExactMixture().log_weights(t).softmax(-1)
    gate = t.log_gate.exp() / t.log_gate.exp().sum(-1, keepdim=True)
    by_hand = (r * (r / gate).log()).sum(-1).mean(0)
    torch.testing.assert_close(terms["gate"], -by_hand)
    gate_parameters = list(model.sampler.parameters())
    others = [p for name, p in model.named_parameters() if "sampler" not in name]
    kept = {"retain_graph": True, "allow_unused": True}
    assert all(g is None for g in torch.autograd.grad(terms["gate"].sum(), others, **kept))
    bound_terms = sum(value.sum() for value in plain.values())
    assert all(g is None for g in torch.autograd.grad(bound_terms, gate_parameters, **kept))
    assert any(g.any() for g in torch.autograd.grad(terms["gate"].sum(), gate_parameters))


@pytest.mark.parametrize("bound", [mixture_bound, iwae])
def test_a_gate_that_draws_one_component_learns_nothing(bound):
    """Of one draw r is 1, whatever the gate: its KL is 0, and so is its gradient."""
    case = Case("mixture-vae", {"n_components": K, "shared_layers": True})
    model = case.build(n_active=1, start="split").model
    gate = routed(model(case.data(), 3), bound=bound)["gate"]
    assert (gate == 0).all()
    found = torch.autograd.grad(gate.sum(), list(model.sampler.parameters()))
    assert not any(g.any() for g in found)


@pytest.mark.parametrize("bound", [mixture_bound, iwae])
def test_the_gates_term_leaves_the_other_gradients_as_they_are(bound):
    gradients = []
    for terms in (bound, partial(routed, bound=bound)):
        model, t = sparse()
        total = sum(value.sum() for value in terms(t).values())
        others = [p for name, p in model.named_parameters() if "sampler" not in name]
        gradients.append(torch.autograd.grad(total, others))
    torch.testing.assert_close(*gradients)
    assert all(g.any() for g in gradients[0])


def test_evaluation_takes_all_components_and_knows_no_gate():
    recipe = SPARSE.build()
    recipe.model.eval()
    t = recipe.model(SPARSE.data())
    assert t.z.shape[2] == K
    assert t.log_gate is None
    assert recipe.objective.terms(t).keys() == mixture_bound(t).keys()
    assert recipe.objective_is_bound


@pytest.mark.parametrize(
    "options", [{"n_active": K}, {"n_active": K + 3}, {"shared_layers": False}]
)
def test_there_is_no_gate_where_there_is_nothing_to_choose(options):
    recipe = SPARSE.build(**options)
    assert recipe.model.sampler is None
    assert recipe.model(SPARSE.data()).z.shape[2] == K


def test_a_gate_that_is_trained_alone_comes_to_the_responsibilities():
    model, _ = sparse()
    x = SPARSE.data()
    model.eval()
    with torch.no_grad():
        r = ExactMixture().responsibilities(model.mean_trace(x))
    optimizer = torch.optim.Adam(model.sampler.parameters(), 0.02)
    model.train()
    torch.manual_seed(2)
    for _ in range(600):
        optimizer.zero_grad()
        (-routed(model(x, 8))["gate"].mean()).backward()
        optimizer.step()
    gate = model.sampler(model.trunk(x)).exp()
    assert (gate - r).abs().mean() < 0.05
