"""The networks that recipes choose by name: their layers, sizes and messages."""

from functools import partial
from itertools import product
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from mixvae.errors import MixvaeError
from mixvae.likelihoods import GaussianLikelihood
from mixvae.nn import MLP, Stacked
from mixvae.nn.conv import ConvNetwork
from mixvae.nn.gated import gated, he
from mixvae.nn.linear import Linear
from mixvae.nn.mlp import GatedMLPNetwork, MLPNetwork
from mixvae.nn.networks import NetworkName, decoders, encoders, network_of, sub_decoders
from mixvae.parts.decoders import Decoder

pytestmark = pytest.mark.usefixtures("maths", "unchecked")
CHANNELS = (32, 64, 128, 256, 256)
SHAPES = [
    *((1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 8, 8), (1, 4, 4), (2, 5, 4), (3, 7, 6)),
    *((1, 17, 33), (1, 4, 40), (3, 31, 9)),  # strips, which end as rows of one or two pixels
]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def of_kind(net: nn.Module, *kinds: type[nn.Module]) -> list[nn.Module]:
    return [m for m in net.modules() if isinstance(m, kinds)]


def run(net: nn.Module, x: Tensor, *kinds: type[nn.Module]) -> list[tuple[nn.Module, Tensor]]:
    """The layers of these kinds, each with what leaves it."""
    seen = []
    for layer in of_kind(net, *kinds):
        layer.register_forward_hook(lambda layer, _, y: seen.append((layer, y)))
    net(x)
    return seen


def sizes(net: nn.Module, x: Tensor) -> list[tuple[int, ...]]:
    """The shape of the image that leaves each convolution."""
    return [tuple(y.shape[1:]) for _, y in run(net, x, nn.Conv2d, nn.ConvTranspose2d)]


def test_an_encoder_halves_until_the_longest_side_is_four():
    net = lambda shape: ConvNetwork(shape, CHANNELS).encoder()
    assert sizes(net((1, 28, 28)), torch.rand(2, 1, 28, 28)) == [
        *((32, 14, 14), (64, 7, 7), (128, 4, 4), (256, 4, 4), (256, 4, 4))
    ]
    assert [c.stride for c in of_kind(net((3, 32, 32)), nn.Conv2d)] == [(2, 2)] * 3 + [(1, 1)] * 2
    assert [c.stride for c in of_kind(net((3, 64, 64)), nn.Conv2d)] == [(2, 2)] * 4 + [(1, 1)]


def test_a_decoder_mirrors_the_encoder():
    net = ConvNetwork((1, 28, 28), CHANNELS)
    assert sizes(net.decoder(3, 784), torch.rand(2, 3)) == [
        *((256, 4, 4), (128, 4, 4), (64, 7, 7), (32, 14, 14), (1, 28, 28))
    ]


def test_a_mix_decoder_enlarges_in_its_last_layers():
    net = ConvNetwork((3, 32, 32), CHANNELS)
    assert net.n_shared == 256 * 8 * 8
    assert sizes(net.mix_decoder(3072), torch.rand(2, 1, net.n_shared)) == [
        *((256, 8, 8), (128, 8, 8), (64, 8, 8), (32, 16, 16), (3, 32, 32))
    ]


@pytest.mark.parametrize(("side", "smallest"), [(28, 7), (32, 8), (64, 8), (8, 8), (9, 5)])
def test_a_sub_decoder_leaves_an_image_of_at_most_eight_pixels_a_side(side, smallest):
    net = ConvNetwork((1, side, side), CHANNELS)
    assert net.n_shared == 256 * smallest**2
    assert [type(layer) for layer in net.sub_decoder(3)] == [Linear, nn.Tanh]


@pytest.mark.parametrize("channels", [CHANNELS[:1], (4, 6), CHANNELS], ids=len)
@pytest.mark.parametrize("is_gated", [False, True], ids=["plain", "gated"])
@every_shape
def test_convolutions_restore_every_size(shape, channels, is_gated):
    net, x = ConvNetwork(shape, channels, gated=is_gated), torch.rand(2, *shape)
    n_params, h = x[0].numel(), net.encoder()(x)
    assert h.shape == (2, net.n_features)
    assert net.decoder(3, n_params)(torch.rand(2, 3)).shape == (2, n_params)
    features = net.sub_decoder(3)(torch.rand(2, 3))
    assert features.shape == (2, net.n_shared)
    assert net.mix_decoder(n_params)(features.unsqueeze(1)).shape == (2, 1, n_params)


