"""log p(x) by annealed importance sampling, and its bracket by bidirectional Monte Carlo."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import log, sqrt
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Dirichlet, Distribution, Independent, Laplace, Uniform

from cases import FLAT, Case
from linear_models import DATA, Maps
from mixvae.distributions import Delta, diagonal_normal
from mixvae.errors import MixvaeError
from mixvae.evaluation import (
    annealed_log_likelihood,
    bidirectional,
    log_likelihood,
)
from mixvae.evaluation.marginal_likelihood import annealed, chains
from mixvae.evaluation.marginal_likelihood.annealed import CODES
from mixvae.evaluation.marginal_likelihood.hmc import leapfrog, move
from mixvae.evaluation.marginal_likelihood.latent_space import space_of
from mixvae.evaluation.marginal_likelihood.unconstrained import (
    UnconstrainedLatent,
    broken_off,
    in_float64,
    logits_of_sticks,
)
from mixvae.families import Joint
from mixvae.model import MixtureVAE
from mixvae.parts.weights import CategoricalWeights
from test_log_likelihood import (
    alike,
    blended,
    blended_by_random_weights,
    random_weights_of_a_posterior,
    routed_maps,
    wrong_exact,
    wrong_posterior,
)

FAMILIES = ["vae", "m-vae", "mixture-vae", "dlgmm", "sb-vae"]
QUICK = {"n_chains": 4, "n_steps": 6, "n_leapfrog": 2}


@pytest.fixture(autouse=True)
def short_pilot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The models here are small: pilot runs would take most of the time."""
    monkeypatch.setattr(chains, "WARM_UP", 6)
    monkeypatch.setattr(chains, "LEAST_PILOT", 14)


