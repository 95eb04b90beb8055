"""DRAW: its recurrence, its sequential posterior, and its bound against quadrature."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

import mixvae
from cases import FLAT, IMAGE
from mixvae.distributions import diagonal_normal, log_prob_widened, widened
from mixvae.errors import MixvaeError
from mixvae.evaluation import log_likelihood
from mixvae.families import Joint
from mixvae.model import MixtureVAE
from mixvae.nn import Shared
from mixvae.parts.decoders import Decoder
from mixvae.parts.draw import Canvas
from mixvae.parts.priors import NormalPrior
from mixvae.parts.weights import CategoricalWeights
from mixvae.recipes import build

pytestmark = pytest.mark.usefixtures("maths")
GRID = torch.linspace(-8, 8, 401, dtype=torch.float64)


def spread(model: MixtureVAE, factor: float = 3.0) -> MixtureVAE:
    """Larger weights, so that the code matters, and initial states that are not zero."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.randn_like(p) / 2 if name.endswith(("first", "blank")) else factor * p)
    return model


def draw(x_shape: tuple[int, ...] = FLAT, **options: Any) -> MixtureVAE:
    small = {"n_steps": 3, "n_latent": 2, "width": 5}
    return spread(build("draw", x_shape, seed=0, **small | options).model)


def lstm(x: Tensor, h: Tensor, c: Tensor, cell: nn.LSTMCell) -> tuple[Tensor, Tensor]:
    """Hochreiter & Schmidhuber's cell with a forget gate, written out."""
    gates = x @ cell.weight_ih.T + cell.bias_ih + h @ cell.weight_hh.T + cell.bias_hh
    i, f, g, o = gates.chunk(4)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def step_by_step(model: MixtureVAE, x: Tensor, noise: Tensor, name: str) -> tuple[Tensor, ...]:
    """Equations 3 to 8 of the paper for one x and one sample: codes, log q and the canvas."""
    posterior, (canvas, _) = model.posterior, model.posterior.decoder
    c = canvas.blank
    (h_e, s_e), (h_d, s_d) = posterior.cell.first, canvas.cell.first
    codes, log_q = [], torch.zeros(())
    for e in noise:
        mean = c.exp() if name == "poisson" else c.sigmoid()
        x_t, error = (x.log1p(), x.log1p() - mean.log1p()) if name == "poisson" else (x, x - mean)
        h_e, s_e = lstm(torch.cat([x_t, error, h_d]), h_e, s_e, posterior.cell.cell)
        loc, raw = posterior.head.net(h_e).chunk(2)
        q = Normal(loc, (1 + raw.exp()).log() + 1e-3)
        z = loc + q.scale * e
        log_q = log_q + q.log_prob(z).sum()
        h_d, s_d = lstm(z, h_d, s_d, canvas.cell.cell)
        c = c + canvas.write.weight @ h_d + canvas.write.bias
        codes.append(z)
    return torch.cat(codes), log_q, c


@pytest.mark.parametrize("name", ["bernoulli", "gaussian", "poisson"])
def test_the_recurrence_is_that_of_the_paper_step_by_step(name: str):
    model = draw(likelihood=name)
    x, noise = torch.rand(4, 12).round(), torch.randn(3, 4, 3, 2)
    q_z, _ = model.infer(x)
    for s in range(3):
        for b in range(4):
            codes, log_q, canvas = step_by_step(model, x[b], noise[s, b], name)
            z = codes.detach()[None, None, None]
            found = model.infer(x[b : b + 1])[0].log_prob(z)
            torch.testing.assert_close(found.squeeze(), log_q)
            p_x = model.decode(z, torch.ones(1, 1, 1))
            expected = model.decoder.likelihood(canvas).log_prob(x[b])
            torch.testing.assert_close(p_x.log_prob(x[b]).squeeze(), expected)
    assert q_z.mean.shape == (4, 1, 6)
    means = torch.stack([step_by_step(model, row, torch.zeros(3, 2), name)[0] for row in x])
    torch.testing.assert_close(q_z.mean[:, 0], means)


