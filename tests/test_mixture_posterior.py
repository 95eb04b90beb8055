"""Models with one code that a mixture infers: densities, bounds and the matched KL."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.distributions import (
    Categorical,
    Dirichlet,
    Distribution,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from linear_gaussian import NOISE, LinearGaussian
from mixvae import data, objectives, recipes
from mixvae.distributions import (
    Delta,
    NormalMixture,
    kl_pairs,
    kl_to_mixture,
    log_prob_each,
    mixture,
)
from mixvae.distributions.log_mixture import LogMixture
from mixvae.errors import MixvaeError
from mixvae.families import MixturePosterior
from mixvae.objectives import iwae, log_mean_exp, miselbo, mixture_elbo
from mixvae.objectives.matched import best, greedy, matched_kl
from mixvae.trace import Trace

pytestmark = pytest.mark.usefixtures("maths")
K, L = 3, 2


def normals(*batch: int, spread: float = 1.0, scale: float = 0.5) -> Independent:
    return Independent(Normal(spread * torch.randn(*batch, L), scale + torch.rand(*batch, L)), 1)


class OneMap:
    """x = A z + c + noise, with the prior sum_j v_j N(m_j, I): p(x) and p(z | x) in closed form."""

    def __init__(self) -> None:
        model = LinearGaussian(n_components=1, n_latent=L)
        self.a, self.c = model.a[0], model.c[0]
        self.means, self.v = 1.5 * torch.randn(K, L), torch.rand(K).softmax(0)

    @property
    def priors(self) -> MultivariateNormal:
        return MultivariateNormal(self.means, torch.eye(L))

    def log_evidence_each(self, x: Tensor) -> Tensor:
        covariance = self.a @ self.a.mT + NOISE**2 * torch.eye(4)
        return MultivariateNormal(self.means @ self.a.mT + self.c, covariance).log_prob(x[:, None])

    def log_evidence(self, x: Tensor) -> Tensor:
        return (self.log_evidence_each(x) + self.v.log()).logsumexp(-1)

    def posterior(self, x: Tensor) -> tuple[Tensor, MultivariateNormal]:
        """Weights (B, K) and components of p(z | x)."""
        covariance = torch.linalg.inv(torch.eye(L) + self.a.mT @ self.a / NOISE**2)
        pull = (x - self.c) @ self.a / NOISE**2
        loc = (self.means + pull[:, None]) @ covariance
        r = (self.log_evidence_each(x) + self.v.log()).softmax(-1)
        return r, MultivariateNormal(loc, covariance.expand(len(x), K, L, L))

    def trace(
        self,
        x: Tensor,
        q_w: Distribution,
        q_z: Distribution,
        p_z: Distribution,
        n_samples: int,
        p_w: Distribution | None = None,
    ) -> Trace:
        z, w = q_z.sample((n_samples,)), q_w.rsample((n_samples,))
        p_x = Independent(Normal(z @ self.a.mT + self.c, NOISE), 1)
        return Trace(x, z, w, w, q_z, p_z, q_w, p_w, p_x, MixturePosterior())


def total(terms: dict[str, Tensor]) -> Tensor:
    return sum(terms.values())


# -- p(x) in closed form


def test_every_draw_from_the_exact_posterior_weighs_p_of_x():
    model, x = OneMap(), torch.randn(5, 4)
    r, q_z = model.posterior(x)
    p_z = MixtureSameFamily(Categorical(model.v), model.priors)
    t = model.trace(x, Delta(r), q_z, p_z, 3)
    exact = model.log_evidence(x)
    torch.testing.assert_close(t.log_weight, exact.expand(3, -1))
    for bound in (mixture_elbo, miselbo, iwae):
        torch.testing.assert_close(total(bound(t)), exact)


def test_the_mean_weight_under_a_wrong_posterior_is_p_of_x():
    model, x = OneMap(), torch.randn(4, 4)
    _, q = model.posterior(x)
    wide = MultivariateNormal(q.loc + 0.1, 2 * q.covariance_matrix)
    w = torch.rand(4, K).softmax(-1)
    p_z = MixtureSameFamily(Categorical(model.v), model.priors)
    t = model.trace(x, Delta(w), wide, p_z, 40_000)
    weights = (t.log_weight - model.log_evidence(x)).exp()
    assert ((weights.mean(0) - 1).abs() < 4 * weights.std(0) / 200).all()
    assert (weights.std(0) > 0.1).all()


@pytest.mark.parametrize("own_priors", [False, True])
def test_random_weights_are_a_latent_too(own_priors: bool):
    """p(x) = sum_k E[w_k] p(x | k), the weights drawn from a posterior that is not their prior."""
    model, x, n = OneMap(), torch.randn(4, 4), 50_000
    _, q_z = model.posterior(x)
    p_w, q_w = Dirichlet(torch.tensor([1.0, 2.0, 3.0])), Dirichlet(1.5 + torch.rand(4, K))
    if own_priors:
        p_z = model.priors
        exact = (model.log_evidence_each(x) + p_w.mean.log()).logsumexp(-1)
    else:
        p_z = MixtureSameFamily(Categorical(model.v), model.priors)
        exact = model.log_evidence(x)
    t = model.trace(x, q_w, q_z, p_z, n, p_w)
    weights = (t.log_weight - exact).exp()
    assert ((weights.mean(0) - 1).abs() < 4 * weights.std(0) / n**0.5).all()


# -- bounds


@pytest.mark.parametrize("own_priors", [False, True])
def test_the_forms_of_the_elbo_are_bounds_and_the_mixture_form_the_best(own_priors: bool):
    model, x = OneMap(), torch.randn(4, 4)
    _, q_z = model.posterior(x)
    p_w, q_w = Dirichlet(torch.ones(K)), Dirichlet(1 + torch.rand(4, K))
    p_z = model.priors if own_priors else MultivariateNormal(torch.zeros(L), torch.eye(L))
    t = model.trace(x, q_w, q_z, p_z, 20_000, p_w)
    log_p = log_mean_exp(t.log_weight, 0)
    forms = ("mixture", "index", "paper")
    whole, index, paper = (total(mixture_elbo(t, form=form)) for form in forms)
    tight = t.log_weight.mean(0)
    assert (tight < log_p).all()
    assert (whole < tight).all()
    assert (index < whole).all()
    assert (paper < whole - 0.01).all()


@pytest.mark.parametrize("own_priors", [False, True])
def test_under_random_weights_the_codes_kl_is_that_of_draws(own_priors: bool):
    """A weight and the density under the mixture that it belongs to are not independent."""
    model, x, n = OneMap(), torch.randn(4, 4), 50_000
    q_z, q_w = normals(4, K, spread=2.0), Dirichlet(0.7 + torch.rand(4, K))
    p_z = model.priors if own_priors else MultivariateNormal(torch.zeros(L), torch.eye(L))
    t = model.trace(x, q_w, q_z, p_z, n, Dirichlet(torch.ones(K)))
    k = Categorical(t.w).sample()
    z = t.z[torch.arange(n)[:, None], torch.arange(4), k]
    q = MixtureSameFamily(Categorical(t.w), q_z.expand((n, 4, K)))
    p = MixtureSameFamily(Categorical(t.w), p_z.expand((n, 4, K))) if own_priors else p_z
    drawn = p.log_prob(z) - q.log_prob(z)
    kl = mixture_elbo(t)["kl_z"]
    assert ((kl - drawn.mean(0)).abs() < 4 * 2**0.5 * drawn.std(0) / n**0.5).all()


def test_the_elbo_of_a_mixture_gains_at_most_log_k():
    """ELBO_mix = sum_k w_k ELBO_k + the Jensen-Shannon divergence of the components."""
    model, x = OneMap(), torch.randn(4, 4)
    q_z = normals(4, K, spread=3.0)
    w = Delta(torch.rand(4, K).softmax(-1))
    p_z = MixtureSameFamily(Categorical(model.v), model.priors)
    t = model.trace(x, w, q_z, p_z, 10_000)
    gain = total(mixture_elbo(t)) - total(mixture_elbo(t, form="index"))
    entropy = -(w.mean * w.mean.log()).sum(-1)
    assert (gain > 0.01).all()
    assert (gain <= entropy + 0.01).all()


def test_miselbo_of_equal_components_is_iwae_on_average():
    model, x = OneMap(), torch.randn(3, 4)
    one = normals(3, 1)
    equal = Independent(Normal(one.mean.expand(3, K, L), one.stddev.expand(3, K, L)), 1)
    p_z = MixtureSameFamily(Categorical(model.v), model.priors)

    def values(q: Independent, bound: objectives.Bound) -> Tensor:
        w = Delta(torch.full((3, q.batch_shape[1]), 1 / q.batch_shape[1]))
        each = [total(bound(model.trace(x, w, q, p_z, 4))) for _ in range(1000)]
        return torch.stack(each)

    mis, iw = values(equal, miselbo), values(one, iwae)
    error = (mis.var(0) + iw.var(0)).div(1000).sqrt()
    assert ((mis.mean(0) - iw.mean(0)).abs() < 4 * error).all()


def test_bounds_rise_with_samples_and_with_what_is_inside_the_logarithm():
    model, x = OneMap(), torch.randn(3, 4)
    w, q_z = Delta(torch.full((3, K), 1 / K)), normals(3, K)
    p_z = MixtureSameFamily(Categorical(model.v), model.priors)
    exact = model.log_evidence(x)

    def mean(bound: objectives.Bound, n_samples: int) -> Tensor:
        big = model.trace(x, w, q_z, p_z, 800 * n_samples)
        parts = [big.z[i::800] for i in range(800)]
        p_x = lambda z: Independent(Normal(z @ model.a.mT + model.c, NOISE), 1)
        traces = [
            replace(big, z=z, w=big.w[: len(z)], b=big.b[: len(z)], p_x=p_x(z)) for z in parts
        ]
        return torch.stack([total(bound(t)) for t in traces]).mean(0)

    ladder = [mean(mixture_elbo, 1), mean(miselbo, 4), mean(iwae, 4), mean(iwae, 16), exact]
    for lower, higher in pairwise(ladder):
        assert (lower < higher).all()


def test_with_one_component_all_bounds_are_the_vaes():
    model, x = OneMap(), torch.randn(3, 4)
    p_z = Independent(Normal(torch.zeros(L), torch.ones(L)), 1)
    t = model.trace(x, Delta(torch.ones(3, 1)), normals(3, 1), p_z, 5)
    by_hand = (t.log_lik + t.log_prior - t.log_q).squeeze(-1)
    torch.testing.assert_close(t.log_weight, by_hand)
    for form in ("mixture", "index", "paper"):
        torch.testing.assert_close(total(mixture_elbo(t, form=form)), by_hand.mean(0))
    torch.testing.assert_close(total(miselbo(t)), total(iwae(t)))


# -- densities of all pairs


@pytest.mark.parametrize("sample", [(), (5,), (5, 6)])
@pytest.mark.parametrize("batch", [(), (4,)])
@pytest.mark.parametrize("k", [1, K])
def test_densities_of_all_pairs_agree_with_broadcasting(sample: tuple, batch: tuple, k: int):
    components, z = normals(*batch, k), torch.randn(*sample, *batch, L)
    slow = components.log_prob(z.unsqueeze(-2))
    torch.testing.assert_close(log_prob_each(components, z), slow)
    weights = torch.rand(*batch, k).softmax(-1)
    ours = mixture(weights, components)
    assert isinstance(ours, NormalMixture)
    theirs = MixtureSameFamily(Categorical(weights), components)
    torch.testing.assert_close(ours.log_prob(z), theirs.log_prob(z))


@pytest.mark.parametrize("scale", [1.0, 1e-2, 1e-3])
def test_densities_in_float32_lose_only_what_their_inputs_had_lost(scale: float):
    """A thousandth of a nat over 40 dimensions, where the plain product is off by nats."""
    torch.set_default_dtype(torch.float32)
    loc = torch.randn(7, 40)
    z = loc[torch.arange(50) % 7] + scale * torch.randn(50, 40)
    components = Independent(Normal(loc, torch.full_like(loc, scale)), 1)
    precise = Independent(Normal(loc.double(), torch.full_like(loc, scale).double()), 1)
    exact = precise.log_prob(z.double().unsqueeze(1))
    ours = log_prob_each(components, z)
    assert ours.dtype == torch.float32
    near = exact > -1e4  # elsewhere the density is nothing, and float32 holds 7 digits of it
    assert (ours.double() - exact)[near].abs().max() < 1e-3
    torch.testing.assert_close(ours.double(), exact, rtol=1e-6, atol=1e-3)


def overlapping(scale: float, *batch: int) -> tuple[Tensor, ...]:
    """200 codes near 50 components, each of which another lies on, in 40 dimensions, float32."""
    mu, sigma = torch.randn(*batch, 25, 40), scale * (0.5 + torch.rand(*batch, 25, 40))
    beside = mu + 0.2 * sigma * torch.randn_like(mu)
    near = torch.arange(200) % 25
    z = mu[..., near, :] + sigma[..., near, :] * torch.randn(*batch, 200, 40)
    parts = (z, torch.cat([mu, beside], -2), torch.cat([sigma, sigma], -2))
    return tuple(part.float() for part in (*parts, torch.zeros(*batch, 50)))


def log_density(z: Tensor, loc: Tensor, scale: Tensor, log_w: Tensor) -> Tensor:
    """Under a mixture, by differences in float64."""
    z, loc, scale, log_w = (t.double() for t in (z, loc, scale, log_w))
    each = Independent(Normal(loc, scale), 1).log_prob(z.movedim(-2, 0).unsqueeze(-2))
    return (each + log_w.log_softmax(-1)).logsumexp(-1).movedim(0, -1)


@pytest.mark.parametrize(
    ("scale", "expected"), [(1.0, 5e-6), (0.1, 4e-4), (0.01, 4e-2)], ids=lambda value: f"{value:g}"
)
@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("half", [False, True])
def test_densities_of_a_mixture_are_as_precise_in_training_as_they_say(
    scale, expected, batch, half
):
    """In float32, also where the networks are in half precision."""
    leaves = overlapping(scale, *batch)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        ours = LogMixture.apply(*leaves[:3], leaves[3].log_softmax(-1))
    assert ours.dtype == torch.float32
    off = (ours.double() - log_density(*leaves)).square().mean().sqrt()
    assert off < 2 * expected


@pytest.mark.parametrize("scale", [1.0, 1e-2, 1e-3])
def test_densities_of_a_mixture_are_precise_without_a_gradient(scale: float):
    z, loc, sigma, log_w = overlapping(scale)
    components = Independent(Normal(loc, sigma), 1)
    with torch.no_grad():
        ours = mixture(log_w.exp(), components).log_prob(z)
    assert ours.dtype == torch.float32
    assert (ours.double() - log_density(z, loc, sigma, log_w)).abs().max() < 1e-3


@pytest.mark.parametrize("batch", [(), (2,)])
def test_the_density_of_a_mixture_has_the_gradient_that_it_says(batch: tuple):
    leaves = [torch.randn(*batch, 5, L), torch.randn(*batch, K, L), 0.2 + torch.rand(*batch, K, L)]
    leaves += [torch.randn(*batch, K)]
    assert torch.autograd.gradcheck(LogMixture.apply, [leaf.requires_grad_() for leaf in leaves])


@pytest.mark.parametrize("scale", [0.3, 0.03])
def test_the_gradient_in_float32_is_that_in_float64(scale: float):
    """To a thousandth of its length, at scales that posteriors have."""
    mu = torch.randn(50, 40)
    z = mu[torch.arange(200) % 50] + scale * torch.randn(200, 40)
    leaves = [z, mu, scale * (0.5 + torch.rand(50, 40)), torch.zeros(50)]

    def gradients(dtype: torch.dtype) -> list[Tensor]:
        moved = [leaf.to(dtype).requires_grad_() for leaf in leaves]
        return torch.autograd.grad(LogMixture.apply(*moved).sum(), moved)

    for half, whole in zip(gradients(torch.float32), gradients(torch.float64), strict=True):
        assert half.dtype == torch.float32
        assert (half - whole).norm() < 1e-3 * whole.norm()


def test_kls_of_all_pairs_are_torchs():
    q, p = normals(4, K), normals(4, 5)
    one = lambda d, *at: Independent(Normal(d.mean[at], d.stddev[at]), 1)
    slow = [[kl_divergence(one(q, b, i), one(p, b)) for i in range(K)] for b in range(4)]
    slow = torch.stack([torch.stack(row) for row in slow])
    torch.testing.assert_close(kl_pairs(q, p), slow)


def test_the_closed_bound_of_a_kl_to_a_mixture_is_one():
    q, p = normals(6), mixture(torch.rand(K).softmax(0), normals(K, spread=2.0))
    z = q.sample((50_000,))
    sampled = (q.log_prob(z) - p.log_prob(z)).mean(0)
    bound = kl_to_mixture(q, p)
    assert (bound > sampled - 0.02).all()
    alone = mixture(torch.ones(1), normals(1))
    torch.testing.assert_close(
        kl_to_mixture(q, alone), kl_pairs(q, alone.component_distribution).squeeze(-1)
    )


# -- pseudo-inputs and the matched KL


def gmmp(**options: object) -> tuple[recipes.BuiltRecipe, Tensor]:
    torch.manual_seed(1)
    small = {"n_components": K, "n_latent": L, "hidden": [8], "n_pseudo_inputs": 5}
    recipe = recipes.build("gmmp-vae", (6,), **small | options)
    with torch.no_grad():
        for p in recipe.model.trunk.parameters():
            p *= 3
    return recipe, torch.rand(4, 6).round()


def test_the_prior_of_pseudo_inputs_is_their_mean_posterior():
    recipe, x = gmmp(learned_weights=True)
    model = recipe.model
    model.weights.logits.data = torch.randn(K)
    t = model(x, 2)
    q = model.posterior(model.trunk(model.prior.pseudo_inputs))
    each = q.log_prob(t.z.unsqueeze(-2).unsqueeze(-2)) + model.weights.logits.log_softmax(0)
    torch.testing.assert_close(
        t.log_prior, each.flatten(-2).logsumexp(-1) - torch.tensor(5.0).log()
    )


def test_gmmp_vae_of_one_component_is_the_vamp_prior():
    recipe, x = gmmp(n_components=1)
    vamp = recipes.build("vamp-prior", (6,), n_latent=L, hidden=[8], n_pseudo_inputs=5)
    vamp.model.load_state_dict(recipe.model.state_dict())
    torch.manual_seed(0)
    ours = recipe.objective(recipe.model, x)
    torch.manual_seed(0)
    assert vamp.objective(vamp.model, x) == ours
    torch.manual_seed(0)
    t = recipe.model(x)
    by_hand = t.log_lik + t.p_z.log_prob(t.z) - t.q_z.log_prob(t.z)
    torch.testing.assert_close(total(ours), by_hand.mean())


@pytest.mark.parametrize("learned", [False, True])
def test_the_matched_kls_are_above_the_kl_in_their_order(learned: bool):
    recipe, x = gmmp(learned_weights=learned)
    if learned:
        recipe.model.weights.logits.data = torch.randn(K)
    t = recipe.model(x, 20_000)
    family = t.family
    kl = (t.w * (family.log_q(t) - family.log_prior(t))).sum(-1).mean(0)
    by_greed, optimal, variational = (
        matched_kl(t, how).mean(-1) for how in ("greedy", "optimal", "variational")
    )
    assert (optimal > kl).all()
    assert (optimal <= by_greed + 1e-9).all()
    assert (variational <= optimal + 1e-9).all()


def test_greedy_matching_is_the_papers_loop():
    cost, log_w = torch.randn(4, 5, K, K), torch.rand(4, K).log_softmax(-1)
    log_w[0] = -torch.tensor(3.0).log()  # ties are taken by index
    beta = greedy(cost, log_w)
    for b in range(4):
        heavy_first = sorted(range(K), key=lambda m: -float(log_w[b, m]))
        for c in range(5):
            left = set(range(K))
            for m in heavy_first:
                n = min(left, key=lambda n: float(cost[b, c, m, n]))
                left.remove(n)
                assert beta[b, c, m] == n


def test_optimal_matching_is_the_hungarian_one():
    cost, log_w = torch.randn(4, 5, 4, 4), torch.rand(4, 4).log_softmax(-1)
    order = best(cost, log_w)
    for b in range(4):
        for c in range(5):
            weighted = log_w[b].exp()[:, None] * cost[b, c]
            assert order[b, c].tolist() == linear_sum_assignment(weighted.numpy())[1].tolist()


def test_averaged_codes_pay_for_more_noise_than_they_have():
    """The paper's gain: the same KL, and a likelihood of codes with 1/K of the variance."""
    recipe, x = gmmp()
    t = recipe.model(x, 500)
    same = Independent(Normal(torch.zeros(4, K, L), torch.ones(4, K, L)), 1)
    z = same.sample((500,))
    t = replace(t, z=z, q_z=same)
    seen: list[Tensor] = []

    def bound(t: Trace, kl_scale: float) -> dict[str, Tensor]:
        seen.append(t.log_lik)
        return {}

    decode = t.decode
    codes: list[Tensor] = []
    t = replace(t, decode=lambda z, w: codes.append(z) or decode(z, w))
    objectives.averaged(t, bound=bound)
    torch.testing.assert_close(codes[0], z.mean(2, keepdim=True))
    torch.testing.assert_close(codes[0].var(0), torch.full((4, 1, L), 1 / K), rtol=0.2, atol=0)
    assert seen[0].shape == (500, 4, 1)


