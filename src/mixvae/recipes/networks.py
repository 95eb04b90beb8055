"""The networks that recipes share."""

from collections.abc import Sequence
from math import prod

from torch import nn

from ..errors import MixvaeError
from ..nn import MLP, Make, Stacked


def encoders(
    x_shape: Sequence[int],
    n_components: int,
    hidden: Sequence[int],
    activations: Sequence[Make] | None = None,
) -> nn.Module:
    """K encoder bodies that read the same x: (B, *X) to (B, K, hidden[-1]). ReLU by default."""
    if not hidden:
        raise MixvaeError("hidden must name at least one width, such as [500, 500]; got none.")
    *inner, last = activations or [nn.ReLU] * len(hidden)

    def one() -> nn.Module:
        return nn.Sequential(MLP(prod(x_shape), hidden[-1], hidden[:-1], inner), last())

    return nn.Sequential(nn.Flatten(), Stacked(one, n_components, share_input=True))


def decoders(n_components: int, n_latent: int, hidden: Sequence[int], n_params: int) -> nn.Module:
    """K decoders, the encoders' widths mirrored: (N, K, L) to (N, K, n_params)."""
    return Stacked(lambda: MLP(n_latent, n_params, hidden[::-1]), n_components)
