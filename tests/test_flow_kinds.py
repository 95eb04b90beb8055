"""The kinds of flows: Jacobians, densities by quadrature, samples, and log p(x) under them."""

from collections.abc import Callable
from math import log
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import jacobian
from torch.distributions import Distribution

from cases import FLAT, Case
from mixvae.distributions import Delta, components_at, diagonal_normal, kl_by_points
from mixvae.errors import MixvaeError
from mixvae.evaluation import component_health, log_likelihood
from mixvae.evaluation.marginal_likelihood.by_component import log_joint
from mixvae.parts import (
    ComponentFlowPrior,
    FlowPrior,
    InverseAutoregressivePosterior,
    NormalPosterior,
    PlanarPosterior,
)
from mixvae.parts.flow_layers import (
    additive_coupling,
    autoregressive,
    coupling,
    spline_coupling,
)
from mixvae.parts.planar import Planar
from mixvae.pruning import prune
from mixvae.recipes import RECIPES, build
from mixvae.recipes.densities import DensityOptions
from mixvae.seeding import noise

pytestmark = pytest.mark.usefixtures("maths")
LAYERS = [coupling, additive_coupling, spline_coupling, autoregressive]
K, H = 3, 5
every_kind = pytest.mark.parametrize("layers", LAYERS, ids=lambda f: f.__name__)


def bent(part: nn.Module, factor: float = 2.0) -> nn.Module:
    """The part with a flow far from the identity: an untrained one is near it."""
    with torch.no_grad():
        for p in part.flow.parameters():
            p *= factor
    return part


def one_way(name: str, n_latent: int = 2) -> Distribution:
    """A posterior of 4 rows and K components that knows its own samples' density alone."""
    base, h = NormalPosterior(H, n_latent, K), torch.randn(4, K, H)
    if name == "iaf":
        return bent(InverseAutoregressivePosterior(base, H, n_latent, hidden=(16,)))(h)
    part = PlanarPosterior(base, H, n_latent, K, n_layers=6)
    for p in part.net.parameters():
        p.data *= 4
    return part(h)


def grid(reach: float, n: int) -> tuple[Tensor, float]:
    """Points (n^2, 2) of the plane and the area of each."""
    axis = torch.linspace(-reach, reach, n)
    return torch.cartesian_prod(axis, axis), (2 * reach / (n - 1)) ** 2


# -- layers


@every_kind
@pytest.mark.parametrize("n_latent", [1, 2, 5])
def test_the_log_determinant_is_that_of_the_jacobian(layers: Callable, n_latent: int):
    flow = bent(FlowPrior(n_latent, layers=layers, hidden=(7,))).flow()
    z = torch.randn(4, n_latent)
    u, log_det = flow.call_and_ladj(z)
    for one, found in zip(z, log_det, strict=True):
        slope = jacobian(lambda z: flow.call_and_ladj(z)[0], one)
        torch.testing.assert_close(found, slope.det().abs().log())
    torch.testing.assert_close(flow.inv(u), z)


@every_kind
def test_an_untrained_flow_is_near_the_identity(layers: Callable):
    flow = FlowPrior(6, layers=layers, hidden=(32,)).flow()
    z = torch.randn(200, 6)
    u, log_det = flow.call_and_ladj(z)
    assert (u - z).abs().mean() < 0.2
    assert log_det.abs().mean() < 0.5


def test_nice_keeps_volumes_and_moves_codes():
    flow = bent(FlowPrior(5, layers=additive_coupling)).flow()
    u, log_det = flow.call_and_ladj(z := torch.randn(20, 5))
    assert torch.equal(log_det, torch.zeros(20))
    assert (u - z).abs().min() > 1e-4


@every_kind
def test_the_density_of_every_kind_integrates_to_one(layers: Callable):
    p = bent(FlowPrior(2, layers=layers, hidden=(16,)), 1.5)(Delta)
    z, area = grid(12, 401)
    with torch.no_grad():
        assert float(p.log_prob(z).exp().sum()) * area == pytest.approx(1, abs=1e-3)


def test_masked_autoregressive_noise_depends_on_no_later_code():
    layer = bent(FlowPrior(4, layers=autoregressive, n_transforms=1)).flow()
    slope = jacobian(lambda z: layer.call_and_ladj(z)[0], torch.randn(4))
    assert torch.equal(slope.triu(1), torch.zeros(4, 4))
    assert (slope.tril(-1).flatten().abs() > 0).sum() == 6


