"""Linear layers in float32, by the faster of the two CPU libraries that PyTorch has.

PyTorch uses MKL for float32 products, which on an AMD Zen 5 is limited to AVX2, and oneDNN for
bfloat16 and convolutions, which uses AVX-512 there: its float32 products are twice as fast. Both
have float32's rounding errors. Which one is faster is measured once.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock, local
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

MIN_GAIN = 1.3  # speed of oneDNN relative to MKL; libraries of equal speed measure much less
MIN_OPERATIONS = 4_000_000  # of a product; below, the calls cost more than they save
SIZE, REPEATS = 256, 10  # of the products measured, which take under 0.02 s
MEASURING = RLock()  # held by the thread that measures, which changes PyTorch's number of threads
PLAIN = {Tensor, nn.Parameter}  # other subclasses have products of their own

Float32Library = Literal["onednn", "mkl"]
Rows = Float[Tensor, "*n I"]
Weight = Float[Tensor, "*one O I"]


class Linear(nn.Linear):
    """``torch.nn.Linear``, by the faster library."""

    def forward(self, input: Float[Tensor, "*n I"]) -> Float[Tensor, "*n O"]:
        return linear(input, self.weight, self.bias)


def linear(x: Rows, weight: Weight, bias: Tensor | None = None) -> Float[Tensor, "*n O"]:
    """``torch.nn.functional.linear``, by the faster library; gradients of any order too.

    Weight and bias may have an additional leading axis of size 1.
    """
    if by_onednn(x, weight, 2 * x.numel() * weight.shape[-2]):
        y: Tensor = _Linear.apply(x, weight, bias)
        return y
    if weight.dim() == 3:
        weight, bias = weight.squeeze(0), None if bias is None else bias.squeeze(0)
    return F.linear(x, weight, bias)


def linears(
    x: Float[Tensor, "K N I"], weight: Float[Tensor, "K O I"], bias: Float[Tensor, "K O"]
) -> Float[Tensor, "K N O"]:
    """K linear layers, by the faster library; gradients of any order too.

    A weight's gradient has the weight's memory layout. That of ``torch.baddbmm`` would be
    (K, I, O) and copied.
    """
    operands = [x, weight, bias]
    if torch.is_autocast_enabled(x.device.type):  # it casts nothing for a Function
        dtype = torch.get_autocast_dtype(x.device.type)
        operands = [t.to(dtype) for t in operands]
    # torch.func needs another kind of Function, and torch.export cannot have any.
    if torch._C._are_functorch_transforms_active() or torch.compiler.is_exporting():
        return _products(*operands)
    y: Tensor = _Linears.apply(*operands)
    return y


def by_onednn(x: Tensor, weight: Tensor, n_operations: int) -> bool:
    """Whether oneDNN is to compute the product of x (*, I) and a weight (*, I).

    Shapes that do not fit are left to PyTorch, for its error message.
    """
    return (
        not torch.compiler.is_exporting()  # a program for any number of rows, and any library
        and n_operations >= MIN_OPERATIONS
        and x.dtype == weight.dtype == torch.float32
        and x.is_cpu
        and x.shape[-1] == weight.shape[-1]
        and not torch.is_autocast_enabled("cpu")
        and (torch.compiler.is_compiling() or _is_plain(x, weight))
        and _onednn_is_used()
    )


def _is_plain(x: Tensor, weight: Tensor) -> bool:
    """Whether these are plain tensors, outside ``torch.func``, as oneDNN's product requires."""
    plain = {type(x), type(weight)} <= PLAIN
    return plain and not torch._C._are_functorch_transforms_active()


def onednn(
    x: Rows, weight: Float[Tensor, "O I"], bias: Float[Tensor, " O"] | None = None
) -> Float[Tensor, "*n O"]:
    """x W^T + b by oneDNN, without a gradient."""
    if torch.compiler.is_compiling():
        compiled: Tensor = torch.ops.mixvae.linear.default(x, weight, bias)
        return compiled
    y: Tensor = torch.ops.mkldnn._linear_pointwise.default(
        _dense(x), _dense(weight), bias, "none", [], ""
    )
    return y


# An operation of our own: torch.compile assumes that mkldnn's has constant weights, and fails.
torch.library.define("mixvae::linear", "(Tensor x, Tensor weight, Tensor? bias) -> Tensor")
torch.library.impl("mixvae::linear", "cpu", onednn)
torch.library.register_fake(
    "mixvae::linear", lambda x, weight, bias: x.new_empty(*x.shape[:-1], weight.shape[0])
)


