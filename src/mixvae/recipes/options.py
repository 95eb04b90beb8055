"""Groups of options that recipes share, with the parts that they determine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from mixvae.data.dataset import Dataset
from mixvae.errors import MixvaeError
from mixvae.families import Family, MixturePosterior
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
from mixvae.objectives import Bound, Objective, iwae, matched, miselbo, mixture_elbo
from mixvae.parts.decoders import Decoder
from mixvae.parts.labels import NO_LABELS, Labels, OneHot
from mixvae.parts.posteriors import ConditionalNormal, NormalPosterior
from mixvae.parts.priors import NormalPrior

from .recipe import Recipe, Shape

BoundName = Literal["elbo", "iwae", "miselbo", "matched"]
BOUNDS: Mapping[BoundName, Bound] = {
    "elbo": mixture_elbo,
    "iwae": iwae,
    "miselbo": miselbo,
    "matched": matched,
}


@dataclass(frozen=True, kw_only=True)
class ComponentOptions(Recipe):
    """Several components."""

    n_components: int = 4
    """Number K of components."""

    def single(self) -> Recipe:
        return replace(self, n_components=1)


@dataclass(frozen=True, kw_only=True)
class LatentOptions(Recipe):
    """A code of size L: a normal posterior of every component, and the prior N(0, I)."""

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

    def vector_network(self, n_inputs: int, hidden: Sequence[int]) -> Network:
        """MLPs that read a vector, gated if ``network`` is."""
        kind: NetworkName = "gated-mlp" if self.network.startswith("gated") else "mlp"
        return network_of(kind, (n_inputs,), hidden, (), "none")

    def conditional_normal(
        self, n_inputs: int, hidden: Sequence[int], n_latent: int, n_components: int | None = None
    ) -> ConditionalNormal:
        """A normal of the lower of two levels given a vector, by an mlp, gated as ``network``.

        With ``n_components`` = K its batch is (..., K).
        """
        net = self.vector_network(n_inputs, hidden)
        heads = net.decoder(n_inputs, (n_components or 1) * 2 * n_latent)
        if n_components is not None:
            heads = nn.Sequential(heads, nn.Unflatten(-1, (n_components, 2 * n_latent)))
        return ConditionalNormal(heads, n_latent)


@dataclass(frozen=True, kw_only=True)
class LikelihoodOptions(Recipe):
    """A likelihood, which by default depends on the data."""

    likelihood: LikelihoodName | None = None
    """Likelihood p(x | z). By default bernoulli for data of zeros and ones, binomial for 3 to 33
    equally spaced levels, else gaussian; without data bernoulli."""
    n_trials: int | None = None
    """With likelihood binomial: number n of levels k / n above 0. By default that of the data."""

    def decided_by(self, data: Dataset | None) -> dict[str, Any]:
        default = "bernoulli" if data is None else data.likelihood
        if default == "columns":
            raise MixvaeError(
                "the columns of these data are of several kinds, or categories, which the recipe "
                "mfa-vae is for; choose it, or give columns of one kind."
            )
        is_binomial = (self.likelihood or default) == "binomial"
        n_trials = data.n_trials if data is not None and is_binomial else None
        return super().decided_by(data) | {"likelihood": default, "n_trials": n_trials}

    @property
    def from_mean(self) -> bool:
        """Whether the decoder's output is means, not logits."""
        return False

    def make_likelihood(self, x_shape: Shape) -> Likelihood:
        return likelihood_of(
            self.likelihood or "bernoulli",
            x_shape,
            from_mean=self.from_mean,
            n_trials=self.n_trials,
        )


@dataclass(frozen=True, kw_only=True)
class Autoencoder(LikelihoodOptions, NetworkOptions, LatentOptions):
    """An encoder and a decoder for each component."""

    def make_decoder(self, x_shape: Shape, likelihood: Likelihood) -> Decoder:
        net, n_params = self.make_network(x_shape), likelihood.n_params
        branch = decoders(net, self.n_components, self.decoder_inputs, n_params)
        return Decoder(branch, likelihood)

    @property
    def decoder_inputs(self) -> int:
        """Size of a decoder's input: L, or that of all levels of the code."""
        return self.n_latent


