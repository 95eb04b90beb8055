"""K networks in one batched call equal K networks in a loop."""

import subprocess
import sys
from functools import partial
from math import prod

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.utils.flop_counter import FlopCounterMode

from cases import Case
from mixvae.errors import MixvaeError
from mixvae.nn import MLP, POINTWISE, BoundedMean, Shared, Stacked, full_precision, layers
from mixvae.nn.layers import is_wide
from mixvae.nn.linear import Linear, linears

pytestmark = pytest.mark.usefixtures("maths")

NETWORKS = {
    "linear": lambda: nn.Linear(3, 2),
    "mlp": lambda: MLP(3, 2, (5, 4), nn.Tanh),
    "nested": lambda: nn.Sequential(nn.Sequential(MLP(3, 4), nn.ELU()), MLP(4, 2, (5,)), nn.Tanh()),
    "activation first": lambda: nn.Sequential(nn.ReLU(), nn.Linear(3, 2), nn.GELU()),
    "gated": lambda: nn.Sequential(nn.Linear(3, 8), nn.GLU(-1), nn.Linear(4, 2), nn.GLU(-1)),
    "every activation": lambda: nn.Sequential(nn.Linear(3, 2), *(layer() for layer in POINTWISE)),
}
IMAGE = (2, 7, 6)
CONVOLUTIONS = {
    "conv": lambda: nn.Conv2d(2, 3, 3, padding=1),
    "conv of stride 2": lambda: nn.Conv2d(2, 3, (3, 2), stride=2, padding=(1, 0)),
    "dilated conv without bias": lambda: nn.Conv2d(2, 3, 3, dilation=2, bias=False),
    "conv of the same size": lambda: nn.Conv2d(2, 3, (5, 3), padding="same"),
    "transposed": lambda: nn.ConvTranspose2d(2, 3, 3, padding=1),
    "transposed of stride 2": lambda: nn.ConvTranspose2d(2, 3, 3, 2, 1, (1, 0)),
    "dilated transposed without bias": lambda: nn.ConvTranspose2d(2, 3, 3, dilation=2, bias=False),
    "group norm": lambda: nn.Sequential(nn.Conv2d(2, 6, 3), nn.GroupNorm(3, 6), nn.ReLU()),
    "batch norm": lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, momentum=0.3)),
    "to a row and back": lambda: nn.Sequential(
        *(nn.ReLU(), nn.Conv2d(2, 4, 3, 2), nn.Flatten(), nn.Linear(24, 8)),
        *(nn.Unflatten(1, (2, 2, 2)), nn.ConvTranspose2d(2, 1, 3), nn.Flatten(2)),
    ),
    "gated conv": lambda: nn.Sequential(nn.Conv2d(2, 6, 3), nn.GroupNorm(1, 6), nn.GLU(-3)),
    "gated transposed": lambda: nn.Sequential(nn.ConvTranspose2d(2, 6, 3, 2), nn.GLU(-3)),
    "a row first": lambda: nn.Sequential(
        *(nn.Flatten(), nn.Linear(84, 8), nn.Unflatten(-1, (2, 2, 2)), nn.GroupNorm(1, 2)),
        *(nn.ConvTranspose2d(2, 2, 3), nn.BatchNorm2d(2), nn.Flatten(-2)),
    ),
}
INPUTS = dict.fromkeys(NETWORKS, (3,)) | dict.fromkeys(CONVOLUTIONS, IMAGE)


@pytest.mark.parametrize("share_input", [False, True], ids=["own input", "shared input"])
@pytest.mark.parametrize("n_copies", [1, 4])
@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("wide", [0, layers.WIDE], ids=["one by one", "in groups"])
def test_stacked_equals_a_loop_forward_and_backward(name, n_copies, share_input, wide, monkeypatch):
    monkeypatch.setattr(layers, "WIDE", wide)
    make, shape = (NETWORKS | CONVOLUTIONS)[name], INPUTS[name]
    copies = [make() for _ in range(n_copies)]
    for p in nn.ModuleList(copies).parameters():
        p.data += 0.1 * torch.randn_like(p)  # norms start alike
    source = iter(copies)
    stacked = Stacked(lambda: next(source), n_copies, share_input=share_input)
    x = torch.randn(5, *shape) if share_input else torch.randn(5, n_copies, *shape)
    x_stacked, x_loop = x.clone().requires_grad_(), x.clone().requires_grad_()

    together = stacked(x_stacked)
    loop = [net(x_loop if share_input else x_loop[:, k]) for k, net in enumerate(copies)]
    torch.testing.assert_close(together, torch.stack(loop, 1))

    towards = torch.randn_like(together)
    (together * towards).sum().backward()
    (torch.stack(loop, 1) * towards).sum().backward()
    torch.testing.assert_close(x_stacked.grad, x_loop.grad)
    for (name, p), *own in zip(
        stacked.body.named_parameters(), *(net.parameters() for net in copies), strict=True
    ):
        torch.testing.assert_close(p.grad, torch.stack([q.grad for q in own]), msg=name)


