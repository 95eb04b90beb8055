"""The discrete VAE: small Boltzmann machines by enumeration, smoothing by quadrature."""

from math import expm1, log

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, kl_divergence

import mixvae
from cases import FLAT, IMAGE, Case
from mixvae import data, recipes
from mixvae.data.dataset import Split
from mixvae.distributions.boltzmann import log_potential
from mixvae.distributions.spike_exponential import SpikeAndExponential, inverse_cdf, moments
from mixvae.errors import MixvaeError
from mixvae.evaluation import evaluate, log_likelihood
from mixvae.evaluation.log_partition import warning_of
from mixvae.objectives import iwae
from mixvae.parts import boltzmann
from mixvae.parts.boltzmann import BoltzmannPrior
from mixvae.recipes import VAE
from mixvae.report.tables import table

pytestmark = pytest.mark.usefixtures("maths")
BETA = 2.5


def machine(n: int = 6, size: float = 1.0, **options: int) -> BoltzmannPrior:
    """A Boltzmann machine of n units with weights of this size."""
    prior = BoltzmannPrior(n, BETA, **options)
    prior.bias.data = size * torch.randn(n)
    prior.weight.data = size * torch.randn(n // 2, n // 2)
    return prior


def states(n: int = 6) -> Tensor:
    """All values of n bits."""
    return torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * n)


def log_z(prior: BoltzmannPrior) -> Tensor:
    """By the sum over all states, of one energy at a time."""
    half = len(prior.bias) // 2
    scores = [prior.bias @ z + z[:half] @ prior.weight @ z[half:] for z in states(len(prior.bias))]
    return torch.stack(scores).logsumexp(0)


def exact_log_z(prior: BoltzmannPrior) -> float:
    return float(log_z(prior).detach())


def encode(x: Tensor) -> None: ...


# -- smoothing


def test_the_density_of_a_smoothed_code_integrates_to_one_and_its_cdf_is_the_samplers() -> None:
    q = SpikeAndExponential(torch.tensor([0.4]), BETA)
    nodes = torch.linspace(0, 1, 20_001)[1:, None]  # (0, 1], beside the point mass at 0
    density, at_zero = q.log_prob(nodes).exp(), q.log_prob(torch.zeros(1)).exp()
    torch.testing.assert_close(at_zero, 1 - q.probs.squeeze())
    cdf = at_zero + (density.cumsum(0) - density / 2) / 20_000
    assert abs(float(cdf[-1]) - 1) < 1e-3
    sampled = q.sample((100_000,)).squeeze(1).sort().values
    for level in (0.1, 0.5, 0.9):
        found = float((sampled <= level).double().mean())
        assert abs(found - float(cdf[int(level * 20_000) - 1])) < 4 * 0.5 / 100_000**0.5


def test_moments_are_those_of_the_density() -> None:
    nodes = (torch.arange(100_000) + 0.5) / 100_000
    r = BETA * (BETA * nodes).exp() / expm1(BETA)
    expected = [float((nodes**power * r).mean()) for power in (1, 2)]
    assert moments(BETA) == pytest.approx(expected, rel=1e-6)
    q = SpikeAndExponential(torch.tensor([-1.0, 2.0]), BETA)
    zeta = q.sample((200_000,))
    torch.testing.assert_close(zeta.mean(0), q.mean, atol=0.004, rtol=0)
    torch.testing.assert_close(zeta.var(0), q.variance, atol=0.002, rtol=0)


def test_the_reparameterised_gradient_is_that_of_the_expectation() -> None:
    """Of a function that is not zero at zero, against quadrature."""
    logit = torch.tensor([0.3], requires_grad=True)
    f = lambda zeta: (3 * zeta + 1).sin()
    u = (torch.arange(50_000) + 0.5) / 50_000
    q = logit.sigmoid()
    expectation = (1 - q) * f(torch.zeros(())) + q * f(inverse_cdf(u, BETA)).mean()
    (expected,) = torch.autograd.grad(expectation.sum(), logit)
    zeta = SpikeAndExponential(logit, BETA).rsample((400_000,))
    (found,) = torch.autograd.grad(f(zeta).mean(), logit)
    torch.testing.assert_close(found, expected, atol=3e-3, rtol=0)


def test_z_is_recovered_from_a_sample_and_saturated_codes_have_finite_gradients() -> None:
    logits = torch.tensor([-1e4, -40.0, 40.0, 1e4], dtype=torch.float32, requires_grad=True)
    q = SpikeAndExponential(logits, BETA)
    zeta = q.rsample((200,))
    assert torch.equal((zeta > 0).all(0), torch.tensor([False, False, True, True]))
    (zeta.sum() + q.log_prob(zeta.detach()).sum()).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