def three_kinds() -> data.Dataset:
    """Images of three kinds, six pixels."""
    rows = torch.eye(3).repeat_interleave(2, 1)[torch.arange(300) % 3]
    x = torch.where(torch.rand(300, 6) < 0.05, 1 - rows, rows)
    return data.from_arrays(x.numpy(), name="kinds")


def spread_of_pseudo_inputs(bound: str) -> float:
    """The standard deviation of the pseudo-inputs' posterior means, against those of the data."""
    torch.manual_seed(0)
    set_ = three_kinds()
    pixels = set_.train.x.double()
    recipe = recipes.build(
        "gmmp-vae", set_, bound=bound, n_components=1, n_latent=2, hidden=[16], n_pseudo_inputs=9
    )
    optimizer = torch.optim.Adam(recipe.model.parameters(), 0.01)
    for _ in range(400):
        x = pixels[torch.randint(len(pixels), (64,))]
        optimizer.zero_grad()
        (-total(recipe.objective(recipe.model, x))).backward()
        optimizer.step()
    mean = lambda x: recipe.model.encode(x).mean.detach()
    return float(mean(recipe.model.prior.pseudo_inputs).std(0).norm() / mean(pixels).std(0).norm())


def test_pseudo_inputs_collapse_under_the_matched_kl_and_not_under_the_exact_prior():
    """Its mean over pseudo-inputs separates: each of them has the same optimum."""
    assert spread_of_pseudo_inputs("matched") < 0.2
    assert spread_of_pseudo_inputs("elbo") > 0.5


def test_pseudo_inputs_start_from_data():
    set_ = three_kinds()
    recipe = recipes.build("vamp-prior", set_, hidden=[4], n_latent=L, n_pseudo_inputs=20)
    rows = {tuple(row.tolist()) for row in set_.train.x}
    started = recipe.model.prior.pseudo_inputs
    assert all(tuple(row.tolist()) in rows for row in started.round())
    noise = recipes.build(
        "vamp-prior", set_, hidden=[4], n_latent=L, n_pseudo_inputs=20, pseudo_inputs="noise"
    )
    assert len(noise.model.prior.pseudo_inputs.unique()) == 120


def test_more_pseudo_inputs_than_data_are_refused():
    with pytest.raises(MixvaeError, match="use n_pseudo_inputs 216 or fewer"):
        recipes.build("vamp-prior", three_kinds(), n_pseudo_inputs=500)
    with pytest.raises(MixvaeError, match="n_pseudo_inputs must be at least 1"):
        recipes.build("vamp-prior", (6,), n_pseudo_inputs=0)


def test_optimal_matching_has_a_limit_that_it_names():
    with pytest.raises(MixvaeError, match="greedy"):
        recipes.build("gmmp-vae", (6,), n_components=9, bound="matched", matching="optimal")
