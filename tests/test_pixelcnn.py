"""A PixelCNN as the likelihood: it is causal, it sums to one, and it draws what it says."""

import sys
from itertools import product
from math import log

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chisquare
from torch import Tensor

from cases import COLOUR, IMAGE, LARGER, K, L
from mixvae import recipes
from mixvae.errors import MixvaeError
from mixvae.evaluation import log_likelihood
from mixvae.likelihoods import (
    BernoulliLikelihood,
    CrossEntropy,
    GaussianLikelihood,
    Likelihood,
    LogisticLikelihood,
    LogisticMixtureLikelihood,
)
from mixvae.likelihoods.pixelcnn import Autoregressive, PixelCNNLikelihood
from mixvae.likelihoods.pixelcnn_network import PixelCNN
from mixvae.nn import MLP, Shared
from mixvae.parts.decoders import Decoder

pytestmark = pytest.mark.usefixtures("maths")
SMALL = {"n_context": 2, "n_features": 8, "n_layers": 2}


def made(conditional: Likelihood, **sizes: int) -> PixelCNNLikelihood:
    """With pixels that depend on each other, which the first weights hardly let them."""
    likelihood = PixelCNNLikelihood(conditional, **SMALL | sizes)
    for layer in likelihood.net.layers:
        for window in (layer.vertical, layer.horizontal):
            window.weight.data *= 4
    likelihood.net.head[-1].weight.data *= 6
    return likelihood


def bernoulli(x_shape: tuple[int, ...] = IMAGE, **sizes: int) -> PixelCNNLikelihood:
    return made(BernoulliLikelihood(x_shape), **sizes)


def decoder(likelihood: PixelCNNLikelihood) -> Decoder:
    return Decoder(Shared(MLP(L, likelihood.n_params, (8,))), likelihood)


def images(shape: tuple[int, int, int]) -> Tensor:
    n = shape[0] * shape[1] * shape[2]
    return torch.tensor(list(product([0.0, 1.0], repeat=n)), dtype=torch.float64).reshape(
        -1, *shape
    )


def plainly(p: Autoregressive, n: int) -> Tensor:
    """Draws by the whole network for every pixel."""
    context = p.context.expand(n, -1, -1, -1)
    x = torch.zeros(n, *p.event_shape)
    for i, j in product(*map(range, p.event_shape[1:])):
        outputs = p.net(x, context)[:, :, i : i + 1, j : j + 1]
        x[:, :, i : i + 1, j : j + 1] = p.conditional.pixels(outputs).sample()
    return x


# -- what a pixel sees


@pytest.mark.parametrize(("n_channels", "n_layers"), [(1, 1), (1, 2), (2, 3)])
def test_a_pixel_sees_all_pixels_before_it_in_its_window_and_no_others(n_channels, n_layers):
    height, width, reach = 7, 9, n_layers + 2
    net = PixelCNN(n_channels, n_channels, 1, n_features=16, n_layers=n_layers)
    x = torch.rand(1, n_channels, height, width, requires_grad=True)
    outputs = net(x, torch.randn(1, 1, height, width))
    for i, j in product(range(height), range(width)):
        seen = torch.zeros(height, width, dtype=torch.bool)
        left, right = max(j - reach, 0), j + reach + 1
        seen[max(i - reach, 0) : i, left:right] = True
        seen[i, left:j] = True
        for output in outputs[0, :, i, j]:
            (gradient,) = torch.autograd.grad(output, x, retain_graph=True)
            for of_channel in gradient[0]:
                assert torch.equal(of_channel != 0, seen), (i, j)


def test_it_is_gated_convolutions_whose_kernels_are_masked():
    """The paper's formulation: 7 x 7 and 3 x 3 kernels, and zeros where they would look ahead."""
    net, x, context = (
        PixelCNN(2, 3, 4, n_features=5, n_layers=3),
        torch.rand(2, 6, 5),
        torch.randn(4, 6, 5),
    )
    v = h = x
    for layer, half in zip(net.layers, (3, 1, 1), strict=True):
        rows, columns = layer.vertical.weight, layer.horizontal.weight
        above, left = (rows.new_zeros(10, len(v), 2 * half + 1, 2 * half + 1) for _ in range(2))
        above[:, :, : layer.reach] = rows  # the first layer's ends above the pixel: mask A
        left[:, :, half, : layer.reach] = columns[:, :, 0]
        told = F.conv2d(v, above, padding=half) + layer.context(context)
        gates = F.conv2d(h, left, layer.horizontal.bias, padding=half) + layer.link(told)
        v = told[:5].tanh() * told[5:].sigmoid()
        new = layer.out(gates[:5].tanh() * gates[5:].sigmoid())
        h = new if half == 3 else new + h
    torch.testing.assert_close(net(x[None], context[None])[0], net.head(h))


