"""The LARS prior: its normaliser, density and samples by quadrature, and its estimate's error."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from torch.distributions import MultivariateNormal

import mixvae
import mixvae.parts.resampled_prior as module
from mixvae.data import Split, from_arrays
from mixvae.distributions import Delta
from mixvae.errors import MixvaeError, MixvaeWarning
from mixvae.evaluation import evaluate, log_likelihood
from mixvae.parts.resampled_prior import Resampled, ResampledPrior, estimate

pytestmark = pytest.mark.usefixtures("maths")
STEP = 0.02
AXIS = torch.arange(-8, 8, STEP, dtype=torch.float64) + STEP / 2


def steep(n_latent: int = 1, **options: object) -> ResampledPrior:
    """A prior that accepts some places much more often than others, in evaluation mode."""
    prior = ResampledPrior(n_latent, hidden=(8,), **options)
    with torch.no_grad():
        prior.net[0].weight.copy_(2 * torch.randn(8, n_latent))
        prior.net[-1].weight.copy_(2.5 * torch.randn(1, 8))
        prior.net[-1].bias.fill_(-1.0)
    return prior.eval()


def grid(n_latent: int) -> tuple[Tensor, float]:
    """Points of a line or plane, and the length or area of each."""
    return torch.cartesian_prod(*[AXIS] * n_latent).reshape(-1, n_latent), STEP**n_latent


@torch.no_grad()
def normaliser(prior: ResampledPrior, n_latent: int) -> float:
    """Z by quadrature."""
    z, cell = grid(n_latent)
    log_pi = prior.proposal(Delta).log_prob(z)
    return float((log_pi + prior.log_accept(z)).exp().sum() * cell)


# -- the estimate of Z


@pytest.mark.parametrize("n_latent", [1, 2])
def test_z_is_that_of_quadrature_within_its_standard_error(n_latent: int):
    prior = steep(n_latent)
    exact = normaliser(prior, n_latent)
    log_z, error = prior(Delta).log_z
    assert 0.02 < exact < 0.7  # not nearly all accepted, nor nearly none
    assert 0 < error < 0.01
    assert abs(float(log_z) - np.log(exact)) < 3 * error


def test_the_standard_error_is_the_spread_over_samples_or_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "CHUNK", 1000)
    monkeypatch.setattr(module, "MOST_CHUNKS", 1)
    randn, noise = torch.randn, torch.Generator().manual_seed(5)
    monkeypatch.setattr(torch, "randn", lambda *n, **k: randn(*n, **k | {"generator": noise}))

    def ratio(log_accept: Callable[[Tensor], Tensor]) -> float:
        found = [estimate(log_accept, torch.zeros(1)) for _ in range(300)]
        errors = torch.tensor([error for _, error in found])
        return float(torch.tensor([float(log_z) for log_z, _ in found]).std() / errors.mean())

    assert ratio(lambda z: torch.where(z[:, 0] > 0.5, 0.0, -50.0)) == pytest.approx(1, abs=0.15)
    assert ratio(steep().log_accept) < 1.05


def test_the_estimate_is_kept_until_the_weights_change():
    prior = steep()
    first = prior(Delta).log_z
    assert prior(Delta).log_z is first
    prior.load_state_dict(steep().state_dict())
    assert prior(Delta).log_z.value != first.value
    again = prior(Delta).log_z
    torch.optim.SGD(prior.parameters(), 0.1).zero_grad()
    prior.train()(Delta).log_prob(torch.zeros(1)).backward()
    torch.optim.SGD(prior.parameters(), 0.1).step()
    assert prior.eval()(Delta).log_z.value != again.value


def test_the_same_weights_have_the_same_estimate():
    prior, other = steep(), ResampledPrior(1, hidden=(8,)).eval()
    other.load_state_dict(prior.state_dict())
    assert torch.equal(prior(Delta).log_z.value, other(Delta).log_z.value)


def test_a_standard_error_above_a_hundredth_of_a_nat_is_a_warning():
    prior = ResampledPrior(2, hidden=(4,)).eval()
    with torch.no_grad():  # only codes about (5, 5) are accepted
        prior.net[0].weight.copy_(torch.tensor([[1.0, 1.0]] * 4))
        prior.net[0].bias.fill_(-8.0)
        prior.net[-1].weight.fill_(10.0)
    with pytest.warns(MixvaeWarning, match="standard error of .* nats"):
        error = prior(Delta).log_z.error
    assert error > 0.01
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert steep()(Delta).log_z.error < 0.01


def test_in_training_z_is_a_moving_mean_whose_gradient_is_that_of_a_step():
    prior = steep().train()
    exact = normaliser(prior, 1)
    state = prior.z.clone()
    torch.manual_seed(3)
    log_z, error = prior(Delta).log_z
    torch.manual_seed(3)
    now = prior.log_accept(torch.randn(1024, 1)).exp().mean()
    torch.testing.assert_close(prior.z, 0.99 * state + 0.01 * now)
    torch.testing.assert_close(log_z, prior.z.log())
    assert np.isnan(error)
    weights = list(prior.net.parameters())
    of_log = torch.autograd.grad(log_z, weights)
    for a, b in zip(of_log, torch.autograd.grad(now, weights), strict=True):
        torch.testing.assert_close(a, b / prior.z)
    with torch.no_grad():
        prior(Delta)  # leaves the mean as it is
    assert torch.equal(prior.z, 0.99 * state + 0.01 * now.detach())
    for _ in range(500):
        prior(Delta)
    assert float(prior.z) == pytest.approx(exact, rel=0.05)


def test_log_z_and_its_error_are_among_the_figures_of_a_run():
    torch.set_default_dtype(torch.float32)
    recipe = mixvae.build("vae", (6,), prior="lars", n_latent=2, hidden=[8])
    split = Split(torch.rand(9, 6).round())
    log_z = recipe.model.eval().prior(recipe.model.encode).log_z
    found = evaluate(recipe, split)["log_partition"]
    assert found["value"] == float(log_z.value)
    assert found["standard_error"] == log_z.error
    assert "log_partition" not in evaluate(mixvae.build("vae", (6,)), split)


# -- the density


@pytest.mark.parametrize(("n_latent", "truncation"), [(1, 1), (1, 2), (1, 7), (2, 100)])
def test_the_truncated_density_integrates_to_one(n_latent: int, truncation: int):
    prior = steep(n_latent, truncation=truncation)
    z, cell = grid(n_latent)
    exact = torch.tensor(normaliser(prior, n_latent)).log()
    p = prior(Delta)
    p.log_z = p.log_z._replace(value=exact)
    total = p.log_prob(z).detach().exp().sum() * cell
    assert float(total) == pytest.approx(1, abs=1e-6)


def truncated(prior: ResampledPrior, z: Tensor, exact: float) -> Tensor:
    """The density of rejection sampling, attempt by attempt."""
    pi = prior.proposal(Delta).log_prob(z).exp()
    accept = prior.log_accept(z).exp()
    density, waiting = torch.zeros(len(z)), 1.0
    for _ in range(prior.truncation - 1):
        density = density + waiting * pi * accept
        waiting = waiting * (1 - exact)
    return density + waiting * pi


@pytest.mark.parametrize("truncation", [1, 2, 5, 100])
def test_log_densities_are_those_of_the_attempts_one_by_one(truncation: int):
    prior, (z, _) = steep(truncation=truncation), grid(1)
    exact = normaliser(prior, 1)
    found, error = prior(Delta).log_prob(z).detach(), prior(Delta).log_z.error
    expected = truncated(prior, z, exact).detach().log()
    forced = (truncation - 1) * exact / (1 - exact)  # where z comes from the last attempt alone
    assert float((found - expected).abs().max()) < 3 * error * max(1, forced)
    assert float((found - expected).abs().median()) < 3 * error


def test_one_attempt_is_the_proposal():
    prior, z = steep(truncation=1), torch.randn(20, 1)
    log_prob = prior(Delta).log_prob(z)
    torch.testing.assert_close(log_prob, prior.proposal(Delta).log_prob(z))
    log_prob.sum().backward()
    assert all(p.grad.isfinite().all() for p in prior.parameters())


def test_the_gradient_of_the_density_is_that_of_finite_differences():
    prior, z = steep(truncation=4), torch.randn(5, 1)
    log_z = lambda: torch.tensor(normaliser(prior, 1)).log()

    def exact(weight: Tensor) -> Tensor:
        accept = lambda z: torch.nn.functional.logsigmoid(weight * z.squeeze(-1))
        points, cell = grid(1)
        pi = prior.proposal(Delta)
        value = ((pi.log_prob(points) + accept(points)).exp().sum() * cell).log()
        return Resampled(pi, accept, module.LogZ(value), 4).log_prob(z)

    assert log_z() < 0
    torch.autograd.gradcheck(exact, torch.tensor(1.3, requires_grad=True))


# -- samples


@pytest.mark.parametrize("truncation", [1, 3, 100])
def test_samples_are_as_frequent_as_the_density_says(truncation: int):
    prior, n = steep(truncation=truncation), 50_000
    z, cell = grid(1)
    mass = truncated(prior, z, normaliser(prior, 1)).detach() * cell
    torch.manual_seed(0)
    samples = prior(Delta).sample((n,)).squeeze(1)
    at = torch.searchsorted(mass.cumsum(0), torch.linspace(0.04, 0.96, 24))
    edges = torch.cat([torch.tensor([-9.0]), AXIS[at] + STEP / 2, torch.tensor([9.0])])
    observed = torch.histogram(samples, edges)[0]
    of = torch.bucketize(z.squeeze(1), edges) - 1
    expected = torch.zeros(25).index_add(0, of, mass) * n
    assert expected.min() > 100
    assert chisquare(observed, expected * n / expected.sum()).pvalue > 0.01
    if truncation > 1:
        normal = torch.zeros(25).index_add(0, of, prior.proposal(Delta).log_prob(z).exp())
        assert chisquare(observed, normal * n / normal.sum()).pvalue < 1e-6


def test_samples_have_the_shape_of_an_expanded_prior():
    p = steep(2)(Delta).expand((1, 4, 3))
    z = p.sample()
    assert z.shape == (1, 4, 3, 2)
    assert p.log_prob(z).shape == (1, 4, 3)
    assert p.sample((5,)).shape == (5, 1, 4, 3, 2)


def test_log_p_x_is_that_of_quadrature():
    torch.manual_seed(1)
    recipe = mixvae.build("vae", (6,), prior="lars", truncation=5, n_latent=1, hidden=[8])
    model, x = recipe.model.eval(), torch.rand(3, 6).round()
    for p in model.prior.net.parameters():
        p.data *= 3
    found = log_likelihood(model, x, 2000)
    z, cell = grid(1)
    exact_prior = truncated(model.prior, z, normaliser(model.prior, 1)).log()
    with torch.no_grad():
        codes = z.reshape(-1, 1, 1, 1).expand(-1, 3, 1, 1)
        log_lik = model.decode(codes, torch.ones(len(z), 3, 1)).log_prob(x[:, None]).squeeze(2)
        exact = (log_lik + exact_prior.unsqueeze(1)).logsumexp(0) + np.log(cell)
    error = 4 * found.standard_error + 4 * model.prior(Delta).log_z.error
    assert ((found.log_prob - exact).abs() < error).all()
    assert (error < 0.1).all()


# -- learning


def ring(n: int) -> Tensor:
    angle = 2 * torch.pi * torch.rand(n)
    return 1.5 * torch.stack([angle.cos(), angle.sin()], 1) + 0.2 * torch.randn(n, 2)


def test_it_learns_a_shape_that_no_normal_has():
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    prior, z, unseen = ResampledPrior(2, hidden=(32, 32)), ring(500), ring(500)
    optimizer = torch.optim.Adam(prior.parameters(), 0.01)
    for _ in range(200):
        optimizer.zero_grad()
        (-prior(Delta).log_prob(z).mean()).backward()
        optimizer.step()
    best_normal = MultivariateNormal(z.mean(0), z.T.cov()).log_prob(unseen).mean()
    assert prior.eval()(Delta).log_prob(unseen).mean() > best_normal + 0.3


# -- bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ResampledPrior(2, truncation=0), "truncation must be at least 1; got 0"),
        (lambda: ResampledPrior(0), "at least 1"),
        (lambda: ResampledPrior(2, hidden=(0,)), "hidden must be at least 1"),
    ],
)
def test_sizes_are_checked(make: Callable[[], object], message: str):
    with pytest.raises(MixvaeError, match=message):
        make()


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path):
    """The moving mean of Z is part of the state."""
    torch.set_default_dtype(torch.float32)
    given = from_arrays(torch.rand(80, 6).round().numpy(), name="rows")
    recipe = lambda: mixvae.build("vae", given, prior="lars", n_latent=2, hidden=[8], seed=0)
    quick = {"batch_size": 16, "progress": False, "pictures": False}
    whole = mixvae.fit(recipe(), given, out=tmp_path / "whole", max_epochs=3, **quick)
    mixvae.fit(recipe(), given, out=tmp_path / "part", max_epochs=1, **quick)
    resumed = mixvae.resume(tmp_path / "part", max_epochs=3, data=given, progress=False)
    states = [run.recipe.model.state_dict() for run in (whole, resumed)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert states[0]["prior.z"] != 0.5
