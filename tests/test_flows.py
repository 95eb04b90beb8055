"""Flows: densities by quadrature and Jacobians, draws, and a VAE that has them."""

import sys
from copy import deepcopy
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

import mixvae
from mixvae import data, recipes, run
from mixvae.distributions import Delta
from mixvae.errors import MixvaeError
from mixvae.evaluation import component_health
from mixvae.families import MixturePosterior
from mixvae.parts.flow_layers import coupling, zuko_for
from mixvae.parts.flows import Flowed, FlowPosterior, FlowPrior
from mixvae.parts.posteriors import NormalPosterior

pytestmark = pytest.mark.usefixtures("maths")
L, K, H = 2, 3, 5


def bent(part: nn.Module) -> nn.Module:
    """The part with a flow far from the identity: an untrained one is near it."""
    with torch.no_grad():
        for p in part.flow.parameters():
            p *= 2
    return part


def prior(n_latent: int = L) -> Flowed:
    return bent(FlowPrior(n_latent, hidden=(16,)))(Delta)


def make_posterior() -> FlowPosterior:
    return FlowPosterior(NormalPosterior(H, L, K), H, L, hidden=(16,))


def posterior() -> Flowed:
    return bent(make_posterior())(torch.randn(4, K, H))


def linear(part: nn.Module) -> nn.Module:
    """The part with layers that scale and shift by constants."""
    for name, p in part.flow.named_parameters():
        if "hyper.2" in name:
            p.data = torch.randn_like(p) if "bias" in name else torch.zeros_like(p)
    return part


def grid(reach: float, n: int) -> tuple[Tensor, float]:
    """Points (n^2, 2) and the area of each."""
    axis = torch.linspace(-reach, reach, n)
    return torch.cartesian_prod(axis, axis), (2 * reach / (n - 1)) ** 2


def within(p: Distribution, reach: float = 15.0, n: int = 1501) -> tuple[Tensor, Tensor]:
    """Points of the plane, and the probability of each."""
    z, area = grid(reach, n)
    with torch.no_grad():
        return z, p.log_prob(z).exp() * area


# -- densities and draws


def test_the_density_integrates_to_one():
    _, mass = within(prior())
    assert abs(float(mass.sum()) - 1) < 1e-4


def test_the_density_of_one_dimension_does_too():
    z = torch.linspace(-20, 20, 20_001).unsqueeze(1)
    p = prior(n_latent=1)
    mass = p.log_prob(z).detach().exp() * 40 / 20_000
    assert float(mass.sum()) == pytest.approx(1, abs=1e-6)


def test_draws_have_the_moments_of_the_density():
    p = prior()
    z, mass = within(p)
    draws = p.sample((100_000,))
    for moment in (lambda z: z, torch.square, torch.sin, lambda z: z.prod(-1, keepdim=True)):
        exact = (moment(z) * mass.unsqueeze(1)).sum(0)
        drawn = moment(draws)
        assert ((drawn.mean(0) - exact).abs() < 4 * drawn.std(0) / 100_000**0.5).all()
    assert (draws.mean(0).abs() > 0.1).any()  # not the N(0, I) that it came from


def test_the_density_is_the_bases_over_the_jacobian_of_the_draw():
    q = posterior()
    u = q.base.sample()
    for b in range(4):
        for k in range(K):

            def drawn(one: Tensor, at: tuple[int, int] = (b, k)) -> Tensor:
                return q._inverse(u.index_put(tuple(map(torch.tensor, at)), one))[at]

            slope = torch.autograd.functional.jacobian(drawn, u[b, k])
            expected = q.base.log_prob(u)[b, k] - slope.det().abs().log()
            torch.testing.assert_close(q.log_prob(q._inverse(u))[b, k], expected)


def test_the_mean_weight_of_a_normal_under_the_posterior_is_one():
    q = posterior()
    base = Independent(Normal(q.mean.detach(), 0.5 * q.stddev.detach()), 1)
    with torch.no_grad():
        z = q.sample((100_000,))
        weight = (base.log_prob(z) - q.log_prob(z)).exp()
    error = weight.std(0) / 100_000**0.5
    assert ((weight.mean(0) - 1).abs() < 4 * error).all()
    assert (error < 0.02).all()


def test_the_moments_of_a_linear_flow_are_exact():
    q = linear(make_posterior())(torch.randn(4, K, H))
    u = torch.zeros(4, K, L)
    shift = q._inverse(u)
    slope = torch.stack([q._inverse(u + step) - shift for step in torch.eye(L)], -1)
    loc = shift + (slope @ q.base.mean.unsqueeze(-1)).squeeze(-1)
    cov = slope @ torch.diag_embed(q.base.variance) @ slope.mT
    torch.testing.assert_close(q.mean, loc)
    torch.testing.assert_close(q.variance, cov.diagonal(dim1=-2, dim2=-1))
    z = q.sample((3,))
    torch.testing.assert_close(q.log_prob(z), MultivariateNormal(loc, cov).log_prob(z))


def test_the_flow_of_a_posterior_reads_the_features():
    part = make_posterior()
    h, u = torch.randn(2, K, H), torch.randn(1, K, L).expand(2, -1, -1)
    codes = part(h)._inverse(u)
    assert not torch.isclose(codes[0], codes[1]).any()


def test_codes_of_all_components_have_the_densities_of_each():
    """As the family of mixture posteriors asks for them."""
    recipe = recipes.build("gmmp-vae", (6,), n_components=K, n_latent=L, hidden=[H])
    t = recipe.model(torch.rand(4, 6).round(), 2)
    q = posterior()
    t = replace(t, q_z=q, z=q.sample((2,)))
    got = MixturePosterior().log_q(t)
    for k in range(K):
        codes = t.z[:, :, k : k + 1].expand(-1, -1, K, -1)
        expected = (q.log_prob(codes) + t.log_w).logsumexp(-1)
        torch.testing.assert_close(got[:, :, k], expected)


