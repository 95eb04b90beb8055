"""VLAE: an autoregressive prior, and a PixelCNN that sees near pixels only."""

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from mixvae import recipes
from mixvae.distributions import Delta
from mixvae.errors import MixvaeError
from mixvae.evaluation import log_likelihood
from mixvae.likelihoods import BernoulliLikelihood
from mixvae.likelihoods.pixelcnn import PixelCNNLikelihood
from mixvae.likelihoods.pixelcnn_network import PixelCNN

pytestmark = pytest.mark.usefixtures("maths")
SMALL = {"n_latent": 2, "hidden": [16], "pixelcnn_features": 6, "flow_hidden": [8]}


# -- how far a pixel sees


@pytest.mark.parametrize(("n_layers", "reach"), [(1, 1), (3, 1), (3, 2), (3, 3), (3, 4), (3, 5)])
def test_a_pixel_sees_the_pixels_before_it_within_the_reach(n_layers: int, reach: int):
    height, width = 7, 9
    net = PixelCNN(1, 1, 1, n_features=16, n_layers=n_layers, reach=reach)
    x = torch.rand(1, 1, height, width, requires_grad=True)
    outputs = net(x, torch.randn(1, 1, height, width))
    for i, j in product(range(height), range(width)):
        (gradient,) = torch.autograd.grad(outputs[0, 0, i, j], x, retain_graph=True)
        seen = torch.zeros(height, width, dtype=torch.bool)
        seen[max(i - reach, 0) : i, max(j - reach, 0) : j + reach + 1] = True
        seen[i, max(j - reach, 0) : j] = True
        assert torch.equal(gradient[0, 0] != 0, seen), (i, j)


def test_log_p_of_a_pixel_of_vlae_given_the_code_depends_on_near_pixels_alone():
    recipe = recipes.build("vlae", (1, 9, 9), **SMALL, pixelcnn_reach=2)
    p_x = recipe.model.decode(torch.randn(1, 1, 1, 2), torch.ones(1, 1, 1))
    x = torch.rand(1, 1, 1, 1, 9, 9).round()
    far, near = x.clone(), x.clone()
    far[..., 0, 0] = 1 - far[..., 0, 0]
    near[..., 4, 2] = 1 - near[..., 4, 2]
    context = p_x.context[0, 0]
    means = [p_x.net(v.reshape(1, 1, 9, 9), context) for v in (x, far, near)]
    assert means[0][0, 0, 4, 4] == means[1][0, 0, 4, 4]
    assert means[0][0, 0, 4, 4] != means[2][0, 0, 4, 4]


def test_samples_pixel_by_pixel_are_those_of_the_whole_network():
    likelihood = PixelCNNLikelihood(
        BernoulliLikelihood((1, 5, 4)), n_context=2, n_features=8, n_layers=3, reach=2
    )
    for p in likelihood.net.parameters():
        p.data *= 2
    p = likelihood(torch.randn(6, likelihood.n_params))
    torch.manual_seed(1)
    fast, slow = p.sample(), torch.zeros(6, 1, 5, 4)
    torch.manual_seed(1)
    for i, j in product(range(5), range(4)):
        probs = p.net(slow, p.context)[:, :, i, j].sigmoid()
        slow[:, :, i, j] = torch.bernoulli(probs)
    assert torch.equal(fast, slow)


def test_without_a_reach_it_is_the_layers():
    windows = lambda **o: [
        a.vertical.weight.shape[2:] for a in PixelCNN(1, 1, 1, n_layers=3, **o).layers
    ]
    assert windows() == windows(reach=5) == [(3, 7), (2, 3), (2, 3)]
    assert windows(reach=1) == [(1, 3), (1, 1), (1, 1)]


@pytest.mark.parametrize(
    ("reach", "message"), [(0, "reach must be at least 1"), (6, "at most 5 pixels; got 6")]
)
def test_a_reach_that_the_layers_do_not_have_is_an_error(reach: int, message: str):
    with pytest.raises(MixvaeError, match=message):
        PixelCNN(1, 1, 1, n_layers=3, reach=reach)


