"""The gated PixelCNN: every pixel's output from the pixels before it and a context map.

Before means in raster order: the rows above, and the pixels to the left. As in the gated PixelCNN
(van den Oord et al. 2016, Figure 2) a vertical stack reads the rows above and a horizontal one the
row's pixels to the left, so that there is no blind spot. In the place of masks, the image is
shifted by a pixel on its way in, and every window ends at the present row or pixel: nothing is
multiplied by a zero, and generating runs the same layers on what is new alone.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mixvae.errors import at_least
from mixvae.nn import ReLU
from mixvae.progress import track

Pixels = Float[Tensor, "N O 1 1"]
NextPixel = Callable[[Pixels], Pixels]  # the network's output -> the pixel's value


class GatedLayer(nn.Module):
    """A layer of both stacks: gated windows, and the context at every place (paper, (2), (5)).

    Args:
        n_inputs: feature maps that each stack reads.
        n_features: feature maps that each stack leaves.
        n_context: maps of the context.
        reach: height of the vertical window, and width of the horizontal one.
        width: of the vertical window; odd.
        residual: add what the horizontal stack read.
    """

    def __init__(
        self,
        n_inputs: int,
        n_features: int,
        n_context: int,
        *,
        reach: int,
        width: int,
        residual: bool,
    ) -> None:
        super().__init__()
        n_gates, sides = 2 * n_features, (0, width // 2)
        self.n_inputs, self.reach, self.residual = n_inputs, reach, residual
        self.vertical = nn.Conv2d(n_inputs, n_gates, (reach, width), padding=sides, bias=False)
        self.horizontal = nn.Conv2d(n_inputs, n_gates, (1, reach), bias=False)
        self.context = nn.Conv2d(n_context, n_gates, 1)
        self.link = nn.Conv2d(n_gates, n_gates, 1)
        self.out = nn.Conv2d(n_features, n_features, 1)

    def down(
        self, v: Float[Tensor, "N I R W"], context: Float[Tensor, "N _C H W"]
    ) -> tuple[Float[Tensor, "N _O H W"], Float[Tensor, "N _G H W"]]:
        """The vertical stack's H rows from R = H + reach - 1, and what the other stack is told."""
        gates = self.vertical(v) + self.context(context)
        return _gated(gates), self.link(gates)

    def along(
        self, h: Float[Tensor, "N I H R"], link: Float[Tensor, "N _G H W"]
    ) -> Float[Tensor, "N _O H W"]:
        """The horizontal stack's W columns from R = W + reach - 1."""
        new = self.out(_gated(self.horizontal(h) + link))
        return new + h[..., self.reach - 1 :] if self.residual else new


class PixelCNN(nn.Module):
    """x (N, C, H, W) and a context (N, n_context, H, W) to (N, n_outputs, H, W).

    The output at a pixel reads that place's context and those of the pixels that it sees: of the
    ``n_layers`` + 2 rows above, as many columns to either side, and as many pixels to the left.
    All channels of a pixel come at once, as in Salimans et al. (2017).

    Raises:
        MixvaeError: for sizes under 1.
    """

    def __init__(
        self,
        n_channels: int,
        n_outputs: int,
        n_context: int,
        *,
        n_features: int = 32,
        n_layers: int = 5,
    ) -> None:
        super().__init__()
        at_least(1, n_context=n_context, n_features=n_features, n_layers=n_layers)
        self.n_channels, self.n_context = n_channels, n_context
        sizes = (n_features, n_context)
        first = GatedLayer(n_channels, *sizes, reach=3, width=7, residual=False)  # of 7 x 7
        rest = [
            GatedLayer(n_features, *sizes, reach=2, width=3, residual=True)  # of 3 x 3
            for _ in range(n_layers - 1)
        ]
        self.layers = nn.ModuleList([first, *rest])
        self.head = nn.Sequential(
            ReLU(),
            nn.Conv2d(n_features, n_features, 1),
            ReLU(),
            nn.Conv2d(n_features, n_outputs, 1),
        )

    def forward(
        self, x: Float[Tensor, "N C H W"], context: Float[Tensor, "N F H W"]
    ) -> Float[Tensor, "N O H W"]:
        """All pixels at once: for x that is known."""
        v, h = F.pad(x, (0, 0, 1, -1)), F.pad(x, (1, -1))
        for layer in self._layers():
            more = layer.reach - 1
            v, link = layer.down(F.pad(v, (0, 0, more, 0)), context)
            h = layer.along(F.pad(h, (more, 0)), link)
        return self.head(h)

    @torch.no_grad()
    def generate(
        self, context: Float[Tensor, "N F H W"], pixel: NextPixel, *, progress: bool = False
    ) -> Float[Tensor, "N C H W"]:
        """One pixel after another, each ``pixel`` of the output there.

        Nothing is computed twice: a layer keeps the rows and pixels in its windows (Ramachandran
        et al. 2017), so that an image costs about as much arithmetic as one forward pass.
        ``progress`` shows a bar over the rows.
        """
        n, _, height, width = context.shape
        row = context.new_zeros(n, self.n_channels, 1, width)
        seen = [row.new_zeros(n, a.n_inputs, a.reach, width) for a in self._layers()]
        rows = []
        for i in track(range(height), "rows of pixels", height, show=progress):
            links, new = [], row
            for k, layer in enumerate(self._layers()):
                seen[k] = _slide(seen[k], new, 2)
                new, link = layer.down(seen[k], context[:, :, i : i + 1])
                links.append(link)
            row = self._row(links, pixel)
            rows.append(row)
        return torch.cat(rows, 2)

    def _row(
        self, links: list[Float[Tensor, "N G 1 W"]], pixel: NextPixel
    ) -> Float[Tensor, "N C 1 W"]:
        """A row of pixels, given what the vertical stack tells every layer."""
        n, width = len(links[0]), links[0].shape[-1]
        value = links[0].new_zeros(n, self.n_channels, 1, 1)
        seen = [value.new_zeros(n, a.n_inputs, 1, a.reach) for a in self._layers()]
        row = []
        for j in range(width):
            new = value
            for k, (layer, link) in enumerate(zip(self._layers(), links, strict=True)):
                seen[k] = _slide(seen[k], new, 3)
                new = layer.along(seen[k], link[..., j : j + 1])
            value = pixel(self.head(new))
            row.append(value)
        return torch.cat(row, 3)

    def _layers(self) -> list[GatedLayer]:
        return list(self.layers)  # type: ignore[arg-type]  # it holds nothing else


def _gated(gates: Float[Tensor, "N G H W"]) -> Float[Tensor, "N O H W"]:
    signal, gate = gates.chunk(2, 1)
    return signal.tanh() * gate.sigmoid()


def _slide(window: Tensor, new: Tensor, dim: int) -> Tensor:
    """The window one step further."""
    return torch.cat([window.narrow(dim, 1, window.shape[dim] - 1), new], dim)