@pytest.mark.parametrize("part", ["decoder", "mix_decoder"])
def test_parameters_come_channel_by_channel(part):
    """As a likelihood reads them: (C, H, W) in a row."""
    net = ConvNetwork((3, 6, 5), (4, 6))
    made = net.decoder(2, 90) if part == "decoder" else net.mix_decoder(90)
    last = of_kind(made, nn.ConvTranspose2d)[-1]
    last.weight.data.zero_()
    last.bias.data = torch.arange(3.0)
    rows = torch.rand(2, 2) if part == "decoder" else torch.rand(2, 1, net.n_shared)
    x = made(rows).unflatten(-1, (3, 6, 5))
    torch.testing.assert_close(x, torch.arange(3.0)[:, None, None].expand_as(x))


@pytest.mark.parametrize(
    ("channels", "n_groups"), [(1, 1), (4, 1), (15, 1), (16, 8), (20, 4), (32, 8), (256, 8)]
)
def test_a_group_norm_has_eight_groups_of_at_least_two_channels(channels, n_groups):
    net = ConvNetwork((1, 8, 8), (channels,))
    for made in (net.encoder(), net.decoder(3, 64)):
        assert [norm.num_groups for norm in of_kind(made, nn.GroupNorm)] == [n_groups]


@pytest.mark.parametrize("channels", [(1,), (3, 1), (2, 2, 2, 2, 2, 2)], ids=str)
@every_shape
def test_no_norm_is_of_a_single_value(shape, channels):
    """It would be a constant; of one example at a time, so that batch norm is safe too."""
    for norm in ("group", "batch"):
        net, n_params = ConvNetwork(shape, channels, norm), shape[1] * shape[2]
        seen = [
            *run(net.encoder(), torch.rand(1, *shape), nn.GroupNorm, nn.BatchNorm2d),
            *run(net.decoder(3, n_params), torch.rand(1, 3), nn.GroupNorm),
            *run(net.mix_decoder(n_params), torch.rand(1, 1, net.n_shared), nn.GroupNorm),
        ]
        for layer, y in seen:
            assert y.numel() > getattr(layer, "num_groups", y.shape[1])


def test_batch_norm_is_for_encoders_alone():
    """In a decoder, what one code says would depend on the others in its batch."""
    net = ConvNetwork((1, 8, 8), (4, 6), "batch")
    kinds = lambda made: {type(m) for m in of_kind(made, nn.BatchNorm2d, nn.GroupNorm)}
    assert kinds(net.encoder()) == {nn.BatchNorm2d}
    assert kinds(net.decoder(3, 64)) == kinds(net.mix_decoder(64)) == {nn.GroupNorm}
    assert [c.bias for c in of_kind(net.encoder(), nn.Conv2d)] == [None, None]


def test_a_network_can_do_without_norms():
    net = ConvNetwork((1, 8, 8), (4, 6), "none")
    for made in (net.encoder(), net.decoder(3, 64), net.mix_decoder(64)):
        assert not of_kind(made, nn.BatchNorm2d, nn.GroupNorm)
        assert all(c.bias is not None for c in of_kind(made, nn.Conv2d, nn.ConvTranspose2d))


@pytest.mark.parametrize("name", get_args(NetworkName))
@pytest.mark.parametrize("n_labels", [0, 3])
def test_components_are_separate_networks_that_read_the_same_x(name, n_labels):
    net = network_of(name, (2, 6, 5), (8, 7), (4, 6), "group")
    made, x = encoders(net, 4, n_labels), torch.rand(5, 2, 6, 5)
    if n_labels:
        wider = (5, 60 + n_labels) if name.endswith("mlp") else (5, 2 + n_labels, 6, 5)
        x = torch.rand(wider)
    h = made(x)
    assert h.shape == (5, 4, net.n_features)
    assert len(h.unique(dim=1)[0]) == 4
    z = torch.rand(5, 4, 3)
    assert decoders(net, 4, 3, 60)(z).shape == (5, 4, 60)
    assert sub_decoders(net, 4, 3)(z).shape == (5, 4, net.n_shared)
    assert net.mix_decoder(60)(torch.rand(5, 1, net.n_shared)).shape == (5, 1, 60)


def test_one_components_decoder_is_that_of_all_with_its_running_means():
    layers = lambda: nn.Sequential(
        nn.Linear(3, 24), nn.Unflatten(1, (6, 2, 2)), nn.BatchNorm2d(6), nn.Flatten()
    )
    decoder = Decoder(Stacked(layers, 4), GaussianLikelihood((24,)))
    decoder(torch.rand(2, 5, 4, 3) + torch.arange(4.0)[:, None], torch.ones(2, 5, 4))
    decoder.eval()
    z = torch.rand(2, 5, 4, 3)
    for k in range(4):
        own = decoder.of_component(z[:, :, k : k + 1], k).mean
        torch.testing.assert_close(own, decoder.each(z).mean[:, :, k : k + 1])


