"""The matrix products of a computation: written down while it runs, and taken again by themselves.

What they take alone is the least that the computation can take on the same machine, in the same
precision, with networks of the same shapes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "_linear_pointwise")
PRODUCTS += ("convolution", "convolution_backward")


@dataclass(frozen=True)
class Product:
    """One of them, with operands of the same shapes, strides and types."""

    operation: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __call__(self) -> None:
        self.operation(*self.args, **self.kwargs)


class Recorder(TorchDispatchMode):
    """Writes down every product that is taken while it is on, those of backward passes too."""

    def __init__(self) -> None:
        super().__init__()
        self.products: list[Product] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket.__name__ in PRODUCTS:
            like = tuple(_like(a) if isinstance(a, Tensor) else a for a in args)
            self.products.append(Product(func, like, kwargs))
        return func(*args, **kwargs)


def products_of(run: Callable[[], object]) -> list[Product]:
    """The products of one run."""
    with Recorder() as recorder:
        run()
    return recorder.products


def replay(products: list[Product]) -> None:
    """Take them again, and nothing else."""
    with torch.no_grad():
        for product in products:
            product()


def flop(run: Callable[[], object]) -> int:
    """Operations of the products of one run: an addition and a multiplication are two."""
    of_linear = {torch.ops.mkldnn._linear_pointwise: _flop_of_linear}
    with FlopCounterMode(display=False, custom_mapping=of_linear) as counter:
        run()
    return counter.get_total_flops()


def _flop_of_linear(x: tuple[int, ...], weight: tuple[int, ...], *_: Any, **__: Any) -> int:
    """Of oneDNN's linear layer, by shapes."""
    return 2 * prod(x) * weight[0]


def _like(t: Tensor) -> Tensor:
    """Noise with the same layout; where an operand is expanded, so is its noise."""
    size = (
        1 + sum((n - 1) * s for n, s in zip(t.shape, t.stride(), strict=True)) if t.numel() else 0
    )
    return torch.randn(size, device=t.device).to(t.dtype).as_strided(t.shape, t.stride())
