"""Layers of K copies in one call, of which :class:`mixvae.nn.Stacked` is made.

The images of all copies, (N, K, C, H, W), are taken as (N, K * C, H, W), which moves nothing in
memory; there K convolutions are one convolution in K groups. On a CPU that is twice as fast as a
loop over the copies where layers are narrow, and down to half as fast where they are wide, which
are taken one by one. Other memory layouts (channels last) gain nothing.
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
WIDE = 100_000_000  # operations of one of K convolutions, from which on they are taken one by one


class StackedLayer(nn.Module):
    """K copies of a layer: its parameters and buffers, each with a leading axis of size K.

    Args:
        copies: the K layers.
        share_input: every copy reads the same input, which has no axis of size K.
        needed: what the layer's settings must be.

    Raises:
        MixvaeError: for a layer with other settings.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, copies: Sequence[nn.Module], share_input: bool, **needed: Any) -> None:
        super().__init__()
        for setting, value in needed.items():
            if (found := getattr(copies[0], setting)) != value:
                raise _no_form(copies[0], setting, found, value)
        self.share_input = share_input
        for name, one in copies[0]._parameters.items():
            own = [getattr(c, name) for c in copies]
            stacked = None if one is None else nn.Parameter(torch.stack(own).detach())
            self.register_parameter(name, stacked)
        for name, _ in copies[0].named_buffers():
            self.register_buffer(name, torch.stack([getattr(c, name) for c in copies]))

    @property
    def flat_bias(self) -> Float[Tensor, " KC"] | None:
        """The copies' biases in a row."""
        return None if self.bias is None else self.bias.flatten()


class StackedLinear(StackedLayer):
    """K linear layers."""

    bias: Tensor

    def __init__(self, copies: Sequence[nn.Linear], share_input: bool) -> None:
        if copies[0].bias is None:
            raise _no_form(copies[0], "bias", False, True)
        super().__init__(copies, share_input)

    def forward(self, x: Float[Tensor, "N *K I"]) -> Float[Tensor, "N K O"]:
        if len(self.weight) == 1:  # batched products of one are slower, most of all in bfloat16
            return linear(x.unsqueeze(1) if self.share_input else x, self.weight, self.bias)
        if self.share_input or x.stride(1) == 0:  # what is expanded is the same for every copy
            shared = x if self.share_input else x[:, 0]
            wide = linear(shared, self.weight.flatten(0, 1), self.bias.flatten())
            return wide.unflatten(-1, self.bias.shape)
        return linears(x.transpose(0, 1), self.weight, self.bias).transpose(0, 1)


class StackedConv2d(StackedLayer):
    """K convolutions: one in K groups, or a wide one where the input is shared."""

    def __init__(self, copies: Sequence[nn.Conv2d], share_input: bool) -> None:
        super().__init__(copies, share_input, groups=1, padding_mode="zeros")
        self.how = _settings(copies[0], "stride", "padding", "dilation")

    def forward(self, x: Float[Tensor, "N *K I Y X"]) -> Float[Tensor, "N K O H W"]:
        n_copies = len(self.weight)
        if not self.share_input and is_wide(x, self.weight, prod(self.how["stride"])):
            return one_by_one(partial(F.conv2d, **self.how), x, self.weight, self.bias)
        x, groups = (x, 1) if self.share_input else (x.flatten(1, 2), n_copies)
        y = F.conv2d(x, self.weight.flatten(0, 1), self.flat_bias, groups=groups, **self.how)
        return y.unflatten(1, (n_copies, -1))


class StackedConvTranspose2d(StackedLayer):
    """K transposed convolutions: one in K groups, or a wide one where the input is shared."""

    def __init__(self, copies: Sequence[nn.ConvTranspose2d], share_input: bool) -> None:
        super().__init__(copies, share_input, groups=1)
        self.how = _settings(copies[0], "stride", "padding", "output_padding", "dilation")

    def forward(self, x: Float[Tensor, "N *K I Y X"]) -> Float[Tensor, "N K O H W"]:
        n_copies = len(self.weight)
        if not self.share_input and is_wide(x, self.weight):
            return one_by_one(partial(F.conv_transpose2d, **self.how), x, self.weight, self.bias)
        if self.share_input:
            weight, groups = self.weight.transpose(0, 1).flatten(1, 2), 1
        else:
            weight, groups, x = self.weight.flatten(0, 1), n_copies, x.flatten(1, 2)
        y = F.conv_transpose2d(x, weight, self.flat_bias, groups=groups, **self.how)
        return y.unflatten(1, (n_copies, -1))


def is_wide(x: Images, weight: Float[Tensor, "K *one"], strides: int = 1) -> bool:
    """Whether K convolutions are quicker one by one, as far as their operations tell."""
    if torch.compiler.is_exporting():  # a program for any number of rows
        return False
    pixels = x.shape[0] * prod(x.shape[-2:]) // strides
    return x.is_cpu and len(weight) > 1 and 2 * pixels * weight[0].numel() >= WIDE


def one_by_one(
    convolve: Callable[..., Tensor], x: Images, weight: Tensor, bias: Tensor | None
) -> Float[Tensor, "N K O Y X"]:
    """Every copy's convolution of its own images."""
    biases = [None] * len(weight) if bias is None else bias.unbind()
    each = zip(x.unbind(1), weight.unbind(), biases, strict=True)
    return torch.stack([convolve(*copy) for copy in each], 1)


class StackedGroupNorm(StackedLayer):
    """K group norms: one with K times as many groups."""

    def __init__(self, copies: Sequence[nn.GroupNorm], share_input: bool) -> None:
        if share_input:
            raise _no_form(copies[0], "share_input", True, False)
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

    def __init__(self, copies: Sequence[nn.BatchNorm2d], share_input: bool) -> None:
        if share_input:
            raise _no_form(copies[0], "share_input", True, False)
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