def test_an_mlps_decoders_mirror_its_encoder():
    net = MLPNetwork((1, 3, 4), (8, 7, 6), (nn.ELU, nn.Tanh, nn.Sigmoid))
    widths = lambda made: [(m.in_features, m.out_features) for m in of_kind(made, nn.Linear)]
    assert widths(net.encoder()) == [(12, 8), (8, 7), (7, 6)]
    assert widths(net.decoder(2, 12)) == [(2, 6), (6, 7), (7, 8), (8, 12)]
    assert widths(net.sub_decoder(2)) == [(2, 6)]
    assert widths(net.mix_decoder(12)) == [(6, 7), (7, 8), (8, 12)]
    inner, last = net.encoder()
    assert isinstance(inner, MLP)
    assert [type(m) for m in inner][1::2] == [nn.ELU, nn.Tanh]
    assert isinstance(last, nn.Sigmoid)


def by_hand(layer: nn.Module, x: Tensor) -> Tensor:
    """(W x + b) * sigmoid(V x + c), with W, b and V, c layers of their own."""
    halves = []
    for half in (0, 1):
        one = type(layer)(*sizes_of(layer))
        transposed = isinstance(layer, nn.ConvTranspose2d)
        one.weight.data = layer.weight.data.chunk(2, 1 if transposed else 0)[half]
        one.bias.data = layer.bias.data.chunk(2)[half]
        halves.append(one(x))
    return halves[0] * halves[1].sigmoid()


def sizes_of(layer: nn.Module) -> tuple:
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features // 2
    more = (layer.output_padding,) if isinstance(layer, nn.ConvTranspose2d) else ()
    where = (layer.kernel_size, layer.stride, layer.padding, *more)
    return layer.in_channels, layer.out_channels // 2, *where


def test_a_gated_mlp_multiplies_each_layer_by_its_gates():
    net, x, z = GatedMLPNetwork((3, 4), (8, 7, 6)), torch.randn(5, 12), torch.randn(5, 2)
    shared = torch.randn(5, 6)
    for made, read, widths, n_outputs in [
        (net.encoder(), x, [8, 7, 6], 0),
        (net.decoder(2, 12), z, [6, 7, 8], 1),
        (net.sub_decoder(2), z, [6], 0),
        (net.mix_decoder(12), shared, [7, 8], 1),
    ]:
        layers = of_kind(made, nn.Linear)
        h = read
        for layer in layers[: len(widths)]:
            h = by_hand(layer, h)
        for layer in layers[len(widths) :]:
            h = layer(h)
        assert [layer.out_features // 2 for layer in layers[: len(widths)]] == widths
        assert len(layers) == len(widths) + n_outputs
        torch.testing.assert_close(made(read), h)


def test_gated_convolutions_multiply_each_layer_by_its_gates():
    net, x = ConvNetwork((1, 6, 7), (4, 6), "none", gated=True), torch.randn(5, 1, 6, 7)
    encoder, decoder, z = net.encoder(), net.decoder(2, 42), torch.randn(5, 2)
    first, second = of_kind(encoder, nn.Conv2d)
    h = by_hand(second, by_hand(first, x)).flatten(1)
    torch.testing.assert_close(encoder(x), h)
    row, first, last = of_kind(decoder, nn.Linear, nn.ConvTranspose2d)
    h = last(by_hand(first, by_hand(row, z).unflatten(-1, (6, 3, 4))))
    torch.testing.assert_close(decoder(z), h.flatten(1))
    sub, mix = net.sub_decoder(2), net.mix_decoder(42)
    features = by_hand(*of_kind(sub, nn.Linear), z)
    torch.testing.assert_close(sub(z), features)
    first, last = of_kind(mix, nn.ConvTranspose2d)
    h = last(by_hand(first, features.unflatten(-1, (6, 6, 7)))).flatten(1)
    torch.testing.assert_close(mix(features.unsqueeze(1))[:, 0], h)


@pytest.mark.parametrize("name", ["gated-mlp", "gated-conv"])
@pytest.mark.parametrize("part", ["encoder", "decoder", "sub_decoder"])
def test_gated_networks_side_by_side_equal_a_loop_forward_and_backward(name, part):
    net = network_of(name, (2, 6, 5), (8, 7), (4, 6), "group")
    sizes = {"encoder": (), "decoder": (3, 60), "sub_decoder": (3,)}[part]
    copies = [getattr(net, part)(*sizes) for _ in range(4)]
    source = iter(copies)
    shared = part == "encoder"
    stacked = Stacked(lambda: next(source), 4, share_input=shared)
    x = net.layout()(torch.randn(5, 2, 6, 5)) if shared else torch.randn(5, 4, 3)
    loop = torch.stack([one(x if shared else x[:, k]) for k, one in enumerate(copies)], 1)
    together, towards = stacked(x), torch.randn_like(loop)
    torch.testing.assert_close(together, loop)
    (together * towards).sum().backward()
    (loop * towards).sum().backward()
    for p, *own in zip(stacked.parameters(), *(one.parameters() for one in copies), strict=True):
        torch.testing.assert_close(p.grad, torch.stack([q.grad for q in own]))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (partial(nn.Linear, 256, 400), (2000, 256)),
        (partial(nn.Conv2d, 64, 128, 3, padding=1), (20, 64, 16, 16)),
        (partial(nn.ConvTranspose2d, 64, 96, 3, 1, 1), (20, 64, 16, 16)),
        (partial(nn.ConvTranspose2d, 64, 96, 3, 2, 1, 1), (20, 64, 16, 16)),
    ],
    ids=["linear", "conv", "transposed", "transposed of stride 2"],
)
def test_hes_weights_double_the_variance_whatever_the_layer(make, shape):
    """Of inputs of variance 1: half of it is what a rectifier or a gate takes away."""
    layer = make()
    before = layer.bias.clone()
    assert he(layer) is layer
    assert torch.equal(layer.bias, before)
    layer.bias.data.zero_()
    y = layer(torch.randn(shape))
    inside = y if y.dim() == 2 else y[..., 2:-2, 2:-2]  # at the edge there are fewer inputs
    assert inside.var().item() == pytest.approx(2, rel=0.03)


