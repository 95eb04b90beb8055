"""DLGMM, DLDPMM and SB-VAE: their equations by hand, and what their options mean."""

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.distributions import Beta, Normal, kl_divergence

from mixvae import recipes
from mixvae.distributions import Kumaraswamy
from mixvae.errors import MixvaeError

pytestmark = pytest.mark.usefixtures("maths")
K, L, X = 3, 2, (6,)
MEANS = [-1.5, 0.0, 1.5]


def build(name: str, seed: int = 0, **options: object) -> recipes.BuiltRecipe:
    torch.manual_seed(seed)
    small = {"n_latent": L, "hidden": [5]} | ({} if name == "sb-vae" else {"n_components": K})
    recipe = recipes.build(name, X, **small | options)
    with torch.no_grad():
        for p in recipe.model.parameters():
            p *= 3  # components that differ
    return recipe


def data(n: int = 4) -> Tensor:
    return torch.rand(n, *X, generator=torch.Generator().manual_seed(3)).round()


def total(terms: dict[str, Tensor]) -> Tensor:
    return sum(terms.values())


def test_the_papers_objective_is_its_equation():
    """DLGMM (1), component by component, with the sampled E log p(z)."""
    recipe, x = build("dlgmm", form="paper", prior_means=MEANS), data()
    torch.manual_seed(1)
    t = recipe.model(x, 2)
    sticks = t.q_w.sticks
    mean_v = sticks.mean
    mu = [mean_v[:, 0], (1 - mean_v[:, 0]) * mean_v[:, 1]]
    mu.append((1 - mean_v[:, 0]) * (1 - mean_v[:, 1]))
    by_hand = torch.zeros(len(x))
    for s in range(2):
        density = 0
        for k in range(K):
            z = t.z[s, :, k]
            log_prior = Normal(MEANS[k], 1.0).log_prob(z).sum(-1)
            by_hand += mu[k] * (t.log_lik[s, :, k] + log_prior) / 2
            q = Normal(t.q_z.mean[:, k], t.q_z.stddev[:, k])
            density = density + t.w[s, :, k] * q.log_prob(z).sum(-1).exp()
        by_hand -= density.log() / 2
    for k in range(K - 1):  # v_k under Beta(1, K - k), k from 1
        v = Kumaraswamy(sticks.a[:, k], sticks.b[:, k])
        by_hand -= kl_divergence(v, Beta(torch.tensor(1.0), torch.tensor(K - k - 1.0)))
    torch.testing.assert_close(total(recipe.objective.bound(t)), by_hand)


def test_the_mixture_form_uses_one_draw_of_the_weights_everywhere():
    recipe, x = build("dlgmm", prior_means=MEANS), data()
    t = recipe.model(x, 3)
    means = torch.tensor(MEANS)
    by_hand = torch.zeros(len(x))
    for s in range(3):
        for k in range(K):
            z = t.z[s, :, k].unsqueeze(1)
            w = t.w[s].log()
            q = Normal(t.q_z.mean, t.q_z.stddev).log_prob(z).sum(-1)
            p = Normal(means[:, None], 1.0).log_prob(z).sum(-1)
            ratio = (w + p).logsumexp(-1) - (w + q).logsumexp(-1)
            by_hand += (t.q_w.mean[:, k] * t.log_lik[s, :, k] + t.w[s, :, k] * ratio) / 3
    by_hand -= kl_divergence(t.q_w, t.p_w)
    torch.testing.assert_close(total(recipe.objective.bound(t)), by_hand)


def test_with_one_component_dlgmm_is_the_vae_with_its_kl_sampled():
    recipe, x = build("dlgmm", n_components=1), data()
    t = recipe.model(x, 4)
    by_hand = (t.log_lik + t.log_prior - t.log_q).squeeze(-1)
    torch.testing.assert_close(total(recipe.objective.bound(t)), by_hand.mean(0))
    torch.testing.assert_close(t.log_weight, by_hand)


@pytest.mark.parametrize("name", ["dlgmm", "sb-vae"])
def test_the_bound_never_uses_the_published_series(name: str):
    options = {"concentration": 5.0} | ({} if name == "dlgmm" else {"n_latent": 6})
    exact, series = (build(name, stick_kl=how, **options) for how in ("quadrature", "series"))
    x = data()
    traces = []
    for recipe in (exact, series):
        torch.manual_seed(1)
        traces.append(recipe.model(x, 2))
    torch.testing.assert_close(*(total(exact.bound(t)) for t in traces))
    torch.testing.assert_close(total(series.bound(traces[1])), total(exact.bound(traces[0])))
    off = total(series.objective.bound(traces[1])) - total(exact.objective.bound(traces[0]))
    assert (off.abs() > 1e-3).all()


def test_the_process_differs_from_the_finite_mixture_in_the_prior_alone():
    finite, process = (build("dlgmm", sticks=how) for how in ("dirichlet", "process"))
    dp = build("dldpmm")
    assert (finite.model.weights.beta.tolist(), process.model.weights.beta.tolist()) == (
        [2.0, 1.0],
        [1.0, 1.0],
    )
    dp.model.load_state_dict(process.model.state_dict())
    x = data()
    values = []
    for recipe in (process, dp):
        torch.manual_seed(1)
        values.append(recipe.objective(recipe.model, x))
    assert values[0] == values[1]


def test_the_code_of_a_stick_breaking_vae_lies_on_the_simplex():
    recipe, x = build("sb-vae", n_latent=7), data()
    t = recipe.model(x, 5)
    torch.testing.assert_close(t.z.sum(-1), torch.ones(5, len(x), 1))
    torch.testing.assert_close(recipe.model.encode(x).mean.sum(-1), torch.ones(len(x)))
    assert recipe.model.sample(3).shape == (3, *X)


def test_components_with_priors_of_their_own_generate_from_them():
    model = build("dlgmm", prior_means=[-9.0, 0.0, 9.0]).model
    seen: list[Tensor] = []
    model.decoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.sample(500)
    z = seen[0][0]  # (500, K, L)
    torch.testing.assert_close(z.mean((0, 2)), torch.tensor([-9.0, 0.0, 9.0]), rtol=0, atol=0.3)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (partial(build, "dlgmm", prior_means=[0.0, 1.0]), "prior_means must be 3 numbers"),
        (partial(build, "dlgmm", concentration=0.0), "concentration must be positive"),
        (partial(build, "dldpmm", n_components=0), "n_components must be at least 1; got 0"),
        (partial(build, "sb-vae", n_latent=1), "n_latent must be at least 2; got 1"),
        (partial(build, "dlgmm", form="mixed"), "unknown form 'mixed'"),
        (partial(build, "dlgmm", sticks="dp"), "unknown sticks 'dp'"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value.keywords),
)
@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_used_is_named(call, said: str):
    with pytest.raises(MixvaeError, match=said):
        call()
