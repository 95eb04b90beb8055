"""Linear layers in float32, by the quicker of the two libraries that PyTorch brings for a CPU.

PyTorch gives float32 products to MKL, which on an AMD Zen 5 is as fast as AVX2 can be, and gives
bfloat16 and convolutions to oneDNN, which uses AVX-512 there: its float32 is twice as fast. Both
round as float32 does. Which one is quicker is measured, once.
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

WORTH = 1.3  # times as fast: far from what libraries of equal speed measure
LEAST = 4_000_000  # operations of a product: below, calls cost what the products gain
SIDE, TURNS = 256, 10  # of the products measured, which take under 0.02 s
MEASURING = RLock()  # held by the one thread that measures, which changes their number in kernels
PLAIN = {Tensor, nn.Parameter}  # what else there is has products of its own

Float32Library = Literal["onednn", "mkl"]
Rows = Float[Tensor, "*n I"]
Weight = Float[Tensor, "*one O I"]


class Linear(nn.Linear):
    """``torch.nn.Linear``, by the quicker library."""

    def forward(self, input: Float[Tensor, "*n I"]) -> Float[Tensor, "*n O"]:
        return linear(input, self.weight, self.bias)


def linear(x: Rows, weight: Weight, bias: Tensor | None = None) -> Float[Tensor, "*n O"]:
    """``torch.nn.functional.linear``, by the quicker library; gradients of any order too.

    Weight and bias may have one axis more, of size 1.
    """
    if by_onednn(x, weight, 2 * x.numel() * weight.shape[-2]):
        made: Tensor = _Linear.apply(x, weight, bias)
        return made
    if weight.dim() == 3:
        weight, bias = weight.squeeze(0), None if bias is None else bias.squeeze(0)
    return F.linear(x, weight, bias)


def linears(
    x: Float[Tensor, "K N I"], weight: Float[Tensor, "K O I"], bias: Float[Tensor, "K O"]
) -> Float[Tensor, "K N O"]:
    """K linear layers, by the quicker library; gradients of any order too.

    A weight's gradient lies in memory as the weight does. That of ``torch.baddbmm`` comes as
    (K, I, O) and is copied.
    """
    operands = [x, weight, bias]
    if torch.is_autocast_enabled(x.device.type):  # which casts nothing for a Function
        dtype = torch.get_autocast_dtype(x.device.type)
        operands = [t.to(dtype) for t in operands]
    # Transforms want another kind of Function; programs that are exported, none.
    if torch._C._are_functorch_transforms_active() or torch.compiler.is_exporting():
        return _by_copy(*operands)
    made: Tensor = _Linears.apply(*operands)
    return made


def by_onednn(x: Tensor, weight: Tensor, work: int) -> bool:
    """Whether oneDNN is to take a product of x (*, I) and a weight (*, I), of so many operations.

    Shapes that do not fit are left to PyTorch too, whose error says so.
    """
    return (
        not torch.compiler.is_exporting()  # for any number of rows, and other libraries
        and work >= LEAST
        and x.dtype == weight.dtype == torch.float32
        and x.is_cpu
        and x.shape[-1] == weight.shape[-1]
        and not torch.is_autocast_enabled("cpu")
        and (torch.compiler.is_compiling() or _is_plain(x, weight))
        and _onednn_is_used()
    )


def _is_plain(x: Tensor, weight: Tensor) -> bool:
    """Whether they are tensors and nothing else, which is all that oneDNN's product knows."""
    known = {type(x), type(weight)} <= PLAIN
    return known and not torch._C._are_functorch_transforms_active()


def onednn(
    x: Rows, weight: Float[Tensor, "O I"], bias: Float[Tensor, " O"] | None = None
) -> Float[Tensor, "*n O"]:
    """x W^T + b by oneDNN, without a gradient."""
    if torch.compiler.is_compiling():
        compiled: Tensor = torch.ops.mixvae.linear.default(x, weight, bias)
        return compiled
    made: Tensor = torch.ops.mkldnn._linear_pointwise.default(
        _dense(x), _dense(weight), bias, "none", [], ""
    )
    return made


# Under its own name torch.compile takes that product for one with fixed weights, and fails.
torch.library.define("mixvae::linear", "(Tensor x, Tensor weight, Tensor? bias) -> Tensor")
torch.library.impl("mixvae::linear", "cpu", onednn)
torch.library.register_fake(
    "mixvae::linear", lambda x, weight, bias: x.new_empty(*x.shape[:-1], weight.shape[0])
)


class _Linear(torch.autograd.Function):
    """A product whose gradients are such products."""

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
    """K products whose gradients are such products."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _by_copy(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        to_x, to_weight, to_bias = ctx.needs_input_grad
        return (
            _by_copy(grad, weight.mT) if to_x else None,
            _by_copy(grad.mT, x.mT) if to_weight else None,
            grad.sum(1) if to_bias else None,
        )


def _by_copy(
    x: Float[Tensor, "K N I"],
    weight: Float[Tensor, "K O I"],
    bias: Float[Tensor, "K O"] | None = None,
) -> Float[Tensor, "K N O"]:
    """One by one by oneDNN, where no gradient is wanted; else batched, by MKL."""
    wanted = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    if not wanted and by_onednn(x, weight, 2 * x.numel() // len(x) * weight.shape[1]):
        biases = [None] * len(x) if bias is None else bias.unbind()
        copies = zip(x.unbind(), weight.unbind(), biases, strict=True)
        if torch.compiler.is_compiling():  # which makes longer work of what is put in place
            return torch.stack([onednn(*copy) for copy in copies])
        made = x.new_empty(*x.shape[:2], weight.shape[1])
        for place, copy in zip(made.unbind(), copies, strict=True):
            place.copy_(onednn(*copy))  # at once, out of the processor's cache
        return made
    if bias is None:
        return torch.bmm(x, weight.mT)
    return torch.baddbmm(bias.unsqueeze(1), x, weight.mT)


def _dense(t: Tensor) -> Tensor:
    """Rows or columns in a row: what else there is oneDNN reads an element at a time."""
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
    """Whether oneDNN is clearly faster in float32 here: measured once, outside compilation."""
    if not _found and not torch.compiler.is_compiling():
        with MEASURING:
            _found[:] = _found or [_measured_gain() >= WORTH]
    return _found == [True]


_found: list[bool] = []  # by onednn_is_quicker; torch.compile would look behind functools.cache


def _measured_gain() -> float:
    """How many times as fast oneDNN is, in time on the processor; 0 where there is none."""
    if not _has_onednn():
        return 0.0
    a = torch.ones(SIDE, SIDE)
    with torch.no_grad():
        return gain(lambda: F.linear(a, a), lambda: onednn(a, a))


def gain(usual: Callable[[], object], other: Callable[[], object], turns: int = TURNS) -> float:
    """How many times as fast another way is: by turns, on one core, in time on the processor.

    So what else runs there does not decide. Where that time is told in ticks, it is the clock's.
    """
    ticks = time.get_clock_info("thread_time").resolution > 1e-4
    now = time.perf_counter if ticks else time.thread_time
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        least = [float("inf"), float("inf")]
        for _ in range(turns):
            for i, way in enumerate((usual, other)):
                start = now()
                way()
                least[i] = min(least[i], now() - start)
    finally:
        torch.set_num_threads(n_threads)
    return least[0] / least[1]
