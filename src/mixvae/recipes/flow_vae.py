"""A VAE with a normalising flow as its prior, its posterior, or both."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import nn

from ..decoders import Decoder
from ..errors import one_of
from ..families import Joint
from ..flows import FlowPosterior, FlowPrior
from ..likelihoods import LikelihoodName
from ..likelihoods import likelihood as make_likelihood
from ..model import MixtureVAE
from ..objectives import Objective, elbo
from ..posteriors import NormalPosterior
from ..priors import NormalPrior
from ..weights import KnownWeights
from .networks import NetworkName, Norm, decoders, encoders, network_of
from .recipe import Parts, importance_weighted

Density = Literal["flow", "normal"]


@importance_weighted
def flow_vae(
    x_shape: Sequence[int],
    *,
    prior: Density = "flow",
    posterior: Density = "normal",
    n_transforms: int = 4,
    flow_hidden: Sequence[int] = (64, 64),
    n_latent: int = 40,
    network: NetworkName = "mlp",
    hidden: Sequence[int] = (500, 500),
    channels: Sequence[int] = (32, 64, 128, 256, 256),
    norm: Norm = "group",
    likelihood: LikelihoodName = "bernoulli",
) -> Parts:
    """The VAE under a prior that is a normalising flow, or with a posterior that is one.

    Args:
        x_shape: shape of one x.
        prior: flow, learned; or normal, N(0, I).
        posterior: normal; or flow, which takes that normal further and reads the encoder's
            features.
        n_transforms: coupling layers of a flow (RealNVP).
        flow_hidden: widths of a coupling layer's network.
        n_latent: size L of the code.
        network: mlp or gated-mlp, or for images conv or gated-conv.
        hidden: widths of an mlp encoder's hidden layers; the decoder mirrors them.
        channels: of a conv encoder's layers; the decoder mirrors them.
        norm: a conv network's normalisation: group, batch (in the encoder alone) or none.
        likelihood: p(x | z).
    """
    one_of("prior", prior, get_args(Density))
    one_of("posterior", posterior, get_args(Density))
    p_x = make_likelihood(likelihood, x_shape)
    net = network_of(network, x_shape, hidden, channels, norm)
    layers: dict[str, Any] = {"n_transforms": n_transforms, "hidden": flow_hidden}
    p_z = FlowPrior(n_latent, **layers) if prior == "flow" else NormalPrior(torch.zeros(n_latent))
    q_z: nn.Module = NormalPosterior(net.n_features, n_latent, 1)
    if posterior == "flow":
        q_z = FlowPosterior(q_z, net.n_features, n_latent, **layers)
    model = MixtureVAE(
        trunk=encoders(net, 1),
        posterior=q_z,
        weights=KnownWeights(1),
        decoder=Decoder(decoders(net, 1, n_latent, p_x.n_params), p_x),
        prior=p_z,
        family=Joint(),
    )
    return Parts(model, Objective(elbo), elbo)
