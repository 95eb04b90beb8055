"""Priors made of posteriors: VampPrior (Tomczak & Welling 2018) and GMMpVAE (Guo et al. 2020)."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, get_args

from ..decoders import Decoder
from ..errors import MixvaeError, one_of
from ..families import MixturePosterior
from ..likelihoods import LikelihoodName
from ..model import MixtureVAE
from ..objectives import Bound, Matching, Objective, averaged, iwae, matched, miselbo, mixture_elbo
from ..objectives.matched import MAX_COMPONENTS
from ..posteriors import NormalPosterior
from ..priors import VampPrior
from ..weights import KnownWeights
from .networks import NetworkName, Norm, network_of, shared_decoder, shared_encoder
from .pixels import pixel_likelihood
from .recipe import Parts, extends

BoundName = Literal["elbo", "iwae", "miselbo", "matched"]
Start = Literal["data", "noise"]


def gmmp_vae(
    x_shape: Sequence[int],
    *,
    n_components: int = 3,
    n_pseudo_inputs: int = 500,
    pseudo_inputs: Start = "data",
    learned_weights: bool = False,
    n_latent: int = 40,
    network: NetworkName = "gated-mlp",
    hidden: Sequence[int] = (300, 300),
    channels: Sequence[int] = (32, 64, 128, 256, 256),
    norm: Norm = "group",
    likelihood: LikelihoodName = "bernoulli",
    pixelcnn: bool = False,
    pixelcnn_features: int = 32,
    pixelcnn_layers: int = 4,
    bound: BoundName = "elbo",
    n_samples: int = 1,
    matching: Matching = "greedy",
    decode: Literal["each", "average"] = "each",
) -> Parts:
    """A mixture posterior under the mean posterior of learned pseudo-inputs (GMMpVAE).

    Args:
        x_shape: shape of one x.
        n_components: number K of normals in the posterior; 1 is the VampPrior.
        n_pseudo_inputs: number C of pseudo-inputs; the prior has C K normals.
        pseudo_inputs: whether they start from training data or as noise.
        learned_weights: learn the posterior's weights in place of 1/K.
        n_latent: size L of the code.
        network: gated-mlp or mlp, or for images gated-conv or conv.
        hidden: widths of an mlp encoder's hidden layers; the decoder mirrors them.
        channels: of a conv encoder's layers; the decoder mirrors them.
        norm: a conv network's normalisation: group, batch (in the encoder alone) or none.
        likelihood: p(x | z).
        pixelcnn: let each pixel depend on those before it too, by a gated PixelCNN that reads what
            the decoder makes of z; of images. Slow: minutes an epoch on a CPU.
        pixelcnn_features: its feature maps.
        pixelcnn_layers: its layers.
        bound: what to maximise. elbo: against the exact prior; iwae: importance-weighted, all
            samples and components inside the logarithm (SIWAE); miselbo: samples alone; matched:
            the paper's, whose KL is loose.
        n_samples: samples S a component.
        matching: matched: greedy, as in the paper; optimal; or variational, which is no bound.
        decode: average decodes the mean of the components' codes, which is no bound and reproduces
            the paper's claims.
    """
    one_of("bound", bound, get_args(BoundName))
    one_of("pseudo_inputs", pseudo_inputs, get_args(Start))
    one_of("matching", matching, get_args(Matching))
    one_of("decode", decode, ("each", "average"))
    if matching == "optimal" and n_components > MAX_COMPONENTS:
        raise MixvaeError(
            f"matching optimal tries all orders, of at most {MAX_COMPONENTS} components; got "
            f"n_components {n_components}. Use matching greedy."
        )
    p_x = pixel_likelihood(likelihood, x_shape, pixelcnn, pixelcnn_features, pixelcnn_layers)
    net = network_of(network, x_shape, hidden, channels, norm)
    model = MixtureVAE(
        trunk=shared_encoder(net, n_components),
        posterior=NormalPosterior(net.n_features, n_latent, n_components),
        weights=KnownWeights(n_components, learned=learned_weights),
        decoder=Decoder(shared_decoder(net, n_latent, p_x.n_params), p_x),
        prior=VampPrior(x_shape, n_pseudo_inputs, from_data=pseudo_inputs == "data"),
        family=MixturePosterior(),
    )
    bounds: dict[BoundName, Bound] = {
        "elbo": mixture_elbo,
        "iwae": iwae,
        "miselbo": miselbo,
        "matched": partial(matched, matching=matching),
    }
    chosen = bounds[bound] if decode == "each" else partial(averaged, bound=bounds[bound])
    return Parts(model, Objective(chosen, n_samples=n_samples), mixture_elbo)


@extends(gmmp_vae, without=("n_components", "learned_weights", "matching", "decode"))
def vamp_prior(x_shape: Sequence[int], **options: Any) -> Parts:
    """The VAE under the mean posterior of learned pseudo-inputs.

    Args:
        x_shape: shape of one x.
    """
    return gmmp_vae(x_shape, n_components=1, **options)