def test_stacked_products_have_the_gradients_that_differences_say():
    x, weight, bias = (torch.randn(*shape) for shape in [(2, 4, 3), (2, 5, 3), (2, 5)])
    operands = [t.double().requires_grad_() for t in (x, weight, bias)]
    assert torch.autograd.gradcheck(linears, operands)
    assert torch.autograd.gradgradcheck(linears, operands)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_gradients_of_stacked_weights_lie_as_the_weights_do(precision):
    """Else they would be copied at every step."""
    made = []

    layer = Stacked(lambda: nn.Linear(3, 2), 4).body.float()
    layer.weight.register_hook(made.append)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        layer(torch.randn(5, 4, 3, dtype=torch.float32)).float().sum().backward()
    assert made[0].stride() == layer.weight.stride()
    assert made[0].dtype == torch.float32


def test_stacked_batch_norm_equals_a_loop_in_evaluation_too():
    """Its buffers are the copies' own, side by side."""
    copies = [nn.BatchNorm2d(3, momentum=0.2) for _ in range(4)]
    source = iter(copies)
    stacked = Stacked(lambda: next(source), 4)
    for _ in range(2):
        x = 2 * torch.randn(5, 4, 3, 2, 6) + torch.arange(4.0)[:, None, None, None]
        stacked(x)
        for k, net in enumerate(copies):
            net(x[:, k])
    for name, buffer in stacked.body.named_buffers():
        torch.testing.assert_close(buffer, torch.stack([getattr(c, name) for c in copies]))
    assert stacked.body.num_batches_tracked.tolist() == [2, 2, 2, 2]

    before = {name: buffer.clone() for name, buffer in stacked.named_buffers()}
    stacked.eval()
    loop = torch.stack([net.eval()(x[:, k]) for k, net in enumerate(copies)], 1)
    torch.testing.assert_close(stacked(x), loop)
    torch.testing.assert_close(stacked(x[:1]), loop[:1])
    assert all(torch.equal(buffer, before[name]) for name, buffer in stacked.named_buffers())


@pytest.mark.parametrize("make", CONVOLUTIONS.values(), ids=CONVOLUTIONS.keys())
def test_every_parameter_and_buffer_of_a_stack_leads_with_its_copies(make):
    one, stacked = make(), Stacked(make, 4)
    state = stacked.body.state_dict()
    assert {n: v.shape for n, v in state.items()} == {
        name: (4, *value.shape) for name, value in one.state_dict().items()
    }


def test_a_stack_whose_input_is_shared_is_the_stack_that_gets_it_repeated():
    make = CONVOLUTIONS["to a row and back"]
    own, shared = Stacked(make, 3), Stacked(make, 3, share_input=True)
    own.load_state_dict(shared.state_dict())
    x = torch.randn(5, *IMAGE)
    torch.testing.assert_close(shared(x), own(x.unsqueeze(1).expand(-1, 3, -1, -1, -1)))


def test_stacked_copies_start_different():
    weight = Stacked(lambda: nn.Linear(3, 2), 3).body.weight
    assert len(weight.unique(dim=0)) == 3


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv1d(1, 2, 3),
        lambda: nn.BatchNorm1d(3),
        lambda: nn.Softmax(-1),
        lambda: nn.GLU(1),
        lambda: nn.Dropout(),
        lambda: nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3)),
        lambda: type("MyConv2d", (nn.Conv2d,), {})(1, 2, 3),
    ],
    ids=["Conv1d", "BatchNorm1d", "Softmax", "GLU", "Dropout", "LayerNorm", "MyConv2d"],
)
def test_stacked_names_a_layer_that_it_cannot_batch(make, request):
    layer = request.node.callspec.id
    with pytest.raises(MixvaeError, match=f"no batched form of {layer}; it knows Linear, Conv2d"):
        Stacked(make, 2)


