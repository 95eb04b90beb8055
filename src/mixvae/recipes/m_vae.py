"""M-VAE: K whole VAEs, their outputs averaged (Ye & Bors, IPTA 2020)."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import nn

from ..decoders import Decoder, blend, keep
from ..errors import one_of
from ..families import Joint
from ..kernels import Bandwidth
from ..likelihoods import LikelihoodName
from ..likelihoods import likelihood as make_likelihood
from ..model import MixtureVAE
from ..nn import Means
from ..objectives import Reduction, elbo
from ..posteriors import NormalPosterior
from ..priors import NormalPrior
from .joint import Concentration, dirichlet, joint_objective
from .networks import NetworkName, Norm, decoders, encoders, network_of
from .recipe import Parts, importance_weighted

Combine = Literal["blend", "mixture", "expected"]


@importance_weighted
def m_vae(
    x_shape: Sequence[int],
    *,
    n_components: int = 4,
    n_latent: int = 20,
    network: NetworkName = "mlp",
    hidden: Sequence[int] = (500, 500),
    channels: Sequence[int] = (32, 64, 128, 256, 256),
    norm: Norm = "group",
    likelihood: LikelihoodName = "bernoulli",
    combine: Combine = "blend",
    concentration: Concentration = "free",
    kl_reduction: Reduction = "mean",
    beta_kl: float = 1.0,
    beta_w: float = 1.0,
    beta_dhsic: float = 1.0,
    bandwidth: Bandwidth = "gaussian",
    dhsic_root: bool = False,
) -> Parts:
    """K whole VAEs whose outputs Dirichlet weights average.

    Args:
        x_shape: shape of one x.
        n_components: number K of VAEs.
        n_latent: size L of each code.
        network: mlp or gated-mlp, or for images conv or gated-conv.
        hidden: widths of an mlp encoder's hidden layers; the decoders mirror them.
        channels: of a conv encoder's layers; the decoders mirror them.
        norm: a conv network's normalisation: group, batch (in the encoders alone) or none.
        likelihood: p(x | z, w).
        combine: how (8)'s first term is read. blend: log p(x | weighted mean of the means);
            mixture: log sum_k w_k p(x | z_k); expected: sum_k w_k log p(x | z_k).
        concentration: Dirichlet parameters. free: softplus, prior 1; normalised: divided by their
            sum, prior 1/K, as in the authors' code.
        kl_reduction: mean of the codes' KLs over components, as printed, or the bound's sum.
        beta_kl: weight of the codes' KL.
        beta_w: weight of the weights' KL; large values (20) keep components alive.
        beta_dhsic: weight of the dependence between the codes.
        bandwidth: dHSIC's kernel: gaussian (closed form), null (median heuristic) or a gamma.
        dhsic_root: take the square root of dHSIC, as the authors' code does.
    """
    one_of("combine", combine, get_args(Combine))
    p_x = make_likelihood(likelihood, x_shape, from_mean=combine == "blend")
    net = network_of(network, x_shape, hidden, channels, norm)
    branch = decoders(net, n_components, n_latent, p_x.n_params)
    if combine == "blend":
        decoder = Decoder(nn.Sequential(branch, Means()), p_x, blend)
    else:
        decoder = Decoder(branch, p_x, keep)
    model = MixtureVAE(
        trunk=encoders(net, n_components),
        posterior=NormalPosterior(net.n_features, n_latent, n_components),
        weights=dirichlet(net.n_features, n_components, concentration),
        decoder=decoder,
        prior=NormalPrior(torch.zeros(n_latent)),
        family=Joint(),
    )
    objective = joint_objective(
        n_components,
        kl_reduction=kl_reduction,
        beta_kl=beta_kl,
        beta_w=beta_w,
        beta_dhsic=beta_dhsic,
        bandwidth=bandwidth,
        dhsic_root=dhsic_root,
        expected=combine == "expected",
    )
    return Parts(model, objective, elbo)
