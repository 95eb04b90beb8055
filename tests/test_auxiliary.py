"""Posteriors with auxiliary variables: closed forms, quadrature, and what they refuse."""

from copy import deepcopy
from itertools import pairwise
from math import expm1, log, pi

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

import mixvae
from linear_models import DATA, LinearPosterior, Maps
from mixvae import recipes
from mixvae.distributions import diagonal_normal
from mixvae.errors import MixvaeError
from mixvae.evaluation import log_likelihood
from mixvae.families import Joint
from mixvae.model import MixtureVAE
from mixvae.nn import MLP
from mixvae.parts.auxiliary import AuxiliaryPosterior, HamiltonianPosterior, WithInput, leapfrog
from mixvae.parts.posteriors import MIN_LEVEL_SCALE, ConditionalNormal, StickPosterior
from mixvae.parts.priors import VampPrior
from mixvae.parts.weights import CategoricalWeights

pytestmark = pytest.mark.usefixtures("maths")
BOTH = pytest.mark.parametrize("name", ["hvi", "auxiliary-vae"])
SHORT = {"hvi": {"n_steps": 2}, "auxiliary-vae": {}}
X = torch.rand(5, 1, 3, 4, generator=torch.Generator().manual_seed(3)).round().double()


def affine(weight: Tensor, bias: Tensor, scale: Tensor) -> ConditionalNormal:
    """N(weight u + bias, scale^2) given u."""
    n_latent, n_inputs = weight.shape
    net = nn.Linear(n_inputs, 2 * n_latent)
    with torch.no_grad():
        net.weight.copy_(torch.cat([weight, torch.zeros_like(weight)]))
        net.bias.copy_(torch.cat([bias, (scale - MIN_LEVEL_SCALE).expm1().log()]))
    return ConditionalNormal(net, n_latent)


def bent(name: str, n_latent: int = 1, **options) -> MixtureVAE:
    """A small model of 12 pixels whose code says much about x."""
    torch.manual_seed(1)
    sizes = {"n_latent": n_latent, "hidden": (8,), "network": "gated-mlp"}
    model = recipes.build(name, (1, 3, 4), **sizes | options).model
    with torch.no_grad():
        for p in model.decoder.parameters():
            p *= 3
        if name == "hvi":
            model.posterior.step.fill_(0.3)
    return model


def fitted(name: str) -> MixtureVAE:
    """The same, with an encoder that a few steps have trained."""
    model = bent(name, **SHORT[name])
    moved = [*model.trunk.parameters(), *model.posterior.parameters()]
    optimizer = torch.optim.Adam(moved, 0.02)
    for _ in range(100):
        optimizer.zero_grad()
        (-model(X, 4).log_weight.mean()).backward()
        optimizer.step()
    return model


def quadrature(model: MixtureVAE, x: Tensor) -> Tensor:
    """log p(x), by a sum over a grid of codes of one dimension."""
    z = torch.linspace(-8, 8, 4001)
    codes = z.reshape(-1, 1, 1, 1).expand(-1, len(x), -1, -1)
    with torch.no_grad():
        log_lik = model.decode(codes, torch.ones_like(codes[..., 0])).log_prob(x.unsqueeze(1))
    log_p = log_lik.squeeze(2) + Normal(0.0, 1.0).log_prob(z).unsqueeze(1)
    return log_p.logsumexp(0) + log(16 / 4000)


# -- Hamiltonian dynamics


def oscillator(n_steps: int) -> tuple[MixtureVAE, Tensor]:
    r"""A linear model whose posterior starts from p(z) and moves for a quarter of a period.

    Given x each dimension of z is a harmonic oscillator about the exact posterior's mean m, with
    frequency 1 / s: after a quarter period z = m + s v and v' = (m - z) / s, which is the exact
    posterior and a momentum that does not depend on it.
    """
    maps = Maps(1)
    model = maps.joint(CategoricalWeights(1))
    prior = LinearPosterior(torch.zeros_like(maps.slope), torch.zeros(1, 2), torch.ones(1, 2))
    s = maps.scale[0]
    weight = torch.cat([maps.slope[0] / s.unsqueeze(1), torch.zeros(2, 2)], 1)  # of x and z
    reverse = nn.ModuleList([affine(weight, maps.offset[0] / s, 1 / s)])
    model.posterior = HamiltonianPosterior(
        *(prior, reverse, model.decoder, model.prior), x_shape=(4,), n_latent=2, n_steps=n_steps
    )
    with torch.no_grad():
        model.posterior.step.copy_((pi / 2 / n_steps * s).unsqueeze(0))
    model.trunk = WithInput(model.trunk)
    assert isinstance(model.family, Joint)
    return model, maps.each().log_prob(DATA.unsqueeze(1)).squeeze(1)