def test_every_pixel_reads_the_context_at_its_own_place():
    net = PixelCNN(1, 1, 2, n_features=16, n_layers=2)
    context = torch.randn(1, 2, 4, 5, requires_grad=True)
    outputs = net(torch.rand(1, 1, 4, 5), context)
    for i, j in product(range(4), range(5)):
        (gradient,) = torch.autograd.grad(outputs[0, 0, i, j], context, retain_graph=True)
        assert gradient[0, :, i, j].all()


def test_the_density_is_the_product_of_the_conditionals():
    """Against a network that is shown one pixel more at a time, with nothing after it."""
    p = bernoulli((1, 3, 4))(torch.randn(1, 24))
    x = torch.rand(1, 1, 3, 4).round()
    total = torch.zeros(1)
    for i, j in product(range(3), range(4)):
        shown = x.clone()
        shown[:, :, i, j:] = 0
        shown[:, :, i + 1 :] = 0
        mean = p.net(shown, p.context)[0, 0, i, j].sigmoid()
        total = total + (mean if x[0, 0, i, j] else 1 - mean).log()
    torch.testing.assert_close(p.log_prob(x), total)


# -- the distribution


def test_it_sums_to_one_over_all_images_whatever_the_code():
    z = 3 * torch.randn(2, 3, K, L)
    p = decoder(bernoulli((1, 2, 3)))(z, torch.full((2, 3, K), 1 / K))
    x = images((1, 2, 3)).reshape(64, 1, 1, 1, 1, 2, 3)
    probability = p.log_prob(x).exp()
    assert probability.shape == (64, 2, 3, K)
    torch.testing.assert_close(probability.sum(0), torch.ones(2, 3, K))
    assert (probability.std(0) > 0.001).all()  # not an even one, which sums to one by itself


def test_a_colour_image_sums_to_one():
    p = bernoulli((2, 2, 2))(torch.randn(8))
    torch.testing.assert_close(p.log_prob(images((2, 2, 2))).exp().sum(), torch.tensor(1.0))


@torch.no_grad()
def test_draws_are_as_frequent_as_their_probability():
    p, n = bernoulli((1, 3, 2))(torch.randn(1, 12)), 20_000
    every, drawn = images((1, 3, 2)), p.sample((n,))
    expected = n * p.log_prob(every).exp()
    code = lambda x: (x.flatten(1) @ (2.0 ** torch.arange(6))).long()
    observed = torch.bincount(code(drawn.squeeze(1)), minlength=64)[code(every)]
    alone = drawn.mean(0).flatten()  # the same pixels, were they independent
    independent = n * torch.where(every.flatten(1) == 1, alone, 1 - alone).prod(1)
    assert expected.min() > 5
    assert chisquare(observed, expected).pvalue > 0.01
    assert chisquare(observed, independent).pvalue < 1e-6


@pytest.mark.parametrize(
    "conditional",
    [BernoulliLikelihood((1, 5, 4)), GaussianLikelihood((3, 4, 5), scale=0.3)],
    ids=["bernoulli", "gaussian"],
)
@pytest.mark.parametrize("n_layers", [1, 3])
def test_drawing_step_by_step_is_drawing_with_the_whole_network_at_each_pixel(
    conditional, n_layers
):
    likelihood = made(conditional, n_layers=n_layers)
    p = likelihood(torch.randn(1, likelihood.n_params))
    torch.manual_seed(1)
    fast = p.sample((6,)).squeeze(1)
    torch.manual_seed(1)
    torch.testing.assert_close(fast, plainly(p, 6))
    assert len(fast.unique(dim=0)) == 6


@pytest.mark.parametrize(
    "conditional",
    [
        BernoulliLikelihood(LARGER),
        GaussianLikelihood(COLOUR),
        LogisticLikelihood(COLOUR),  # two outputs for each value
        LogisticMixtureLikelihood(COLOUR),  # its channels depend on each other
    ],
)
def test_the_mean_is_the_mean_of_every_pixel_given_the_means_before_it(conditional):
    likelihood = made(conditional)
    p = likelihood(torch.randn(2, 3, likelihood.n_params))
    mean = p.mean
    assert mean.shape == (2, 3, *conditional.x_shape)
    assert not mean.requires_grad
    outputs = p.net(mean.flatten(0, 1), p.context.flatten(0, 1))
    torch.testing.assert_close(mean.flatten(0, 1), conditional(outputs.flatten(1)).mean)


def test_one_image_is_measured_under_every_code_as_it_is_alone():
    """No leak: neither rows, samples nor components reach each other."""
    part = decoder(bernoulli())
    z, x = torch.randn(2, 3, K, L), torch.rand(3, *IMAGE).round()
    log_prob = part.each(z).log_prob(x.unsqueeze(1))
    assert log_prob.shape == (2, 3, K)
    for s, b, k in product(range(2), range(3), range(K)):
        alone = part.each(z[s, b, k].reshape(1, 1, 1, L)).log_prob(x[b])
        torch.testing.assert_close(alone.squeeze(), log_prob[s, b, k])


