"""Convolutional networks of one component."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import gcd, prod
from typing import Literal

from torch import nn

from mixvae.errors import MixvaeError, at_least

from .gated import Layer, gated, he
from .linear import Linear
from .stacked import ReLU, Shared

Norm = Literal["group", "batch", "none"]
Size = tuple[int, int]  # height, width

SMALLEST = 4  # side of an image
ENCODED, SHARED = 4, 8  # longest side that an encoder leaves, and that a sub-decoder begins with


@dataclass(frozen=True)
class ConvNetwork:
    """One component's networks of 3x3 convolutions; the decoders mirror the encoder.

    The encoder's first layers halve the image until its longest side is at most 4, and a decoder's
    last layers enlarge it, where channels are few. Decoders have group norm in place of batch norm,
    since statistics of the batch would tell a decoder about the other examples.
    """

    x_shape: Sequence[int]
    """Shape of one x: (channels, height, width)."""
    channels: Sequence[int]
    """Channels of the encoder's layers."""
    norm: Norm = "group"
    """Normalisation: group, batch (of the encoder alone) or none."""
    gated: bool = False
    """Whether layers have twice the channels, half of which gate the others, in place of ReLUs."""

    def __post_init__(self) -> None:
        if not self.channels:
            raise MixvaeError("channels must name at least one number, such as [32, 64]; got none.")
        for n in self.channels:
            at_least(1, channels=n)
        kind = "gated-" if self.gated else ""
        if len(self.x_shape) != 3:
            raise MixvaeError(
                f"network='{kind}conv' needs images, of shape (channels, height, width); got x of "
                f"shape {tuple(self.x_shape)}. Use network='{kind}mlp' (--network {kind}mlp)."
            )
        if min(self.x_shape[1:]) < SMALLEST:
            raise MixvaeError(
                f"network='{kind}conv' needs images of at least {SMALLEST} x {SMALLEST} pixels, "
                f"since it halves them; got {' x '.join(map(str, self.x_shape[1:]))}. "
                f"Use network='{kind}mlp' (--network {kind}mlp)."
            )

    @property
    def n_features(self) -> int:
        return self.channels[-1] * prod(self._sizes(ENCODED)[-1])

    @property
    def n_shared(self) -> int:
        return self.channels[-1] * prod(self._sizes(SHARED)[-1])

    def layout(self) -> nn.Module:
        return nn.Identity()

    def encoder(self, n_labels: int = 0) -> nn.Module:
        layers: list[nn.Module] = []
        widths = [self.x_shape[0] + n_labels, *self.channels]
        for (n_in, n), size in zip(pairwise(widths), pairwise(self._sizes(ENCODED)), strict=True):
            bias = self.norm != "batch"  # batch norm subtracts it again
            conv = nn.Conv2d(n_in, self._wide * n, 3, _stride(*size), padding=1, bias=bias)
            layers += [self._initialised(conv), *self._after(n, self.norm)]
        return nn.Sequential(*layers, nn.Flatten())

    def decoder(self, n_latent: int, n_params: int) -> nn.Module:
        enlarge = self._enlarge(ENCODED, n_params)
        row = self._initialised(Linear(n_latent, self._wide * self.n_features))
        image = nn.Unflatten(-1, (-1, *self._sizes(ENCODED)[-1]))
        return nn.Sequential(row, image, *self._after(self.channels[-1]), *enlarge)

    def sub_decoder(self, n_latent: int) -> nn.Module:
        if self.gated:
            return gated(n_latent, [self.n_shared])
        return nn.Sequential(Linear(n_latent, self.n_shared), nn.Tanh())

    def mix_decoder(self, n_params: int) -> nn.Module:
        image = nn.Unflatten(-1, (-1, *self._sizes(SHARED)[-1]))
        return Shared(nn.Sequential(image, *self._enlarge(SHARED, n_params)))

    def _enlarge(self, longest: int, n_params: int) -> list[nn.Module]:
        """Layers from the smallest image (N, C, h, w) to x's size, flattened, (N, n_params)."""
        sizes, n_channels = self._sizes(longest)[::-1], self.channels[::-1]
        layers: list[nn.Module] = []
        for (n_in, n), size in zip(pairwise(n_channels), pairwise(sizes[:-1]), strict=True):
            layers += [self._initialised(_larger(n_in, self._wide * n, *size)), *self._after(n)]
        n_maps = n_params // prod(self.x_shape[1:])
        return [*layers, _larger(n_channels[-1], n_maps, *sizes[-2:]), nn.Flatten()]

    def _after(self, n: int, norm: Norm | None = None) -> list[nn.Module]:
        """Norm and activation after a layer of n channels; a decoder has group norm or none."""
        norm = norm or ("none" if self.norm == "none" else "group")
        return [*_norm(norm, self._wide * n), nn.GLU(-3) if self.gated else ReLU()]

    def _initialised(self, layer: Layer) -> Layer:
        return he(layer) if self.gated else layer

    @property
    def _wide(self) -> int:
        return 2 if self.gated else 1

    def _sizes(self, longest: int) -> list[Size]:
        """The sizes of x and after each layer: halved, rounding up, until no side is longer."""
        sizes = [(self.x_shape[1], self.x_shape[2])]
        for _ in self.channels:
            height, width = sizes[-1]
            halved = ((height + 1) // 2, (width + 1) // 2)
            sizes.append(halved if max(height, width) > longest else (height, width))
        return sizes


def _stride(large: Size, small: Size) -> int:
    return 1 if large == small else 2


def _larger(n_in: int, n_out: int, small: Size, large: Size) -> nn.ConvTranspose2d:
    stride = _stride(large, small)
    more_h, more_w = (b - stride * (a - 1) - 1 for a, b in zip(small, large, strict=True))
    return nn.ConvTranspose2d(n_in, n_out, 3, stride, 1, (more_h, more_w))


def _norm(norm: Norm, n: int) -> list[nn.Module]:
    """The norm of n channels; few channels are one group, as a norm of one removes its mean."""
    if norm == "none":
        return []
    if norm == "batch":
        return [nn.BatchNorm2d(n)]
    return [nn.GroupNorm(gcd(n, 8) if n >= 16 else 1, n)]