def test_exact_dynamics_reach_the_exact_posterior():
    """Every sample's weight is then p(x); the bound of the start is tens of nats below."""
    model, log_p = oscillator(n_steps=100)
    with torch.no_grad():
        log_weight = model(DATA, 20).log_weight
        model.posterior.step.zero_()
        start = model(DATA, 20).log_weight
    torch.testing.assert_close(log_weight, log_p.expand_as(log_weight), atol=2e-3, rtol=0)
    assert (start.mean(0) < log_p - 1).all()


def test_the_bound_rises_to_log_p_with_the_steps_and_never_exceeds_it():
    gaps = []
    for n_steps in (2, 4, 8, 16):
        model, log_p = oscillator(n_steps)
        torch.manual_seed(0)
        with torch.no_grad():
            gap = log_p - model(DATA, 2000).log_weight
        assert (gap.mean(0) > -4 * gap.std(0) / 2000**0.5).all()
        gaps.append(float(gap.mean()))
    assert all(2 * after < before for before, after in pairwise(gaps)), gaps


@pytest.mark.usefixtures("unchecked")
def test_learning_the_steps_and_the_reverse_model_alone_raises_the_bound():
    """From a start that is fixed, in a model that is fixed; paired with the same start's noise."""
    model, log_p = oscillator(n_steps=3)
    posterior = model.posterior
    for p in model.parameters():
        p.requires_grad_(False)
    posterior.step.fill_(0.01)
    posterior.reverse[0] = ConditionalNormal(nn.Linear(6, 4), 2)
    before = model(DATA, 500).log_weight.mean(0)
    learned = [posterior.step.requires_grad_(), *posterior.reverse.parameters()]
    optimizer = torch.optim.Adam(learned, 0.05)
    for _ in range(120):
        optimizer.zero_grad()
        (-model(DATA, 8).log_weight.mean()).backward()
        optimizer.step()
    log_weight = model(DATA, 2000).log_weight.detach()
    gap = log_p - log_weight
    assert (gap.mean(0) > -4 * gap.std(0) / 2000**0.5).all()
    assert (log_weight.mean(0) > before + 1).all()


def test_a_step_of_zero_and_a_reverse_model_that_is_the_momentums_are_the_vae():
    model, vae = bent("hvi", n_latent=2), bent("vae", n_latent=2)
    vae.decoder.load_state_dict(model.decoder.state_dict())
    vae.trunk.load_state_dict(model.trunk.encoder.state_dict())
    vae.posterior.load_state_dict(model.posterior.start.state_dict())
    net = model.posterior.reverse[0].net[-1]
    with torch.no_grad():
        model.posterior.step.zero_()
        net.weight.zero_()
        net.bias.copy_(torch.tensor([0.0, 0.0, *2 * [log(expm1(1 - MIN_LEVEL_SCALE))]]))
    torch.manual_seed(2)
    expected = vae(X, 3)
    torch.manual_seed(2)
    found = model(X, 3)
    torch.testing.assert_close(found.z, expected.z)
    torch.testing.assert_close(found.log_weight, expected.log_weight)


def smooth_slope(n: int = 2):
    net = nn.Sequential(nn.Linear(n, 7), nn.Tanh(), nn.Linear(7, 1))

    def slope(z: Tensor) -> Tensor:
        with torch.enable_grad():
            z = z if z.requires_grad else z.clone().requires_grad_()
            value = net(z).sum() - 0.5 * z.square().sum()
            return torch.autograd.grad(value, z, create_graph=True)[0]

    return slope


def test_leapfrog_steps_preserve_volume_and_lead_back_with_the_momentum_reversed():
    slope, step = smooth_slope(), torch.tensor([0.4, 0.9])
    z, v = torch.randn(2, 2)

    def moved(both: Tensor) -> Tensor:
        return torch.cat(leapfrog(slope, both[:2], both[2:], step, 4))

    jacobian = torch.autograd.functional.jacobian(moved, torch.cat([z, v]))
    assert (jacobian - torch.eye(4)).abs().max() > 0.5
    torch.testing.assert_close(jacobian.det(), torch.tensor(1.0))
    there_z, there_v = leapfrog(slope, z, v, step, 4)
    back_z, back_v = leapfrog(slope, there_z, -there_v, step, 4)
    torch.testing.assert_close(back_z, z)
    torch.testing.assert_close(back_v, -v)


