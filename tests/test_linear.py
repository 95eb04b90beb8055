"""Linear layers by the quicker library, beside PyTorch's own in float64."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mixvae.nn import MLP, Stacked
from mixvae.nn import linear as products
from mixvae.nn.linear import Linear, by_onednn, gain, linear, linears

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="PyTorch was built without oneDNN"
)
ROUNDING = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(params=["oneDNN", "as PyTorch does"])
def library(request, monkeypatch):
    """Every product by one library, however small."""
    monkeypatch.setattr(products, "MIN_OPERATIONS", 1)
    monkeypatch.setattr(products, "onednn_is_quicker", lambda: request.param == "oneDNN")
    return request.param


@pytest.fixture
def calls(monkeypatch):
    """The products that oneDNN takes."""
    taken, take = [], products.onednn
    monkeypatch.setattr(products, "MIN_OPERATIONS", 1)
    monkeypatch.setattr(products, "onednn_is_quicker", lambda: True)
    monkeypatch.setattr(products, "onednn", lambda *args: taken.append(args) or take(*args))
    return taken


INPUTS = {
    "rows": lambda: torch.randn(7, 5),
    "one row": lambda: torch.randn(5),
    "no rows": lambda: torch.randn(0, 5),
    "samples": lambda: torch.randn(3, 4, 5),
    "columns": lambda: torch.randn(5, 7).t(),
    "every other row": lambda: torch.randn(14, 5)[::2],
    "every other column": lambda: torch.randn(7, 10)[:, ::2],
    "one of several copies": lambda: torch.randn(7, 3, 5)[:, 1],
    "expanded": lambda: torch.randn(1, 5).expand(7, 5),
    "transposed samples": lambda: torch.randn(3, 4, 5).transpose(0, 1),
}


@pytest.mark.parametrize("made", INPUTS)
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_those_of_float64(library, made, bias):
    x, weight = INPUTS[made]().requires_grad_(), torch.randn(6, 5, requires_grad=True)
    leaves = [x, weight] + [torch.randn(6, requires_grad=True)] * bias
    y = linear(*leaves)
    upstream = torch.randn_like(y)
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    expected = F.linear(*exact)
    torch.testing.assert_close(y.double(), expected, **ROUNDING)
    found = torch.autograd.grad(y, leaves, upstream)
    gradients = torch.autograd.grad(expected, exact, upstream.double())
    for a, b in zip(found, gradients, strict=True):
        torch.testing.assert_close(a.double(), b, **ROUNDING)
    with torch.no_grad():
        torch.testing.assert_close(linear(*leaves).double(), expected, **ROUNDING)


def test_gradients_have_gradients(library):
    leaves = [torch.randn(n, 5, requires_grad=True) for n in (7, 6)]
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    both = []
    for layer, (x, weight) in ((linear, leaves), (F.linear, exact)):
        (to_x,) = torch.autograd.grad(layer(x, weight).sin().sum(), x, create_graph=True)
        both.append(torch.autograd.grad(to_x.square().sum(), (x, weight)))
    for a, b in zip(*both, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-4)


def test_stacked_products_have_gradients_of_gradients(library):
    shapes = (3, 7, 5), (3, 6, 5), (3, 6)
    leaves = [torch.randn(shape, requires_grad=True) for shape in shapes]
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    both = []
    for each in (leaves, exact):
        (to_x,) = torch.autograd.grad(linears(*each).sin().sum(), each[0], create_graph=True)
        both.append(torch.autograd.grad(to_x.square().sum(), each))
    for a, b in zip(*both, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("copies_last", [True, False])
def test_linears_are_a_loop_over_linear(library, copies_last):
    x = torch.randn(7, 3, 5).transpose(0, 1) if copies_last else torch.randn(3, 7, 5)
    leaves = [t.requires_grad_() for t in (x, torch.randn(3, 6, 5), torch.randn(3, 6))]
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    y, loop = linears(*leaves), torch.stack([F.linear(*each) for each in zip(*exact, strict=True)])
    torch.testing.assert_close(y.double(), loop, **ROUNDING)
    upstream = torch.randn_like(y)
    found = torch.autograd.grad(y, leaves, upstream)
    gradients = torch.autograd.grad(loop, exact, upstream.double())
    for a, b in zip(found, gradients, strict=True):
        torch.testing.assert_close(a.double(), b, **ROUNDING)


def test_linears_may_be_transformed(calls):
    x, weight, bias = torch.randn(3, 7, 5), torch.randn(3, 6, 5), torch.randn(3, 6)
    each = torch.vmap(lambda row: linears(row.unsqueeze(1), weight, bias), in_dims=1)(x)
    torch.testing.assert_close(each.squeeze(2).transpose(0, 1), linears(x, weight, bias))
    to_x = torch.func.grad(lambda x: linears(x, weight, bias).sum())(x)
    torch.testing.assert_close(to_x, weight.sum(1, keepdim=True).expand_as(x))


def test_every_product_of_a_step_is_taken_by_it(calls):
    net = nn.Sequential(MLP(5, 4, [6]), nn.Tanh())
    net(torch.randn(7, 5)).sum().backward()
    assert len(calls) == 2 + 3  # the input needs no gradient
    calls.clear()
    Stacked(lambda: MLP(5, 4, [6]), 3)(torch.randn(7, 3, 5)).sum().backward()
    assert len(calls) == 3 * 5


def test_it_is_left_out_where_it_could_not_be_used(calls):
    x, weight = torch.randn(7, 5), torch.randn(6, 5)
    assert linear(x.double(), weight.double()).dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x, weight).dtype == torch.bfloat16
    batched = torch.vmap(lambda row: linear(row.unsqueeze(0), weight))(x)
    torch.testing.assert_close(batched.squeeze(1), F.linear(x, weight))
    gradients = torch.func.vmap(torch.func.grad(lambda row: linear(row[None], weight).sum()))(x)
    torch.testing.assert_close(gradients, weight.sum(0).expand(7, -1))
    assert linear(x.to("meta"), weight.to("meta")).shape == (7, 6)
    with FakeTensorMode() as mode:
        fake = linear(mode.from_tensor(x), mode.from_tensor(weight))
    assert fake.shape == (7, 6)
    assert not calls


COMPILED = """
import torch
from torch._dynamo.backends.common import aot_autograd
from mixvae.nn import linear as products

