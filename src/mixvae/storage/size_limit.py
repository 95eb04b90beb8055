"""A bound on what building a model may allocate, for sizes that come out of a file."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from mixvae.errors import MixvaeError

# The functions by which models make tensors, of sizes that are known before they are made.
FACTORIES: set[Callable[..., Tensor]] = {
    *(torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn),
    *(torch.arange, torch.linspace, torch.eye, torch.tensor),
}
CONSTANTS = 1 << 20  # numbers that a model may make besides its weights
SMALLEST = 64  # what a tensor counts at least, as each takes time


class TooLargeError(MixvaeError):
    """A model that is larger than its weights' file."""


class size_limit(TorchFunctionMode):  # noqa: N801 - used as a function, `with size_limit(n):`
    """Within it, tensors of more than ``n`` numbers, or ``times`` as many in all, are refused.

    They are refused before memory is taken for them. Building makes some tensors several times:
    each component's copy of a network, before the copies are stacked. Raises `TooLargeError`.
    """

    def __init__(self, n: int, times: int) -> None:
        super().__init__()
        self.one = n + CONSTANTS
        self.all = times * n + CONSTANTS

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in FACTORIES:
            self._take(func(*args, **{**kwargs, "device": "meta"}).numel())
        made = func(*args, **kwargs)
        if isinstance(made, Tensor) and made.numel() > self.one:
            raise TooLargeError(f"a tensor has {made.numel():,} numbers")
        return made

    def _take(self, n: int) -> None:
        self.all -= max(n, SMALLEST)
        if n > self.one or self.all < 0:
            raise TooLargeError("it is larger than its weights are")
