"""The exact mixture: K VAEs, of which one makes each x; no published paper's, and a true bound."""

from collections.abc import Sequence

import torch

from ..decoders import Decoder
from ..families import ExactMixture
from ..likelihoods import LikelihoodName
from ..likelihoods import likelihood as make_likelihood
from ..model import MixtureVAE
from ..objectives import Objective, mixture_bound
from ..posteriors import NormalPosterior
from ..priors import NormalPrior
from ..weights import KnownWeights
from .networks import NetworkName, Norm, decoders, encoders, network_of
from .recipe import Parts, importance_weighted


@importance_weighted
def mixture_vae(
    x_shape: Sequence[int],
    *,
    n_components: int = 4,
    n_latent: int = 20,
    network: NetworkName = "mlp",
    hidden: Sequence[int] = (500, 500),
    channels: Sequence[int] = (32, 64, 128, 256, 256),
    norm: Norm = "group",
    likelihood: LikelihoodName = "bernoulli",
) -> Parts:
    """A mixture of K VAEs with learned proportions, the component's index summed out exactly.

    Args:
        x_shape: shape of one x.
        n_components: number K of VAEs; 1 is the VAE.
        n_latent: size L of each component's code.
        network: mlp or gated-mlp, or for images conv or gated-conv.
        hidden: widths of an mlp encoder's hidden layers; the decoders mirror them.
        channels: of a conv encoder's layers; the decoders mirror them.
        norm: a conv network's normalisation: group, batch (in the encoders alone) or none.
        likelihood: p(x | z, k).
    """
    p_x = make_likelihood(likelihood, x_shape)
    net = network_of(network, x_shape, hidden, channels, norm)
    model = MixtureVAE(
        trunk=encoders(net, n_components),
        posterior=NormalPosterior(net.n_features, n_latent, n_components),
        weights=KnownWeights(n_components, learned=True),
        decoder=Decoder(decoders(net, n_components, n_latent, p_x.n_params), p_x),
        prior=NormalPrior(torch.zeros(n_latent)),
        family=ExactMixture(),
    )
    return Parts(model, Objective(mixture_bound), mixture_bound)
