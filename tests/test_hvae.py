"""Codes of two levels: chains as distributions, in closed form and in HVAE."""

from math import log

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import (
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

import mixvae
from linear_gaussian import NOISE, sigma_points
from mixvae import data, recipes
from mixvae.data.dataset import Split
from mixvae.distributions import Delta, Hierarchical, NormalMixture, log_prob_each, mixture
from mixvae.errors import MixvaeError
from mixvae.evaluation import component_health, evaluate, log_likelihood
from mixvae.evaluation import latent_operations as operations
from mixvae.families import MixturePosterior
from mixvae.nn import MLP
from mixvae.objectives import iwae, mixture_elbo
from mixvae.parts.posteriors import ConditionalNormal, HierarchicalPosterior, NormalPosterior
from mixvae.parts.priors import HierarchicalPrior, VampPrior
from mixvae.trace import Trace

pytestmark = pytest.mark.usefixtures("maths")
TOP, BELOW = 2, 3


def joint_normal(*batch: int) -> MultivariateNormal:
    size = TOP + BELOW
    root = torch.randn(*batch, size, size)
    return MultivariateNormal(torch.randn(*batch, size), root @ root.mT + 0.1 * torch.eye(size))


def chain_of(joint: MultivariateNormal) -> Hierarchical:
    """A joint normal of (z2, z1) as z2's marginal and z1 given z2."""
    mu, cov = joint.loc, joint.covariance_matrix
    across, top = cov[..., TOP:, :TOP], cov[..., :TOP, :TOP]
    gain = across @ torch.linalg.inv(top)
    rest = cov[..., TOP:, TOP:] - gain @ across.mT

    def second(above: Tensor) -> MultivariateNormal:
        moved = (gain @ (above - mu[..., :TOP]).unsqueeze(-1)).squeeze(-1)
        return MultivariateNormal(mu[..., TOP:] + moved, rest)

    return Hierarchical(MultivariateNormal(mu[..., :TOP], top), second, BELOW)


class TwoLevels:
    """x = A (z2, z1) + c + noise, with z2 ~ N(0, I) and z1 ~ N(B z2 + d, D)."""

    def __init__(self) -> None:
        self.b, self.d = torch.randn(BELOW, TOP), torch.randn(BELOW)
        self.scale = 0.5 + torch.rand(BELOW)
        self.a, self.c = torch.randn(4, TOP + BELOW), torch.randn(4)

    @property
    def prior(self) -> Hierarchical:
        top = Independent(Normal(torch.zeros(TOP), torch.ones(TOP)), 1)
        return Hierarchical(
            top, lambda z: Independent(Normal(z @ self.b.mT + self.d, self.scale), 1), 3
        )

    @property
    def joint(self) -> MultivariateNormal:
        """The prior of both levels as one normal: (z2, z1) is a map of independent noise."""
        root = torch.eye(TOP + BELOW)
        root[TOP:, :TOP], root[TOP:, TOP:] = self.b, self.scale.diag()
        return MultivariateNormal(torch.cat([torch.zeros(TOP), self.d]), root @ root.mT)

    def log_evidence(self, x: Tensor) -> Tensor:
        p = self.joint
        covariance = self.a @ p.covariance_matrix @ self.a.mT + NOISE**2 * torch.eye(4)
        return MultivariateNormal(self.a @ p.loc + self.c, covariance).log_prob(x)

    def posterior(self, x: Tensor, widen: float = 1.0) -> MultivariateNormal:
        """p(z2, z1 | x), its covariance times ``widen``; batch (B, 1)."""
        p = self.joint
        covariance = torch.linalg.inv(p.precision_matrix + self.a.mT @ self.a / NOISE**2)
        pull = (x - self.c) @ self.a / NOISE**2 + p.precision_matrix @ p.loc
        return MultivariateNormal((pull @ covariance).unsqueeze(1), widen * covariance)

    def trace(self, x: Tensor, q: Hierarchical, z: Tensor) -> Trace:
        w = torch.ones(len(x), 1)
        p_x = Independent(Normal(z @ self.a.mT + self.c, NOISE), 1)
        both = w.expand(len(z), -1, -1)
        return Trace(x, z, both, both, q, self.prior, Delta(w), None, p_x, MixturePosterior())


def bent() -> Hierarchical:
    """Two levels that make no normal together."""
    first = Independent(Normal(torch.tensor([0.3]), torch.tensor([0.8])), 1)
    second = lambda z: Independent(Normal((2 * z).sin(), (0.4 * z).exp()), 1)
    return Hierarchical(first, second, 1)


def small(**options: object) -> tuple[recipes.BuiltRecipe, Tensor]:
    torch.manual_seed(1)
    sizes = {"n_latent": BELOW, "n_top": TOP, "hidden": [8], "n_pseudo_inputs": 5}
    recipe = recipes.build("hvae", (6,), **sizes | options)
    with torch.no_grad():
        for p in recipe.model.parameters():
            p *= 2
    return recipe, torch.rand(4, 6).round()


# -- the chain


def test_a_chain_has_the_density_of_the_joint_normal_that_it_is():
    joint = joint_normal(4, 2)
    z = torch.randn(5, 4, 2, TOP + BELOW)
    torch.testing.assert_close(chain_of(joint).log_prob(z), joint.log_prob(z))


def test_a_chains_density_integrates_to_one():
    z2, z1 = torch.linspace(-6, 6, 400), torch.linspace(-30, 30, 1500)
    density = bent().log_prob(torch.cartesian_prod(z2, z1)).exp()
    mass = density.sum() * (z2[1] - z2[0]) * (z1[1] - z1[0])
    torch.testing.assert_close(mass, torch.tensor(1.0))


@pytest.mark.parametrize("draw", ["sample", "rsample"])
def test_draws_have_the_moments_of_the_joint_normal(draw: str):
    joint, n = joint_normal(3), 50_000
    z = getattr(chain_of(joint), draw)((n,))
    white = torch.linalg.solve_triangular(
        joint.scale_tril, (z - joint.loc).unsqueeze(-1), upper=False
    ).squeeze(-1)
    assert (white.mean(0).abs() < 4.5 / n**0.5).all()
    covariance = torch.einsum("sbi,sbj->bij", white, white) / n
    assert ((covariance - torch.eye(TOP + BELOW)).abs() < 4.5 * (2 / n) ** 0.5).all()


def test_draws_follow_their_own_density():
    """The mean of p / q is 1 for draws of q, whatever the normal p."""
    chain, n = bent(), 50_000
    z = chain.sample((n,))
    p = MultivariateNormal(torch.tensor([0.3, 0.2]), 0.3 * torch.eye(2))
    ratio = (p.log_prob(z) - chain.log_prob(z)).exp()
    assert (ratio.mean() - 1).abs() < 4 * ratio.std() / n**0.5


def test_a_draws_gradient_reaches_the_first_level_through_the_second():
    loc = torch.zeros(TOP, requires_grad=True)
    b = torch.randn(BELOW, TOP)
    first = Independent(Normal(loc, torch.ones(TOP)), 1)
    chain = Hierarchical(
        first, lambda z: Independent(Normal(z @ b.mT, torch.ones(BELOW)), 1), BELOW
    )
    (slope,) = torch.autograd.grad(chain.rsample((7,))[:, TOP:].sum(), loc)
    torch.testing.assert_close(slope, 7 * b.sum(0))
    assert chain.has_rsample
    assert not chain.sample().requires_grad


def test_the_mean_follows_the_chain_and_the_variance_is_that_of_what_is_left():
    joint = joint_normal(4, 2)
    chain = chain_of(joint)
    torch.testing.assert_close(chain.mean, joint.loc)
    torch.testing.assert_close(chain.variance[..., :TOP], joint.variance[..., :TOP])
    given = joint.precision_matrix[..., TOP:, TOP:].inverse().diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(chain.stddev[..., TOP:], given.sqrt())


def test_a_mixture_on_top_can_be_drawn_and_expanded():
    normals = Independent(Normal(torch.randn(4, TOP), 0.1 + torch.rand(4, TOP)), 1)
    second = lambda z: Independent(Normal(z[..., :1], 0.5), 1)
    chain = Hierarchical(mixture(torch.ones(4) / 4, normals), second, 1)
    assert not chain.has_rsample
    wide = chain.expand((1, 6, 3))
    assert wide.sample().shape == (1, 6, 3, TOP + 1)
    z = wide.sample((2,))
    torch.testing.assert_close(wide.log_prob(z), chain.log_prob(z))


# -- its slots


def test_every_code_has_its_density_under_every_component():
    """Against a plain loop over samples, rows, codes and components."""
    n_samples, n_rows, n_components, n_features = 2, 3, 2, 4
    first = NormalPosterior(n_features, TOP, n_components)
    second = ConditionalNormal(MLP(n_features + TOP, 2 * BELOW, (5,)), BELOW)
    h = torch.randn(n_rows, n_components, n_features)
    q = HierarchicalPosterior(first, second)(h)
    assert q.batch_shape == (n_rows, n_components)
    codes = q.sample((n_samples,)).transpose(1, 2)  # (S, K, B, L)
    ours = log_prob_each(q, codes)
    top = first(h).base_dist
    for s, j, b, k in torch.cartesian_prod(*map(torch.arange, ours.shape)).tolist():
        z = codes[s, j, b]
        by_hand = Normal(top.loc[b, k], top.scale[b, k]).log_prob(z[:TOP]).sum()
        by_hand += second(torch.cat([h[b, k], z[:TOP]])).log_prob(z[TOP:])
        torch.testing.assert_close(ours[s, j, b, k], by_hand)
    w = torch.rand(n_rows, n_components).softmax(-1)
    whole = mixture(w, q)
    assert isinstance(whole, MixtureSameFamily)
    torch.testing.assert_close(whole.log_prob(codes), (ours + w.log()).logsumexp(-1))
    assert whole.sample((7,)).shape == (7, n_rows, TOP + BELOW)


def test_a_levels_scale_never_vanishes():
    level = ConditionalNormal(MLP(1, 2), 1)
    level.net[0].weight.data = torch.full((2, 1), -1e4)
    torch.testing.assert_close(level(torch.ones(3, 1)).stddev, torch.full((3, 1), 1e-3))


# -- p(x) in closed form


def test_every_draw_from_the_exact_posterior_weighs_p_of_x():
    model, x = TwoLevels(), torch.randn(5, 4)
    q = chain_of(model.posterior(x))
    t = model.trace(x, q, q.sample((3,)))
    exact = model.log_evidence(x)
    torch.testing.assert_close(t.log_weight, exact.expand(3, -1))
    for bound in (mixture_elbo, iwae):
        torch.testing.assert_close(sum(bound(t).values()), exact)


def test_the_mean_weight_under_a_wrong_posterior_is_p_of_x():
    model, x, n = TwoLevels(), torch.randn(4, 4), 40_000
    q = chain_of(model.posterior(x, widen=1.5))
    t = model.trace(x, q, q.sample((n,)))
    weights = (t.log_weight - model.log_evidence(x)).exp()
    assert (weights.std(0) > 0.1).all()
    assert ((weights.mean(0) - 1).abs() < 4 * weights.std(0) / n**0.5).all()


def test_the_kl_of_two_chains_is_that_of_the_joint_normals():
    """Exact over points that give a quadratic its exact mean, as the second level's KL is one."""
    model, x = TwoLevels(), torch.randn(5, 4)
    joint = model.posterior(x, widen=1.3)
    joint = MultivariateNormal(joint.loc, joint.covariance_matrix.expand(5, 1, -1, -1))
    t = model.trace(x, chain_of(joint), sigma_points(joint))
    torch.testing.assert_close(t.kl, kl_divergence(joint, model.joint))


# -- the recipe


def test_the_prior_is_the_mean_top_posterior_of_pseudo_inputs_and_a_network():
    recipe, x = small()
    model = recipe.model
    t = model(x, 2)
    top = model.posterior.first(model.trunk(model.prior.first.pseudo_inputs))
    z2, z1 = t.z[..., :TOP], t.z[..., TOP:]
    each = Normal(top.mean[:, 0], top.stddev[:, 0]).log_prob(z2.unsqueeze(-2)).sum(-1)
    loc, raw = model.prior.second.net(z2).chunk(2, -1)
    scale = torch.log1p(raw.exp()) + 1e-3
    below = Normal(loc, scale).log_prob(z1).sum(-1)
    torch.testing.assert_close(t.log_prior, each.logsumexp(-1) - log(5) + below)


def test_the_top_of_a_posterior_of_many_components_is_their_mixture():
    top = Independent(Normal(torch.randn(4, 2, TOP), 0.1 + torch.rand(4, 2, TOP)), 1)
    level = ConditionalNormal(MLP(TOP, 2 * BELOW), BELOW)
    weights = torch.rand(4, 2).softmax(-1)
    posterior = mixture(weights, Hierarchical(top, level, BELOW))
    prior = HierarchicalPrior(VampPrior((6,), 4), level)
    z = torch.randn(7, TOP)
    each = top.log_prob(z[:, None, None]).exp() * weights
    mean = each.sum(-1).mean(-1).log()
    torch.testing.assert_close(prior(lambda x: posterior).first.log_prob(z), mean)


def test_a_pseudo_input_is_worth_its_top_code_alone():
    recipe, x = small()
    z = recipe.model(x).z
    before = recipe.model.prior(recipe.model.encode).log_prob(z)
    for p in recipe.model.posterior.second.parameters():
        p.data += 1.0
    torch.testing.assert_close(recipe.model.prior(recipe.model.encode).log_prob(z), before)


def test_the_normal_prior_is_standard_on_top():
    recipe, x = small(prior="normal")
    t = recipe.model(x, 2)
    z2, z1 = t.p_z.split(t.z)
    top = Normal(0.0, 1.0).log_prob(z2).sum(-1)
    torch.testing.assert_close(t.log_prior, top + recipe.model.prior.second(z2).log_prob(z1))


@pytest.mark.parametrize("prior", ["normal", "vamp"])
def test_the_objective_is_the_likelihood_and_the_log_ratio(prior: str):
    recipe, x = small(prior=prior, n_samples=3)
    torch.manual_seed(0)
    terms = recipe.objective(recipe.model, x)
    torch.manual_seed(0)
    t = recipe.model(x, 3)
    by_hand = t.log_lik + t.log_prior - t.log_q
    torch.testing.assert_close(sum(terms.values()), by_hand.mean())
    torch.testing.assert_close(terms["log_lik"], t.log_lik.mean())


def test_iwae_with_one_sample_is_the_elbo():
    one, x = small(bound="iwae")
    other, _ = small()
    other.model.load_state_dict(one.model.state_dict())
    torch.manual_seed(0)
    ours = one.objective(one.model, x)["iwae"]
    torch.manual_seed(0)
    torch.testing.assert_close(sum(other.objective(other.model, x).values()), ours)


@pytest.mark.parametrize("network", ["mlp", "gated-mlp"])
def test_layers_between_the_codes_are_of_the_kind_of_the_others(network: str):
    recipe, _ = small(network=network)
    for level in (recipe.model.posterior.second, recipe.model.prior.second):
        gated = any(isinstance(layer, nn.GLU) for layer in level.modules())
        assert gated == (network == "gated-mlp")


def test_the_lower_code_is_inferred_from_x_and_from_the_upper_one():
    recipe, x = small()
    model = recipe.model
    q, _ = model.infer(x)
    above = torch.randn(1, TOP).expand(4, 1, TOP)
    assert len(q.second(above).mean.unique(dim=0)) == 4
    assert not torch.allclose(q.second(above).mean, q.second(above + 1).mean)
    for level in (slice(TOP), slice(TOP, None)):  # and both are decoded
        z = model.mean_trace(x).z
        z[..., level] += 1
        moved = model.decode(z, torch.ones(1, 4, 1)).mean
        assert not torch.allclose(moved, model.mean_trace(x).p_x.mean)


@pytest.mark.parametrize("prior", ["normal", "vamp"])
def test_importance_sampling_finds_p_of_x(prior: str):
    """Against the sum over a grid of both codes."""
    torch.manual_seed(1)
    sizes = {"n_latent": 1, "n_top": 1, "network": "mlp", "hidden": [8], "n_pseudo_inputs": 5}
    model, x = recipes.build("hvae", (6,), prior=prior, **sizes).model, torch.rand(4, 6).round()
    model.posterior.first.net.body.bias.data[:, 1:] += 1  # wider than the prior: no weight is huge
    model.posterior.second.net[-1].bias.data[1:] += 1
    p = model.prior(model.encode)
    z2, z1 = torch.linspace(-9, 9, 400), torch.linspace(-12, 12, 600)
    with torch.no_grad():
        z = torch.cartesian_prod(z2, z1)[:, None, None]  # (S, 1, 1, 2)
        step = (z2[1] - z2[0]) * (z1[1] - z1[0])
        log_prior = p.log_prob(z) + step.log()
        torch.testing.assert_close(log_prior.exp().sum(), torch.tensor(1.0))
        p_x = model.decode(z, torch.ones(len(z), 1, 1))
        exact = torch.stack([(p_x.log_prob(row) + log_prior).logsumexp(0).squeeze() for row in x])
    estimate = log_likelihood(model, x, n_samples=4000)
    assert (estimate.standard_error < 0.05).all()
    assert ((estimate.log_prob - exact).abs() < 4 * estimate.standard_error).all()


def test_the_kl_at_the_means_is_the_sum_of_the_levels():
    recipe, x = small(prior="normal")
    t = recipe.model.mean_trace(x)
    q, p = t.q_z, t.p_z
    above = q.first.mean
    by_hand = kl_divergence(q.first, p.first) + kl_divergence(q.second(above), p.second(above))
    torch.testing.assert_close(t.kl, by_hand)
    vamp, _ = small()
    t = vamp.model.mean_trace(x)
    assert isinstance(t.p_z.first, NormalMixture)
    z = t.q_z.sample((20_000,))
    sampled = (t.q_z.first.log_prob(z[..., :TOP]) - t.p_z.first.log_prob(z[..., :TOP])).mean(0)
    below = kl_divergence(t.q_z.second(t.q_z.first.mean), t.p_z.second(t.q_z.first.mean))
    assert (t.kl > sampled + below - 0.05).all()


def test_pseudo_inputs_start_from_training_data():
    digits = data.load("digits", binarize="dynamic")
    options = {"n_latent": 2, "n_top": 2, "hidden": [8], "n_pseudo_inputs": 7}
    started = recipes.build("hvae", digits, **options).model.prior.first.pseudo_inputs
    distance = torch.cdist(started.flatten(1).double(), digits.train.x.flatten(1).double())
    nearest = digits.train.x[distance.argmin(1)].clamp(0.05, 0.95)
    torch.testing.assert_close(started, nearest.to(started))
    noise = recipes.build("hvae", digits, **options, pseudo_inputs="noise")
    assert not torch.allclose(noise.model.prior.first.pseudo_inputs, started)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("wrong", [{"prior": "flat"}, {"pseudo_inputs": "x"}, {"bound": "own"}])
def test_what_cannot_be_is_refused(wrong: dict[str, str]):
    (option,) = wrong
    with pytest.raises(MixvaeError, match=option):
        small(**wrong)


@pytest.mark.parametrize("prior", ["normal", "vamp"])
def test_it_trains_and_is_judged_as_every_model(prior: str, tmp_path):
    torch.set_default_dtype(torch.float32)
    quick = {"progress": False, "pictures": prior == "vamp", "accelerator": "cpu"}
    digits = data.load("digits", binarize="dynamic")
    torch.manual_seed(0)
    recipe = mixvae.build(
        "hvae", digits, prior=prior, n_latent=3, n_top=2, hidden=[16], n_pseudo_inputs=9
    )
    run = mixvae.fit(recipe, digits, out=tmp_path / "run", max_epochs=1, **quick)
    model, x = run.recipe.model, digits.test.x[:20]
    elbo = evaluate(run.recipe, Split(x))["bounds"]["elbo"]
    assert elbo < log_likelihood(model, x, n_samples=200).mean < 0
    health = component_health(model, x)
    assert health.n_latent == 5
    assert health.kl.isfinite().all()
    assert (health.kl > 0).all()
    assert operations.codes(model, x).shape == operations.scales(model, x).shape == (20, 1, 5)


@pytest.mark.filterwarnings("ignore:.*dead:mixvae.MixvaeWarning")
def test_the_estimator_has_both_levels_as_features():
    torch.set_default_dtype(torch.float32)
    sizes = {"hidden": [8], "n_latent": 3, "n_top": 2, "n_pseudo_inputs": 4}
    x = torch.rand(40, 6).numpy()
    model = mixvae.DeepMixture(
        recipe="hvae", max_epochs=1, random_state=0, recipe_options=sizes
    ).fit(x)
    assert model.transform(x).shape == (40, len(model.get_feature_names_out())) == (40, 5)