def test_flat_data_are_an_error():
    with pytest.raises(MixvaeError, match="a PixelCNN needs images"):
        recipes.build("vlae", (12,))


# -- the autoregressive prior


def prior(n_latent: int):
    recipe = recipes.build("vlae", (1, 4, 4), **SMALL | {"n_latent": n_latent})
    for p in recipe.model.prior.flow.parameters():
        p.data *= 3
    return recipe.model.prior(Delta)


@pytest.mark.parametrize("n_latent", [1, 2])
def test_its_density_integrates_to_one(n_latent: int):
    axis = torch.linspace(-20, 20, 601)
    z = torch.cartesian_prod(*[axis] * n_latent).reshape(-1, n_latent)
    with torch.no_grad():
        mass = prior(n_latent).log_prob(z).exp() * (40 / 600) ** n_latent
    assert float(mass.sum()) == pytest.approx(1, abs=1e-4)


def test_each_layer_of_it_is_autoregressive():
    p = prior(4)
    z = torch.randn(4, requires_grad=True)
    for number, layer in enumerate(p.transform.transforms):
        slope = torch.autograd.functional.jacobian(layer, z)
        slope = slope.flip(0, 1) if number % 2 else slope
        assert torch.equal(slope, slope.tril())
        assert (slope.tril(-1) != 0).any()


def test_the_bound_is_that_of_an_inverse_autoregressive_posterior_under_a_normal_prior():
    """Chen et al. 2017: codes z = f^-1(u) of the decoder, or f^-1 as a part of the decoder."""
    recipe = recipes.build("vlae", (1, 4, 4), **SMALL)
    model, x = recipe.model, torch.rand(3, 1, 4, 4).round()
    t = model(x, 5)
    u, log_det = t.p_z.to_base(t.z)
    normal = MultivariateNormal(torch.zeros(2), torch.eye(2))
    log_q_u = t.log_q - log_det  # density of u = f(z), an autoregressive flow of q(z | x)
    back = t.p_z.transform.inv(u)
    p_x = model.decode(back, t.w)
    other = p_x.log_prob(x.unsqueeze(1)) + normal.log_prob(u) - log_q_u
    torch.testing.assert_close(t.log_weight, other.squeeze(-1))


# -- the model


def test_log_p_x_is_that_of_quadrature():
    torch.manual_seed(1)
    recipe = recipes.build("vlae", (1, 3, 3), **SMALL | {"n_latent": 1})
    x = torch.rand(3, 1, 3, 3).round()
    found = log_likelihood(recipe.model, x, 2000)
    z = torch.linspace(-12, 12, 4001).reshape(-1, 1, 1, 1)
    model = recipe.model.eval()
    with torch.no_grad():
        p_x = model.decode(z.expand(-1, 3, 1, 1), torch.ones(4001, 3, 1))
        joint = p_x.log_prob(x[:, None]).squeeze(2) + model.prior(model.encode).log_prob(z[:, 0])
    exact = joint.logsumexp(0) + torch.tensor(24 / 4000).log()
    assert ((found.log_prob - exact).abs() < 4 * found.standard_error + 1e-6).all()


def test_a_few_steps_raise_the_bound():
    x = torch.eye(4).repeat_interleave(4, 0).reshape(4, 1, 4, 4).repeat(15, 1, 1, 1)
    recipe = recipes.build("vlae", (1, 4, 4), **SMALL, pixelcnn_reach=1)
    optimizer = torch.optim.Adam(recipe.model.parameters(), 0.01)

    def value() -> Tensor:
        return sum(recipe.objective(recipe.model, x).values())

    before = value().item()
    for _ in range(60):
        optimizer.zero_grad()
        (-value()).backward()
        optimizer.step()
    assert value().item() > before + 2
    assert recipe.objective_is_bound
