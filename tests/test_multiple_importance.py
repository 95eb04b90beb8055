"""Mixture posteriors by K encoders (SEMVAE) and by one (MISVAE), and training on a few of them."""

from itertools import combinations
from math import log

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal
from torch.nn import functional as F

import mixvae
from cases import COLOUR, Case
from mixvae.errors import MixvaeError
from mixvae.objectives import iwae, log_mean_exp, miselbo, mixture_elbo
from mixvae.parts.component_sampler import ComponentSubset
from mixvae.parts.posteriors import MIN_SCALE, OneHotPosterior
from mixvae.recipes import BuiltRecipe
from mixvae.trace import Trace

pytestmark = pytest.mark.usefixtures("maths")
K, N, L, S = 5, 2, 2, 3  # components, those of a subset, latent dimensions, samples
SUBSETS = [torch.tensor(each) for each in combinations(range(K), N)]


def total(terms: dict[str, Tensor]) -> Tensor:
    return sum(terms.values())


def misvae(estimator: str = "some-to-all", **options: object) -> tuple[BuiltRecipe, Tensor]:
    """Components that lie apart, each of them a little."""
    small = {"n_components": K, "n_subset": N, "n_samples": S, "one_hot_width": 7}
    case = Case("misvae", small | {"estimator": estimator} | options)
    recipe = case.build()
    with torch.no_grad():
        recipe.model.posterior.bias *= 8
        recipe.model.posterior.head.weight *= 3
    return recipe, case.data()


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch):
    """``passes(recipe, x, some)``: what training leaves behind that has drawn ``some``.

    A component's noise is the same in every company.
    """

    def trace(
        recipe: BuiltRecipe, x: Tensor, some: Tensor | None = None, n_samples: int = S
    ) -> Trace:
        noise = torch.randn(n_samples, len(x), K, L, generator=torch.Generator().manual_seed(3))
        its = noise if some is None else noise[:, :, some]
        monkeypatch.setattr(
            torch.distributions.normal, "_standard_normal", lambda shape, **_: its.reshape(shape)
        )
        monkeypatch.setattr(ComponentSubset, "draw", lambda *_: some)
        recipe.model.train(some is not None)
        return recipe.model(x, n_samples)

    return trace


# -- SEMVAE


def test_with_one_encoder_all_bounds_but_the_elbo_are_the_iwaes():
    options = {"n_components": 1, "n_samples": 4}
    theirs = Case("iwae", {"n_samples": 4}).build()
    x = Case("iwae").data()
    expected = {"miselbo": 4, "iwae": 4, "elbo": 1}  # samples inside the logarithm
    for bound, n_inside in expected.items():
        ours = Case("semvae", options | {"bound": bound}).build()
        for p, q in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
            p.data = q.data.reshape(p.shape)  # a stack of one decoder, and one for all
        torch.manual_seed(1)
        value = total(ours.objective(ours.model, x))
        torch.manual_seed(1)
        log_w = theirs.model(x, 4).log_weight
        inside = log_mean_exp(log_w.reshape(n_inside, -1, len(x)), 0)
        torch.testing.assert_close(value, inside.mean())


def test_encoders_share_nothing_and_the_decoder_is_one():
    one, three = (Case("semvae", {"n_components": n}).build().model for n in (1, 3))
    size = lambda part: sum(p.numel() for p in part.parameters())
    assert size(three.trunk) == 3 * size(one.trunk)
    assert size(three.posterior) == 3 * size(one.posterior)
    assert size(three.decoder) == size(one.decoder)