def test_hes_weights_of_a_matrix_are_torchs():
    torch.manual_seed(1)
    one = he(nn.Linear(30, 20)).weight
    torch.manual_seed(1)
    torch.testing.assert_close(one, nn.init.kaiming_normal_(nn.Linear(30, 20).weight))


def test_gated_layers_keep_the_signal_that_torchs_weights_lose():
    x = torch.randn(500, 200)
    net = gated(200, [200] * 3)
    lost = gated(200, [200] * 3)
    for layer in of_kind(lost, nn.Linear):
        layer.reset_parameters()
    assert net(x).std() > 0.4 * x.std()
    assert lost(x).std() < 0.05 * x.std()


@pytest.mark.parametrize("name", get_args(NetworkName))
def test_hes_start_is_for_the_layers_before_a_gate(name):
    """Those that make parameters start as torch has it: uniform, and smaller."""
    net = network_of(name, (1, 8, 8), (90, 80), (48, 64), "none")
    for made, n_outputs in [
        *((net.encoder(), 0), (net.sub_decoder(50), 0)),
        *((net.decoder(50, 64), 1), (net.mix_decoder(64), 1)),
    ]:
        weights = [m.weight for m in of_kind(made, nn.Linear, nn.Conv2d, nn.ConvTranspose2d)]
        is_normal = [bool(w.abs().max() > 2 * w.std()) for w in weights]  # uniform: sqrt(3)
        n_gates = len(weights) - n_outputs if name.startswith("gated") else 0
        assert len(of_kind(made, nn.GLU)) == n_gates
        assert is_normal == [True] * n_gates + [False] * (len(weights) - n_gates)


conv = partial(network_of, "conv", hidden=(), norm="group")
SMALL = "needs images of at least 4 x 4 pixels, since it halves them; got {} x {}. Use network="


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (partial(network_of, "cnn", (1, 8, 8), (8,), (4,), "group"), "unknown network 'cnn'"),
        (partial(network_of, "conv", (1, 8, 8), (8,), (4,), "grup"), "Did you mean 'group'?"),
        (partial(network_of, "mlp", (1, 8, 8), (8,), (4,), "grup"), "unknown norm 'grup'"),
        (partial(network_of, "mlp", (8,), (), (4,), "group"), "hidden must name at least one"),
        (partial(conv, (1, 8, 8), channels=()), "channels must name at least one number, such as"),
        (partial(conv, (1, 8, 8), channels=(4, 0)), "channels must be at least 1; got 0"),
        (
            partial(conv, (64,), channels=(4,)),
            r"needs images, of shape \(channels, height, width\); got x of shape \(64,\)",
        ),
        (partial(conv, (8, 8), channels=(4,)), r"got x of shape \(8, 8\). Use network='mlp'"),
        (
            partial(network_of, "gated-mlp", (8,), (), (4,), "group"),
            "hidden must name at least one",
        ),
        (
            partial(network_of, "gated-conv", (8,), (), (4,), "group"),
            r"network='gated-conv' needs images.*Use network='gated-mlp'",
        ),
        (
            partial(network_of, "gated-conv", (1, 3, 8), (), (4,), "group"),
            r"network='gated-conv' needs images of at least 4 x 4.*Use network='gated-mlp'",
        ),
        *(
            (partial(conv, (1, *size), channels=(4,)), SMALL.format(*size))
            for size in product((3, 4), repeat=2)
            if size != (4, 4)
        ),
    ],
)
def test_a_network_that_cannot_be_is_refused_with_what_to_do(call, said):
    with pytest.raises(MixvaeError, match=said):
        call()