def test_draws_have_the_sample_the_batch_and_the_event_shape():
    p = bernoulli()(torch.randn(2, 3, 24))
    assert (p.batch_shape, p.event_shape, p.has_rsample) == ((2, 3), IMAGE, False)
    assert p.sample((4, 5)).shape == (4, 5, 2, 3, *IMAGE)
    assert p.log_prob(p.sample((4, 5))).shape == (4, 5, 2, 3)
    assert set(p.sample().flatten().tolist()) == {0, 1}


def test_a_bar_shows_the_progress_of_a_draw_if_asked(capsys, monkeypatch):
    p = bernoulli()(torch.randn(24))
    p.sample()
    assert not capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)  # else a line every half minute
    p.sample(progress=True)
    assert "rows of pixels: 100%" in capsys.readouterr().err


# -- in a decoder, and in a model


def test_the_code_decides_and_has_a_gradient():
    part, x = decoder(bernoulli()), torch.rand(1, *IMAGE).round()
    z = torch.randn(1, 1, K, L, requires_grad=True)
    log_prob = part.each(z).log_prob(x)
    assert len(log_prob.unique()) == K
    log_prob.sum().backward()
    assert z.grad.all()


def test_half_precision_leaves_densities_in_float32_inside_and_outside_of_autocast():
    torch.set_default_dtype(torch.float32)
    part, x = decoder(bernoulli()).float(), torch.rand(2, 1, *IMAGE).round()
    z = torch.randn(1, 2, K, L)
    full = part.each(z).log_prob(x)
    with torch.autocast("cpu", torch.bfloat16):
        p = part.each(z)
        inside = p.log_prob(x)
    for half in (inside, p.log_prob(x)):
        assert half.dtype == torch.float32
        assert not torch.equal(half, full)
        torch.testing.assert_close(half, full, rtol=0.02, atol=0.1)


@pytest.mark.parametrize("name", ["gmmp-vae", "mixture-vae"])
def test_a_model_learns_through_it_and_is_evaluated_as_any_other(name):
    small = {"n_components": K, "n_latent": L, "hidden": (8,)}
    small |= {"n_pseudo_inputs": 4} if name == "gmmp-vae" else {}
    recipe, x = recipes.build(name, IMAGE, **small), torch.rand(4, *IMAGE).round()
    model = recipe.model.double()
    model.decoder = decoder(bernoulli())
    sum(recipe.objective(model, x).values()).backward()
    for parameter_name, p in model.named_parameters():
        assert p.grad.isfinite().all(), parameter_name
        assert p.grad.any(), parameter_name
    assert model.reconstruct(x).shape == x.shape
    assert model.sample(5).shape == (5, *IMAGE)
    assert log_likelihood(model, x, 4).log_prob.isfinite().all()


def test_drawing_leaves_the_likelihood_as_it_was():
    conditional = GaussianLikelihood(IMAGE)
    likelihood = made(conditional)
    before = {name: p.clone() for name, p in likelihood.state_dict().items()}
    likelihood(torch.randn(24)).sample()
    assert (conditional.x_shape, conditional.n_params) == (IMAGE, 12)
    after = likelihood.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_scale_of_a_gaussian_is_learned_and_drawn_with():
    conditional = GaussianLikelihood(IMAGE)
    likelihood = made(conditional)
    conditional.log_scale.data.fill_(log(0.01))
    p = likelihood(torch.randn(24))
    p.log_prob(torch.rand(IMAGE)).backward()
    assert conditional.log_scale.grad
    x = p.sample()
    error = x - conditional(p.net(x[None], p.context[None]).flatten(1)).mean[0]
    assert 0 < error.abs().max() < 0.05


def test_it_answers_for_its_pixels_as_their_likelihood_does():
    for conditional in (BernoulliLikelihood(IMAGE), GaussianLikelihood(IMAGE), CrossEntropy(IMAGE)):
        likelihood = made(conditional)
        for said in ("x_shape", "term", "is_density", "is_discrete"):
            assert getattr(likelihood, said) == getattr(conditional, said)
        assert likelihood.autoregressive
    with pytest.raises(MixvaeError, match="grey levels"):
        bernoulli().check(torch.full((1, *IMAGE), 0.5))


@pytest.mark.parametrize(
    ("conditional", "sizes", "message"),
    [
        (BernoulliLikelihood((12,)), {}, r"needs images.*\(12,\)"),
        (BernoulliLikelihood(IMAGE, from_mean=True), {}, "from_mean"),
        (BernoulliLikelihood(IMAGE), {"n_layers": 0}, "n_layers must be at least 1; got 0"),
        (BernoulliLikelihood(IMAGE), {"n_features": 0}, "n_features must be at least 1; got 0"),
        (BernoulliLikelihood(IMAGE), {"n_context": 0}, "n_context must be at least 1; got 0"),
    ],
)
def test_what_it_cannot_be_made_of_is_said(conditional, sizes, message):
    with pytest.raises(MixvaeError, match=message):
        PixelCNNLikelihood(conditional, **sizes)