def test_planar_layers_are_the_papers():
    """Equations 10 to 12 in a loop, with the appendix's u for which a layer can be inverted."""
    u, w, b = torch.randn(3, 5, 2), torch.randn(3, 5, 2), torch.randn(3, 5)
    z = start = torch.randn(3, 2)
    found, log_det = Planar(u, w, b)(start)
    total = torch.zeros(3)
    for t in range(5):
        product = (w[:, t] * u[:, t]).sum(-1)
        m = (1 + (product.exp() * (torch.e - 1))).log() - 1
        u_hat = u[:, t] + ((m - product) / w[:, t].norm(dim=-1) ** 2)[:, None] * w[:, t]
        height = torch.tanh((w[:, t] * z).sum(-1) + b[:, t])
        psi = (1 - height**2)[:, None] * w[:, t]
        total += (1 + (u_hat * psi).sum(-1)).abs().log()
        z = z + u_hat * height[:, None]
    torch.testing.assert_close(found, z)
    torch.testing.assert_close(log_det, total)


def test_a_planar_layer_whose_u_is_zero_is_the_identity():
    z = torch.randn(6, 3)
    found, log_det = Planar(torch.zeros(2, 3), torch.randn(2, 3), torch.randn(2))(z)
    torch.testing.assert_close(found, z)
    torch.testing.assert_close(log_det, torch.zeros(6))


def test_extreme_planar_parameters_leave_finite_densities_and_gradients():
    torch.set_default_dtype(torch.float32)
    for size in (0.0, 1e-8, 30.0, 1000.0):
        u, w = (torch.full((4, 2), sign * size).requires_grad_() for sign in (-1, 1))
        z, log_det = Planar(u, w, torch.zeros(4))(torch.randn(50, 2))
        (z.sum() + log_det.sum()).backward()
        assert all(t.isfinite().all() for t in (z, log_det, u.grad, w.grad)), size


# -- posteriors that know the density of their own samples


@pytest.mark.parametrize("name", ["planar", "iaf"])
@pytest.mark.parametrize("n_latent", [1, 2, 4])
def test_the_density_of_a_sample_is_the_bases_over_the_jacobian(name: str, n_latent: int):
    q = one_way(name, n_latent)
    with noise(3):
        z, log_q = q.rsample_and_log_prob(())
    with noise(3):
        u = q.base.rsample(())
    for at in [(0, 0), (3, 1), (2, 2)]:

        def moved(one: Tensor, at: tuple[int, int] = at) -> Tensor:
            return q.transform(u.index_put(tuple(map(torch.tensor, at)), one))[0][at]

        slope = jacobian(moved, u[at])
        torch.testing.assert_close(z[at], moved(u[at]))
        expected = q.base.log_prob(u)[at] - slope.det().abs().log()
        torch.testing.assert_close(log_q[at], expected)


@pytest.mark.parametrize("name", ["planar", "iaf"])
def test_the_mean_weight_of_a_normal_is_one(name: str):
    q = one_way(name)
    with torch.no_grad():
        z, log_q = q.rsample_and_log_prob((50_000,))
        p = diagonal_normal(z.mean(0), 0.5 * z.std(0))
        weight = (p.log_prob(z) - log_q).exp()
    assert ((weight.mean(0) - 1).abs() < 4 * weight.std(0) / 50_000**0.5).all()


@pytest.mark.parametrize("name", ["planar", "iaf"])
def test_the_density_of_other_codes_is_refused(name: str):
    q = one_way(name)
    with pytest.raises(MixvaeError, match=r"density of its own samples only.*--posterior"):
        q.log_prob(torch.zeros(4, K, 2))
    mean, log_q = q.mean_and_log_prob()
    assert torch.equal(mean, q.mean)
    assert log_q.shape == (4, K)


def test_an_inverse_autoregressive_flow_is_a_masked_one_backwards():
    q = one_way("iaf")
    z, log_q = q.rsample_and_log_prob((5,))
    flow = q.transform.__self__
    u = flow.inv(z)
    back, log_det = flow.call_and_ladj(u)
    torch.testing.assert_close(back, z)
    torch.testing.assert_close(log_q, q.base.log_prob(u) - log_det)


def test_planar_parameters_are_those_of_each_component():
    part = PlanarPosterior(NormalPosterior(H, 2, K), H, 2, K, n_layers=4)
    h = torch.randn(2, K, H)
    all_of_them = part(h).transform
    for k in range(K):
        one = PlanarPosterior(NormalPosterior(H, 2, 1), H, 2, 1, n_layers=4)
        one.net.load_state_dict({n: p[k : k + 1] for n, p in part.net.state_dict().items()})
        u = torch.randn(2, 1, 2)
        together, alone = all_of_them(u.expand(-1, K, -1)), one(h[:, k : k + 1]).transform(u)
        torch.testing.assert_close(together[0][:, k : k + 1], alone[0])
        torch.testing.assert_close(together[1][:, k : k + 1], alone[1])


