"""MVAE: K encoders and sub-decoders, and one mix-decoder (Ye & Bors, TNNLS 2021)."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

from torch import nn

from mixvae.errors import MixvaeError
from mixvae.likelihoods import Likelihood
from mixvae.nn.networks import Network, encoders, network_of, sub_decoders
from mixvae.parts.component_dropout import ComponentDropout, ConcreteDropout, GaussianDropout
from mixvae.parts.decoders import Decoder, weighted_sum
from mixvae.parts.labels import Labels

from .dropout_options import DropoutOptions
from .joint import JointMixture
from .options import LabelOptions
from .recipe import Shape
from .registry import register

Rate = Literal["per_component", "shared"]
RateKL = Literal["sigmoid", "polynomial"]


@register("mvae")
@dataclass(frozen=True, kw_only=True)
class MVAE(LabelOptions, JointMixture):
    """K encoders and sub-decoders, whose features are averaged by Dirichlet weights (MVAE).

    Ye & Bors, TNNLS 2021. One mix-decoder reads the average. K is fixed (the paper's "fixed K").
    """

    n_latent: int = 50
    hidden: int | Sequence[int] = 500  # type: ignore[assignment]  # one width for both layers
    """Widths of an mlp encoder's hidden layers, which the decoders mirror; one number is the width
    of both."""

    def make_network(self, x_shape: Shape) -> Network:
        widths = (self.hidden,) if isinstance(self.hidden, int) else tuple(self.hidden)
        widths = widths * 2 if len(widths) == 1 else widths
        activations = (nn.ELU,) * (len(widths) - 1) + (nn.Tanh,)
        return network_of(self.network, x_shape, widths, self.channels, self.norm, activations)

    def make_labels(self) -> Labels:
        return self.labels_of(planes=self.network.endswith("conv"))

    def make_encoder(self, x_shape: Shape) -> nn.Module:
        n_labels = self.make_labels().n_classes or 0
        return encoders(self.make_network(x_shape), self.n_components, n_labels)

    def make_decoder(self, x_shape: Shape, likelihood: Likelihood) -> Decoder:
        net, n_labels = self.make_network(x_shape), self.make_labels().n_classes or 0
        return Decoder(
            branch=sub_decoders(net, self.n_components, self.n_latent + n_labels),
            combine=weighted_sum,
            head=net.mix_decoder(likelihood.n_params),
            likelihood=likelihood,
        )


@dataclass(frozen=True, kw_only=True)
class MaskedMVAE(DropoutOptions, MVAE):
    """MVAE with component dropout."""

    rate: Rate = "per_component"
    """Dropout rates: one for each component, so that training chooses among them, or one that all
    share, as in the paper."""

    def without_dropout(self) -> MVAE:
        """The MVAE with the same options."""
        if type(self) not in (MVAEGS, MVAEGau):
            raise MixvaeError(
                f"{type(self).__name__} does not say what it is without component dropout: define "
                "without_dropout in it, which returns a recipe that has none."
            )
        return MVAE(**{option.name: getattr(self, option.name) for option in fields(MVAE)})


@register("mvae-gs")
@dataclass(frozen=True, kw_only=True)
class MVAEGS(MaskedMVAE):
    """MVAE with component dropout by concrete masks, which chooses K (MVAE-GS)."""

    temperature: float = 0.1
    """Temperature of the concrete masks."""
    keep_prior: float = 0.1
    """Prior probability that a component takes part; smaller values drop more components. With a
    shared rate, the paper's entropy takes its place."""

    def make_dropout(self) -> ComponentDropout:
        return ConcreteDropout(
            self.n_components,
            rate=self.start_rate,
            shared=self.rate == "shared",
            temperature=self.temperature,
            keep_prior=self.keep_prior,
        )


@register("mvae-gau")
@dataclass(frozen=True, kw_only=True)
class MVAEGau(MaskedMVAE):
    """MVAE with component dropout by Gaussian masks, which chooses K (MVAE-Gau)."""

    start_rate: float = 0.1
    """Initial dropout rates p; the masks' variance is p / (1 - p)."""
    rate_kl: RateKL = "sigmoid"
    """Approximation of the rates' KL. sigmoid: valid at every rate; polynomial: as in the paper,
    for rates below 1/2 alone, so that no component is ever dropped."""

    def make_dropout(self) -> ComponentDropout:
        return GaussianDropout(
            self.n_components,
            rate=self.start_rate,
            shared=self.rate == "shared",
            polynomial=self.rate_kl == "polynomial",
        )