@pytest.fixture
def many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a time, of tests that take hundreds."""
    monkeypatch.setattr(annealed, "ROWS", 64)


def small(name: str, steeper: float = 2.0, **options: Any) -> MixtureVAE:
    """In float64, its decoder steeper than at the start, so that x says something of its code."""
    model = Case(name, {"likelihood": "gaussian"} | options, FLAT).build().model.double()
    with torch.no_grad():
        for p in model.decoder.branch.parameters():
            p.mul_(steeper)
    return model


def data(n: int) -> Tensor:
    return torch.rand(n, 12, generator=torch.Generator().manual_seed(3)).double()


def routed() -> tuple[MixtureVAE, Tensor, Tensor]:
    return routed_maps(3, 0.2)


CLOSED = [
    wrong_exact,
    routed,
    wrong_posterior,
    random_weights_of_a_posterior,
    blended,
    blended_by_random_weights,
]


# -- against closed forms, quadrature and importance sampling


@pytest.mark.parametrize("make", CLOSED)
def test_it_gives_log_p_within_the_stated_errors(make: Callable[..., Any]) -> None:
    model, x, exact = make()
    found = annealed_log_likelihood(model, x, n_chains=48, n_steps=60, n_leapfrog=5)
    assert ((found.log_prob - exact) / found.standard_error).abs().max() < 4
    assert found.standard_error.max() < 0.4
    assert abs(found.mean - exact.mean()) < 3 * found.mean_error
    assert ((found.ess > 1) & (found.ess < 48)).all()
    assert found.method == "ais"
    assert found.n_samples == 48
    assert found.k_hat.isnan().all()


def grid(n_latent: int) -> Tensor:
    one = torch.linspace(-7, 7, 4001 if n_latent == 1 else 301).double()
    return torch.cartesian_prod(*[one] * n_latent).reshape(-1, n_latent)


@pytest.mark.parametrize("n_latent", [1, 2])
def test_a_nonlinear_decoder_has_the_log_p_of_quadrature(n_latent: int) -> None:
    model, x = small("vae", n_latent=n_latent), data(4)
    z = grid(n_latent)
    spacing = 14 / (len(z) ** (1 / n_latent) - 1)
    with torch.no_grad():
        p_x = model.decode(z[:, None, None], torch.ones(len(z), 1, 1).double())
        log_lik = p_x.log_prob(x.unsqueeze(1)).squeeze(2)
    log_prior = diagonal_normal(torch.zeros(n_latent), torch.ones(n_latent)).log_prob(z)
    exact = (log_lik + log_prior.unsqueeze(1)).logsumexp(0) + n_latent * log(spacing)
    prior = log_lik[:: 10 if n_latent == 1 else 1].std(0)
    assert prior.min() > 1  # x says something of z
    found = annealed_log_likelihood(model, x, n_chains=48, n_steps=60, n_leapfrog=5)
    assert ((found.log_prob - exact) / found.standard_error).abs().max() < 4
    assert found.standard_error.max() < 0.2


def test_components_with_decoders_of_their_own_have_the_log_p_of_quadrature() -> None:
    model, x, z = small("mixture-vae", 3.0), data(3), grid(2)
    log_prior = diagonal_normal(torch.zeros(2), torch.ones(2)).log_prob(z)
    with torch.no_grad():
        each = [model.decoder.of_component(z[:, None, None], k) for k in range(3)]
        log_lik = torch.stack([p.log_prob(x.unsqueeze(1)).squeeze(2) for p in each])
    exact = (log_lik + log_prior.unsqueeze(1)).logsumexp((0, 1)) + 2 * log(14 / 300) - log(3)
    found = annealed_log_likelihood(model, x, n_chains=48, n_steps=60, n_leapfrog=5)
    assert ((found.log_prob - exact) / found.standard_error).abs().max() < 4
    assert found.standard_error.max() < 0.4


OTHERS = [
    ("sb-vae", {"n_latent": 4}),
    ("m-vae", {"combine": "mixture"}),
    ("m-vae", {"concentration": "normalised"}),
    ("mvae", {}),
    ("mixture-vae", {}),
    ("mixture-vae", {"shared_layers": True}),
    ("infinite-vae", {}),
    ("dlgmm", {"prior_means": [-1.5, 0.0, 1.5]}),
    ("dlgmm", {"n_layers": 2, "n_components": 2}),
    ("gmmp-vae", {}),
    ("msvi", {}),
    ("hvae", {"network": "mlp", "hidden": (8,)}),
    ("vade", {"start": "random"}),
    ("gmvae", {}),
    ("flow-vae", {}),
    ("ladder-vae", {}),
]


@pytest.mark.parametrize(("name", "options"), OTHERS)
def test_it_agrees_with_importance_sampling(name: str, options: dict[str, Any]) -> None:
    model, x = small(name, **options), data(3)
    found = annealed_log_likelihood(model, x, n_chains=48, n_steps=20, n_leapfrog=3)
    other = log_likelihood(model, x, 5000)
    error = (found.standard_error.square() + other.standard_error.square()).sqrt()
    assert ((found.log_prob - other.log_prob) / error).abs().max() < 4
    assert error.max() < 0.7


def test_a_pixelcnn_has_the_log_p_of_importance_sampling() -> None:
    options = {"pixelcnn": True, "pixelcnn_features": 8, "pixelcnn_layers": 2}
    case = Case("gmmp-vae", options, (1, 5, 4))
    model, x = case.build().model, case.data(2)
    found = annealed_log_likelihood(model, x, **QUICK)
    other = log_likelihood(model, x, 200)
    assert torch.allclose(found.log_prob, other.log_prob, atol=0.2)


def test_a_single_step_is_importance_sampling_from_the_prior() -> None:
    model, x, exact = wrong_posterior()
    codes = []
    model.decoder.branch.register_forward_hook(lambda m, i, out: codes.append(i[0].flatten(0, -2)))
    found = annealed_log_likelihood(model, x[:1], n_chains=CODES, n_steps=1)
    z = codes[-1]
    assert len(z) == CODES
    with torch.no_grad():
        p_x = model.decoder.of_component(z[:, None, None], 0)
        log_w = p_x.log_prob(x[:1].unsqueeze(1)).squeeze()
    assert float(found.log_prob) == pytest.approx(float(log_w.logsumexp(0)) - log(CODES))
    assert abs(found.log_prob - exact[0]) < 4 * found.standard_error


@pytest.mark.usefixtures("many_rows")
@pytest.mark.parametrize("make", [wrong_exact, blended_by_random_weights])
def test_few_steps_are_unbiased_for_p(make: Callable[..., Any]) -> None:
    """For p(x), not its logarithm: 300 estimates, four standard errors."""
    model, x, exact = make()
    found = annealed_log_likelihood(model, alike(x[0], 300), **QUICK)
    ratio = (found.log_prob - exact[0]).exp()
    error = ratio.std() / sqrt(len(ratio))
    assert abs(ratio.mean() - 1) < 4 * error
    assert error < 0.15


@pytest.mark.usefixtures("many_rows")
def test_a_stated_standard_error_is_the_spread() -> None:
    for make in (wrong_exact, wrong_posterior):
        model, x, _ = make()
        how = {"n_chains": 32, "n_steps": 25, "n_leapfrog": 3}
        found = annealed_log_likelihood(model, alike(x[0], 100), **how)
        assert found.standard_error.mean() / found.log_prob.std() == pytest.approx(1, abs=0.3)


@pytest.mark.usefixtures("many_rows")
def test_the_stated_variance_is_unbiased_for_as_few_as_two_chains() -> None:
    """The variance of p(x), which is the error's square times p(x)'s; a single step."""
    model, p_x = Maps(1).exact()
    x = alike(p_x.mean[None] + 0.1 * DATA[:1], 2000)
    found = annealed_log_likelihood(model, x, n_chains=2, n_steps=1)
    p = (found.log_prob - p_x.log_prob(x)).exp()
    stated = (found.standard_error * p).square()
    assert float(stated.mean() / p.var()) == pytest.approx(1, abs=0.2)


def test_more_steps_have_smaller_errors() -> None:
    model, x, _ = blended()
    few, many = (annealed_log_likelihood(model, x, n_steps=n, n_leapfrog=5) for n in (10, 200))
    assert many.standard_error.mean() < 0.4 * few.standard_error.mean()


def test_betas_rise_from_0_to_1_and_are_closest_at_the_ends() -> None:
    betas = chains.schedule(100)
    assert betas[0] == 0
    assert betas[-1] == 1
    steps = betas.diff()
    assert (steps > 0).all()
    assert torch.allclose(steps, steps.flip(0))
    assert (steps[:50].diff() > 0).all()
    assert chains.schedule(1).tolist() == [0, 1]


# -- what an estimate depends on


@pytest.mark.parametrize("name", FAMILIES)
def test_an_estimate_depends_on_the_example_and_the_seed_alone(name: str) -> None:
    model = Case(name, {"likelihood": "gaussian"}, FLAT).build().model
    x = data(11).float()
    order = torch.tensor([4, 10, 0, 5, 2, 2, 1, 3])
    whole = annealed_log_likelihood(model, x, **QUICK)
    torch.rand(3)
    few = annealed_log_likelihood(model, x[:2], **QUICK)
    mixed = annealed_log_likelihood(model, x[order], **QUICK)
    other = annealed_log_likelihood(model, x, seed=1, **QUICK)
    for figure in ("log_prob", "standard_error", "ess"):
        expected = getattr(whole, figure)
        assert torch.equal(getattr(few, figure), expected[:2])
        assert torch.equal(getattr(mixed, figure), expected[order])
    assert len(whole.log_prob.unique()) == 11
    assert (other.log_prob != whole.log_prob).all()
    assert mixed.example is not None
    assert mixed.example[4] == mixed.example[5]


def test_threads_do_not_share_noise() -> None:
    model, x = small("m-vae"), data(4)
    expected = annealed_log_likelihood(model, x, **QUICK).log_prob
    with ThreadPoolExecutor(3) as pool:
        found = [pool.submit(annealed_log_likelihood, model, x, **QUICK) for _ in range(6)]
    assert all(torch.equal(f.result().log_prob, expected) for f in found)


def test_the_model_and_the_global_generator_are_left_as_they_were() -> None:
    model, x = small("m-vae").train(), data(2)
    state, needs = torch.get_rng_state(), [p.requires_grad for p in model.parameters()]
    weights = [p.clone() for p in model.parameters()]
    annealed_log_likelihood(model, x, **QUICK)
    bidirectional(model, 2, **QUICK)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert [p.requires_grad for p in model.parameters()] == needs
    assert all(p.grad is None for p in model.parameters())
    assert all(map(torch.equal, weights, model.parameters()))


def test_a_conditional_model_has_log_p_given_the_class() -> None:
    model, x = small("mvae", conditional=True, n_classes=3, n_components=2), data(3)
    y = torch.tensor([2, 0, 2])
    found = annealed_log_likelihood(model, x, y=y, n_chains=64, n_steps=20, n_leapfrog=3)
    other = log_likelihood(model, x, 5000, y=y)
    error = (found.standard_error.square() + other.standard_error.square()).sqrt()
    assert ((found.log_prob - other.log_prob) / error).abs().max() < 4
    assert annealed_log_likelihood(model, x[:1], y=y[:1], **QUICK).log_prob != (
        annealed_log_likelihood(model, x[:1], y=y[1:2], **QUICK).log_prob
    )


@pytest.mark.parametrize("n_chains", [3, CODES, CODES + 3])
def test_no_more_than_a_fixed_number_of_codes_is_decoded_at_a_time(n_chains: int) -> None:
    model, rows = small("m-vae"), []
    model.decoder.branch.register_forward_hook(lambda m, i, out: rows.append(i[0].shape))
    found = annealed_log_likelihood(model, data(5), n_chains=n_chains, n_steps=2, n_leapfrog=1)
    assert max(shape[0] * shape[1] for shape in rows) <= CODES
    assert found.log_prob.isfinite().all()


# -- component dropout, and the chains of an exact mixture


def test_components_that_dropout_removed_are_never_visited() -> None:
    model, x = small("mvae-gs"), data(3)
    with torch.no_grad():
        model.dropout.logits.copy_(torch.tensor([-3.0, 3.0, -3.0]))
    seen = []
    combine = model.decoder.combine
    model.decoder.combine = lambda h, w: seen.append(w) or combine(h, w)
    found = annealed_log_likelihood(model, x, n_chains=64, n_steps=30, n_leapfrog=3)
    assert all((w[:, 1] == 0).all() for w in seen)
    assert all(w[:, 0].std() > 0 for w in seen[2:])
    other = log_likelihood(model, x, 5000)
    error = (found.standard_error.square() + other.standard_error.square()).sqrt()
    assert ((found.log_prob - other.log_prob) / error).abs().max() < 4


def test_a_component_without_proportion_has_no_chain_and_every_other_has_one() -> None:
    model, decoded = small("mixture-vae", keep_prior=0.2), []
    with torch.no_grad():
        model.dropout.logits.copy_(torch.tensor([-3.0, 3.0, -3.0]))
    of_component = model.decoder.of_component
    model.decoder.of_component = lambda z, k: decoded.append(k) or of_component(z, k)
    annealed_log_likelihood(model, data(2), n_chains=2, n_steps=3, n_leapfrog=1)
    assert set(decoded) == {0, 2}


# -- moves


def latent_of(model: MixtureVAE, x: Tensor) -> UnconstrainedLatent:
    p_z = in_float64(model.prior(model.encode))
    return UnconstrainedLatent(space_of(model)(model, x, None, p_z), p_z, None)


@pytest.fixture
def weighted() -> UnconstrainedLatent:
    """Two codes and a weight, all of which x depends on: R^5."""
    model, x, _ = blended_by_random_weights()
    with torch.no_grad():
        return latent_of(model.eval(), x[:2])


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def test_gradients_are_those_of_the_log_densities(weighted: UnconstrainedLatent) -> None:
    u, step = noise(3, 2, 5), 1e-5
    point = weighted.point(u)
    for i in range(5):
        along = step * torch.eye(5, dtype=torch.float64)[i]
        up, down = (weighted.point(u + sign * along) for sign in (1, -1))
        for name, gradient in (("log_prior", "prior_gradient"), ("log_lik", "lik_gradient")):
            slope = (getattr(up, name) - getattr(down, name)) / (2 * step)
            assert torch.allclose(slope, getattr(point, gradient)[..., i], rtol=1e-5, atol=1e-5)


def test_leapfrog_steps_are_reversible(weighted: UnconstrainedLatent) -> None:
    start, p = weighted.point(noise(4, 2, 5)), noise(4, 2, 5).flip(0)
    step = torch.full((4, 2), 0.1).double()
    there, momentum = leapfrog(weighted.point, start, p, 0.7, step, 6)
    back, momentum = leapfrog(weighted.point, there, -momentum, 0.7, step, 6)
    assert (there.u - start.u).abs().max() > 0.1
    assert torch.allclose(back.u, start.u, atol=1e-9)
    assert torch.allclose(momentum, -p, atol=1e-9)


def test_leapfrog_steps_keep_volumes(weighted: UnconstrainedLatent) -> None:
    """The determinant of the map of (u, p), by central differences, is 1."""
    start, h = torch.cat([noise(1, 2, 5), 0.5 * noise(1, 2, 5)], -1), 1e-5
    one = h * torch.eye(10, dtype=torch.float64).unsqueeze(1)

    def after(state: Tensor) -> Tensor:
        u, p = state.split(5, -1)
        step = torch.full(u.shape[:2], 0.15).double()
        there, momentum = leapfrog(weighted.point, weighted.point(u), p, 1.0, step, 4)
        return torch.cat([there.u, momentum], -1)

    jacobian = (after(start + one) - after(start - one)) / (2 * h)  # (10, 2, 10)
    determinants = jacobian.movedim(1, 0).det()
    assert torch.allclose(determinants, torch.ones(2).double(), atol=1e-6)


def test_the_error_of_the_energy_is_of_second_order(weighted: UnconstrainedLatent) -> None:
    start, p = weighted.point(noise(6, 2, 5)), noise(6, 2, 5).flip(0)

    def error(n: int) -> Tensor:
        step = torch.full((6, 2), 0.4 / n).double()
        end, momentum = leapfrog(weighted.point, start, p, 1.0, step, n)
        kinetic = 0.5 * (momentum.square() - p.square()).sum(-1)
        return (end.log_density(1.0) - start.log_density(1.0) - kinetic).abs()

    assert float(error(20).mean() / error(40).mean()) == pytest.approx(4, abs=0.2)


def test_moves_leave_the_posterior_as_it_is() -> None:
    """20,000 chains start in a posterior that is known, and stay in it; steps are coarse."""
    maps = Maps(1)
    model, _ = maps.exact()
    x = DATA[:1]
    with torch.no_grad():
        latent = latent_of(model.eval(), x)
        latent.component = torch.zeros(20_000, 1, dtype=torch.int64)
        loc = (maps.slope[0] @ x[0]) + maps.offset[0]
        generator = torch.Generator().manual_seed(1)
        random = [
            torch.randn(20_000, 1, 2, generator=generator, dtype=torch.float64) for _ in range(6)
        ]
        point = latent.point(loc + maps.scale[0] * random[0])
        step = torch.full((20_000, 1), 1.2 * float(maps.scale.min())).double()
        for p in random[1:]:
            uniform = torch.rand(20_000, 1, generator=generator, dtype=torch.float64)
            point, probability = move(latent.point, point, 1.0, step, 3, p, uniform)
            assert 0.3 < probability.mean() < 0.95
    standard = ((point.u - loc) / maps.scale[0]).squeeze(1)
    assert standard.mean(0).abs().max() < 4 / sqrt(20_000)
    assert (standard.square().mean(0) - 1).abs().max() < 4 * sqrt(2 / 20_000)
    assert abs(standard.prod(-1).mean()) < 4 / sqrt(20_000)


def test_a_move_to_where_the_density_is_not_finite_is_refused(
    weighted: UnconstrainedLatent,
) -> None:
    point, step = weighted.point(noise(3, 2, 5)), torch.full((3, 2), 1e200, dtype=torch.float64)
    moved, probability = move(
        weighted.point, point, 1.0, step, 3, noise(3, 2, 5), torch.zeros(3, 2).double()
    )
    assert torch.equal(moved.u, point.u)
    assert probability.max() == 0


def test_steps_are_adapted_to_the_wanted_acceptance() -> None:
    """Whatever the scale of the posterior, and from far off."""
    model, x, _ = wrong_posterior()
    latent = latent_of(model.eval(), x)
    generators = [torch.Generator().manual_seed(i) for i in range(len(x))]
    with torch.no_grad():
        own = chains.Chains(latent, chains.Path(32, 1000, 10), 32, generators, lambda n: None)
        steps = own.pilot().log_steps[-1]
        point, total = own._from_prior(), torch.zeros(32, len(x)).double()
        for i in range(30):
            point, probability = own._move(point, 1.0, steps)
            total += probability / 15 if i >= 15 else 0
    assert float(total.mean()) == pytest.approx(0.65, abs=0.12)
    assert total.mean(0).min() > 0.2
    assert total.mean(0).max() < 0.9


# -- weights as vectors


def test_sticks_logits_and_back() -> None:
    w = Dirichlet(torch.full((5,), 0.3).double()).sample((50,))
    found, log_det = broken_off(logits_of_sticks(w))
    assert torch.allclose(found, w, rtol=1e-9, atol=1e-300)
    u = logits_of_sticks(w[0])
    jacobian = torch.autograd.functional.jacobian(lambda v: broken_off(v)[0][:-1], u)
    assert float(log_det[0]) == pytest.approx(float(jacobian.det().log()), rel=1e-9)


def test_a_weight_that_is_one_to_the_last_digit_keeps_the_others() -> None:
    w = torch.tensor([1.0, 1e-200, 1e-250], dtype=torch.float64)
    found, _ = broken_off(logits_of_sticks(w))
    assert torch.allclose(found.log(), w.log(), rtol=1e-12)


@pytest.mark.parametrize("name", ["vae", "sb-vae", "m-vae", "mvae-gs", "hvae"])
def test_a_latent_is_its_vectors(name: str) -> None:
    model = small(name).eval()
    if name == "mvae-gs":
        model.dropout.logits.data.copy_(torch.tensor([-3.0, 3.0, -3.0]))
    latent = latent_of(model, data(2))
    with torch.no_grad():
        u = torch.cat([latent.sample_prior(row, 6) for row in range(2)], 1)
        again, log_det = latent.to_latents(u)
    assert torch.allclose(latent.to_vector(again), u, atol=1e-8)
    assert log_det.shape == (6, 2)
    size = {"vae": 2, "sb-vae": 1, "m-vae": 8, "mvae-gs": 5, "hvae": 5}[name]
    assert u.shape == (6, 2, size)


# -- bidirectional Monte Carlo


def exact_mixture() -> tuple[MixtureVAE, Callable[[Tensor], Tensor]]:
    model, p_x = Maps(3).exact(0.2)
    return model, p_x.log_prob


def mixture_posterior() -> tuple[MixtureVAE, Callable[[Tensor], Tensor]]:
    model, p_x = Maps(3, shared=True).posterior(0.3)
    return model, p_x.log_prob


def joint() -> tuple[MixtureVAE, Callable[[Tensor], Tensor]]:
    maps = Maps(2)
    return maps.joint(CategoricalWeights(2)), maps.evidence(torch.full((2,), 0.5).double()).log_prob


def joint_of_random_weights() -> tuple[MixtureVAE, Callable[[Tensor], Tensor]]:
    model, _, _ = blended_by_random_weights()
    maps, w = Maps(2), (torch.arange(2000).double() + 0.5) / 2000
    p_x = maps.evidence(torch.stack([w, 1 - w], -1))
    return model, lambda x: p_x.log_prob(x.unsqueeze(1)).logsumexp(1) - log(2000)


BRACKETS = [exact_mixture, mixture_posterior, joint, joint_of_random_weights]


@pytest.mark.usefixtures("many_rows")
@pytest.mark.parametrize("make", BRACKETS)
def test_both_bounds_are_unbiased(make: Callable[..., Any]) -> None:
    """E[lower / p(x)] = 1 and E[p(x) / upper] = 1 over the model's own samples, of few steps."""
    model, log_p = make()
    found = bidirectional(model, 250, n_chains=4, n_steps=8, n_leapfrog=2)
    exact = log_p(found.x)
    for ratio in ((found.lower - exact).exp(), (exact - found.upper).exp()):
        error = ratio.std() / sqrt(len(ratio))
        assert abs(ratio.mean() - 1) < 4 * error
        assert error < 0.3
    assert found.lower.mean() < exact.mean() < found.upper.mean()


