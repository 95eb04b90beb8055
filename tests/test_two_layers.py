"""DLGMM of two layers: a mixture over pairs of components, one of each layer."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Dirichlet, MixtureSameFamily, Normal
from torch.distributions import kl_divergence as kl

import mixvae
from mixvae import recipes
from mixvae.distributions import OuterProduct, StickBreaking, dirichlet_sticks, log_prob_each
from mixvae.errors import MixvaeError
from mixvae.evaluation import log_likelihood
from mixvae.recipes import BuiltRecipe

pytestmark = pytest.mark.usefixtures("maths")
K, L, X = 3, 2, (6,)


def build(name: str = "dlgmm", grow: float = 2.0, **options: object) -> tuple[BuiltRecipe, Tensor]:
    torch.manual_seed(1)
    sizes = {"n_layers": 2, "n_components": K, "n_latent": L, "hidden": [8]}
    recipe = recipes.build(name, X, **sizes | options)
    with torch.no_grad():
        for p in recipe.model.parameters():
            p *= grow  # components that differ
    return recipe, torch.rand(4, *X).round()


# -- weights of pairs


def test_weights_of_pairs_are_products_and_have_the_density_of_both():
    rows, columns = Dirichlet(1 + torch.rand(5, 3)), Dirichlet(1 + torch.rand(5, 2))
    u, v = rows.sample((4,)), columns.sample((4,))
    w = torch.stack([u[..., k] * v[..., j] for k in range(3) for j in range(2)], -1)
    pairs = OuterProduct(rows, columns)
    assert (pairs.batch_shape, pairs.event_shape) == ((5,), (6,))
    torch.testing.assert_close(pairs.log_prob(w), rows.log_prob(u) + columns.log_prob(v))
    torch.manual_seed(3)
    drawn = pairs.rsample((7,))
    torch.manual_seed(3)
    u, v = rows.rsample((7,)), columns.rsample((7,))
    torch.testing.assert_close(drawn, (u[..., :, None] * v[..., None, :]).reshape(7, 5, 6))
    torch.testing.assert_close(drawn.sum(-1), torch.ones(7, 5))


def test_the_mean_and_the_kl_of_pairs_are_those_of_draws():
    q = OuterProduct(Dirichlet(1 + torch.rand(3)), Dirichlet(1 + torch.rand(2)))
    p = OuterProduct(StickBreaking(dirichlet_sticks(3)), StickBreaking(dirichlet_sticks(2)))
    p_also = OuterProduct(Dirichlet(torch.ones(3)), Dirichlet(torch.ones(2)))
    w = q.rsample((50_000,))
    ratio = q.log_prob(w) - p.log_prob(w)
    assert (ratio.mean() - kl(q, p_also)).abs() < 4 * ratio.std() / 50_000**0.5
    assert ((w.mean(0) - q.mean).abs() < 4 * w.std(0) / 50_000**0.5).all()


# -- the posterior


def by_hand(model: mixvae.model.MixtureVAE, x: Tensor, z: Tensor, k: int, j: int) -> Tensor:
    """log q_k(z2 | x) q_j(z1 | x, z2), codes z (B, 2 L)."""
    h = model.trunk(x)[:, 0]
    top = model.posterior.first(h[:, None].expand(-1, K, -1)).base_dist
    above = Normal(top.loc[:, k], top.scale[:, k]).log_prob(z[:, :L]).sum(-1)
    heads = model.posterior.second.net[0](torch.cat([h, z[:, :L]], -1)).view(-1, K, 2, L)[:, j]
    scale = torch.log1p(heads[:, 1].exp()) + 1e-3
    return above + Normal(heads[:, 0], scale).log_prob(z[:, L:]).sum(-1)


def test_every_code_has_its_density_under_every_pair():
    """Against a plain loop over samples, the pairs that drew, and the pairs that are asked."""
    recipe, x = build()
    t = recipe.model(x, 2)
    ours = log_prob_each(t.q_z, t.z.transpose(1, 2))  # (S, P, B, P)
    for s, drew, asked in torch.cartesian_prod(*map(torch.arange, (2, K * K, K * K))).tolist():
        expected = by_hand(recipe.model, x, t.z[s, :, drew], *divmod(asked, K))
        torch.testing.assert_close(ours[s, drew, :, asked], expected)
        if drew == asked:
            torch.testing.assert_close(t.log_q[s, :, drew], expected)


def test_the_mixture_of_pairs_is_a_chain_of_mixtures():
    recipe, x = build()
    model = recipe.model
    t = model(x)
    z2, z1 = t.q_z.split(t.z[0])  # (B, P, L) each
    u, v = t.w[0].view(4, K, K).sum(2), t.w[0].view(4, K, K).sum(1)
    h = model.trunk(x)[:, :1]
    top = model.posterior.first(h.expand(-1, K, -1))
    below = model.posterior.second(torch.cat([h.expand(-1, K * K, -1), z2], -1))
    mixed = lambda w, each: MixtureSameFamily(Categorical(w), each)
    above = mixed(u, top).log_prob(z2.transpose(0, 1)).T
    under = mixed(v.unsqueeze(1).expand(-1, K * K, -1), below).log_prob(z1)
    torch.testing.assert_close(model.family.log_q(t)[0], above + under)


def test_every_pair_draws_an_upper_code_of_its_own():
    recipe, x = build()
    z2, _ = recipe.model(x).z.split(L, -1)
    assert len(z2[0, 0].unique(dim=0)) == K * K
    mean = recipe.model.infer(x)[0].mean.view(4, K, K, 2, L)
    for j in range(K):  # pairs of one row have the upper component in common
        torch.testing.assert_close(mean[:, :, j, 0], mean[:, :, 0, 0])
    assert len(mean[0, 0, :, 1].unique(dim=0)) == K


# -- the recipe


def test_with_one_component_it_is_hvae_under_a_normal():
    recipe, x = build(n_components=1)
    sizes = {"n_latent": L, "n_top": L, "network": "mlp", "hidden": [8]}
    hvae = recipes.build("hvae", X, prior="normal", **sizes)
    for ours, theirs in zip(recipe.model.parameters(), hvae.model.parameters(), strict=True):
        theirs.data = ours.data.reshape(theirs.shape)
    torch.manual_seed(0)
    expected = sum(hvae.objective(hvae.model, x).values())
    torch.manual_seed(0)
    terms = recipe.objective(recipe.model, x)
    torch.testing.assert_close(sum(terms.values()), expected)
    assert terms["kl_w"] == 0


@pytest.mark.parametrize("means", [None, [-1.0, 1.0]])
def test_importance_sampling_finds_p_of_x(means: list[float] | None):
    """Against the sum over a grid of both codes; the weights' prior means are 1/K."""
    recipe, x = build(grow=1.0, n_components=2, n_latent=1, prior_means=means)
    model = recipe.model
    z2, z1 = torch.linspace(-9, 9, 200), torch.linspace(-9, 9, 300)
    tops = torch.tensor(means or [0.0])
    with torch.no_grad():
        z = torch.cartesian_prod(z2, z1)
        above = Normal(tops, 1.0).log_prob(z[:, :1]).logsumexp(-1) - torch.tensor(len(tops)).log()
        log_prior = above + model.prior.second(z[:, :1]).log_prob(z[:, 1:])
        log_prior = log_prior + ((z2[1] - z2[0]) * (z1[1] - z1[0])).log()
        torch.testing.assert_close(log_prior.exp().sum(), torch.tensor(1.0))
        p_x = model.decode(z[:, None, None], torch.ones(len(z), 1, 1))
        log_lik = p_x.log_prob(x[:, None]).squeeze(-1)  # (grid, B)
        exact = (log_lik + log_prior[:, None]).logsumexp(0)
    model.posterior.first.net.body.bias.data[:, 1:] += 1  # wide enough: no weight is huge
    estimate = log_likelihood(model, x, n_samples=4000)
    assert (estimate.standard_error < 0.2).all()
    assert ((estimate.log_prob - exact).abs() < 4 * estimate.standard_error).all()


