"""Options that recipes share, each with the parts that it decides."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from mixvae.data.dataset import Dataset
from mixvae.errors import MixvaeError
from mixvae.likelihoods import Likelihood, LikelihoodName
from mixvae.likelihoods import likelihood as likelihood_of
from mixvae.likelihoods.pixelcnn import PixelCNNLikelihood
from mixvae.nn import Shared
from mixvae.nn.networks import (
    Network,
    NetworkName,
    Norm,
    decoders,
    encoders,
    network_of,
    shared_encoder,
)
from mixvae.objectives import Objective, iwae
from mixvae.parts.decoders import Decoder
from mixvae.parts.labels import NO_LABELS, Labels, OneHot
from mixvae.parts.posteriors import NormalPosterior
from mixvae.parts.priors import NormalPrior

from .recipe import Recipe, Shape


@dataclass(frozen=True, kw_only=True)
class ComponentOptions(Recipe):
    """Several components."""

    n_components: int = 4
    """Number K of components."""

    def single(self) -> Recipe:
        return replace(self, n_components=1)


@dataclass(frozen=True, kw_only=True)
class LatentOptions(Recipe):
    """A code of L numbers: a normal posterior of every component, under N(0, I)."""

    n_latent: int = 40
    """Size L of the code."""

    def make_posterior(self, x_shape: Shape) -> nn.Module:
        return NormalPosterior(self.encoder_features(x_shape), self.n_latent, self.n_components)

    def make_prior(self, x_shape: Shape) -> nn.Module:
        return NormalPrior(torch.zeros(self.n_latent))


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(Recipe):
    """An encoder for each component."""

    network: NetworkName = "mlp"
    """Kind of the networks: mlp or gated-mlp, or for images conv or gated-conv."""
    hidden: Sequence[int] = (500, 500)
    """Widths of an mlp encoder's hidden layers; the decoder mirrors them."""
    channels: Sequence[int] = (32, 64, 128, 256, 256)
    """Channels of a conv encoder's layers; the decoder mirrors them."""
    norm: Norm = "group"
    """Normalisation of a conv network: group, batch (in the encoder alone) or none."""

    def make_network(self, x_shape: Shape) -> Network:
        """One component's networks."""
        return network_of(self.network, x_shape, self.hidden, self.channels, self.norm)

    def encoder_features(self, x_shape: Shape) -> int:
        return self.make_network(x_shape).n_features

    def make_encoder(self, x_shape: Shape) -> nn.Module:
        return encoders(self.make_network(x_shape), self.n_components)


@dataclass(frozen=True, kw_only=True)
class LikelihoodOptions(Recipe):
    """A likelihood, which the data decide where it is not given."""

    likelihood: LikelihoodName | None = None
    """The likelihood p(x | z). By default the data choose: bernoulli where all pixels are 0 or 1,
    else gaussian; without data bernoulli."""

    def decided_by(self, data: Dataset | None) -> dict[str, Any]:
        usual = "bernoulli" if data is None else data.likelihood
        return super().decided_by(data) | {"likelihood": usual}

    def make_likelihood(self, x_shape: Shape) -> Likelihood:
        return likelihood_of(self.likelihood or "bernoulli", x_shape)


@dataclass(frozen=True, kw_only=True)
class Autoencoder(LikelihoodOptions, NetworkOptions, LatentOptions):
    """An encoder and a decoder for each component, and a code between them."""

    def make_decoder(self, x_shape: Shape, likelihood: Likelihood) -> Decoder:
        net, n_params = self.make_network(x_shape), likelihood.n_params
        branch = decoders(net, self.n_components, self.decoder_inputs, n_params)
        return Decoder(branch, likelihood)

    @property
    def decoder_inputs(self) -> int:
        """Numbers that a decoder reads: L, or all levels of the code."""
        return self.n_latent


@dataclass(frozen=True, kw_only=True)
class OneDecoder(Autoencoder):
    """An encoder for each component, and one decoder for the codes of all."""

    def make_decoder(self, x_shape: Shape, likelihood: Likelihood) -> Decoder:
        net = self.make_network(x_shape).decoder(self.decoder_inputs, likelihood.n_params)
        return Decoder(Shared(net), likelihood)


@dataclass(frozen=True, kw_only=True)
class OneNetwork(OneDecoder):
    """One encoder, whose features the posteriors of all components read, and one decoder."""

    def make_encoder(self, x_shape: Shape) -> nn.Module:
        return shared_encoder(self.make_network(x_shape), self.encoder_copies)

    @property
    def encoder_copies(self) -> int:
        """How many components read the features."""
        return self.n_components


@dataclass(frozen=True, kw_only=True)
class ImportanceWeighted(Recipe):
    """Training by the importance-weighted bound (Burda et al. 2016)."""

    bound: Literal["own", "iwae"] = "own"
    """What is maximised. own: the recipe's objective; iwae: the importance-weighted bound in its
    place, with the same penalties."""
    n_samples: int = 1
    """Number S of samples."""

    def finish_objective(self, objective: Objective) -> Objective:
        objective = replace(super().finish_objective(objective), n_samples=self.n_samples)
        return replace(objective, bound=iwae, is_bound=True) if self.bound == "iwae" else objective


@dataclass(frozen=True, kw_only=True)
class LabelOptions(Recipe):
    """Class labels, which the encoders and decoders may be given."""

    conditional: bool = False
    """Give every encoder and decoder the class label."""
    n_classes: int | None = None
    """Number of classes. By default the data's."""

    def decided_by(self, data: Dataset | None) -> dict[str, Any]:
        n_classes = data.n_classes if data is not None and self.conditional else None
        return super().decided_by(data) | {"n_classes": n_classes}

    def labels_of(self, *, planes: bool) -> Labels:
        """How class labels join x and z; as images of one value where ``planes``."""
        if not self.conditional:
            return NO_LABELS
        if self.n_classes is None:
            raise MixvaeError(
                "conditional needs n_classes, the number of classes; data with labels give "
                "it: build the recipe for a Dataset that has some."
            )
        return OneHot(self.n_classes, planes=planes)


@dataclass(frozen=True, kw_only=True)
class PixelOptions(LikelihoodOptions):
    """Pixels that are independent given z, or read those before them."""

    pixelcnn: bool = False
    """Let each pixel depend on those before it too, by a gated PixelCNN that reads what the decoder
    makes of the code; of images. Slow: minutes an epoch on a CPU."""
    pixelcnn_features: int = 32
    """Feature maps of the PixelCNN."""
    pixelcnn_layers: int = 4
    """Layers of the PixelCNN."""

    def make_likelihood(self, x_shape: Shape) -> Likelihood:
        alone = super().make_likelihood(x_shape)
        if not self.pixelcnn:
            return alone
        sizes = {"n_features": self.pixelcnn_features, "n_layers": self.pixelcnn_layers}
        return PixelCNNLikelihood(alone, **sizes)