@dataclass(frozen=True, kw_only=True)
class OneDecoder(Autoencoder):
    """An encoder for each component, and one decoder for all."""

    def make_decoder(self, x_shape: Shape, likelihood: Likelihood) -> Decoder:
        net = self.make_network(x_shape).decoder(self.decoder_inputs, likelihood.n_params)
        return Decoder(Shared(net), likelihood)


@dataclass(frozen=True, kw_only=True)
class OneNetwork(OneDecoder):
    """One encoder and one decoder for all components."""

    def make_encoder(self, x_shape: Shape) -> nn.Module:
        return shared_encoder(self.make_network(x_shape), self.encoder_copies)

    @property
    def encoder_copies(self) -> int:
        """Number of components that read the encoder's features."""
        return self.n_components


@dataclass(frozen=True, kw_only=True)
class ImportanceWeighted(Recipe):
    """Training with the importance-weighted bound (Burda et al., ICLR 2016)."""

    bound: Literal["own", "iwae"] = "own"
    """Bound to maximise. own: the recipe's own; iwae: the importance-weighted bound, with the same
    penalties."""
    n_samples: int = 1
    """Number S of samples of the code."""

    def finish_objective(self, objective: Objective) -> Objective:
        objective = replace(super().finish_objective(objective), n_samples=self.n_samples)
        return replace(objective, bound=iwae, is_bound=True) if self.bound == "iwae" else objective


@dataclass(frozen=True, kw_only=True)
class MixturePosteriorOptions(Recipe):
    """A posterior that is a mixture, and the bound of it."""

    bound: BoundName = "elbo"
    """Bound to maximise. elbo: with the exact prior; iwae: all samples of all components inside one
    logarithm (SIWAE); miselbo: the samples of each component inside a logarithm; matched: that of
    the GMMpVAE paper, whose KL is looser."""
    n_samples: int = 1
    """Number S of samples of each component."""

    def make_family(self) -> Family:
        return MixturePosterior()

    def make_objective(self) -> Objective:
        return Objective(BOUNDS[self.bound], n_samples=self.n_samples, is_bound=True)


@dataclass(frozen=True, kw_only=True)
class LabelOptions(Recipe):
    """Class labels as an input of encoders and decoders."""

    conditional: bool = False
    """Give every encoder and decoder the class label."""
    n_classes: int | None = None
    """Number of classes. By default that of the data."""

    def decided_by(self, data: Dataset | None) -> dict[str, Any]:
        n_classes = data.n_classes if data is not None and self.conditional else None
        return super().decided_by(data) | {"n_classes": n_classes}

    def labels_of(self, *, planes: bool) -> Labels:
        """The labels part; with ``planes`` labels are appended to x as constant channels."""
        if not self.conditional:
            return NO_LABELS
        if self.n_classes is None:
            raise MixvaeError(
                "conditional needs n_classes, the number of classes; give it, or build the recipe "
                "for a Dataset with labels."
            )
        return OneHot(self.n_classes, planes=planes)


@dataclass(frozen=True, kw_only=True)
class PixelOptions(LikelihoodOptions):
    """A likelihood of independent pixels, or an autoregressive one."""

    pixelcnn: bool = False
    """Let each pixel depend on the previous ones too, by a gated PixelCNN that reads the decoder's
    output; for images. Slow: minutes an epoch on a CPU."""
    pixelcnn_features: int = 32
    """Number of feature maps of the PixelCNN."""
    pixelcnn_layers: int = 4
    """Number of layers of the PixelCNN."""
    pixelcnn_reach: int | None = None
    """How many rows above and columns to either side a pixel of the PixelCNN sees; only the code
    tells it what is farther away. At most pixelcnn_layers + 2, which is the default."""

    def make_likelihood(self, x_shape: Shape) -> Likelihood:
        independent = super().make_likelihood(x_shape)
        if not self.pixelcnn:
            return independent
        return PixelCNNLikelihood(
            independent,
            n_features=self.pixelcnn_features,
            n_layers=self.pixelcnn_layers,
            reach=self.pixelcnn_reach,
        )