def test_the_upper_codes_have_the_priors_means():
    model = build(prior_means=[-9.0, 0.0, 9.0])[0].model
    z = model.prior(model.encode).expand((500, K * K)).sample()[..., :L]
    expected = torch.tensor([-9.0, 0.0, 9.0]).repeat_interleave(K)
    torch.testing.assert_close(z.mean((0, 2)), expected, rtol=0, atol=0.3)


def test_the_bound_never_uses_the_published_series():
    exact, x = build(concentration=5.0)
    series, _ = build(concentration=5.0, stick_kl="series")
    traces = []
    for recipe in (exact, series):
        torch.manual_seed(1)
        traces.append(recipe.model(x, 2))
    one, other = (r.bound(t) for r, t in zip((exact, series), traces, strict=True))
    torch.testing.assert_close(one, other)
    assert (series.objective.bound(traces[1])["kl_w"] - other["kl_w"]).abs().min() > 1e-3


@pytest.mark.filterwarnings("ignore:.*dead:mixvae.MixvaeWarning")
def test_the_components_are_the_pairs_wherever_they_are_counted():
    torch.set_default_dtype(torch.float32)
    recipe, _ = build(n_components=2)
    assert recipe.n_components == recipe.model.n_components == 4
    assert build("dldpmm", n_components=2)[0].n_components == 4
    options = {"n_layers": 2, "n_latent": 3, "hidden": [8]}
    x = torch.rand(40, 6).numpy()
    estimator = mixvae.DeepMixture(
        recipe="dlgmm", n_components=2, max_epochs=1, random_state=0, recipe_options=options
    ).fit(x)
    assert estimator.n_components_ == 4
    assert estimator.predict_proba(x).shape == (40, 4)
    assert estimator.transform(x).shape == (40, len(estimator.get_feature_names_out()))


@pytest.mark.usefixtures("unchecked")
def test_more_layers_are_refused():
    with pytest.raises(MixvaeError, match="n_layers must be 1 or 2; got 3"):
        build(n_layers=3)
