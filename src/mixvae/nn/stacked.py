"""Stacked, K independent copies of a network in batched calls; and the layers of networks."""

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
    """``torch.nn.ReLU``, computed by :func:`relu`."""

    def forward(self, input: Tensor) -> Tensor:
        return relu(input)


def relu(x: Tensor) -> Tensor:
    r"""The positive part of x. In compiled code its gradient is computed from the output's sign.

    PyTorch's own is compiled to a mask of booleans, which a CPU writes and reads one by one; that
    takes up to a third of a training step.

    Parameters
    ----------
    x
        Of any shape.

    Returns
    -------
        max(x, 0), of the same shape.
    """
    if not torch.compiler.is_compiling() or torch.compiler.is_exporting():
        return x.relu()
    y: Tensor = _Relu.apply(x)
    return y


class _Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.relu()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        product: Tensor = grad * y.sign()
        return product


class MLP(nn.Sequential):
    r"""Linear layers with an activation after each but the last: (\*, in) to (\*, out).

    Parameters
    ----------
    in_features
        Size of the input.
    out_features
        Size of the output.
    hidden
        Widths of the hidden layers.
    activations
        A function that returns an activation, or one for each hidden layer.

    Raises
    ------
    MixvaeError
        For sizes under 1.

    Examples
    --------
    >>> MLP(3, 2, hidden=[8])(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """

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
    r"""K independent copies of one network, evaluated in batched calls.

    The network is written for one component; every parameter gains a leading axis of size K. Maps
    (N, K, \*in) to (N, K, \*out), or (N, \*in) to (N, K, \*out) with ``share_input``.

    Parameters
    ----------
    make
        A function that returns the network; it is called K times.
    n_copies
        Number K of copies.
    share_input
        Whether every copy reads the same input. The first layer is then one wide matrix product or
        convolution.

    Raises
    ------
    MixvaeError
        If the network has a layer, or a layer has a setting, without a batched form.

    Examples
    --------
    >>> net = Stacked(lambda: nn.Linear(3, 2), n_copies=4)
    >>> net(torch.zeros(5, 4, 3)).shape
    torch.Size([5, 4, 2])
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
    r"""One network for the inputs of all components: (N, K, \*in) to (N, K, \*out).

    Parameters
    ----------
    net
        A network, (N, \*in) to (N, \*out).
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Float[Tensor, "N K *I"]) -> Float[Tensor, "N K *O"]:
        return self.net(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class ExpandComponents(nn.Module):
    r"""The same values for all components: (N, 1, \*I) to (N, K, \*I).

    Parameters
    ----------
    n_components
        Number K of components.
    """

    def __init__(self, n_components: int) -> None:
        super().__init__()
        self.n_components = n_components

    def forward(self, x: Float[Tensor, "N 1 *I"]) -> Float[Tensor, "N K *I"]:
        return x.expand(-1, self.n_components, *x.shape[2:])


class BoundedMean(nn.Module):
    """Logits to means in (0, 1), in float32 at least, as bfloat16 rounds 0.998 to 1."""

    def forward(self, logits: Tensor) -> Tensor:
        return full_precision(logits).sigmoid()


def full_precision(x: Tensor) -> Tensor:
    """A tensor in float32 if it is in half precision, for densities and KLs under autocast.

    Parameters
    ----------
    x
        Of any shape and type.

    Returns
    -------
        ``x`` itself, unless it is in bfloat16 or float16.
    """
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def _stack(copies: Sequence[nn.Module], share_input: bool) -> tuple[nn.Module, bool]:
    """The copies in batched form; and whether no layer has read the shared input yet."""
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
        return first if share_input else _with_component_axis(first), share_input
    if type(first) in BATCHED:
        return BATCHED[type(first)](copies, share_input), False
    known = dict.fromkeys(layer.__name__ for layer in BATCHED)
    raise MixvaeError(
        f"Stacked has no batched form of {type(first).__name__}; it knows "
        f"{', '.join(known)}, Flatten, Unflatten, Sequential, "
        "pointwise activations, and GLU of an axis counted from the end. Add a stacked layer to "
        "mixvae/nn/layers.py for it."
    )


def _with_component_axis(layer: nn.Flatten | nn.Unflatten) -> nn.Module:
    """The layer for (N, K, *in) instead of (N, *in)."""
    shifted = lambda axis: axis + (axis > 0)  # an axis counted from the end stays as it is
    if isinstance(layer, nn.Unflatten):
        return nn.Unflatten(shifted(layer.dim), layer.unflattened_size)
    return nn.Flatten(shifted(layer.start_dim), shifted(layer.end_dim))
