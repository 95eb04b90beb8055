"""MLPs, plain or gated, for x flattened to a vector."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from torch import nn

from mixvae.errors import MixvaeError

from .gated import gated
from .linear import Linear
from .stacked import MLP, Make, ReLU


@dataclass(frozen=True)
class Rows:
    """The base of both kinds of MLP; the decoders have the encoder's widths in reverse order."""

    x_shape: Sequence[int]
    """Shape of one x."""
    hidden: Sequence[int]
    """Widths of the encoder's layers."""

    def __post_init__(self) -> None:
        if not self.hidden:
            raise MixvaeError("hidden must name at least one width, such as [500, 500]; got none.")

    @property
    def n_features(self) -> int:
        return self.hidden[-1]

    @property
    def n_shared(self) -> int:
        return self.hidden[-1]

    def layout(self) -> nn.Module:
        return nn.Flatten()

    def n_inputs(self, n_labels: int) -> int:
        """Size of an encoder's input, labels included."""
        return prod(self.x_shape) + n_labels


@dataclass(frozen=True)
class MLPNetwork(Rows):
    """One component's MLPs."""

    activations: Sequence[Make] | None = None
    """Activations of the encoder, one for each width. None: ReLU."""

    def encoder(self, n_labels: int = 0) -> nn.Module:
        *inner, last = self.activations or [ReLU] * len(self.hidden)
        body = MLP(self.n_inputs(n_labels), self.n_features, self.hidden[:-1], inner)
        return nn.Sequential(body, last())

    def decoder(self, n_latent: int, n_params: int) -> nn.Module:
        return MLP(n_latent, n_params, self.hidden[::-1])

    def sub_decoder(self, n_latent: int) -> nn.Module:
        return nn.Sequential(MLP(n_latent, self.n_shared), nn.Tanh())

    def mix_decoder(self, n_params: int) -> nn.Module:
        return MLP(self.n_shared, n_params, self.hidden[:-1][::-1], nn.ELU)


@dataclass(frozen=True)
class GatedMLPNetwork(Rows):
    """One component's gated MLPs; a layer whose outputs are parameters has no gate."""

    def encoder(self, n_labels: int = 0) -> nn.Module:
        return gated(self.n_inputs(n_labels), self.hidden)

    def decoder(self, n_latent: int, n_params: int) -> nn.Module:
        body = gated(n_latent, self.hidden[::-1])
        return nn.Sequential(body, Linear(self.hidden[0], n_params))

    def sub_decoder(self, n_latent: int) -> nn.Module:
        return gated(n_latent, [self.n_shared])

    def mix_decoder(self, n_params: int) -> nn.Module:
        body = gated(self.n_shared, self.hidden[:-1][::-1])
        return nn.Sequential(body, Linear(self.hidden[0], n_params))