@pytest.mark.parametrize(
    ("make", "share_input", "said"),
    [
        (lambda: nn.Linear(3, 2, bias=False), False, "Linear with bias=False; use bias=True"),
        (lambda: nn.Conv2d(4, 4, 3, groups=2), False, "Conv2d with groups=2; use groups=1"),
        (
            lambda: nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"),
            False,
            "Conv2d with padding_mode='reflect'; use padding_mode='zeros'",
        ),
        (
            lambda: nn.ConvTranspose2d(4, 4, 3, groups=2),
            False,
            "ConvTranspose2d with groups=2; use groups=1",
        ),
        (
            lambda: nn.GroupNorm(1, 2, affine=False),
            False,
            "GroupNorm with affine=False; use affine=True",
        ),
        (
            lambda: nn.BatchNorm2d(2, track_running_stats=False),
            False,
            "BatchNorm2d with track_running_stats=False; use track_running_stats=True",
        ),
        (
            lambda: nn.BatchNorm2d(2, momentum=None),
            False,
            "BatchNorm2d with momentum=None; use momentum=0.1",
        ),
        (
            lambda: nn.Sequential(nn.GroupNorm(1, 2), nn.Conv2d(2, 2, 3)),
            True,
            "GroupNorm with share_input=True; use share_input=False",
        ),
        (
            lambda: nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 2, 3)),
            True,
            "BatchNorm2d with share_input=True; use share_input=False",
        ),
    ],
    ids=lambda value: value.partition(";")[0] if isinstance(value, str) else "",
)
def test_stacked_names_a_setting_that_it_cannot_batch(make, share_input, said):
    with pytest.raises(MixvaeError, match=f"no batched form of {said}"):
        Stacked(make, 2, share_input=share_input)


def test_a_shared_input_that_no_layer_reads_is_an_error():
    with pytest.raises(MixvaeError, match="needs a network with a linear layer or a convolution"):
        Stacked(lambda: nn.Sequential(nn.Flatten(), nn.Tanh()), 2, share_input=True)
    assert Stacked(nn.Tanh, 2)(torch.zeros(5, 2, 3)).shape == (5, 2, 3)


def test_a_shared_network_does_the_same_to_every_component():
    net = nn.Sequential(nn.Unflatten(-1, (2, 2, 3)), nn.Conv2d(2, 4, 2), nn.Flatten())
    x = torch.randn(5, 3, 12)
    loop = torch.stack([net(x[:, k]) for k in range(3)], 1)
    torch.testing.assert_close(Shared(net)(x), loop)


def test_no_copies_is_an_error():
    with pytest.raises(MixvaeError, match="n_copies must be at least 1; got 0"):
        Stacked(nn.Tanh, 0)


def test_an_mlp_has_an_activation_after_each_layer_but_the_last():
    kinds = [type(layer) for layer in MLP(3, 2, (5, 4), [nn.ELU, nn.Tanh])]
    assert kinds == [Linear, nn.ELU, Linear, nn.Tanh, Linear]
    widths = [(n.in_features, n.out_features) for n in MLP(3, 2, (5, 4)) if hasattr(n, "bias")]
    assert widths == [(3, 5), (5, 4), (4, 2)]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, 2), "in_features must be at least 1; got 0"),
        ((3, -1), "out_features must be at least 1; got -1"),
        ((3, 2, (5, 0)), "hidden must be at least 1; got 0"),
    ],
)
def test_an_mlp_refuses_a_width_below_one(sizes, message):
    with pytest.raises(MixvaeError, match=message):
        MLP(*sizes)


def test_means_are_taken_in_full_precision():
    logits = torch.tensor([7.0], dtype=torch.bfloat16)
    assert logits.sigmoid() == 1  # which is why
    mean = BoundedMean()(logits)
    assert mean.dtype == torch.float32
    assert mean < 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_full_precision_raises_half_and_leaves_the_rest(dtype):
    assert full_precision(torch.zeros(1, dtype=dtype)).dtype == torch.float32
    double = torch.zeros(1, dtype=torch.float64)
    assert full_precision(double) is double


