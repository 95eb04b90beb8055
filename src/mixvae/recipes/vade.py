"""A VAE that clusters, under a mixture of normals: VaDE (Jiang et al. 2017)."""

from collections.abc import Sequence
from typing import Literal

from ..decoders import Decoder
from ..errors import one_of
from ..families import MixturePosterior
from ..initialization import Autoencoder
from ..likelihoods import LikelihoodName
from ..likelihoods import likelihood as make_likelihood
from ..model import MixtureVAE
from ..objectives import Objective, mixture_elbo
from ..posteriors import NormalPosterior
from ..priors import GaussianMixturePrior
from ..weights import KnownWeights
from .networks import NetworkName, Norm, network_of, shared_decoder, shared_encoder
from .recipe import Parts, importance_weighted


@importance_weighted
def vade(
    x_shape: Sequence[int],
    *,
    n_clusters: int = 10,
    start: Literal["codes", "random"] = "codes",
    start_epochs: int = 20,
    n_latent: int = 10,
    network: NetworkName = "mlp",
    hidden: Sequence[int] = (500, 500),
    channels: Sequence[int] = (32, 64, 128, 256, 256),
    norm: Norm = "group",
    likelihood: LikelihoodName = "bernoulli",
) -> Parts:
    """The VAE under a learned mixture of normals, whose components are clusters (VaDE).

    The paper's KL supposes one q(c | x) for all codes of x; here p(c | z) is summed out exactly,
    which is the same bound without that gap. The autoencoder before the start is trained whole,
    with the codes' noise, where the paper stacks it layer by layer.

    Args:
        x_shape: shape of one x.
        n_clusters: number C of normals in the prior.
        start: codes trains as an autoencoder first and fits the prior to the codes; random draws
            its means from N(0, I), and finds worse clusters.
        start_epochs: codes: epochs as an autoencoder, without the KL, before those of training.
        n_latent: size L of the code.
        network: mlp or gated-mlp, or for images conv or gated-conv.
        hidden: widths of an mlp encoder's hidden layers; the decoder mirrors them.
        channels: of a conv encoder's layers; the decoder mirrors them.
        norm: a conv network's normalisation: group, batch (in the encoder alone) or none.
        likelihood: p(x | z).
    """
    one_of("start", start, ("codes", "random"))
    p_x = make_likelihood(likelihood, x_shape)
    net = network_of(network, x_shape, hidden, channels, norm)
    model = MixtureVAE(
        trunk=shared_encoder(net, 1),
        posterior=NormalPosterior(net.n_features, n_latent, 1),
        weights=KnownWeights(1),
        decoder=Decoder(shared_decoder(net, n_latent, p_x.n_params), p_x),
        prior=GaussianMixturePrior(n_clusters, n_latent),
        family=MixturePosterior(),
    )
    first = Autoencoder(start_epochs) if start == "codes" else None
    return Parts(model, Objective(mixture_elbo), mixture_elbo, initialization=first)
