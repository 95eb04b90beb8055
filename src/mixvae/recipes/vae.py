"""The VAE (Kingma & Welling 2014) and the models that differ from it by the objective alone."""

from collections.abc import Sequence
from functools import partial

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
from .networks import decoders, encoders
from .recipe import Parts


def vae(
    x_shape: Sequence[int],
    *,
    n_latent: int = 40,
    hidden: Sequence[int] = (500, 500),
    likelihood: LikelihoodName = "bernoulli",
) -> Parts:
    """The variational autoencoder.

    Args:
        x_shape: shape of one x.
        n_latent: size L of the code.
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        likelihood: p(x | z).
    """
    return Parts(_model(x_shape, n_latent, hidden, likelihood), Objective(elbo), elbo)


def beta_vae(
    x_shape: Sequence[int],
    *,
    n_latent: int = 40,
    hidden: Sequence[int] = (500, 500),
    likelihood: LikelihoodName = "bernoulli",
    beta_kl: float = 4.0,
) -> Parts:
    """The VAE with its KL weighed (Higgins et al. 2017). At 1/K, the control of the joint mixtures.

    Args:
        x_shape: shape of one x.
        n_latent: size L of the code.
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        likelihood: p(x | z).
        beta_kl: weight of the KL; below 1 the objective is no bound.
    """
    at_least(0, beta_kl=beta_kl)
    bound = partial(paper_objective, kl_reduction="sum", beta_kl=beta_kl)
    return Parts(_model(x_shape, n_latent, hidden, likelihood), Objective(bound), elbo)


def iwae(
    x_shape: Sequence[int],
    *,
    n_latent: int = 40,
    hidden: Sequence[int] = (500, 500),
    likelihood: LikelihoodName = "bernoulli",
    n_samples: int = 5,
) -> Parts:
    """The importance-weighted autoencoder (Burda et al. 2016).

    Args:
        x_shape: shape of one x.
        n_latent: size L of the code.
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        likelihood: p(x | z).
        n_samples: samples S in the bound; 1 is the VAE with a Monte Carlo KL.
    """
    objective = Objective(iwae_bound, n_samples=n_samples)
    return Parts(_model(x_shape, n_latent, hidden, likelihood), objective, elbo)


def _model(
    x_shape: Sequence[int], n_latent: int, hidden: Sequence[int], likelihood: LikelihoodName
) -> MixtureVAE:
    p_x = make_likelihood(likelihood, x_shape)
    return MixtureVAE(
        trunk=encoders(x_shape, 1, hidden),
        posterior=NormalPosterior(hidden[-1], n_latent, 1),
        weights=KnownWeights(1),
        decoder=Decoder(decoders(1, n_latent, hidden, p_x.n_params), p_x),
        prior=NormalPrior(torch.zeros(n_latent)),
        family=Joint(),
    )