def test_the_gradient_through_leapfrog_steps_is_the_slope():
    slope = smooth_slope()
    inputs = [torch.randn(3, 2).requires_grad_() for _ in range(2)]
    inputs.append(torch.tensor([0.3, -0.5]).requires_grad_())
    assert torch.autograd.gradcheck(lambda z, v, step: leapfrog(slope, z, v, step, 3), inputs)


def test_the_slope_is_that_of_log_p_of_x_and_z():
    model, _ = oscillator(3)
    z = torch.randn(2, len(DATA), 1, 2)
    maps = Maps(1)
    residual = DATA - maps.b - (maps.W @ z.unsqueeze(-1)).squeeze((2, -1))
    expected = (residual @ maps.W[0]).unsqueeze(2) / maps.noise**2 - z
    found = model.posterior._slope(DATA.unsqueeze(1), z)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("likelihood", ["bernoulli", "poisson"])  # which keeps x for gradients
def test_a_code_does_not_depend_on_the_mode_of_gradients(likelihood: str):
    model = bent("hvi", n_latent=2, n_iterations=2, likelihood=likelihood)
    found = []
    for mode in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        torch.manual_seed(0)
        with mode():
            found.append(model(X + 0, 2).log_weight + 0)
    assert found[0].requires_grad
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[1], found[2])


def test_the_decoder_is_the_models_own():
    model = deepcopy(bent("hvi"))
    names = list(model.state_dict())
    assert not any(name.startswith("posterior.decoder") for name in names)
    before = model(X, 2).z.std()
    torch.manual_seed(0)
    z = model.infer(X)[0].mean
    with torch.no_grad():
        for p in model.decoder.parameters():
            p.zero_()
    assert not torch.isclose(model.infer(X)[0].mean, z).any()
    assert before > 0


# -- an auxiliary variable


def test_with_the_exact_reverse_model_the_ratio_is_the_marginal_density():
    """Linear: a ~ N(m, t^2), z = w a + c + s noise; a given z is a normal in closed form."""
    h = torch.randn(6, 1, 3)
    m, t, w, c, s = torch.randn(1, 3), torch.tensor([0.7]), 1.3, 0.4, torch.tensor([0.5])
    variance = w**2 * t**2 + s**2
    gain = w * t**2 / variance
    auxiliary = affine(m, torch.zeros(1), t)
    conditional = affine(torch.tensor([[0.0, 0.0, 0.0, w]]), torch.tensor([c]), s)
    weight = torch.cat([(1 - gain * w).unsqueeze(1) * m, gain.unsqueeze(1)], 1)
    reverse = affine(weight, -gain * c, (t**2 * s**2 / variance).sqrt())
    q = AuxiliaryPosterior(auxiliary, conditional, reverse)(h)
    z, ratio = q.rsample_and_log_prob((1000,))
    marginal = diagonal_normal(w * (h @ m.T) + c, variance.sqrt().expand(6, 1, 1))
    torch.testing.assert_close(ratio, marginal.log_prob(z))
    torch.testing.assert_close(q.mean, marginal.mean)
    away = (z.mean(0) - marginal.mean) / marginal.stddev * 1000**0.5
    assert away.abs().max() < 4


def test_another_reverse_model_loosens_the_bound():
    """By the KL of the exact one to it, in expectation."""
    exact, other = bent("auxiliary-vae"), bent("auxiliary-vae")
    with torch.no_grad():
        for p in other.posterior.reverse.parameters():
            p *= 4
    terms = []
    for model in (exact, other):
        torch.manual_seed(0)
        terms.append(model(X, 2000).log_weight.detach())
    for log_weight in terms:
        log_p = quadrature(exact, X)
        gap = log_p - log_weight
        assert (gap.mean(0) > -4 * gap.std(0) / 2000**0.5).all()
    assert not torch.isclose(terms[0].mean(), terms[1].mean(), rtol=1e-3)


# -- both


@BOTH
def test_importance_sampling_agrees_with_quadrature(name: str):
    model = fitted(name)
    found, exact = log_likelihood(model, X, 4000), quadrature(model, X)
    assert ((found.log_prob - exact) / found.standard_error).abs().max() < 4
    assert found.standard_error.max() < 0.05
    assert (exact.max() - exact.min()) > 0.5  # the code says something


@BOTH
def test_the_bound_is_below_log_p_of_x(name: str):
    model = bent(name)
    with torch.no_grad():
        gap = quadrature(model, X) - model(X, 4000).log_weight
    assert (gap.mean(0) > 4 * gap.std(0) / 4000**0.5).all()