def test_an_m_vae_equals_separate_vaes_in_a_loop_forward_and_backward():
    """The whole model, its codes' noise and its weights' draw given."""
    model, x = Case("m-vae").build().model, Case("m-vae").data()
    trace = model(x, 1)
    q_z, w = trace.q_z.base_dist, trace.w.detach()
    noise = ((trace.z - q_z.loc) / q_z.scale).detach()
    concentration = trace.q_w.concentration
    value = model.decoder(trace.z, w).log_prob(x.unsqueeze(1)).sum()
    value = value - kl_divergence(trace.q_z, trace.p_z).sum() + concentration.log().sum()
    value.backward()

    def one(make, body, k):
        net = make()
        net.load_state_dict({name: p.detach()[k] for name, p in body.named_parameters()})
        return net

    # (part of the model, its batched body, the same network written for one component)
    encoder = lambda: nn.Sequential(MLP(12, 6, (8,)), nn.ReLU())
    parts = [
        ("trunk", model.trunk[1].body, encoder),
        ("posterior", model.posterior.net.body, partial(nn.Linear, 6, 4)),
        ("weights", model.weights.net.body, partial(nn.Linear, 6, 1)),
        ("decoder", model.decoder.branch[0].body, partial(MLP, 2, 12, (6, 8))),
    ]
    vaes = [{name: one(make, body, k) for name, body, make in parts} for k in range(3)]
    blended, plain = 0.0, 0.0
    for k, vae in enumerate(vaes):
        h = vae["trunk"](x.flatten(1))
        loc, raw = vae["posterior"](h).chunk(2, -1)
        q = Normal(loc, nn.functional.softplus(raw) + 1e-6)
        torch.testing.assert_close(q.loc, q_z.loc[:, k])
        torch.testing.assert_close(q.scale, q_z.scale[:, k])
        a = nn.functional.softplus(vae["weights"](h))[:, 0] + 1e-6
        torch.testing.assert_close(a, concentration[:, k])
        z = q.loc + q.scale * noise[0, :, k]
        blended = blended + w[0, :, k, None] * vae["decoder"](z).sigmoid()
        plain = plain - kl_divergence(q, Normal(0.0, 1.0)).sum() + a.log().sum()
    pixels = x.flatten(1)
    plain = plain + (pixels * blended.log() + (1 - pixels) * (1 - blended).log()).sum()
    torch.testing.assert_close(value, plain)

    plain.backward()
    for name, body, _ in parts:
        for key, p in body.named_parameters():
            loop = torch.stack([dict(vae[name].named_parameters())[key].grad for vae in vaes])
            torch.testing.assert_close(p.grad, loop)


def test_what_is_expanded_to_all_copies_is_read_as_copies_of_it_are():
    """One wide product in the place of K: the same values, and the same gradients."""
    net = Stacked(lambda: MLP(5, 3, [4]), 3)
    gradients = []
    for spread in (lambda x: x.expand(-1, 3, -1), lambda x: x.repeat(1, 3, 1)):
        x = torch.linspace(-1, 1, 35).reshape(7, 1, 5).requires_grad_()
        net.zero_grad()
        made = net(spread(x))
        made.square().sum().backward()
        gradients.append([made.detach(), x.grad, *(p.grad.clone() for p in net.parameters())])
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv2d(4, 6, 4, 2, 1),
        lambda: nn.Conv2d(4, 6, 3, (1, 2), 1),
        lambda: nn.ConvTranspose2d(4, 6, 4, 2, 1),
    ],
)
def test_a_wide_convolution_is_one_of_many_operations(make, monkeypatch):
    x, net = torch.zeros(5, 3, 4, 8, 8), make()
    with FlopCounterMode(display=False) as counter:
        net(x[:, 0])
    monkeypatch.setattr(layers, "WIDE", counter.get_total_flops())
    weight = torch.zeros(3, *net.weight.shape)
    strides = 1 if isinstance(net, nn.ConvTranspose2d) else prod(net.stride)
    assert is_wide(x, weight, strides)
    assert not is_wide(x[:4], weight, strides)
    assert not is_wide(x[:, :1], weight[:1], strides), "a single copy has no axis to stack"
    assert not is_wide(x.to("meta"), weight.to("meta"), strides)


COMPILED = """
import torch
from torch._dynamo.backends.common import aot_autograd
from mixvae.nn import ReLU

graphs = []
keep = lambda graph, inputs: graphs.append(graph) or graph
backend = aot_autograd(fw_compiler=keep, bw_compiler=keep)
x = torch.tensor([-2.0, -0.0, 0.0, 0.5, 3.0], requires_grad=True)
found = []
for layer in torch.nn.ReLU(), ReLU():
    y = torch.compile(layer, fullgraph=True, backend=backend)(x)
    found.append((y, *torch.autograd.grad(y.sin().sum(), x)))
torch.testing.assert_close(*found, rtol=0, atol=0)
assert "sign" in graphs[-1].code and "threshold_backward" not in graphs[-1].code
"""


def test_a_compiled_relu_is_pytorchs_and_asks_for_signs():
    """In a process of its own, as type checks at run time cannot be compiled."""
    subprocess.run([sys.executable, "-c", COMPILED], check=True)