def test_one_step_is_a_vae_of_the_same_weights():
    model = draw(n_steps=1)
    posterior, canvas = model.posterior, model.decoder.branch.net

    class Encoder(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            h, hidden = canvas.cell.first[:1].expand(len(x), -1), posterior.cell.start(len(x))
            read = torch.cat([x, x - canvas.blank.sigmoid(), h], -1)
            return posterior.cell(read, hidden)[0].unsqueeze(1)

    class Net(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return canvas.blank + canvas.write(canvas.cell(z, canvas.cell.start(len(z)))[0])

    vae = MixtureVAE(
        trunk=Encoder(),
        posterior=posterior.head,
        weights=CategoricalWeights(1),
        decoder=Decoder(Shared(Net()), model.decoder.likelihood),
        prior=NormalPrior(torch.zeros(2)),
        family=Joint(),
    )
    x = torch.rand(6, 12).round()
    terms = []
    for one in (vae, model):
        torch.manual_seed(3)
        terms.append(one.family.elbo(one(x, 2)))
    torch.testing.assert_close(terms[0], terms[1])


def test_the_density_that_is_kept_of_a_sample_is_that_of_any_code():
    model, x = draw(), torch.rand(4, 12).round()
    parameters = list(model.parameters())
    found = []
    for codes in (lambda z: z, torch.clone):
        torch.manual_seed(2)
        q, _ = model.infer(x)
        z = q.rsample((3,))
        p = model.prior(model.encode)
        value = (q.log_prob(codes(z)) + q.kl(p, codes(z))).sum()
        gradient = torch.autograd.grad(value, parameters, allow_unused=True)
        found.append([value, *(g for g in gradient if g is not None)])
    assert len(found[0]) > 5
    torch.testing.assert_close(*found)


def test_a_density_has_gradients_though_the_sample_had_none():
    model, x = draw(), torch.rand(2, 12).round()
    q, _ = model.infer(x)
    assert q.log_prob(q.sample()).requires_grad
    with torch.no_grad():
        z = q.rsample()
    assert q.log_prob(z).requires_grad


def test_the_kl_of_the_steps_is_the_mean_log_ratio():
    model, x = draw(), torch.rand(2, 12).round()
    trace = model(x, 20_000)
    sampled = trace.log_q - trace.log_prior - trace.q_z.kl(trace.p_z, trace.z)
    error = sampled.std(0) / 20_000**0.5
    assert error.max() < 0.1
    assert (sampled.mean(0).abs() < 4 * error).all()
    of_steps = trace.q_z.kl(trace.p_z, trace.z)  # with less noise
    assert (of_steps.var(0) < (trace.log_q - trace.log_prior).var(0)).all()


def plane() -> Tensor:
    """All pairs of points of the grid, (N^2, 2)."""
    return torch.cartesian_prod(GRID, GRID)


def integral(f: Tensor) -> Tensor:
    """The integral of a function of the plane, (N^2), that is small at its ends."""
    return f.sum() * (GRID[1] - GRID[0]) ** 2


def log_joint(model: MixtureVAE, x: Tensor, z: Tensor) -> Tensor:
    """log p(x, z) of one x at codes (N, L)."""
    with torch.no_grad():
        p_x = model.decode(z[:, None, None], torch.ones(len(z), 1, 1))
        return (p_x.log_prob(x) + model.prior(model.encode).log_prob(z)[:, None, None]).flatten()


def test_the_posterior_of_two_steps_is_normalised_and_so_are_wider_ones():
    model, z = draw((3,), n_steps=2, n_latent=1), plane()
    q, _ = model.infer(torch.tensor([[1.0, 0.0, 1.0]]))
    with torch.no_grad():
        both = log_prob_widened(q, (1.0, 1.5), z[:, None, None])[:, 0, 0]
        for i, one in enumerate((q, widened(q, 1.5))):
            log_q = one.log_prob(z[:, None, None]).flatten()
            torch.testing.assert_close(both[:, i], log_q)
            torch.testing.assert_close(integral(log_q.exp()), torch.tensor(1.0), atol=1e-4, rtol=0)


def test_the_bound_and_importance_sampling_agree_with_quadrature():
    """Both steps have codes of one number, so that the integrals are over a plane."""
    model, z = draw((3,), n_steps=2, n_latent=1), plane()
    with torch.no_grad():
        model.posterior.head.net.bias[1] = 1.5  # wide enough for samples of the encoder alone
    x = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    joint = torch.stack([log_joint(model, row, z) for row in x])
    log_p = torch.stack([integral(row.exp()) for row in joint]).log()
    for method in ("defensive", "plain"):
        found = log_likelihood(model, x, 4000, method=method)
        assert found.standard_error.max() < 0.1
        assert ((found.log_prob - log_p).abs() < 4 * found.standard_error).all(), method
    with torch.no_grad():
        trace = model(x, 20_000)
        elbo = sum(trace.family.elbo(trace).values())
        error = trace.log_weight.std(0) / 20_000**0.5
        for i in range(2):
            log_q = model.infer(x[i : i + 1])[0].log_prob(z[:, None, None]).flatten()
            exact = integral(log_q.exp() * (joint[i] - log_q))
            assert abs(elbo[i] - exact) < 4 * error[i]
            assert exact < log_p[i]


def test_the_probabilities_of_all_images_add_up_to_one():
    model, z = draw((3,), n_steps=2, n_latent=1), plane()
    images = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    total = sum(integral(log_joint(model, x, z).exp()) for x in images)
    torch.testing.assert_close(total, torch.tensor(1.0))


def test_a_canvas_of_steps_has_every_steps_writing():
    canvas = Canvas(4, 2, 5, 3)
    z = torch.randn(6, 8)
    hidden, c = canvas.cell.start(6), canvas.blank
    for z_t in z.split(2, 1):
        hidden = canvas.cell(z_t, hidden)
        c = c + canvas.write(hidden[0])
    torch.testing.assert_close(canvas(z), c)


def test_the_parameters_of_the_decoder_are_listed_once():
    model = build("draw", IMAGE, n_steps=2, width=4).model
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    assert len(names) == len({id(p) for p in model.parameters()})
    assert not any(name.startswith("posterior.decoder") for name in model.state_dict())


@pytest.mark.parametrize("posterior", ["normal", "gaussian-process"])
@pytest.mark.usefixtures("unchecked")
def test_it_trains_is_loaded_and_evaluated(posterior: str, tmp_path: Any):
    torch.set_default_dtype(torch.float32)
    data = mixvae.data.load("digits", binarize="threshold").subset(256)
    recipe = build("draw", data, n_steps=3, n_latent=3, width=32, posterior=posterior, seed=0)
    how = {"max_epochs": 4, "batch_size": 32, "progress": False, "pictures": False, "seed": 0}
    run = mixvae.fit(recipe, data, out=tmp_path / "run", **how)
    assert run.history[-1]["val/objective"] > run.history[0]["val/objective"] + 2
    model, x = mixvae.load(tmp_path / "run").recipe.model, data.test.x[:4]
    assert torch.equal(model.reconstruct(x), run.recipe.model.reconstruct(x))
    assert log_likelihood(model, x, 200).log_prob.isfinite().all()


@pytest.mark.usefixtures("unchecked")
def test_sizes_below_one_are_refused():
    for option in ("n_steps", "n_latent", "width", "n_data"):
        with pytest.raises(MixvaeError, match=option):
            build("draw", FLAT, **{option: 0})
    with pytest.raises(MixvaeError, match="n_steps must be at least 1"):
        Canvas(0, 2, 5, 3)
    with pytest.raises(MixvaeError, match="posterior"):
        build("draw", FLAT, posterior="flow")


def test_an_expanded_posterior_has_the_density_of_its_rows():
    model, x = draw(), torch.rand(4, 12).round()
    q, _ = model.infer(x)
    wide: Distribution = q.expand((3, 4, 1))
    z = wide.sample((2,))
    assert z.shape == (2, 3, 4, 1, 6)
    torch.testing.assert_close(wide.log_prob(z), q.log_prob(z.flatten(0, 1)).unflatten(0, (2, 3)))
    assert isinstance(diagonal_normal(q.mean, q.stddev), Distribution)