@pytest.mark.parametrize("name", ["semvae", "misvae"])
def test_the_bound_is_what_its_formula_says(name: str):
    """By torch's own mixture; the densities there are of another module."""
    case = Case(name, {"n_samples": S})
    recipe, x = case.build(), case.data()
    t = recipe.model.eval()(x, S)
    normals = t.q_z.base_dist
    each = torch.stack(
        [
            Normal(normals.loc[:, j : j + 1], normals.scale[:, j : j + 1]).log_prob(t.z).sum(-1)
            for j in range(recipe.n_components)
        ]
    )  # (K, S, B, K)
    log_q = each.logsumexp(0) - log(recipe.n_components)
    log_p = Normal(0.0, 1.0).log_prob(t.z).sum(-1) + t.p_x.log_prob(x.unsqueeze(1))
    weights = (log_p - log_q).exp()
    torch.testing.assert_close(total(miselbo(t)), weights.mean(0).log().mean(-1))
    torch.testing.assert_close(total(iwae(t)), weights.mean((0, 2)).log())
    for bound in (mixture_elbo, recipe.bound):
        torch.testing.assert_close(total(bound(t)), weights.log().mean((0, 2)))


def test_a_mixture_gains_at_most_log_k_on_its_components_and_all_of_it_where_they_lie_apart():
    case = Case("semvae")
    recipe, x = case.build(), case.data()
    gains = []
    for apart in (0.0, 1.0, 50.0):
        with torch.no_grad():
            recipe.model.posterior.net.body.bias[..., :L] = apart * torch.arange(3.0)[:, None]
        t = recipe.model(x, 50)
        own = total(mixture_elbo(t, form="index"))
        gains.append(total(mixture_elbo(t)) - own)
    for gain in gains:
        assert (gain <= log(3) + 1e-9).all()
    assert (gains[0] < gains[1]).all()
    torch.testing.assert_close(gains[2], torch.full_like(gains[2], log(3)))


class TwoSided(nn.Module):
    """Logits that tell the code's distance from 0 and not its side."""

    def forward(self, z: Tensor) -> Tensor:
        return (2 * z.abs() - 2).expand(*z.shape[:-1], 12)


def gap_after_training(n_components: int, x: Tensor, log_p: Tensor) -> float:
    """log p(x) less the ELBO that encoders reach, from starts apart, under a fixed decoder."""
    options = {"n_latent": 1, "likelihood": "gaussian", "n_components": n_components}
    recipe = Case("semvae", options).build()
    recipe.model.decoder.branch = TwoSided()
    recipe.model.posterior.net.body.bias.data[:, 0] = torch.linspace(-1, 1, n_components)
    recipe.model.decoder.requires_grad_(False)
    optimizer = torch.optim.Adam(recipe.model.parameters(), 0.02)
    for _ in range(200):
        optimizer.zero_grad()
        (-total(recipe.objective(recipe.model, x))).backward()
        optimizer.step()
    with torch.no_grad():
        bound = total(mixture_elbo(recipe.model(x, 2000)))
    assert (bound < log_p + 0.02).all()
    return float((log_p - bound).mean())


def test_under_a_fixed_decoder_two_encoders_find_both_sides_of_the_posterior():
    """log p(x) by quadrature; one encoder misses half of the posterior, log 2."""
    x = 0.5 + 0.1 * torch.randn(16, 1, 3, 4)
    z = torch.linspace(-6, 6, 4001).unsqueeze(-1)
    p_x = Independent(Normal(TwoSided()(z).sigmoid(), 0.2), 1)
    log_joint = p_x.log_prob(x.flatten(1).unsqueeze(1)) + Normal(0.0, 1.0).log_prob(z).squeeze(-1)
    log_p = log_joint.logsumexp(-1) + log(12 / 4000)
    one, two = (gap_after_training(n, x, log_p) for n in (1, 2))
    assert two < 0.1
    assert one > log(2) - 0.05


# -- MISVAE