@pytest.mark.usefixtures("many_rows")
@pytest.mark.parametrize("make", BRACKETS)
def test_the_bracket_narrows_with_more_steps_around_log_p(make: Callable[..., Any]) -> None:
    model, log_p = make()
    few, many = (bidirectional(model, 16, n_chains=8, n_steps=n, n_leapfrog=4) for n in (8, 100))
    assert torch.equal(few.x, many.x)
    exact = log_p(many.x)
    assert (many.lower - exact).max() < 3  # of probability exp(-3) each, and less of being near it
    assert (exact - many.upper).max() < 3
    assert many.gap.mean() < 0.5 * few.gap.mean()
    assert (many.lower.mean() - exact.mean()).abs() < 0.15
    assert (many.upper.mean() - exact.mean()).abs() < 0.15


@pytest.mark.usefixtures("many_rows")
def test_samples_are_the_models_with_the_likelihoods_noise() -> None:
    maps = Maps(2)
    model, p_x = maps.exact(0.2)
    x = bidirectional(model, 800, n_chains=2, n_steps=1).x
    mean, variance = p_x.mean, p_x.variance
    assert ((x.mean(0) - mean) / (variance / 800).sqrt()).abs().max() < 4
    assert (x.var(0) / variance - 1).abs().max() < 0.25
    assert torch.equal(bidirectional(model, 3, n_chains=2, n_steps=1).x, x[:3])