class _Linear(torch.autograd.Function):
    """A product whose gradients use the same library."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        n_out, n_in = weight.shape[-2:]
        return onednn(x, weight.view(n_out, n_in), None if bias is None else bias.view(n_out))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        to_x, to_weight, to_bias = ctx.needs_input_grad
        n_out, n_in = weight.shape[-2:]
        product = linear if torch.is_grad_enabled() else onednn
        rows = grad.reshape(-1, n_out)
        across = weight.view(n_out, n_in).t()
        return (
            product(grad, across) if to_x else None,
            product(rows.t(), x.reshape(-1, n_in).t()).view_as(weight) if to_weight else None,
            rows.sum(0).view(weight.shape[:-1]) if to_bias else None,
        )


class _Linears(torch.autograd.Function):
    """K products whose gradients use the same library."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _products(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        to_x, to_weight, to_bias = ctx.needs_input_grad
        return (
            _products(grad, weight.mT) if to_x else None,
            _products(grad.mT, x.mT) if to_weight else None,
            grad.sum(1) if to_bias else None,
        )


def _products(
    x: Float[Tensor, "K N I"],
    weight: Float[Tensor, "K O I"],
    bias: Float[Tensor, "K O"] | None = None,
) -> Float[Tensor, "K N O"]:
    """K products: in a loop by oneDNN, where no gradient is needed; else batched, by MKL."""
    needs_grad = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    if not needs_grad and by_onednn(x, weight, 2 * x.numel() // len(x) * weight.shape[1]):
        biases = [None] * len(x) if bias is None else bias.unbind()
        copies = zip(x.unbind(), weight.unbind(), biases, strict=True)
        if torch.compiler.is_compiling():  # writing in place is slower there
            return torch.stack([onednn(*copy) for copy in copies])
        y = x.new_empty(*x.shape[:2], weight.shape[1])
        for output, copy in zip(y.unbind(), copies, strict=True):
            output.copy_(onednn(*copy))  # while it is in the processor's cache
        return y
    if bias is None:
        return torch.bmm(x, weight.mT)
    return torch.baddbmm(bias.unsqueeze(1), x, weight.mT)


def _dense(t: Tensor) -> Tensor:
    """The tensor, contiguous or transposed: other layouts oneDNN reads an element at a time."""
    return t if t.is_contiguous() or (t.dim() == 2 and t.t().is_contiguous()) else t.contiguous()


def quicker_library() -> Float32Library:
    """The quicker library here."""
    return "onednn" if onednn_is_quicker() else "mkl"


@contextmanager
def products_by(library: Float32Library | None) -> Iterator[None]:
    """Within it, this thread's float32 products are by one library, if it is there.

    By None, they are by the quicker one as ever. So a run that is resumed does as it began.
    """
    before = getattr(_chosen, "onednn", None)
    _chosen.onednn = None if library is None else library == "onednn" and _has_onednn()
    try:
        yield
    finally:
        _chosen.onednn = before


_chosen = local()  # by products_by; torch.compile cannot trace a ContextVar


def _onednn_is_used() -> bool:
    chosen: bool | None = getattr(_chosen, "onednn", None)
    return onednn_is_quicker() if chosen is None else chosen


def _has_onednn() -> bool:
    """Whether this PyTorch brings oneDNN's product."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def onednn_is_quicker() -> bool:
    """Whether oneDNN is clearly faster in float32 here; measured once, never while compiling."""
    if not _found and not torch.compiler.is_compiling():
        with MEASURING:
            _found[:] = _found or [_measured_gain() >= MIN_GAIN]
    return _found == [True]


_found: list[bool] = []  # result of onednn_is_quicker; torch.compile ignores functools.cache


def _measured_gain() -> float:
    """The speed of oneDNN relative to MKL; 0 without oneDNN."""
    if not _has_onednn():
        return 0.0
    a = torch.ones(SIZE, SIZE)
    with torch.no_grad():
        return gain(lambda: F.linear(a, a), lambda: onednn(a, a))


def gain(usual: Callable[[], object], other: Callable[[], object], repeats: int = REPEATS) -> float:
    """The speed of another function relative to the usual one: ratio of the shortest times.

    Both run alternately, on one core, and their processor time is measured, so that other programs
    do not matter. Where the processor time has a coarse resolution, it is the clock's.
    """
    is_coarse = time.get_clock_info("thread_time").resolution > 1e-4
    now = time.perf_counter if is_coarse else time.thread_time
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        shortest = [float("inf"), float("inf")]
        for _ in range(repeats):
            for i, run in enumerate((usual, other)):
                start = now()
                run()
                shortest[i] = min(shortest[i], now() - start)
    finally:
        torch.set_num_threads(n_threads)
    return shortest[0] / shortest[1]