@BOTH
def test_the_density_of_other_codes_is_refused(name: str):
    q, _ = bent(name).infer(X)
    with pytest.raises(MixvaeError, match="call rsample_and_log_prob"):
        q.log_prob(q.mean)
    with pytest.raises(NotImplementedError):
        _ = q.variance


@BOTH
@pytest.mark.usefixtures("unchecked")
def test_training_raises_the_bound_and_resumes_to_the_same_weights(name: str, tmp_path):
    torch.set_default_dtype(torch.float32)
    data = mixvae.data.load("digits", binarize="dynamic").subset(128)
    how = {"progress": False, "pictures": False, "batch_size": 16, "accelerator": "cpu", "seed": 0}

    def build() -> recipes.BuiltRecipe:
        torch.manual_seed(0)
        return recipes.build(name, data, n_latent=3, hidden=[16], **SHORT[name])

    whole = mixvae.fit(build(), data, out=tmp_path / "whole", max_epochs=4, **how)
    assert whole.history[-1]["val/objective"] > whole.history[0]["val/objective"] + 2
    assert whole.metrics["bounds"]["objective_is_bound"]
    mixvae.fit(build(), data, out=tmp_path / "cut", max_epochs=2, **how)
    plain = {"progress": False, "pictures": False, "accelerator": "cpu"}
    resumed = mixvae.resume(tmp_path / "cut", data, max_epochs=4, **plain)
    both = (run.recipe.model.parameters() for run in (whole, resumed))
    for one, other in zip(*both, strict=True):
        assert torch.equal(one, other)
    again = mixvae.load(tmp_path / "whole").recipe.model
    assert torch.equal(again.reconstruct(data.test.x), whole.recipe.model.reconstruct(data.test.x))


# -- what is refused


@pytest.mark.parametrize(
    ("name", "options"),
    [("hvi", {"n_steps": 0}), ("hvi", {"n_iterations": 0}), ("auxiliary-vae", {"n_auxiliary": 0})],
)
def test_sizes_below_one_are_refused(name: str, options: dict):
    with pytest.raises(MixvaeError, match="must be at least 1; got 0"):
        recipes.build(name, (6,), **options)


def hamiltonian(**parts: nn.Module) -> HamiltonianPosterior:
    model = recipes.build("vae", (6,), n_latent=2, hidden=[4]).model
    own = {"start": model.posterior, "decoder": model.decoder, "prior": model.prior} | parts
    reverse = nn.ModuleList([ConditionalNormal(MLP(6, 4), 2)])
    return HamiltonianPosterior(reverse=reverse, x_shape=(6,), n_latent=2, **own)


def test_iterations_and_steps_of_the_part_are_checked():
    with pytest.raises(MixvaeError, match="n_iterations must be at least 1"):
        HamiltonianPosterior(*[nn.ModuleList()] * 4, x_shape=(6,), n_latent=2)


def test_a_code_that_cannot_move_freely_is_refused():
    part = hamiltonian(start=StickPosterior(4, 2, 1))
    with pytest.raises(MixvaeError, match="discrete or bounded"):
        part(torch.zeros(3, 1, 10))


class Rounded(nn.Module):
    """A decoder without a gradient."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, z: Tensor, w: Tensor):
        return self.decoder(z.detach().round(), w)


class Improper(nn.Module):
    """A prior without a gradient."""

    def forward(self, encode):
        class Flat:
            def log_prob(self, z: Tensor) -> Tensor:
                return torch.zeros_like(z[..., 0])

        return Flat()


def test_a_log_p_without_a_gradient_is_refused():
    decoder = Rounded(recipes.build("vae", (6,), n_latent=2, hidden=[4]).model.decoder)
    for frozen in (False, True):
        part = hamiltonian(decoder=decoder.requires_grad_(not frozen), prior=Improper())
        with pytest.raises(MixvaeError, match="there is none"):
            part(torch.zeros(3, 1, 10)).rsample()


def test_a_prior_that_calls_the_encoder_is_refused():
    part = hamiltonian(prior=VampPrior((6,), 3))
    with pytest.raises(MixvaeError, match="does not call the encoder"):
        part(torch.zeros(3, 1, 10)).rsample()


def test_compiled_and_exported_dynamics_are_refused(monkeypatch: pytest.MonkeyPatch):
    part = hamiltonian()
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    with pytest.raises(MixvaeError, match="train without compile"):
        part(torch.zeros(3, 1, 10)).rsample()