def test_one_network_that_reads_a_one_hot_is_a_bias_for_each_component():
    torch.manual_seed(0)
    part, h = OneHotPosterior(4, L, K, 7), torch.randn(6, 1, 4)
    some = torch.tensor([3, 1])
    q, q_some = part(h), part(h, some)
    assert q.batch_shape == (6, K)
    common = part.bias.mean(0)
    weight = torch.cat([part.read.weight, (part.bias - common).mT], 1)
    for k in range(K):
        one_hot = F.one_hot(torch.tensor(k), K).expand(6, K)
        hidden = F.linear(torch.cat([h[:, 0], one_hot], 1), weight, common).relu()
        loc, raw = part.head(hidden).chunk(2, -1)
        torch.testing.assert_close(q.mean[:, k], loc)
        torch.testing.assert_close(q.stddev[:, k], F.softplus(raw) + MIN_SCALE)
    torch.testing.assert_close(q_some.mean, q.mean[:, some])
    torch.testing.assert_close(q_some.stddev, q.stddev[:, some])


def test_a_component_more_costs_a_bias():
    few, many = (Case("misvae", {"n_components": n}).build() for n in (3, 300))
    assert many.n_parameters - few.n_parameters == 297 * few.options["one_hot_width"]


@pytest.mark.parametrize("bound", ["miselbo", "elbo"])
def test_some_to_all_is_the_bound_of_all_components_on_average_over_subsets(passes, bound: str):
    """Exactly, in its value and in the gradient of every parameter: all subsets, one noise."""
    recipe, x = misvae(bound=bound)
    parameters = list(recipe.model.parameters())
    value = lambda some: total(recipe.objective.bound(passes(recipe, x, some)))
    whole, parts = value(None), torch.stack([value(some) for some in SUBSETS])
    assert parts.std(0).min() > 1e-3
    torch.testing.assert_close(parts.mean(0), whole)
    slopes = torch.autograd.grad(parts.mean(0).sum(), parameters)
    for slope, expected in zip(slopes, torch.autograd.grad(whole.sum(), parameters), strict=True):
        torch.testing.assert_close(slope, expected)


@pytest.mark.parametrize("bound", ["miselbo", "elbo", "iwae"])
def test_some_to_some_is_the_bound_of_a_model_that_has_the_subset_alone(passes, bound: str):
    recipe, x = misvae("some-to-some", bound=bound)
    for some in SUBSETS:
        ours = recipe.objective.bound(passes(recipe, x, some))
        small = mixvae.prune(recipe, some.tolist())
        assert small.model.sampler is None
        noise = passes(recipe, x, some).z  # the same noise makes the same codes
        t = small.model.draw(x, *small.model.infer(x), S)
        torch.testing.assert_close(t.z, noise)
        torch.testing.assert_close(ours, small.objective.bound(t))


def test_some_to_some_is_below_some_to_all_by_at_most_the_log_of_their_sizes_ratio(passes):
    """The first half on average over codes and subsets; the second for every code."""
    n_samples = 4000
    few, x = misvae("some-to-some", bound="elbo")
    every, _ = misvae("some-to-all", bound="elbo")
    gaps = []
    for some in SUBSETS:
        with torch.no_grad():
            of_few, of_all = (passes(each, x, some, n_samples) for each in (few, every))
        torch.testing.assert_close(of_few.z, of_all.z)
        gap = of_all.family.log_q(of_all) - of_all.family.log_q(of_few)
        assert (gap >= -log(K / N) - 1e-9).all()
        gaps.append(gap.mean(-1))  # (S, B): Some-to-Some less Some-to-All
    gap = torch.stack(gaps).mean(0)
    assert (gap.mean(0) + 4 * gap.std(0) / n_samples**0.5 < 0).all()


def test_some_to_all_of_all_samples_together_has_weights_of_mean_p_of_x(passes):
    """SIWAE over a subset: its importance weights, averaged over subsets, are those of all."""
    recipe, x = misvae(bound="iwae")
    weights = torch.stack([passes(recipe, x, some).log_weight.exp() for some in SUBSETS])
    torch.testing.assert_close(weights.mean(0), passes(recipe, x).log_weight.exp())


