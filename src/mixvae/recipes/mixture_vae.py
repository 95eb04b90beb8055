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
from .networks import decoders, encoders
from .recipe import Parts


def mixture_vae(
    x_shape: Sequence[int],
    *,
    n_components: int = 4,
    n_latent: int = 20,
    hidden: Sequence[int] = (500, 500),
    likelihood: LikelihoodName = "bernoulli",
) -> Parts:
    """A mixture of K VAEs with learned proportions, the component's index summed out exactly.

    Args:
        x_shape: shape of one x.
        n_components: number K of VAEs; 1 is the VAE.
        n_latent: size L of each component's code.
        hidden: widths of each encoder's hidden layers; the decoders mirror them.
        likelihood: p(x | z, k).
    """
    p_x = make_likelihood(likelihood, x_shape)
    model = MixtureVAE(
        trunk=encoders(x_shape, n_components, hidden),
        posterior=NormalPosterior(hidden[-1], n_latent, n_components),
        weights=KnownWeights(n_components, learned=True),
        decoder=Decoder(decoders(n_components, n_latent, hidden, p_x.n_params), p_x),
        prior=NormalPrior(torch.zeros(n_latent)),
        family=ExactMixture(),
    )
    return Parts(model, Objective(mixture_bound), mixture_bound)
