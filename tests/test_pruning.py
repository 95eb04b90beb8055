"""Pruning: a smaller model that does what the masked one did."""

import pytest
import torch

import mixvae
from cases import CASES, FLAT, Case, L
from mixvae.errors import MixvaeError
from mixvae.evaluation import bounds, log_likelihood
from mixvae.objectives import elbo
from mixvae.recipes import BuiltRecipe

pytestmark = pytest.mark.usefixtures("maths")
MASKED = [c for c in CASES if c.recipe in ("mvae-gs", "mvae-gau")]
MASKED = [c for c in MASKED if c.options.get("n_components") != 1 and "rate" not in c.options] + [
    Case("mvae-gs", {"concentration": "normalised", "likelihood": "gaussian"}),
    Case("mvae-gau", {"network": "conv", "channels": (4, 6)}, (1, 5, 4)),
    Case("mvae-gs", {"network": "conv", "channels": (4, 6), "norm": "batch"}, (1, 5, 4)),
]
NAMES = ("m-vae", "mvae", "mixture-vae", "infinite-vae", "gmmp-vae", "semvae", "msvi")
MIXTURES = [Case(name) for name in NAMES]
STICKS = [
    Case("dlgmm", {"prior_means": [-1.5, 0.0, 1.5]}, FLAT),
    Case("dldpmm", {"concentration": 2.0}, FLAT),
]


def masked(case: Case) -> BuiltRecipe:
    """A model of three components, the second of which is dropped."""
    recipe = case.build()
    recipe.model.eval()
    recipe.model.dropout.logits.data = torch.tensor([-2.0, 9.0, -1.0])
    return recipe


@pytest.mark.parametrize("case", MASKED, ids=str)
def test_a_pruned_model_reconstructs_as_the_masked_one(case):
    recipe, x = masked(case), case.data()
    y, small = case.labels(x), mixvae.prune(recipe)
    assert small.name == "mvae"
    assert small.n_components == small.model.n_components == 2
    torch.testing.assert_close(small.model.reconstruct(x, y), recipe.model.reconstruct(x, y))
    each = recipe.model.reconstruct_each(x, y)
    torch.testing.assert_close(small.model.reconstruct_each(x, y), each[:, [0, 2]])


@pytest.mark.parametrize("case", MASKED, ids=str)
def test_the_bound_of_a_masked_model_is_its_pruned_selfs(case):
    """Neither pays for the codes or the weights of components that are not there."""
    recipe, x = masked(case), case.data()
    y, small = case.labels(x), mixvae.prune(recipe)
    before, after = (elbo(r.model.mean_trace(x, y)) for r in (recipe, small))
    if case.options.get("concentration") == "normalised":  # whose sum is another once it is pruned
        before.pop("kl_w")
        after.pop("kl_w")
    torch.testing.assert_close(after, before)
    with torch.no_grad():  # as does the objective, but where it is divided by their number
        whole, part = (r.model.posterior(r.model.features(x, y)).mean for r in (recipe, small))
        torch.testing.assert_close(part, whole[:, [0, 2]])


SCORED = [
    *(Case(name, {"likelihood": "gaussian"}, FLAT) for name in ("mvae-gs", "mvae-gau")),
    Case("mvae-gs", {"concentration": "normalised", "likelihood": "gaussian"}, FLAT),
    Case("mvae-gau", {"conditional": True, "n_classes": 2}, FLAT),
    Case("mixture-vae", {"keep_prior": 0.2, "likelihood": "gaussian"}, FLAT),
    Case("mixture-vae", {"keep_prior": 0.2, "shared_layers": True}, FLAT),
]


@pytest.mark.parametrize("case", SCORED, ids=str)
def test_a_masked_model_scores_as_its_pruned_self(case):
    """Though the posterior of what was dropped is far from its prior: no draw is weighed by it."""
    recipe, x = masked(case), case.data(3)
    with torch.no_grad():
        head = recipe.model.posterior.net.body
        head.weight *= 0.1
        head.bias.copy_(torch.tensor([0.0, 0.0, 0.55, 0.55]))  # the prior's mean and scale
        head.bias[1] = 4
    y, small = case.labels(x), mixvae.prune(recipe)
    whole, part = (
        log_likelihood(r.model, x, 2000, y=y, seed=s) for s, r in enumerate((recipe, small))
    )
    error = (whole.standard_error.square() + part.standard_error.square()).sqrt()
    assert (error < 0.1).all()
    assert ((whole.log_prob - part.log_prob).abs() < 4 * error).all()
    found = [
        bounds(r, x.repeat(100, 1), None if y is None else y.repeat(100)) for r in (recipe, small)
    ]
    tolerance = 0.5 if case.options.get("concentration") == "normalised" else 0.15
    assert found[0]["elbo"] == pytest.approx(found[1]["elbo"], abs=tolerance)
    assert found[0]["elbo"] < whole.mean + 4 * whole.mean_error


@pytest.mark.parametrize("case", SCORED, ids=str)
def test_a_masked_model_draws_as_its_pruned_self(case):
    recipe = masked(case)
    y = None if not case.options.get("conditional") else torch.arange(4000) % 2
    with torch.no_grad():
        many = [r.model.sample(4000, y=y) for r in (recipe, mixvae.prune(recipe))]
    error = (many[0].var(0) / 4000 + many[1].var(0) / 4000).sqrt()
    assert ((many[0].mean(0) - many[1].mean(0)).abs() < 4.5 * error + 1e-6).all()
    torch.testing.assert_close(many[0].std(0), many[1].std(0), rtol=0.1, atol=1e-6)