@pytest.mark.parametrize("name", ["vae", "sb-vae", "m-vae", "mvae-gs", "mixture-vae", "gmmp-vae"])
def test_every_familys_samples_are_bracketed(name: str) -> None:
    model = Case(name, {}, (1, 3, 4)).build().model
    found = bidirectional(model, 3, n_chains=8, n_steps=40, n_leapfrog=3)
    assert found.x.shape == (3, 1, 3, 4)
    assert set(found.x.unique().tolist()) <= {0.0, 1.0}
    assert found.gap.abs().max() < 0.3


def test_outputs_kept_apart_and_classes_are_bracketed_too() -> None:
    apart = small("m-vae", 1.0, combine="mixture")
    assert bidirectional(apart, 4, n_chains=8, n_steps=40, n_leapfrog=3).gap.abs().max() < 0.5
    model = small("mvae", conditional=True, n_classes=3)
    y = torch.tensor([0, 2])
    assert bidirectional(model, 2, y=y, n_chains=8, n_steps=40, n_leapfrog=3).gap.abs().max() < 1.5


def test_a_bracket_says_what_it_is() -> None:
    model, _ = mixture_posterior()
    found = bidirectional(model, 3, **QUICK)
    d = found.to_dict()
    assert d["n"] == 3
    assert d["gap"] == pytest.approx(d["upper"] - d["lower"])
    assert d["gap_max"] == float((found.upper - found.lower).max())
    assert f"{d['lower']:.2f} to {d['upper']:.2f} nats" in str(found)


