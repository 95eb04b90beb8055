"""The networks that recipes share: one component's, by name, and K of them."""

from collections.abc import Sequence
from typing import Literal, Protocol, get_args, runtime_checkable

from torch import nn

from mixvae.errors import one_of

from .conv import ConvNetwork, Norm
from .mlp import GatedMLPNetwork, MLPNetwork
from .stacked import ExpandComponents, Make, Shared, Stacked

NetworkName = Literal["mlp", "gated-mlp", "conv", "gated-conv"]


@runtime_checkable
class Network(Protocol):
    """One component's networks, for x of one shape."""

    @property
    def n_features(self) -> int:
        """What an encoder leaves for the heads."""

    @property
    def n_shared(self) -> int:
        """F, what a sub-decoder leaves for the mix-decoder."""

    def layout(self) -> nn.Module:
        """x (B, *X) as the encoders read it."""

    def encoder(self, n_labels: int = 0) -> nn.Module:
        """x as laid out, with ``n_labels`` values or channels more, to (N, n_features)."""

    def decoder(self, n_latent: int, n_params: int) -> nn.Module:
        """A code (N, L) to a likelihood's parameters (N, n_params)."""

    def sub_decoder(self, n_latent: int) -> nn.Module:
        """A code (N, L) to features (N, F), which are blended."""

    def mix_decoder(self, n_params: int) -> nn.Module:
        """Features (N, K or 1, F) to parameters (N, K or 1, n_params)."""


def network_of(
    name: NetworkName,
    x_shape: Sequence[int],
    hidden: Sequence[int],
    channels: Sequence[int],
    norm: Norm,
    activations: Sequence[Make] | None = None,
) -> Network:
    """The networks that a recipe names by plain values; ``activations`` are an MLP encoder's.

    Raises:
        MixvaeError: for an unknown name, no layers, or x that convolutions cannot read.
    """
    one_of("network", name, get_args(NetworkName))
    one_of("norm", norm, get_args(Norm))
    if name in ("conv", "gated-conv"):
        return ConvNetwork(x_shape, channels, norm, gated=name == "gated-conv")
    if name == "gated-mlp":
        return GatedMLPNetwork(x_shape, hidden)
    return MLPNetwork(x_shape, hidden, activations)


def encoders(net: Network, n_components: int, n_labels: int = 0) -> nn.Module:
    """K encoders that read the same x: (B, *X) to (B, K, n_features).

    With ``n_labels``, x has that many values more (mlp: a row) or channels more (conv).
    """
    one = lambda: net.encoder(n_labels)
    return nn.Sequential(net.layout(), Stacked(one, n_components, share_input=True))


def shared_encoder(net: Network, n_components: int) -> nn.Module:
    """One encoder whose features all heads read: (B, *X) to (B, K, n_features)."""
    return nn.Sequential(encoders(net, 1), ExpandComponents(n_components))


def decoders(net: Network, n_components: int, n_latent: int, n_params: int) -> nn.Module:
    """K decoders: (N, K, L) to (N, K, n_params)."""
    return Stacked(lambda: net.decoder(n_latent, n_params), n_components)


def shared_decoder(net: Network, n_latent: int, n_params: int) -> nn.Module:
    """One decoder for the codes of all components: (N, K, L) to (N, K, n_params)."""
    return Shared(net.decoder(n_latent, n_params))


def decoders_from_one(
    net: Network, n_components: int, n_latent: int, n_params: int
) -> tuple[nn.Module, nn.Module]:
    """K first layers, (N, K, L) to (N, K, *F), and the rest of a decoder, which all share."""
    rest = _layers(net.decoder(n_latent, n_params))[1:]
    first = lambda: _layers(net.decoder(n_latent, n_params))[0]
    return Stacked(first, n_components), Shared(nn.Sequential(*rest))


def _layers(net: nn.Module) -> list[nn.Module]:
    """Its layers in a row, out of any sequences within sequences."""
    if not isinstance(net, nn.Sequential):
        return [net]
    return [layer for part in net for layer in _layers(part)]


def sub_decoders(net: Network, n_components: int, n_latent: int) -> nn.Module:
    """K sub-decoders, of which one mix-decoder reads the blend: (N, K, L) to (N, K, F)."""
    return Stacked(lambda: net.sub_decoder(n_latent), n_components)
