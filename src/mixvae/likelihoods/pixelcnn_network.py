"""The gated PixelCNN: a network whose output at a pixel depends on the pixels before it.

Pixels come in raster order: those before are in the rows above, and to the left. As in the gated
PixelCNN (van den Oord et al., NeurIPS 2016, Figure 2) a vertical stack reads the rows above and a
horizontal one the row's pixels to the left, so that there is no blind spot. In place of masks, the
image is shifted by a pixel at the input, and every window ends at the current row or pixel. So no
weight is multiplied by a zero, and generation runs the same layers on new pixels only.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mixvae.errors import MixvaeError, at_least, whole
from mixvae.nn import ReLU
from mixvae.progress import track

Pixels = Float[Tensor, "N O 1 1"]
NextPixel = Callable[[Pixels], Pixels]  # the network's output -> the pixel's value


class GatedLayer(nn.Module):
    """Layer of both stacks: gated convolutions, conditioned on the context at every pixel.

    Parameters
    ----------
    n_inputs
        Feature maps that each stack reads.
    n_features
        Feature maps that each stack returns.
    n_context
        Maps of the context.
    reach
        Height of the vertical window, and width of the horizontal one.
    width
        Width of the vertical window; odd.
    residual
        Whether the horizontal stack has a skip connection.

    References
    ----------
    van den Oord et al. (NeurIPS 2016), eqs. 2 and 5.
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
        """The vertical stack's H rows from R = H + reach - 1, and its input to the other stack."""
        gates = self.vertical(v) + self.context(context)
        return _gated(gates), self.link(gates)

    def along(
        self, h: Float[Tensor, "N I H R"], link: Float[Tensor, "N _G H W"]
    ) -> Float[Tensor, "N _O H W"]:
        """The horizontal stack's W columns from R = W + reach - 1."""
        new = self.out(_gated(self.horizontal(h) + link))
        return new + h[..., self.reach - 1 :] if self.residual else new


class PixelCNN(nn.Module):
    """Gated PixelCNN: from x (N, C, H, W) and a context (N, n_context, H, W) to outputs.

    The output at a pixel, of shape (n_outputs,), depends on the pixels that it sees, and on the
    context there and at the pixel. It sees ``reach`` rows above, as many columns to either side,
    and as many pixels to the left. All channels of a pixel are predicted at once, as in Salimans et
    al. (ICLR 2017).

    Parameters
    ----------
    n_channels
        C.
    n_outputs
        Outputs at each pixel.
    n_context
        Maps of the context.
    n_features
        Feature maps of each layer and stack.
    n_layers
        Layers: the first with windows of 7 x 7 pixels, the others of 3 x 3.
    reach
        How far a pixel sees, at most ``n_layers`` + 2, which is None. Windows are smaller for a
        shorter one: once its pixels are seen, layers have windows of one pixel.

    Raises
    ------
    MixvaeError
        For sizes under 1, or a longer reach than the layers have.
    """

    def __init__(
        self,
        n_channels: int,
        n_outputs: int,
        n_context: int,
        *,
        n_features: int = 32,
        n_layers: int = 5,
        reach: int | None = None,
    ) -> None:
        super().__init__()
        at_least(1, n_context=n_context, n_features=n_features, n_layers=n_layers)
        self.n_channels, self.n_context = n_channels, n_context
        reach = n_layers + 2 if reach is None else reach
        whole(1, reach=reach)
        if reach > n_layers + 2:
            raise MixvaeError(
                f"a PixelCNN of {n_layers} layers has a reach of at most {n_layers + 2} pixels; "
                f"got {reach}. Use more layers, or a shorter reach."
            )
        sizes, near = (n_features, n_context), min(reach, 3)
        first = GatedLayer(n_channels, *sizes, reach=near, width=2 * near + 1, residual=False)
        rest = [
            GatedLayer(n_features, *sizes, reach=1 + more, width=1 + 2 * more, residual=True)
            for more in (int(i < reach - near) for i in range(n_layers - 1))
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
        """Outputs at all pixels of a given x, (N, n_outputs, H, W)."""
        v, h = F.pad(x, (0, 0, 1, -1)), F.pad(x, (1, -1))
        for layer in self._layers():
            padding = layer.reach - 1
            v, link = layer.down(F.pad(v, (0, 0, padding, 0)), context)
            h = layer.along(F.pad(h, (padding, 0)), link)
        return self.head(h)

    @torch.no_grad()
    def generate(
        self, context: Float[Tensor, "N F H W"], pixel: NextPixel, *, progress: bool = False
    ) -> Float[Tensor, "N C H W"]:
        """Images generated pixel by pixel.

        Each layer keeps the rows and pixels in its windows (Ramachandran et al. 2017), so that
        nothing is computed twice and an image costs about as much arithmetic as one forward pass.

        Parameters
        ----------
        context
            The context of each image.
        pixel
            From the network's outputs (N, n_outputs, 1, 1) to the pixel's value (N, C, 1, 1).
        progress
            Whether to show a bar over the rows.
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
        """A row of pixels, given the vertical stack's input to every horizontal layer."""
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
    """Gated activation, of pairs of feature maps."""
    signal, gate = gates.chunk(2, 1)
    return signal.tanh() * gate.sigmoid()


def _slide(window: Tensor, new: Tensor, dim: int) -> Tensor:
    """The window, moved on by one step."""
    return torch.cat([window.narrow(dim, 1, window.shape[dim] - 1), new], dim)