# -- bad input


class OwnPrior(nn.Module):
    def __init__(self, p: Distribution) -> None:
        super().__init__()
        self.p = p

    def forward(self, encode: Any) -> Distribution:
        return self.p


def test_numbers_below_one_are_refused() -> None:
    model, x, _ = wrong_posterior()
    for name in ("n_chains", "n_steps", "n_leapfrog"):
        for f in (
            lambda **k: annealed_log_likelihood(model, x, **k),
            lambda **k: bidirectional(model, **k),
        ):
            with pytest.raises(MixvaeError, match=f"{name} must be at least 1; got 0"):
                f(**{name: 0})
    with pytest.raises(MixvaeError, match="n must be at least 1; got 0"):
        bidirectional(model, 0)
    with pytest.raises(MixvaeError, match="seed"):
        annealed_log_likelihood(model, x, seed=-1)


def test_fewer_chains_than_components_are_refused() -> None:
    model, x, _ = wrong_exact()
    for f in (
        lambda: annealed_log_likelihood(model, x, n_chains=1),
        lambda: bidirectional(model, 2, n_chains=1),
    ):
        with pytest.raises(
            MixvaeError, match="n_chains must be at least 2, one for each component"
        ):
            f()


def test_a_likelihood_that_is_no_density_is_refused() -> None:
    model = Case("vae", {"likelihood": "cross-entropy"}).build().model
    with pytest.raises(MixvaeError, match="CrossEntropy is not a normalised density of x"):
        annealed_log_likelihood(model, torch.rand(2, 1, 3, 4))
    with pytest.raises(MixvaeError, match="CrossEntropy is not a normalised density of x"):
        bidirectional(model, 2)


