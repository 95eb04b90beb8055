"""Networks, and the tool that turns one network into K independent copies of it."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mixvae.errors import MixvaeError, at_least

from .layers import (
    StackedBatchNorm2d,
    StackedConv2d,
    StackedConvTranspose2d,
    StackedGroupNorm,
    StackedLayer,
    StackedLinear,
)
from .linear import Linear

Make = Callable[[], nn.Module]
POINTWISE = (
    *(nn.Identity, nn.ReLU, nn.ELU, nn.LeakyReLU, nn.SiLU, nn.GELU),
    *(nn.Tanh, nn.Sigmoid, nn.Softplus),
)
BATCHED: dict[type[nn.Module], Callable[..., StackedLayer]] = {
    nn.Linear: StackedLinear,
    Linear: StackedLinear,
    nn.Conv2d: StackedConv2d,
    nn.ConvTranspose2d: StackedConvTranspose2d,
    nn.GroupNorm: StackedGroupNorm,
    nn.BatchNorm2d: StackedBatchNorm2d,
}


class ReLU(nn.ReLU):
    """``torch.nn.ReLU``, as :func:`relu`."""

    def forward(self, input: Tensor) -> Tensor:
        return relu(input)


def relu(x: Tensor) -> Tensor:
    """The positive part. Compiled, its gradient asks for the sign of what it returned.

    PyTorch's own is compiled to a mask of booleans, which on a CPU is written and read one by one:
    that takes up to a third of a step.
    """
    if not torch.compiler.is_compiling() or torch.compiler.is_exporting():
        return x.relu()
    made: Tensor = _Relu.apply(x)
    return made


class _Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        made = x.relu()
        ctx.save_for_backward(made)
        return made

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (made,) = ctx.saved_tensors
        product: Tensor = grad * made.sign()
        return product


class MLP(nn.Sequential):
    """Linear layers with an activation after each but the last: (*, in) to (*, out)."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: Sequence[int] = (),
        activations: Make | Sequence[Make] = ReLU,
    ) -> None:
        at_least(1, in_features=in_features, out_features=out_features)
        for width in hidden:
            at_least(1, hidden=width)
        if callable(activations):
            activations = [activations] * len(hidden)
        sizes = [in_features, *hidden, out_features]
        layers: list[nn.Module] = [Linear(sizes[0], sizes[1])]
        for activation, ends in zip(activations, pairwise(sizes[1:]), strict=True):
            layers += [activation(), Linear(*ends)]
        super().__init__(*layers)


class Stacked(nn.Module):
    """K independent copies of one network, evaluated in batched calls.

    Write the network once, for one component; every parameter gains a leading axis of size K.
    Maps (N, K, *in) to (N, K, *out), or, with ``share_input``, (N, *in) to (N, K, *out): every
    copy reads the same input, and the first layer is one wide matrix product or convolution.

    Example:
        >>> net = Stacked(lambda: nn.Linear(3, 2), n_copies=4)
        >>> net(torch.zeros(5, 4, 3)).shape
        torch.Size([5, 4, 2])

    Raises:
        MixvaeError: if the network has a layer, or a layer's setting, of which no batched form is
            known.
    """

    def __init__(self, make: Make, n_copies: int, *, share_input: bool = False) -> None:
        super().__init__()
        at_least(1, n_copies=n_copies)
        self.n_copies = n_copies
        self.body, unread = _stack([make() for _ in range(n_copies)], share_input)
        if unread:
            raise MixvaeError(
                "share_input needs a network with a linear layer or a convolution; it has none."
            )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Shared(nn.Module):
    """One network for all components: (N, K, *in) to (N, K, *out)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Float[Tensor, "N K *I"]) -> Float[Tensor, "N K *O"]:
        return self.net(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class ExpandComponents(nn.Module):
    """What one network made, to all components: (N, 1, *I) to (N, K, *I)."""

    def __init__(self, n_components: int) -> None:
        super().__init__()
        self.n_components = n_components

    def forward(self, x: Float[Tensor, "N 1 *I"]) -> Float[Tensor, "N K *I"]:
        return x.expand(-1, self.n_components, *x.shape[2:])


class BoundedMean(nn.Module):
    """Logits to means in (0, 1), in full precision: bfloat16 rounds 0.998 to 1."""

    def forward(self, logits: Tensor) -> Tensor:
        return full_precision(logits).sigmoid()


def full_precision(x: Tensor) -> Tensor:
    """Float32 where autocast left half precision: densities and KLs are never taken in half."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def _stack(copies: Sequence[nn.Module], share_input: bool) -> tuple[nn.Module, bool]:
    """Batch the copies; also says whether the shared input is still to be read."""
    first = copies[0]
    if isinstance(first, nn.Sequential):
        layers = []
        for same_layer in zip(*copies, strict=True):
            layer, share_input = _stack(same_layer, share_input)
            layers.append(layer)
        return nn.Sequential(*layers), share_input
    if isinstance(first, POINTWISE) or (isinstance(first, nn.GLU) and first.dim < 0):
        return first, share_input
    if isinstance(first, nn.Flatten | nn.Unflatten):
        return first if share_input else _one_axis_further(first), share_input
    if type(first) in BATCHED:
        return BATCHED[type(first)](copies, share_input), False
    known = dict.fromkeys(layer.__name__ for layer in BATCHED)
    raise MixvaeError(
        f"Stacked has no batched form of {type(first).__name__}; it knows "
        f"{', '.join(known)}, Flatten, Unflatten, Sequential, "
        "pointwise activations, and GLU of an axis counted from the end. Add a stacked layer to "
        "mixvae/nn/layers.py for it."
    )


def _one_axis_further(layer: nn.Flatten | nn.Unflatten) -> nn.Module:
    """The layer for (N, K, *in) in the place of (N, *in)."""
    further = lambda axis: axis + (axis > 0)  # axes counted from the end stay where they are
    if isinstance(layer, nn.Unflatten):
        return nn.Unflatten(further(layer.dim), layer.unflattened_size)
    return nn.Flatten(further(layer.start_dim), further(layer.end_dim))
