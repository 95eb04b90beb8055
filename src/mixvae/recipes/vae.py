"""The VAE (Kingma & Welling 2014) and the models that differ from it by the objective alone."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from ..decoders import Decoder
from ..errors import at_least
from ..families import Joint
from ..likelihoods import LikelihoodName
from ..likelihoods import likelihood as make_likelihood
from ..model import MixtureVAE
from ..objectives import Objective, elbo, paper_objective
from ..objectives import iwae as iwae_bound
from ..posteriors import NormalPosterior
from ..priors import NormalPrior
from ..weights import KnownWeights
from .networks import NetworkName, Norm, decoders, encoders, network_of
from .recipe import Parts, extends


def vae(
    x_shape: Sequence[int],
    *,
    n_latent: int = 40,
    network: NetworkName = "mlp",
    hidden: Sequence[int] = (500, 500),
    channels: Sequence[int] = (32, 64, 128, 256, 256),
    norm: Norm = "group",
    likelihood: LikelihoodName = "bernoulli",
) -> Parts:
    """The variational autoencoder.

    Args:
        x_shape: shape of one x.
        n_latent: size L of the code.
        network: mlp or gated-mlp, or for images conv or gated-conv.
        hidden: widths of an mlp encoder's hidden layers; the decoder mirrors them.
        channels: of a conv encoder's layers; the decoder mirrors them.
        norm: a conv network's normalisation: group, batch (in the encoder alone) or none.
        likelihood: p(x | z).
    """
    p_x = make_likelihood(likelihood, x_shape)
    net = network_of(network, x_shape, hidden, channels, norm)
    model = MixtureVAE(
        trunk=encoders(net, 1),
        posterior=NormalPosterior(net.n_features, n_latent, 1),
        weights=KnownWeights(1),
        decoder=Decoder(decoders(net, 1, n_latent, p_x.n_params), p_x),
        prior=NormalPrior(torch.zeros(n_latent)),
        family=Joint(),
    )
    return Parts(model, Objective(elbo), elbo)


@extends(vae)
def beta_vae(x_shape: Sequence[int], *, beta_kl: float = 4.0, **options: Any) -> Parts:
    """The VAE with its KL weighed (Higgins et al. 2017). At 1/K, the control of the joint mixtures.

    Args:
        x_shape: shape of one x.
        beta_kl: weight of the KL; below 1 the objective is no bound.
        **options: the VAE's.
    """
    at_least(0, beta_kl=beta_kl)
    bound = partial(paper_objective, kl_reduction="sum", beta_kl=beta_kl)
    return vae(x_shape, **options)._replace(objective=Objective(bound))


@extends(vae)
def iwae(x_shape: Sequence[int], *, n_samples: int = 5, **options: Any) -> Parts:
    """The importance-weighted autoencoder (Burda et al. 2016).

    Args:
        x_shape: shape of one x.
        n_samples: samples S in the bound; 1 is the VAE with a Monte Carlo KL.
        **options: the VAE's.
    """
    objective = Objective(iwae_bound, n_samples=n_samples)
    return vae(x_shape, **options)._replace(objective=objective)
