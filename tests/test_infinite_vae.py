"""The infinite VAE: proportions that all x share, their posterior, and the bound."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Beta, kl_divergence

import mixvae
from cases import FLAT, Case
from linear_models import DATA, Maps
from mixvae.distributions import StickBreaking
from mixvae.errors import MixvaeError
from mixvae.evaluation import log_likelihood
from mixvae.initialization.split import split
from mixvae.model import MixtureVAE
from mixvae.objectives import mixture_bound, shared
from mixvae.parts.weights import SharedStickWeights
from mixvae.recipes import BuiltRecipe

pytestmark = pytest.mark.usefixtures("maths")


def uneven(weights: SharedStickWeights) -> SharedStickWeights:
    with torch.no_grad():
        for p in (weights.log_a, weights.log_b):  # a, b > 1: densities without poles
            p.copy_(0.2 + 0.7 * torch.randn_like(p).abs())
    return weights


def grid() -> tuple[Tensor, float]:
    n = 20_000
    return (torch.arange(n) + 0.5) / n, 1 / n


# -- the weights


def test_the_kl_is_the_sum_of_the_fractions_kls() -> None:
    weights = uneven(SharedStickWeights(4, 2.5))
    v, step = grid()
    each = []
    for a, b in zip(weights.log_a.exp(), weights.log_b.exp(), strict=True):
        q, p = Beta(a, b), Beta(1.0, 2.5)
        log_q = q.log_prob(v)
        each.append((log_q.exp() * (log_q - p.log_prob(v))).sum() * step)
    torch.testing.assert_close(weights.shared_kl(), sum(each), rtol=1e-4, atol=1e-5)


def test_the_mean_weights_are_the_stick_broken_at_the_mean_fractions() -> None:
    weights = uneven(SharedStickWeights(3))
    v = weights.log_a.exp() / (weights.log_a.exp() + weights.log_b.exp())
    by_hand = torch.stack([v[0], v[1] * (1 - v[0]), (1 - v[0]) * (1 - v[1])])
    torch.testing.assert_close(weights.generate(2), by_hand.expand(2, -1))
    with torch.no_grad():
        w = weights(torch.zeros(30_000, 3, 1)).rsample()
    assert ((w.mean(0) - by_hand).abs() < 4.5 * w.std(0) / 30_000**0.5).all()


def test_weights_begin_even_and_a_single_one_is_one() -> None:
    torch.testing.assert_close(SharedStickWeights(5).generate(1), torch.full((1, 5), 0.2))
    one = SharedStickWeights(1)
    assert one.generate(1).item() == 1
    assert one.shared_kl() == 0


def test_given_assignments_the_posterior_is_the_conjugate_one() -> None:
    """Of v in [0, 1] for K = 2, by quadrature: p(v) v^6 (1 - v)^3 up to a constant."""
    weights, (v, step) = SharedStickWeights(2, 1.7), grid()
    weights.start_from(torch.tensor([6, 3]))
    exact = Beta(1.0, 1.7).log_prob(v) + 6 * v.log() + 3 * (1 - v).log()
    exact = exact - (exact.logsumexp(0) + torch.tensor(step).log())
    q = Beta(weights.log_a.exp(), weights.log_b.exp())
    torch.testing.assert_close(q.log_prob(v), exact, rtol=1e-4, atol=1e-4)


def test_it_maximises_the_evidence_lower_bound_of_the_assignments() -> None:
    """The gradient of E_q log p(k | v) - KL vanishes at the conjugate posterior."""
    weights, counts = SharedStickWeights(3, 2.0), torch.tensor([5, 0, 2])
    weights.start_from(counts)
    a, b = weights.log_a.exp(), weights.log_b.exp()
    total = torch.digamma(a + b)
    log_v, log1m_v = torch.digamma(a) - total, torch.digamma(b) - total
    log_w = torch.stack([log_v[0], log1m_v[0] + log_v[1], log1m_v.sum()])
    value = (counts * log_w).sum() - weights.shared_kl()
    for slope in torch.autograd.grad(value, [weights.log_a, weights.log_b]):
        torch.testing.assert_close(slope, torch.zeros(2))


# -- the bound


def two_maps() -> tuple[MixtureVAE, Tensor, Tensor]:
    """Two linear maps with exact posteriors, x, and log p_k(x) (B, 2)."""
    maps, weights = Maps(2), SharedStickWeights(2, 2.0)
    model, p_x = maps.exact()
    with torch.no_grad():
        weights.log_a.fill_(0.9)
        weights.log_b.fill_(0.4)
    model.weights = weights.double()
    x = p_x.mean + 0.5 * DATA
    return model, x, maps.each().log_prob(x.unsqueeze(1))


def test_it_is_the_expected_log_evidence_less_the_kls_share() -> None:
    """Exact posteriors: E_q(v) log(v p_1 + (1 - v) p_2) by quadrature."""
    model, x, log_each = two_maps()
    v, step = grid()
    q = Beta(model.weights.log_a.exp(), model.weights.log_b.exp())
    log_w = torch.stack([v.log(), (1 - v).log()], -1)
    given = (log_each.unsqueeze(1) + log_w).logsumexp(-1)  # (B, n)
    expected = (given * q.log_prob(v).exp()).sum(1) * step
    kl = kl_divergence(q, Beta(1.0, 2.0)).squeeze()
    with torch.no_grad():
        t = model(x, 20_000)
        found = sum(shared(t, n_train=7).values())
        error = t.log_weight.std(0) / 20_000**0.5
    assert ((found - (expected - kl / 7)).abs() < 4 * error + 1e-4).all()
    assert error.max() < 0.01


def test_summed_over_the_data_it_is_below_their_joint_evidence() -> None:
    """log of the integral of p(v) prod_n p(x_n | v), for whatever q(v)."""
    model, x, log_each = two_maps()
    v, step = grid()
    log_w = torch.stack([v.log(), (1 - v).log()], -1)
    joint = (log_each.unsqueeze(1) + log_w).logsumexp(-1).sum(0) + Beta(1.0, 2.0).log_prob(v)
    evidence = joint.logsumexp(0) + torch.tensor(step).log()
    gaps = []
    for a, b in ((0.9, 0.4), (2.0, 1.0), (1.0, 2.0)):
        with torch.no_grad():
            model.weights.log_a.fill_(a)
            model.weights.log_b.fill_(b)
            terms = shared(model(x, 5000), n_train=len(x))
        gaps.append(evidence - sum(terms.values()).sum())
    assert min(gaps) > -0.02
    assert max(gaps) > 0.1


def test_it_is_below_log_p_at_the_mean_weights() -> None:
    model, x, log_each = two_maps()
    exact = (log_each + model.weights.generate(1).log()).logsumexp(-1)
    with torch.no_grad():
        t = model(x, 5000)
        bound = sum(shared(t, n_train=10**9).values())
    assert (bound < exact + 4 * t.log_weight.std(0) / 5000**0.5).all()
    assert (exact - bound).max() > 0.05


def test_log_p_is_that_of_the_mean_weights() -> None:
    model, x, log_each = two_maps()
    with torch.no_grad():
        model.posterior.scale *= 1.3  # exact ones would have no error
    exact = (log_each + model.weights.generate(1).log()).logsumexp(-1)
    for method in ("defensive", "plain"):
        found = log_likelihood(model, x, 2000, method=method)
        assert ((found.log_prob - exact).abs() < 4 * found.standard_error).all()
    found = log_likelihood(model, x[:2], 32, method="ais", n_steps=20)
    assert ((found.log_prob - exact[:2]).abs() < 4 * found.standard_error).all()


# -- the recipe


def pair(**options: object) -> tuple[BuiltRecipe, BuiltRecipe, Tensor]:
    """An infinite VAE, and the mixture with its networks and its mean proportions."""
    one = Case("infinite-vae", options, FLAT).build()
    other = Case("mixture-vae", options, FLAT).build(seed=1)
    uneven(one.model.weights)
    state = {k: v for k, v in one.model.state_dict().items() if not k.startswith("weights.")}
    state["weights.logits"] = one.model.weights.generate(1)[0].detach().log()
    other.model.load_state_dict(state)
    return one, other, Case("infinite-vae", {}, FLAT).data()


def test_at_fixed_proportions_it_is_mixture_vae() -> None:
    one, other, x = pair()
    traces = [recipe.model.mean_trace(x) for recipe in (one, other)]
    torch.testing.assert_close(mixture_bound(traces[0]), mixture_bound(traces[1]))
    found = [log_likelihood(recipe.model, x, 50).log_prob for recipe in (one, other)]
    torch.testing.assert_close(*found)
    reconstructions = [recipe.model.reconstruct(x) for recipe in (one, other)]
    torch.testing.assert_close(*reconstructions)


def test_a_posterior_without_spread_gives_the_mixtures_bound() -> None:
    one, other, x = pair()
    with torch.no_grad():
        for p in (one.model.weights.log_a, one.model.weights.log_b):
            p += 17.0  # the same means
        bounds = []
        for recipe in (one, other):
            t = recipe.model(x, 4000)
            bounds.append((recipe.model.family.log_weight(t).mean(0), t.log_weight.std(0)))
    error = (bounds[0][1] + bounds[1][1]) / 4000**0.5
    assert ((bounds[0][0] - bounds[1][0]).abs() < 4 * error).all()


def test_the_objective_has_the_kl_divided_by_the_training_data() -> None:
    data = mixvae.data.load("digits")
    sizes = {"n_components": 3, "hidden": [8], "n_latent": 2}
    built = mixvae.build("infinite-vae", data, **sizes)
    assert built.options["n_train"] == len(data.train) > 1000
    assert built.objective_is_bound
    x = data.test.x[:4]
    terms = built.objective(built.model.double(), x.double())
    torch.testing.assert_close(
        terms["kl_w"], -built.model.weights.shared_kl() / len(data.train), rtol=1e-6, atol=1e-9
    )
    assert mixvae.build("infinite-vae", (4,), **sizes).options["n_train"] == 1


def test_sparse_steps_sample_the_proportions_and_stay_below_the_whole_bound() -> None:
    case = Case("infinite-vae", {"shared_layers": True, "n_active": 2}, FLAT)
    recipe, x = case.build(), case.data()
    with torch.no_grad():
        t = recipe.model(x, 3000)
        terms = recipe.objective.bound(t)
        whole = recipe.objective.bound(recipe.model.eval()(x, 3000))
    assert {"gate", "kl_w"} <= terms.keys()
    assert t.w.std(0).min() > 0.01
    sparse = sum(v for k, v in terms.items() if k != "gate")
    assert (sparse.mean() - sum(whole.values()).mean()) < 0.1


def test_the_split_starts_at_the_posterior_given_the_clusters() -> None:
    recipe = Case("infinite-vae", {"shared_layers": True, "n_components": 3}, FLAT).build()
    single = recipe.recipe.single().parts(FLAT)[0]
    k = torch.tensor([0, 0, 0, 0, 0, 2, 2, 1])
    split(single, recipe.model, torch.randn(8, 2), k)
    weights = recipe.model.weights
    torch.testing.assert_close(weights.log_a.exp(), torch.tensor([6.0, 2.0]))
    torch.testing.assert_close(weights.log_b.exp(), torch.tensor([4.0, 3.0]))


@pytest.mark.parametrize("keep", [[0, 2], [1, 3], [2], [0, 1, 2, 3]])
def test_pruning_renormalises_the_mean_proportions(keep: list[int]) -> None:
    recipe = Case("infinite-vae", {"n_components": 4}, FLAT).build()
    uneven(recipe.model.weights)
    found = mixvae.prune(recipe, keep).model.weights
    w = recipe.model.weights.generate(1)[0, keep]
    torch.testing.assert_close(found.generate(1)[0], w / w.sum())


def test_the_posterior_is_a_distribution_that_all_rows_share() -> None:
    model = Case("infinite-vae", {}, FLAT).build().model
    _, q_w = model.infer(Case("infinite-vae", {}, FLAT).data())
    assert isinstance(q_w, StickBreaking)
    assert q_w.mean.unique(dim=0).shape[0] == 1
    assert model.weights.prior() is None


@pytest.mark.usefixtures("unchecked")
def test_a_concentration_of_zero_is_refused() -> None:
    with pytest.raises(MixvaeError, match="concentration must be positive"):
        mixvae.build("infinite-vae", (4,), concentration=0.0)
