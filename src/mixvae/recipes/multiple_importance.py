"""Multiple importance sampling: K encoders (Kviman et al. 2022), or one for all (MISVAE, 2024)."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch

from ..decoders import Decoder
from ..errors import one_of
from ..families import MixturePosterior
from ..likelihoods import LikelihoodName
from ..likelihoods import likelihood as make_likelihood
from ..model import MixtureVAE
from ..objectives import Bound, Objective, iwae, miselbo, mixture_elbo
from ..posteriors import NormalPosterior, OneHotPosterior
from ..priors import NormalPrior
from ..subset import Subset
from ..weights import KnownWeights
from .networks import NetworkName, Norm, encoders, network_of, shared_decoder
from .recipe import Parts

BoundName = Literal["miselbo", "elbo", "iwae"]
Estimator = Literal["all", "some-to-all", "some-to-some"]
BOUNDS: Mapping[BoundName, Bound] = {"miselbo": miselbo, "elbo": mixture_elbo, "iwae": iwae}


def semvae(
    x_shape: Sequence[int],
    *,
    n_components: int = 4,
    n_latent: int = 40,
    network: NetworkName = "mlp",
    hidden: Sequence[int] = (300, 300),
    channels: Sequence[int] = (32, 64, 128, 256, 256),
    norm: Norm = "group",
    likelihood: LikelihoodName = "bernoulli",
    bound: BoundName = "miselbo",
    n_samples: int = 1,
) -> Parts:
    """A mixture posterior by K encoders, under one decoder (SEMVAE).

    Args:
        x_shape: shape of one x.
        n_components: number K of encoders; 1 is the IWAE, or with one sample the VAE.
        n_latent: size L of the code.
        network: mlp or gated-mlp, or for images conv or gated-conv.
        hidden: widths of an mlp encoder's hidden layers; the decoder mirrors them.
        channels: of a conv encoder's layers; the decoder mirrors them.
        norm: a conv network's normalisation: group, batch (in the encoders alone) or none.
        likelihood: p(x | z).
        bound: what to maximise. miselbo: each component's samples inside a logarithm; elbo: none;
            iwae: all samples of all components (SIWAE).
        n_samples: samples S a component.
    """
    one_of("bound", bound, get_args(BoundName))
    p_x = make_likelihood(likelihood, x_shape)
    net = network_of(network, x_shape, hidden, channels, norm)
    model = MixtureVAE(
        trunk=encoders(net, n_components),
        posterior=NormalPosterior(net.n_features, n_latent, n_components),
        weights=KnownWeights(n_components),
        decoder=Decoder(shared_decoder(net, n_latent, p_x.n_params), p_x),
        prior=NormalPrior(torch.zeros(n_latent)),
        family=MixturePosterior(),
    )
    return Parts(model, Objective(BOUNDS[bound], n_samples=n_samples), mixture_elbo)


def misvae(
    x_shape: Sequence[int],
    *,
    n_components: int = 20,
    estimator: Estimator = "some-to-all",
    n_subset: int = 4,
    one_hot_width: int = 100,
    n_latent: int = 40,
    network: NetworkName = "mlp",
    hidden: Sequence[int] = (300, 300),
    channels: Sequence[int] = (32, 64, 128, 256, 256),
    norm: Literal["group", "none"] = "group",
    likelihood: LikelihoodName = "bernoulli",
    bound: BoundName = "miselbo",
    n_samples: int = 1,
) -> Parts:
    """A mixture posterior of many components by one encoder that is told which (MISVAE).

    Args:
        x_shape: shape of one x.
        n_components: number K of components (A in the paper).
        estimator: what a training step decodes. all: every component; some-to-all: a random subset,
            under the mixture of all, which is unbiased; some-to-some: under the subset's own
            mixture, a looser bound whose steps cost the same for any K.
        n_subset: components in that subset (S in the paper), if there are more.
        one_hot_width: of the layer that reads x's features and the component's one-hot.
        n_latent: size L of the code.
        network: mlp or gated-mlp, or for images conv or gated-conv.
        hidden: widths of an mlp encoder's hidden layers; the decoder mirrors them.
        channels: of a conv encoder's layers; the decoder mirrors them.
        norm: a conv network's normalisation: group or none.
        likelihood: p(x | z).
        bound: what to maximise. miselbo: each component's samples inside a logarithm; elbo: none;
            iwae: all samples of all components (SIWAE).
        n_samples: samples a component.
    """
    one_of("bound", bound, get_args(BoundName))
    one_of("estimator", estimator, get_args(Estimator))
    one_of("norm", norm, ("group", "none"))  # nothing that components share reads the batch
    p_x = make_likelihood(likelihood, x_shape)
    net = network_of(network, x_shape, hidden, channels, norm)
    some = estimator != "all" and n_subset < n_components
    model = MixtureVAE(
        trunk=encoders(net, 1),
        posterior=OneHotPosterior(net.n_features, n_latent, n_components, one_hot_width),
        weights=KnownWeights(n_components),
        decoder=Decoder(shared_decoder(net, n_latent, p_x.n_params), p_x),
        prior=NormalPrior(torch.zeros(n_latent)),
        family=MixturePosterior(),
        subset=Subset(n_subset, whole=estimator == "some-to-all") if some else None,
    )
    return Parts(model, Objective(BOUNDS[bound], n_samples=n_samples), mixture_elbo)