def test_a_pruned_model_is_smaller_and_the_whole_one_is_left_as_it_was():
    recipe = masked(Case("mvae-gs"))
    before = {name: w.clone() for name, w in recipe.model.state_dict().items()}
    state = torch.random.get_rng_state()
    small = mixvae.prune(recipe)
    assert torch.equal(state, torch.random.get_rng_state())
    after = recipe.model.state_dict()
    assert all(torch.equal(w, after[name]) for name, w in before.items())
    shared = sum(p.numel() for p in recipe.model.decoder.head.parameters())
    by_component = recipe.n_parameters - 3 - shared
    assert small.n_parameters == shared + by_component * 2 // 3
    small.model.decoder.head[0].weight.data.zero_()
    assert recipe.model.decoder.head[0].weight.any()


@pytest.mark.parametrize("case", MIXTURES, ids=str)
def test_any_mixture_can_be_pruned_to_components_that_are_named(case):
    recipe, x = case.build(), case.data()
    recipe.model.eval()
    small = mixvae.prune(recipe, [2, 0])
    assert small.name == case.recipe
    each = recipe.model.reconstruct_each(x)
    torch.testing.assert_close(small.model.reconstruct_each(x), each[:, [0, 2]])
    torch.testing.assert_close(
        small.model.infer(x)[0].mean, recipe.model.infer(x)[0].mean[:, [0, 2]]
    )


def test_an_exact_mixtures_proportions_are_shared_out_anew():
    recipe = Case("mixture-vae").build()
    recipe.model.weights.logits.data = torch.tensor([0.5, 0.2, 0.3]).log()
    pi = mixvae.prune(recipe, [0, 2]).model.weights.generate(1)[0]
    torch.testing.assert_close(pi, torch.tensor([0.625, 0.375]))


@pytest.mark.parametrize("keep", [[0, 2], [0, 1], [1, 2], [1]], ids=str)
@pytest.mark.parametrize("case", STICKS, ids=str)
def test_a_pruned_stick_breaking_mixture_has_the_kept_components(case, keep):
    recipe, x = case.build(), case.data()
    recipe.model.eval()
    small = mixvae.prune(recipe, keep)
    each = recipe.model.reconstruct_each(x)
    torch.testing.assert_close(small.model.reconstruct_each(x), each[:, keep])
    q_z, p_z = (r.model.posterior(r.model.features(x)).mean for r in (small, recipe))
    torch.testing.assert_close(q_z, p_z[:, keep])
    if means := case.options.get("prior_means"):
        assert small.model.prior.loc[:, 0].tolist() == [means[k] for k in keep]
    again = mixvae.build(small.name, FLAT, **small.options)
    again.model.load_state_dict(small.model.state_dict())
    torch.testing.assert_close(again.model.weights.alpha, small.model.weights.alpha)


def test_a_pruned_dlgmm_scores_as_the_mixture_of_the_kept_priors():
    """The weights' prior, without a component and renormalised, is a symmetric Dirichlet again."""
    recipe, x = STICKS[0].build(), STICKS[0].data(3)
    with torch.no_grad():  # posteriors near the priors, so that importance sampling is precise
        head = recipe.model.eval().posterior.net.body
        head.weight *= 0.1
        head.bias.copy_(torch.cat([recipe.model.prior.loc, torch.full((3, L), 0.55)], 1))
        for weight in recipe.model.decoder.parameters():
            weight *= 2  # components that differ
    score = log_likelihood(mixvae.prune(recipe, [0, 2]).model, x, 40_000)
    n = 50_000
    with torch.no_grad():
        z = torch.randn(n, 1, 3, L) + recipe.model.prior.loc  # every component's prior samples
        log_p = recipe.model.decode(z, torch.full((n, 1, 3), 1 / 3)).log_prob(x.unsqueeze(1))
    p = log_p[:, :, [0, 2]].exp().mean(2)  # (n, B)
    by_hand, error = p.mean(0).log(), p.std(0) / n**0.5 / p.mean(0)
    tolerance = 4 * (error.square() + score.standard_error.square()).sqrt()
    assert (tolerance < 0.15).all()
    assert ((score.log_prob - by_hand).abs() < tolerance).all()


def test_keeping_all_changes_nothing_but_the_masks():
    case = Case("mvae-gs")
    recipe, x = case.build(), case.data()
    recipe.model.eval()
    small = mixvae.prune(recipe)
    assert small.n_components == 3
    torch.testing.assert_close(small.model.reconstruct(x), recipe.model.reconstruct(x))


@pytest.mark.parametrize(
    ("case", "keep", "said"),
    [
        (Case("mvae"), None, "no component dropout that says which"),
        (Case("mvae"), [], "at least one component, each once"),
        (Case("mvae"), [0, 0], "at least one component, each once"),
        (Case("mvae-gs"), [0, 3], r"must be in 0 ... 2, as the model has 3; got 3"),
        (Case("mvae-gs"), [-1], r"must be in 0 ... 2, as the model has 3; got -1"),
        (Case("vae"), [0], "has one component"),
        (Case("dlgmm", {"n_layers": 2}), [0], r"two levels \(n_layers=2\) cannot be removed"),
    ],
    ids=str,
)
def test_what_cannot_be_kept_is_named(case, keep, said):
    with pytest.raises(MixvaeError, match=said):
        mixvae.prune(case.build(), keep)


def test_a_stick_that_stays_is_the_components_own():
    """Of four components the second and fourth: one stick, which was the second's."""
    case = Case("dlgmm", {"n_components": 4})
    recipe, x = case.build(), case.data()
    small = mixvae.prune(recipe, [1, 3]).model
    before, after = (model.infer(x)[1].sticks for model in (recipe.model.eval(), small))
    torch.testing.assert_close(after.a, before.a[:, [1]])
    torch.testing.assert_close(after.b, before.b[:, [1]])
