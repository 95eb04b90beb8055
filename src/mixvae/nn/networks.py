"""Networks by name: those of one component, and K copies of them."""

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
    """One component's networks, for x of one shape; the interface of the networks by name."""

    @property
    def n_features(self) -> int:
        """H, the number of features of an encoder."""

    @property
    def n_shared(self) -> int:
        """F, the number of features of a sub-decoder, which the mix-decoder reads."""

    def layout(self) -> nn.Module:
        """x (B, *X) to the encoders' input, before labels are appended."""

    def encoder(self, n_labels: int = 0) -> nn.Module:
        """``layout``'s output, with ``n_labels`` more values or channels, to (N, n_features)."""

    def decoder(self, n_latent: int, n_params: int) -> nn.Module:
        """A code (N, L) to a likelihood's parameters (N, n_params)."""

    def sub_decoder(self, n_latent: int) -> nn.Module:
        """A code (N, L) to features (N, F), which are averaged."""

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
    """One component's networks, by name.

    Parameters
    ----------
    name
        mlp, gated-mlp, conv or gated-conv.
    x_shape
        Shape of one x; for convolutions (channels, height, width).
    hidden
        Widths of an MLP encoder's layers; not used by convolutions.
    channels
        Channels of a convolutional encoder's layers; not used by MLPs.
    norm
        Normalisation of convolutions: group, batch or none.
    activations
        Activations of an MLP encoder, one for each width. None: ReLU.

    Returns
    -------
        A :class:`MLPNetwork`, :class:`GatedMLPNetwork` or :class:`ConvNetwork`.

    Raises
    ------
    MixvaeError
        For an unknown name, no layers, or x that is not an image of at least 4 x 4 pixels for
        convolutions.

    Examples
    --------
    >>> net = network_of("mlp", (28, 28), hidden=(500, 100), channels=(), norm="none")
    >>> net.n_features
    100
    """
    one_of("network", name, get_args(NetworkName))
    one_of("norm", norm, get_args(Norm))
    if name in ("conv", "gated-conv"):
        return ConvNetwork(x_shape, channels, norm, gated=name == "gated-conv")
    if name == "gated-mlp":
        return GatedMLPNetwork(x_shape, hidden)
    return MLPNetwork(x_shape, hidden, activations)


def encoders(net: Network, n_components: int, n_labels: int = 0) -> nn.Module:
    r"""K encoders of the same x.

    Parameters
    ----------
    net
        One component's networks.
    n_components
        Number K of encoders.
    n_labels
        Number of values (MLPs) or channels (convolutions) that x has in addition.

    Returns
    -------
        A network, x (B, \*X) to features (B, K, n_features).
    """
    stacked = Stacked(lambda: net.encoder(n_labels), n_components, share_input=True)
    return nn.Sequential(net.layout(), stacked)


def shared_encoder(net: Network, n_components: int) -> nn.Module:
    """One encoder for all components: x (B, *X) to the same features for each, (B, K, H)."""
    return nn.Sequential(encoders(net, 1), ExpandComponents(n_components))


def decoders(net: Network, n_components: int, n_latent: int, n_params: int) -> nn.Module:
    """K decoders.

    Parameters
    ----------
    net
        One component's networks.
    n_components
        Number K of decoders.
    n_latent
        Size L of the code.
    n_params
        Number of the likelihood's parameters for one x.

    Returns
    -------
        A network, codes (N, K, L) to parameters (N, K, n_params).
    """
    return Stacked(lambda: net.decoder(n_latent, n_params), n_components)


def decoders_from_one(
    net: Network, n_components: int, n_latent: int, n_params: int
) -> tuple[nn.Module, nn.Module]:
    """K first layers, (N, K, L) to (N, K, *F), and the other layers of a decoder, for all."""
    others = _layers(net.decoder(n_latent, n_params))[1:]
    first = lambda: _layers(net.decoder(n_latent, n_params))[0]
    return Stacked(first, n_components), Shared(nn.Sequential(*others))


def _layers(net: nn.Module) -> list[nn.Module]:
    """The layers of a network, nested sequences flattened."""
    if not isinstance(net, nn.Sequential):
        return [net]
    return [layer for part in net for layer in _layers(part)]


def sub_decoders(net: Network, n_components: int, n_latent: int) -> nn.Module:
    """K sub-decoders, whose averaged features a mix-decoder reads; MVAE.

    Parameters
    ----------
    net
        One component's networks.
    n_components
        Number K of sub-decoders.
    n_latent
        Size L of the code.

    Returns
    -------
        A network, codes (N, K, L) to features (N, K, F).
    """
    return Stacked(lambda: net.sub_decoder(n_latent), n_components)