# -- the Boltzmann machine


def test_log_z_is_that_of_the_enumeration_within_its_error() -> None:
    for size in (0.3, 1.0, 2.0):
        prior = machine(size=size)
        found, expected = prior.log_partition(), exact_log_z(prior)
        assert 0 < found.standard_error < 0.03
        assert abs(found.value - expected) < 4 * found.standard_error


def test_probabilities_of_all_states_are_those_of_the_enumeration_and_of_samples() -> None:
    prior = machine().eval()
    p = prior(encode)
    z = states()
    zeta = z * inverse_cdf(torch.rand(len(z), 6), BETA)
    half = prior.weight
    energy = z @ prior.bias + torch.einsum("si,ij,sj->s", z[:, :3], half, z[:, 3:])
    smooth = (z * (BETA * zeta + log(BETA) - log(expm1(BETA)))).sum(-1)
    expected = energy - log_z(prior)
    torch.testing.assert_close(p.log_prob(zeta) - smooth, expected, atol=0.03, rtol=0)
    n = 20_000
    index = (p.sample((n,)) > 0).double() @ 2.0 ** torch.arange(5, -1, -1)
    counts = index.long().bincount(minlength=64) / n
    error = (expected.exp() / n).sqrt()
    assert ((counts - expected.exp()).abs() < 4.5 * error + 2 / n).all()


def test_the_kl_and_its_gradient_are_those_of_the_enumeration() -> None:
    """The gradient of log Z comes from chains: here 40,000 that have forgotten where they began."""
    prior = machine(n_chains=40_000, gibbs_steps=60)
    logits = torch.randn(3, 6, requires_grad=True)
    q = SpikeAndExponential(logits, BETA)
    z = states()
    log_q = Bernoulli(logits=logits[:, None]).log_prob(z).sum(-1)  # (3, 64)
    log_p = log_potential(z, prior.bias, prior.weight) - log_z(prior)
    by_hand = (log_q.exp() * (log_q - log_p)).sum(-1)
    leaves = [logits, prior.bias, prior.weight]
    expected = torch.autograd.grad(by_hand.sum(), leaves)
    kl = kl_divergence(q, prior(encode))
    torch.testing.assert_close(kl, by_hand, atol=0.03, rtol=0)
    for found, exact in zip(torch.autograd.grad(kl.sum(), leaves), expected, strict=True):
        torch.testing.assert_close(found, exact, atol=3 * 4.5 * 0.5 / 200, rtol=0)


def test_log_z_is_followed_between_estimates() -> None:
    """Steps on the chains' own gradient, which would bias the weights of chains already used."""
    prior = machine(size=0.5, n_chains=200, gibbs_steps=20)
    first = exact_log_z(prior)
    for _ in range(60):
        for parameter in prior.parameters():
            parameter.grad = None
        prior(encode).log_z.backward()
        for parameter in prior.parameters():
            parameter.data -= 0.02 * parameter.grad.sign()
    prior(encode)  # of the last weights
    assert abs(first - exact_log_z(prior)) > 0.5
    assert abs(float(prior.log_z) - exact_log_z(prior)) < 0.1


def test_evaluation_moves_no_chain_and_is_the_same_each_time() -> None:
    prior = machine()
    with torch.no_grad():
        first = prior(encode).log_z
    chains = prior.chains.clone()
    prior.eval()
    torch.manual_seed(5)
    assert torch.equal(prior(encode).log_z, first)
    assert torch.equal(prior.chains, chains)
    prior.train()(encode)
    assert not torch.equal(prior.chains, chains)


# -- the model


def test_importance_sampling_agrees_with_the_sum_over_codes_and_the_bound_is_below() -> None:
    """The decoder reads zeta: a grid of quantiles for each of two codes that are on."""
    torch.manual_seed(2)
    recipe = recipes.build("discrete-vae", (5,), n_latent=2, hidden=[8])
    model, x = recipe.model.eval(), torch.rand(3, 5).round()
    model.prior.bias.data, model.prior.weight.data = torch.randn(2), torch.randn(1, 1)
    u = inverse_cdf((torch.arange(300) + 0.5) / 300, 3.0)
    parts = []
    for z, log_p in zip(
        states(2), log_potential(states(2), *model.prior.parameters()), strict=True
    ):
        grid = torch.cartesian_prod(*(u if on else torch.zeros(1) for on in z))
        with torch.no_grad():
            p_x = model.decode(grid[:, None, None], torch.ones(len(grid), 1, 1))
            log_lik = torch.stack([p_x.log_prob(row).flatten() for row in x])
        parts.append(log_lik.logsumexp(1) - log(len(grid)) + log_p.detach())
    exact = torch.stack(parts).logsumexp(0) - log_z(model.prior).detach()
    estimate = log_likelihood(model, x, n_samples=5000)
    error = estimate.standard_error + model.prior.log_partition().standard_error
    assert (error < 0.05).all()
    assert ((estimate.log_prob - exact).abs() < 4 * error).all()
    with torch.no_grad():
        bound = sum(recipe.objective.bound(model(x, 4000)).values())
    assert (bound < exact).all()


