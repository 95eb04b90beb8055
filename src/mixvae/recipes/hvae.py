"""Two stochastic levels: HVAE (Tomczak & Welling 2018, Section 5)."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import nn

from ..decoders import Decoder
from ..errors import one_of
from ..families import MixturePosterior
from ..likelihoods import LikelihoodName
from ..model import MixtureVAE
from ..objectives import Objective, iwae, mixture_elbo
from ..posteriors import ChainPosterior, ConditionalNormal, NormalPosterior
from ..priors import ChainPrior, NormalPrior, VampPrior
from ..weights import KnownWeights
from .networks import NetworkName, Norm, network_of, shared_decoder, shared_encoder
from .pixels import pixel_likelihood
from .pseudo_inputs import Start
from .recipe import Parts

PriorName = Literal["vamp", "normal"]


def hvae(
    x_shape: Sequence[int],
    *,
    prior: PriorName = "vamp",
    n_pseudo_inputs: int = 500,
    pseudo_inputs: Start = "data",
    n_top: int = 40,
    n_latent: int = 40,
    network: NetworkName = "gated-mlp",
    hidden: Sequence[int] = (300, 300),
    channels: Sequence[int] = (32, 64, 128, 256, 256),
    norm: Norm = "group",
    likelihood: LikelihoodName = "bernoulli",
    pixelcnn: bool = False,
    pixelcnn_features: int = 32,
    pixelcnn_layers: int = 4,
    bound: Literal["elbo", "iwae"] = "elbo",
    n_samples: int = 1,
) -> Parts:
    """A VAE of two levels of codes, under pseudo-inputs or a normal (HVAE).

    x is encoded once, for both levels, where the authors' code has an encoder for each; and the
    decoder reads both codes side by side, where theirs has a first layer for each.

    Args:
        x_shape: shape of one x.
        prior: of the top level. vamp: the mean posterior of learned pseudo-inputs; normal: N(0, I).
        n_pseudo_inputs: vamp: number C of pseudo-inputs.
        pseudo_inputs: vamp: whether they start from training data or as noise.
        n_top: size of the top code, z2.
        n_latent: size of the code under it, z1.
        network: gated-mlp or mlp, or for images gated-conv or conv.
        hidden: widths of an mlp encoder's hidden layers, which the decoder mirrors; and with every
            network, of the layers between the codes.
        channels: of a conv encoder's layers; the decoder mirrors them.
        norm: a conv network's normalisation: group, batch (in the encoder alone) or none.
        likelihood: p(x | z1, z2).
        pixelcnn: let each pixel depend on those before it too, by a gated PixelCNN that reads what
            the decoder makes of the codes (PixelHVAE); of images. Slow: minutes an epoch on a CPU.
        pixelcnn_features: its feature maps.
        pixelcnn_layers: its layers.
        bound: what to maximise: elbo, or iwae, the importance-weighted bound.
        n_samples: samples S.
    """
    one_of("prior", prior, get_args(PriorName))
    one_of("pseudo_inputs", pseudo_inputs, get_args(Start))
    one_of("bound", bound, ("elbo", "iwae"))
    p_x = pixel_likelihood(likelihood, x_shape, pixelcnn, pixelcnn_features, pixelcnn_layers)
    net = network_of(network, x_shape, hidden, channels, norm)
    below = level(network, net.n_features + n_top, hidden[-1:], n_latent)
    top: nn.Module = NormalPrior(torch.zeros(n_top))
    if prior == "vamp":
        top = VampPrior(x_shape, n_pseudo_inputs, from_data=pseudo_inputs == "data")
    model = MixtureVAE(
        trunk=shared_encoder(net, 1),
        posterior=ChainPosterior(NormalPosterior(net.n_features, n_top, 1), below),
        weights=KnownWeights(1),
        decoder=Decoder(shared_decoder(net, n_top + n_latent, p_x.n_params), p_x),
        prior=ChainPrior(top, level(network, n_top, hidden, n_latent)),
        family=MixturePosterior(),
    )
    objective = Objective(iwae if bound == "iwae" else mixture_elbo, n_samples=n_samples)
    return Parts(model, objective, mixture_elbo)


def level(
    network: NetworkName,
    n_inputs: int,
    hidden: Sequence[int],
    n_latent: int,
    n_components: int | None = None,
) -> ConditionalNormal:
    """A level given a row, by layers of the kind that the other networks have.

    With ``n_components``, a batch (*n, K) of as many.
    """
    kind: NetworkName = "gated-mlp" if network.startswith("gated") else "mlp"
    net = network_of(kind, (n_inputs,), hidden, (), "none")
    if n_components is None:
        return ConditionalNormal(net.decoder(n_inputs, 2 * n_latent), n_latent)
    each = nn.Unflatten(-1, (n_components, 2 * n_latent))
    heads = net.decoder(n_inputs, n_components * 2 * n_latent)
    return ConditionalNormal(nn.Sequential(heads, each), n_latent)
