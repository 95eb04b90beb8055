"""Layers of K copies in one call, the building blocks of :class:`mixvae.nn.Stacked`.

The images of all copies, (N, K, C, H, W), are viewed as (N, K * C, H, W); K convolutions are then
one convolution in K groups. On a CPU that is twice as fast as a loop over the copies for narrow
layers, and down to half as fast for wide ones, which are therefore computed in a loop. Other memory
layouts (channels last) are no faster.
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mixvae.errors import MixvaeError

from .linear import linear, linears

Images = Float[Tensor, "N K C H W"]
WIDE = 100_000_000  # operations of one copy's convolution, from which on a loop is faster


class StackedLayer(nn.Module):
    """K copies of a layer: its parameters and buffers, each with a leading axis of size K.

    Parameters
    ----------
    copies
        The K layers.
    share_input
        Whether every copy reads the same input, which then has no axis of size K.
    **needed
        Values that settings of the layer must have.

    Raises
    ------
    MixvaeError
        For a layer with other settings.
    """

    weight: Tensor
    bias: Tensor | None
    can_share_input = True

    def __init__(self, copies: Sequence[nn.Module], share_input: bool, **needed: Any) -> None:
        super().__init__()
        if share_input and not self.can_share_input:
            raise _no_form(copies[0], "share_input", True, False)
        for setting, value in needed.items():
            if (found := getattr(copies[0], setting)) != value:
                raise _no_form(copies[0], setting, found, value)
        self.share_input = share_input
        for name, parameter in copies[0]._parameters.items():
            own = [getattr(c, name) for c in copies]
            stacked = None if parameter is None else nn.Parameter(torch.stack(own).detach())
            self.register_parameter(name, stacked)
        for name, _ in copies[0].named_buffers():
            self.register_buffer(name, torch.stack([getattr(c, name) for c in copies]))

    @property
    def flat_bias(self) -> Float[Tensor, " KC"] | None:
        """The biases of all copies, flattened."""
        return None if self.bias is None else self.bias.flatten()


class StackedLinear(StackedLayer):
    """K linear layers."""

    bias: Tensor

    def __init__(self, copies: Sequence[nn.Linear], share_input: bool) -> None:
        if copies[0].bias is None:
            raise _no_form(copies[0], "bias", False, True)
        super().__init__(copies, share_input)

    def forward(self, x: Float[Tensor, "N *K I"]) -> Float[Tensor, "N K O"]:
        if len(self.weight) == 1:  # a batched product of one is slower, above all in bfloat16
            return linear(x.unsqueeze(1) if self.share_input else x, self.weight, self.bias)
        if self.share_input or x.stride(1) == 0:  # expanded: the same for every copy
            shared = x if self.share_input else x[:, 0]
            wide = linear(shared, self.weight.flatten(0, 1), self.bias.flatten())
            return wide.unflatten(-1, self.bias.shape)
        return linears(x.transpose(0, 1), self.weight, self.bias).transpose(0, 1)


class StackedConvolution(StackedLayer):
    """K convolutions: one in K groups, or a wide one where the input is shared."""

    convolve: Callable[..., Tensor]
    n_strides = 1  # pixels of the input for each of the output

    def forward(self, x: Float[Tensor, "N *K I Y X"]) -> Float[Tensor, "N K O H W"]:
        n_copies = len(self.weight)
        if not self.share_input and is_wide(x, self.weight, self.n_strides):
            return one_by_one(self.convolve, x, self.weight, self.bias)
        x, groups = (x, 1) if self.share_input else (x.flatten(1, 2), n_copies)
        y = self.convolve(x, self.flat_weight(), self.flat_bias, groups=groups)
        return y.unflatten(1, (n_copies, -1))

    def flat_weight(self) -> Tensor:
        """The weights of all copies, as those of one convolution."""
        return self.weight.flatten(0, 1)


class StackedConv2d(StackedConvolution):
    """K convolutions."""

    def __init__(self, copies: Sequence[nn.Conv2d], share_input: bool) -> None:
        super().__init__(copies, share_input, groups=1, padding_mode="zeros")
        settings = _settings(copies[0], "stride", "padding", "dilation")
        self.convolve, self.n_strides = partial(F.conv2d, **settings), prod(settings["stride"])


class StackedConvTranspose2d(StackedConvolution):
    """K transposed convolutions."""

    def __init__(self, copies: Sequence[nn.ConvTranspose2d], share_input: bool) -> None:
        super().__init__(copies, share_input, groups=1)
        settings = _settings(copies[0], "stride", "padding", "output_padding", "dilation")
        self.convolve = partial(F.conv_transpose2d, **settings)

    def flat_weight(self) -> Tensor:
        if self.share_input:
            return self.weight.transpose(0, 1).flatten(1, 2)
        return self.weight.flatten(0, 1)


def is_wide(x: Images, weight: Float[Tensor, "K *one"], strides: int = 1) -> bool:
    """Whether K convolutions are faster in a loop, by their number of operations."""
    if torch.compiler.is_exporting():  # an exported program is for any number of rows
        return False
    pixels = x.shape[0] * prod(x.shape[-2:]) // strides
    return x.is_cpu and len(weight) > 1 and 2 * pixels * weight[0].numel() >= WIDE


def one_by_one(
    convolve: Callable[..., Tensor], x: Images, weight: Tensor, bias: Tensor | None
) -> Float[Tensor, "N K O Y X"]:
    """The convolutions of all copies in a loop."""
    biases = [None] * len(weight) if bias is None else bias.unbind()
    copies = zip(x.unbind(1), weight.unbind(), biases, strict=True)
    return torch.stack([convolve(*copy) for copy in copies], 1)


class StackedGroupNorm(StackedLayer):
    """K group norms: one with K times as many groups."""

    can_share_input = False

    def __init__(self, copies: Sequence[nn.GroupNorm], share_input: bool) -> None:
        super().__init__(copies, share_input, affine=True)
        self.num_groups, self.eps = copies[0].num_groups, copies[0].eps

    def forward(self, x: Images) -> Images:
        n_groups = x.shape[1] * self.num_groups
        affine = self.weight.flatten(), self.flat_bias
        y = F.group_norm(x.flatten(1, 2), n_groups, *affine, self.eps)
        return y.unflatten(1, x.shape[1:3])


class StackedBatchNorm2d(StackedLayer):
    """K batch norms, each with running means and variances of its own."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    can_share_input = False

    def __init__(self, copies: Sequence[nn.BatchNorm2d], share_input: bool) -> None:
        super().__init__(copies, share_input, affine=True, track_running_stats=True)
        if (momentum := copies[0].momentum) is None:
            raise _no_form(copies[0], "momentum", None, 0.1)
        self.momentum, self.eps = momentum, copies[0].eps

    def forward(self, x: Images) -> Images:
        if self.training:
            self.num_batches_tracked += 1
        y = F.batch_norm(
            x.flatten(1, 2),
            self.running_mean.view(-1),  # flatten might copy, and these are written to
            self.running_var.view(-1),
            self.weight.flatten(),
            self.flat_bias,
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
        )
        return y.unflatten(1, x.shape[1:3])


def _settings(layer: nn.Module, *names: str) -> dict[str, Any]:
    return {name: getattr(layer, name) for name in names}


def _no_form(layer: nn.Module, setting: str, found: Any, needed: Any) -> MixvaeError:
    return MixvaeError(
        f"Stacked has no batched form of {type(layer).__name__} with {setting}={found!r}; "
        f"use {setting}={needed!r}."
    )