def test_training_draws_one_subset_for_the_batch_and_evaluation_takes_all():
    recipe, x = misvae()
    model = recipe.model
    t = model(x, S)
    assert t.z.shape == (S, len(x), N, L)
    assert t.log_lik.shape == t.log_q.shape == t.w.shape == (S, len(x), N)
    assert t.kl.shape == t.family.responsibilities(t).shape == (len(x), N)
    assert t.q_all.component_distribution.batch_shape == (len(x), K)
    q_z = model.infer(x)[0]
    where = (t.q_z.mean.unsqueeze(2) - q_z.mean.unsqueeze(1)).abs().sum(-1)  # (B, N, K)
    index = where.argmin(-1)
    torch.testing.assert_close(where.amin(-1), torch.zeros(len(x), N))
    assert (index == index[0]).all()
    model.eval()
    t = model(x, S)
    assert t.z.shape == (S, len(x), K, L)
    assert t.q_all is None


def test_subsets_are_drawn_evenly_and_without_replacement():
    drawn = torch.stack([ComponentSubset(N).draw(K).sort().values for _ in range(4000)])
    kinds, counts = drawn.unique(dim=0, return_counts=True)
    assert torch.equal(kinds, torch.stack(SUBSETS))
    even = 4000 / len(SUBSETS)
    assert (counts - even).abs().max() < 4 * even**0.5


def test_a_subset_as_large_as_the_mixture_is_none():
    x = Case("misvae").data()
    recipes = [misvae(how, n_subset=n)[0] for how in ("all", "some-to-all") for n in (K, 99)]
    values = []
    for recipe in recipes:
        assert recipe.model.sampler is None
        torch.manual_seed(1)
        values.append(total(recipe.objective(recipe.model, x)).item())
    assert len(set(values)) == 1


# -- no leak


@pytest.mark.parametrize(
    "case",
    [
        Case("semvae"),
        Case("misvae"),
        Case("semvae", {"network": "conv", "channels": (4, 6), "norm": "batch"}, COLOUR),
        Case("misvae", {"network": "conv", "channels": (4, 6)}, COLOUR),
    ],
    ids=str,
)
def test_a_decoder_cannot_tell_which_component_a_code_came_from(case: Case):
    """log p(x | z) of one code in training mode: in every place, among any codes, or alone."""
    model, x = case.build().model.train(), case.data(1)
    z = torch.randn(1, 1, 1, L)

    def log_lik(company: Tensor, k: int) -> Tensor:
        codes = company.clone()
        codes[0, -1, k] = z
        p_x = model.decode(codes, torch.full(codes.shape[:-1], 1 / codes.shape[2]))
        return p_x.log_prob(x.unsqueeze(1))[0, -1, k]

    alone = log_lik(z, 0)
    for n_components in (2, 3, 7):
        for k in range(n_components):
            for spread in (0.1, 10.0):
                company = spread * torch.randn(2, 4, n_components, L)
                torch.testing.assert_close(log_lik(company, k), alone)


@pytest.mark.usefixtures("unchecked")
def test_misvae_has_no_part_that_reads_the_batch():
    with pytest.raises(MixvaeError, match="norm"):
        Case("misvae", {"network": "conv", "norm": "batch"}, COLOUR).build()
    for network in ("mlp", "conv"):
        model = Case("misvae", {"network": network}, COLOUR).build().model
        assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())


# -- wrong options


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("semvae", {"bound": "matched"}, "bound"),
        ("misvae", {"bound": "own"}, "bound"),
        ("misvae", {"estimator": "s2a"}, "estimator"),
        ("misvae", {"n_subset": 0}, "n_subset must be at least 1"),
        ("misvae", {"one_hot_width": 0}, "one_hot_width must be at least 1"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_options_are_named(name: str, options: dict, message: str):
    with pytest.raises(MixvaeError, match=message):
        Case(name, options).build()