# -- precision, copies, files


def test_autocast_does_not_reach_a_flow():
    torch.set_default_dtype(torch.float32)
    part = bent(FlowPrior(L))
    z, p = torch.randn(50, L), part(Delta)
    log_p, drawn = p.log_prob(z), p._inverse(z)
    with torch.autocast("cpu", torch.bfloat16):
        p = part(Delta)
        assert torch.equal(p.log_prob(z), log_p)
        assert torch.equal(p._inverse(z), drawn)
        assert p.log_prob(z.bfloat16()).dtype == torch.float32


def test_draws_in_float32_lose_a_hundred_thousandth_on_the_way_back():
    torch.set_default_dtype(torch.float32)
    p = bent(FlowPrior(40))(Delta)
    u = torch.randn(500, 40)
    back, _ = p.transform.call_and_ladj(p._inverse(u))
    assert (back - u).abs().max() < 1e-4


def test_a_flow_can_be_copied_and_stored():
    part, other = bent(FlowPrior(3)), FlowPrior(3)
    z = torch.randn(5, 3)
    expected = part(Delta).log_prob(z)
    torch.testing.assert_close(deepcopy(part)(Delta).log_prob(z), expected)
    other.load_state_dict(safetensors.torch.load(safetensors.torch.save(part.state_dict())))
    torch.testing.assert_close(other(Delta).log_prob(z), expected)


# -- zuko


def test_without_zuko_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "zuko", None)
    with pytest.raises(MixvaeError, match=r"pip install 'mixvae\[flows\]'"):
        recipes.build("flow-vae", (6,))


def test_zuko_does_not_turn_off_the_checks_of_others(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "zuko"]:
        monkeypatch.delitem(sys.modules, name)
    before = Distribution._validate_args
    try:
        for checks in (True, False):
            Distribution.set_default_validate_args(checks)
            zuko_for(1, 1, ())
            assert Distribution._validate_args is checks
            monkeypatch.delitem(sys.modules, "zuko.distributions")
            monkeypatch.delitem(sys.modules, "zuko")
    finally:
        Distribution.set_default_validate_args(before)


@pytest.mark.parametrize("bad", [{"n_latent": 0}, {"n_transforms": 0}, {"hidden": [0]}])
def test_sizes_are_checked(bad: dict):
    sizes = {"n_latent": 2, "n_context": 0, "n_transforms": 1, "hidden": [4]} | bad
    with pytest.raises(MixvaeError, match="must be at least 1"):
        coupling(**sizes)


# -- learning


def ring(n: int) -> Tensor:
    """Points about a circle: no normal has that shape."""
    angle = 2 * torch.pi * torch.rand(n)
    return 2 * torch.stack([angle.cos(), angle.sin()], 1) + 0.2 * torch.randn(n, 2)


def test_a_flow_learns_a_shape_that_no_normal_has():
    part, z, unseen = FlowPrior(L), ring(1000), ring(1000)
    optimizer = torch.optim.Adam(part.parameters(), 0.01)
    for _ in range(200):
        optimizer.zero_grad()
        (-part(Delta).log_prob(z).mean()).backward()
        optimizer.step()
    best_normal = MultivariateNormal(z.mean(0), z.T.cov()).log_prob(unseen).mean()
    assert part(Delta).log_prob(unseen).mean() > best_normal + 0.3


@pytest.mark.parametrize("posterior", ["normal", "flow"])
def test_a_few_steps_raise_the_bound(posterior: str):
    x = torch.eye(6)[torch.arange(60) % 6].repeat(1, 2)
    recipe = recipes.build("flow-vae", (12,), n_latent=2, hidden=[16], posterior=posterior)
    optimizer = torch.optim.Adam(recipe.model.parameters(), 0.01)

    def value() -> Tensor:
        return sum(recipe.objective(recipe.model, x).values())

    before = value().item()
    for _ in range(60):
        optimizer.zero_grad()
        (-value()).backward()
        optimizer.step()
    assert value().item() > before + 2


def test_the_kl_of_a_flow_in_the_components_health_is_one():
    x = torch.rand(400, 12).round()
    recipe = recipes.build("flow-vae", (12,), n_latent=2, hidden=[16], prior="normal")
    model = recipe.model
    exact = model.mean_trace(x).kl.mean()
    model.prior = linear(FlowPrior(2, hidden=(16,)))
    for p in model.prior.flow.parameters():
        p.data.zero_()  # the identity: N(0, I)
    measured = component_health(model, x).kl.squeeze()
    torch.testing.assert_close(measured, exact.detach())


def test_an_epoch_on_digits_leaves_a_run_that_can_be_read(tmp_path):
    torch.set_default_dtype(torch.float32)
    digits = data.load("digits", binarize="dynamic").subset(256)
    small = {"n_latent": 3, "hidden": [16], "flow_hidden": [8], "posterior": "flow"}
    recipe = recipes.build("flow-vae", digits, **small)
    done = mixvae.fit(recipe, digits, out=tmp_path / "run", max_epochs=1, progress=False)
    assert done.metrics["bounds"]["elbo"] > -64
    again = run.load(tmp_path / "run").recipe.model
    x = digits.test.x[:20]
    first, second = (model.mean_trace(x).log_weight for model in (done.recipe.model, again))
    assert torch.equal(first, second)
