"""One component's networks of convolutions."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import gcd, prod
from typing import Literal

from torch import nn

from ..errors import MixvaeError, at_least
from ..nn import Shared

Norm = Literal["group", "batch", "none"]
Size = tuple[int, int]  # height, width

SMALLEST = 4  # side of an image
ENCODED, BLENDED = 4, 8  # the longest side where an encoder stops halving, and for a sub-decoder


@dataclass(frozen=True)
class ConvNetwork:
    """3x3 convolutions, one for each of ``channels``; the decoders mirror the encoder.

    The encoder's first layers halve the image until its longest side is at most 4, so a decoder
    enlarges it in its last ones, where channels are few. Batch norm is the encoder's alone; the
    decoders then have group norm: over the batch, a decoder would tell a code by its company.
    """

    x_shape: Sequence[int]
    channels: Sequence[int]
    norm: Norm = "group"

    def __post_init__(self) -> None:
        if not self.channels:
            raise MixvaeError("channels must name at least one number, such as [32, 64]; got none.")
        for n in self.channels:
            at_least(1, channels=n)
        if len(self.x_shape) != 3:
            raise MixvaeError(
                "network='conv' needs images, of shape (channels, height, width); got x of shape "
                f"{tuple(self.x_shape)}. Use network='mlp'."
            )
        if min(self.x_shape[1:]) < SMALLEST:
            raise MixvaeError(
                f"network='conv' needs images of at least {SMALLEST} x {SMALLEST} pixels, since it "
                f"halves them; got {' x '.join(map(str, self.x_shape[1:]))}. Use network='mlp'."
            )

    @property
    def n_features(self) -> int:
        return self.channels[-1] * prod(self._sizes(ENCODED)[-1])

    @property
    def n_shared(self) -> int:
        return self.channels[-1] * prod(self._sizes(BLENDED)[-1])

    def layout(self) -> nn.Module:
        return nn.Identity()

    def encoder(self, n_labels: int = 0) -> nn.Module:
        layers: list[nn.Module] = []
        widths = [self.x_shape[0] + n_labels, *self.channels]
        for width, size in zip(pairwise(widths), pairwise(self._sizes(ENCODED)), strict=True):
            bias = self.norm != "batch"  # which would take it away again
            layers.append(nn.Conv2d(*width, 3, _stride(*size), padding=1, bias=bias))
            layers += _norm_relu(self.norm, width[1])
        return nn.Sequential(*layers, nn.Flatten())

    def decoder(self, n_latent: int, n_params: int) -> nn.Module:
        image, *enlarge = self._enlarge(ENCODED, n_params)
        start = [nn.Linear(n_latent, self.n_features), image, *self._between(self.channels[-1])]
        return nn.Sequential(*start, *enlarge)

    def sub_decoder(self, n_latent: int) -> nn.Module:
        return nn.Sequential(nn.Linear(n_latent, self.n_shared), nn.Tanh())

    def mix_decoder(self, n_params: int) -> nn.Module:
        return Shared(nn.Sequential(*self._enlarge(BLENDED, n_params)))

    def _enlarge(self, longest: int, n_params: int) -> list[nn.Module]:
        """A row (N, C * h * w) to an image, back to x's size, and to a row (N, n_params)."""
        sizes = self._sizes(longest)[::-1]
        widths = [*self.channels[::-1], n_params // prod(self.x_shape[1:])]
        layers: list[nn.Module] = [nn.Unflatten(-1, (widths[0], *sizes[0]))]
        for width, (small, large) in zip(pairwise(widths), pairwise(sizes), strict=True):
            stride = _stride(large, small)
            more_h, more_w = (b - stride * (a - 1) - 1 for a, b in zip(small, large, strict=True))
            if len(layers) > 1:
                layers += self._between(width[0])
            layers.append(nn.ConvTranspose2d(*width, 3, stride, 1, (more_h, more_w)))
        return [*layers, nn.Flatten()]

    def _between(self, n: int) -> list[nn.Module]:
        return _norm_relu("none" if self.norm == "none" else "group", n)

    def _sizes(self, longest: int) -> list[Size]:
        """Of x, and after each layer: halved, rounding up, until no side is longer."""
        sizes = [(self.x_shape[1], self.x_shape[2])]
        for _ in self.channels:
            height, width = sizes[-1]
            halved = ((height + 1) // 2, (width + 1) // 2)
            sizes.append(halved if max(height, width) > longest else (height, width))
        return sizes


def _stride(large: Size, small: Size) -> int:
    return 1 if large == small else 2


def _norm_relu(norm: Norm, n: int) -> list[nn.Module]:
    """For n channels. Few of them are one group: of one channel, a norm would leave no level."""
    if norm == "none":
        return [nn.ReLU()]
    if norm == "batch":
        return [nn.BatchNorm2d(n), nn.ReLU()]
    return [nn.GroupNorm(gcd(n, 8) if n >= 16 else 1, n), nn.ReLU()]