# -- log p(x) and figures


def exact_log_prob(model: nn.Module, x: Tensor) -> Tensor:
    """log p(x) by a sum over a grid of codes (L = 2), of every component."""
    z, area = grid(9, 161)
    n = model.n_components
    with torch.no_grad():
        codes = z.view(-1, 1, 1, 2).expand(-1, len(x), n, -1)
        log_lik = model.decode_each(codes).log_prob(x.unsqueeze(1))
        log_prior = model.prior(Delta).log_prob(z.unsqueeze(1).expand(-1, n, -1))
        log_pi = model.weights(model.features(x)).mean.log()
        each = log_lik + log_prior.unsqueeze(1) + log_pi
        return each.logsumexp((0, 2)) + log(area)


@pytest.mark.parametrize("posterior", ["nice", "neural-spline", "iaf", "planar"])
@pytest.mark.parametrize("prior", ["normal", "maf"])
def test_log_likelihood_is_the_sum_over_a_grid_of_codes(posterior: str, prior: str):
    case = Case("vae", {"posterior": posterior, "prior": prior}, FLAT)
    model = case.build(seed=1).model.eval()
    if prior != "normal":
        bent(model.prior)
    x = case.data(3)
    found = log_likelihood(model, x, 4000)
    exact = exact_log_prob(model, x)
    assert ((found.log_prob - exact).abs() < 4 * found.standard_error + 1e-3).all()
    assert found.standard_error.max() < 0.06
    plain = log_likelihood(model, x, 4000, method="plain")
    assert ((plain.log_prob - exact).abs() < 5 * plain.standard_error + 1e-3).all()
    assert found.standard_error.max() < plain.standard_error.max()


@pytest.mark.parametrize("options", [{"posterior": "planar"}, {"posterior": "iaf", "prior": "maf"}])
def test_a_few_steps_raise_the_bound(options: dict[str, Any]):
    x = torch.eye(6)[torch.arange(60) % 6].repeat(1, 2)
    recipe = build("vae", (12,), n_latent=2, hidden=[16], n_planar=8, **options)
    optimizer = torch.optim.Adam(recipe.model.parameters(), 0.01)
    values = []
    for _ in range(60):
        optimizer.zero_grad()
        value = sum(recipe.objective(recipe.model, x).values())
        (-value).backward()
        optimizer.step()
        values.append(value.item())
    assert sum(values[-5:]) / 5 > values[0] + 2


def test_autocast_does_not_reach_planar_layers():
    torch.set_default_dtype(torch.float32)
    q = one_way("planar", 4)
    with noise(0):
        expected = q.rsample_and_log_prob((7,))
    with noise(0), torch.autocast("cpu", torch.bfloat16):
        found = q.rsample_and_log_prob((7,))
    assert all(map(torch.equal, expected, found))


@pytest.mark.parametrize(
    "options",
    [
        {"n_transforms": 0, "prior": "maf"},
        {"n_planar": 0, "posterior": "planar"},
        {"flow_hidden": [0], "posterior": "iaf"},
    ],
    ids=str,
)
def test_bad_options_are_refused_in_a_line(options: dict[str, Any]):
    with pytest.raises(MixvaeError) as error:
        build("iwae", FLAT, **options)
    assert "\n" not in str(error.value)


# -- the exact mixture


def prior_of_components(n_latent: int = 2) -> ComponentFlowPrior:
    return bent(ComponentFlowPrior(K, n_latent, hidden=(8,)))


def test_the_flows_of_components_are_a_loop_over_them():
    part, z = prior_of_components(), torch.randn(5, 4, K, 2)
    p = part(Delta)
    assert (p.batch_shape, p.event_shape) == ((K,), (2,))
    log_p = p.log_prob(z)
    index = torch.tensor([[2, 0], [1, 1]])
    some = components_at(p, index).log_prob(z[0, :2, :2])
    for k in range(K):
        transform = part.flow(part.context[k])
        u, log_det = transform.call_and_ladj(z[:, :, k])
        expected = diagonal_normal(torch.zeros(2), torch.ones(2)).log_prob(u) + log_det
        torch.testing.assert_close(log_p[:, :, k], expected)
        torch.testing.assert_close(components_at(p, torch.tensor(k)).log_prob(z[:, :, k]), expected)
        for b, m in (index == k).nonzero().tolist():
            u, log_det = transform.call_and_ladj(z[0, b, m])
            one = diagonal_normal(torch.zeros(2), torch.ones(2)).log_prob(u) + log_det
            torch.testing.assert_close(some[b, m], one)
    assert not torch.isclose(log_p[..., 0], p.log_prob(z.roll(1, 2))[..., 1]).any()