def test_samples_of_x_have_the_models_distribution() -> None:
    recipe = recipes.build("discrete-vae", (3,), n_latent=2, hidden=[8])
    model = recipe.model.eval()
    with torch.no_grad():
        for p in model.parameters():
            p *= 3
        x = states(3)
        log_p = log_likelihood(model, x, n_samples=20_000).log_prob
        torch.testing.assert_close(log_p.exp().sum(), torch.tensor(1.0), atol=0.02, rtol=0)
        found = model.sample(20_000, noise=True) @ torch.tensor([4.0, 2.0, 1.0])
    counts = found.long().bincount(minlength=8) / 20_000
    torch.testing.assert_close(counts, log_p.exp(), atol=0.02, rtol=0)


def test_chains_go_on_where_they_were_when_a_run_is_resumed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(boltzmann, "N_TEMPERATURES", 50)
    torch.set_default_dtype(torch.float32)
    digits = data.load("digits", binarize="dynamic").subset(300)
    recipe = recipes.DiscreteVAE(n_latent=8, hidden=[16], n_chains=20)
    how = {"pictures": False, "progress": False, "accelerator": "cpu"}
    run = mixvae.fit(recipe, digits, out=tmp_path / "whole", max_epochs=2, seed=3, **how)
    mixvae.fit(recipe, digits, out=tmp_path / "half", max_epochs=1, seed=3, **how)
    resumed = mixvae.resume(tmp_path / "half", digits, max_epochs=2, **how)
    one, other = (r.recipe.model.state_dict() for r in (run, resumed))
    assert {"prior.chains", "prior.log_z", "prior.n_steps"} <= set(one)
    assert all(torch.equal(one[key], other[key]) for key in one)
    rows = [{k: v for k, v in r.history[-1].items() if k != "seconds"} for r in (run, resumed)]
    assert rows[0] == rows[1]
    assert run.history[-1]["val/objective"] > run.history[0]["val/objective"]
    found = evaluate(run.recipe, Split(digits.test.x[:20]), log_likelihood=200)
    assert found["bounds"]["elbo"] < found["log_likelihood"]["mean"] < 0
    assert found["log_partition"]["standard_error"] < 0.01
    assert found["log_partition"]["warning"] is None
    assert "log Z of the prior" in table(found)


def test_a_large_error_of_log_z_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boltzmann, "N_RUNS", 20)
    recipe = Case("discrete-vae", {"n_latent": 12}).build()
    recipe.model.prior.weight.data = 5 * torch.randn(6, 6)
    torch.set_default_dtype(torch.float32)
    recipe.model.float()
    found = evaluate(recipe, Split(torch.rand(4, *IMAGE).round()))
    warning = found["log_partition"]["warning"]
    assert "standard error" in warning
    assert f"warning: {warning}" in table(found)
    assert warning_of(0.01) is None
    assert warning_of(float("nan")) is not None


# -- what cannot be


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"n_latent": 7}, "n_latent must be even"),
        ({"n_latent": 0}, "n_latent"),
        ({"n_chains": 0}, "n_chains"),
        ({"gibbs_steps": 0}, "gibbs_steps"),
        ({"smoothing": 0.0}, "smoothing must be positive"),
    ],
)
def test_impossible_options_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(MixvaeError, match=said):
        recipes.build("discrete-vae", FLAT, **wrong)


def test_a_boltzmann_prior_of_continuous_codes_is_refused() -> None:
    model = recipes.build("vae", (4,), n_latent=6).model
    model.prior = machine()
    x = torch.rand(3, 4).round()
    for objective in (VAE().make_objective().bound, iwae):
        with pytest.raises(MixvaeError, match=r"an RBM prior needs binary codes"):
            objective(model(x))
    other = SpikeAndExponential(torch.zeros(6), BETA + 1)
    with pytest.raises(MixvaeError, match="smooth alike"):
        kl_divergence(other, model.prior(encode))


def test_annealed_importance_sampling_over_binary_codes_is_refused() -> None:
    model = Case("discrete-vae", {"n_latent": 12}, FLAT).build().model
    with pytest.raises(MixvaeError, match="annealed importance sampling needs a prior over"):
        log_likelihood(model, torch.rand(2, *FLAT).round(), method="ais")