def one_hot() -> Distribution:
    return torch.distributions.OneHotCategorical(torch.full((2,), 0.5))


@pytest.mark.parametrize(
    ("prior", "said"),
    [
        (one_hot(), "the prior of the codes, a OneHotCategorical, is discrete"),
        (Independent(Uniform(torch.zeros(2), torch.ones(2)), 1), "has the support"),
        (Delta(torch.zeros(2)), "has no log_prob"),
    ],
)
def test_a_prior_that_cannot_be_annealed_is_refused(prior: Distribution, said: str) -> None:
    model = small("vae")
    model.prior = OwnPrior(prior)
    with pytest.raises(MixvaeError, match=said):
        annealed_log_likelihood(model, data(2), **QUICK)
    with pytest.raises(MixvaeError, match=said):
        bidirectional(model, 2, **QUICK)


def test_a_prior_of_ones_own_over_the_reals_will_do() -> None:
    model = small("vae").float()
    model.prior = OwnPrior(Independent(Laplace(torch.zeros(2), torch.ones(2)), 1))
    x = data(2).float()
    found = annealed_log_likelihood(model, x, n_chains=64, n_steps=60, n_leapfrog=4)
    other = log_likelihood(model, x, 5000)
    error = (found.standard_error.square() + other.standard_error.square()).sqrt()
    assert ((found.log_prob - other.log_prob) / error).abs().max() < 4


def test_a_family_of_ones_own_is_refused() -> None:
    class Own(Joint):
        pass

    class Other:
        pass

    model = small("vae")
    model.family = Own()  # a joint family still
    assert annealed_log_likelihood(model, data(1), **QUICK).log_prob.isfinite().all()
    model.family = Other()
    with pytest.raises(MixvaeError, match="mixvae's own families; got Other"):
        annealed_log_likelihood(model, data(1), **QUICK)


def test_classes_of_a_conditional_models_samples_are_asked_for() -> None:
    model = small("mvae", conditional=True, n_classes=3)
    with pytest.raises(MixvaeError, match="the class of each of the 2 samples"):
        bidirectional(model, 2, **QUICK)