def test_each_components_density_integrates_to_one():
    z, area = grid(12, 601)
    with torch.no_grad():
        log_p = prior_of_components()(Delta).log_prob(z.unsqueeze(1).expand(-1, K, -1))
    mass = log_p.exp().sum(0) * area
    torch.testing.assert_close(mass, torch.ones(K), atol=1e-3, rtol=0)


def test_log_p_x_of_the_mixture_is_the_sum_over_a_grid_of_codes():
    case = Case("mixture-vae", {"shared_layers": True, "prior": "flow"}, FLAT)
    model = case.build(seed=2).model.eval()
    bent(model.prior)
    x = case.data(3)
    exact = exact_log_prob(model, x)
    found = log_likelihood(model, x, 4000)
    assert ((found.log_prob - exact).abs() < 4 * found.standard_error + 1e-3).all()
    by_component = log_joint(model, x, 4000)[1]
    torch.testing.assert_close(by_component.log_prob, exact, atol=0.05, rtol=0)
    annealed = log_likelihood(model, x[:1], method="ais", n_steps=60)
    torch.testing.assert_close(annealed.log_prob, exact[:1], atol=0.15, rtol=0)


def test_a_sparse_step_with_flows_of_components_has_the_codes_own_priors():
    case = Case("mixture-vae", {"shared_layers": True, "prior": "flow", "n_active": 2})
    built = case.build()
    t = built.model.train()(case.data(), 2)
    assert t.log_prior.shape == (2, 6, 2)
    terms = built.objective(built.model, case.data())
    assert all(value.isfinite() for value in terms.values())


@pytest.mark.parametrize("options", [{"prior": "flow"}, {"n_normals": 3}], ids=str)
def test_the_kl_of_components_in_the_health_is_the_mean_over_many_samples(options: dict):
    case = Case("mixture-vae", {"shared_layers": True, **options}, FLAT)
    model = case.build(seed=4).model.eval()
    if "prior" in options:
        bent(model.prior)
    x = case.data(8)
    with torch.no_grad():
        t = model(x, 20_000)
        ratio = t.log_q - t.log_prior
        kl, error = ratio.mean(0), ratio.std(0) / 20_000**0.5
        found = model.mean_trace(x).kl
    assert ((found - kl).abs() < 4 * error + 0.03).all()
    r = (t.log_lik - ratio).mean(0) + t.log_b[0]
    torch.testing.assert_close(
        model.family.responsibilities(model.mean_trace(x)), r.softmax(-1), atol=0.15, rtol=0
    )
    assert component_health(model, x).kl.shape == (K,)


def test_the_kl_by_points_is_exact_for_normals_and_does_not_mix_rows():
    q = diagonal_normal(torch.randn(4, K, 6), torch.rand(4, K, 6) + 0.1)
    p = diagonal_normal(torch.randn(K, 6), torch.rand(K, 6) + 0.5)
    torch.testing.assert_close(kl_by_points(q, p), torch.distributions.kl_divergence(q, p))


def test_pruning_keeps_the_flows_of_the_components_that_stay():
    built = Case("mixture-vae", {"shared_layers": True, "prior": "flow"}).build()
    small = prune(built, [0, 2])
    z = torch.randn(4, 2, 2)
    every = torch.stack([z[:, 0], z[:, 0], z[:, 1]], 1)
    expected = built.model.prior(Delta).log_prob(every)[:, [0, 2]]
    torch.testing.assert_close(small.model.prior(Delta).log_prob(z), expected)


def test_one_prior_is_given_for_the_components():
    with pytest.raises(MixvaeError, match="n_normals 3 is for prior='normals'"):
        build("mixture-vae", FLAT, prior="flow", n_normals=3)


@pytest.mark.parametrize("name", [n for n, r in RECIPES.items() if issubclass(r, DensityOptions)])
@pytest.mark.parametrize("changed", [{"prior": "flow"}, {"posterior": "flow"}], ids=str)
def test_an_option_that_a_recipe_offers_changes_its_model(name: str, changed: dict[str, str]):
    plain = Case(name).build(**dict.fromkeys(changed, "normal")).model.state_dict()
    if name == "mae" and "posterior" in changed:
        with pytest.raises(MixvaeError, match="posterior"):
            Case(name).build(**changed)
    else:
        assert Case(name).build(**changed).model.state_dict().keys() != plain.keys()
