"""A bound on the memory that building a model may take, for sizes that come out of a file."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from mixvae.errors import MixvaeError

# The functions by which models create tensors; the sizes are known before memory is taken.
FACTORIES: set[Callable[..., Tensor]] = {
    *(torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn),
    *(torch.arange, torch.linspace, torch.eye, torch.tensor),
}
CONSTANTS = 1 << 20  # numbers that a model may hold besides its weights
SMALLEST = 64  # numbers that a tensor counts for at least, since creating it takes time


class TooLargeError(MixvaeError):
    """The error for a model that is larger than the weights in its file."""


class size_limit(TorchFunctionMode):  # noqa: N801 - used as a function, `with size_limit(n):`
    """Context in which tensors of more than ``n`` numbers, or ``times`` n in all, are refused.

    They are refused before memory is taken for them, with a `TooLargeError`. Building creates some
    tensors several times, such as every component's copy of a network before copies are stacked.
    """

    def __init__(self, n: int, times: int) -> None:
        super().__init__()
        self.largest = n + CONSTANTS
        self.left = times * n + CONSTANTS

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in FACTORIES:
            self._count(func(*args, **{**kwargs, "device": "meta"}).numel())
        result = func(*args, **kwargs)
        if isinstance(result, Tensor) and result.numel() > self.largest:
            raise TooLargeError(f"a tensor has {result.numel():,} numbers")
        return result

    def _count(self, n: int) -> None:
        self.left -= max(n, SMALLEST)
        if n > self.largest or self.left < 0:
            raise TooLargeError("it is larger than its weights are")