products.MIN_OPERATIONS, products._found = 1, [True]
for layer, copies, *shapes in (
    (products.linear, 1, (7, 5), (6, 5), (6,)),
    (products.linears, 3, (3, 7, 5), (3, 6, 5), (3, 6)),
):
    graphs = []
    keep = lambda graph, inputs: graphs.append(str(graph.code)) or graph
    backend = aot_autograd(fw_compiler=keep, bw_compiler=keep)
    compiled = torch.compile(layer, fullgraph=True, backend=backend)
    leaves = [torch.randn(shape, requires_grad=True) for shape in shapes]
    made = [torch.autograd.grad(f(*leaves).sin().sum(), leaves) for f in (compiled, layer)]
    torch.testing.assert_close(*made)
    assert [graph.count("mixvae.linear") for graph in graphs] == [copies, 2 * copies]
"""


def test_it_is_taken_in_compiled_functions_too():
    """In a process of its own, as type checks at run time cannot be compiled."""
    subprocess.run([sys.executable, "-c", COMPILED], check=True)


def test_a_compiler_knows_what_shape_it_returns():
    args = torch.randn(3, 7, 5), torch.randn(6, 5), torch.randn(6)
    torch.library.opcheck(torch.ops.mixvae.linear.default, args)


def test_shapes_that_do_not_fit_are_left_to_pytorch_and_its_error(calls):
    assert by_onednn(torch.randn(7, 5), torch.randn(6, 5), 1)
    assert not by_onednn(torch.randn(7, 5), torch.randn(6, 4), 1)


def test_small_products_are_left_to_pytorch(monkeypatch):
    monkeypatch.setattr(products, "onednn_is_quicker", lambda: True)
    taken = []
    monkeypatch.setattr(products, "onednn", lambda x, w, b: taken.append(x) or F.linear(x, w, b))
    weight, bias = torch.zeros(2, 100, 200), torch.zeros(2, 100)
    linear(torch.zeros(100, 200), weight[0])
    linears(torch.zeros(2, 100, 200), weight, bias)
    assert len(taken) == 3
    linear(torch.zeros(99, 200), weight[0])
    linears(torch.zeros(2, 99, 200), weight, bias)
    assert len(taken) == 3


def test_a_linear_layer_is_pytorchs_but_for_its_product(library):
    torch.manual_seed(0)
    ours = Linear(5, 6)
    torch.manual_seed(0)
    theirs = nn.Linear(5, 6)
    assert isinstance(ours, nn.Linear)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    x = torch.randn(2, 7, 5)
    torch.testing.assert_close(ours(x), theirs(x), **ROUNDING)


@pytest.mark.parametrize(("resolution", "used"), [(1e-9, "thread_time"), (0.016, "perf_counter")])
def test_a_gain_is_the_ratio_of_the_least_times(resolution, used, monkeypatch):
    clock, told = [0.0], SimpleNamespace(resolution=resolution)
    monkeypatch.setattr(products.time, "get_clock_info", lambda name: told)
    monkeypatch.setattr(products.time, used, lambda: clock[0])
    slow, quick = iter([9.0, 6.0, 7.0]), iter([3.0, 8.0, 2.0])

    def way(seconds):
        clock[0] += next(seconds)

    assert gain(lambda: way(slow), lambda: way(quick), repeats=3) == 3.0


@pytest.mark.parametrize(("found", "quicker"), [(2.1, True), (1.1, False), (0.5, False)])
def test_onednn_is_taken_where_it_is_clearly_faster(found, quicker, monkeypatch):
    monkeypatch.setattr(products, "_found", [])
    gains = iter([found])  # it is measured once
    monkeypatch.setattr(products, "gain", lambda *ways: next(gains))
    assert products.onednn_is_quicker() is quicker
    assert products.onednn_is_quicker() is quicker


def test_without_onednn_there_is_no_choice(monkeypatch):
    monkeypatch.setattr(products, "_found", [])
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert products.onednn_is_quicker() is False
