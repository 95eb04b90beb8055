"""MVAE: K encoders and sub-decoders under one mix-decoder (Ye & Bors, TNNLS 2021)."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import nn

from ..decoders import Decoder, blend
from ..dropout import ConcreteDropout, GaussianDropout
from ..errors import one_of
from ..families import Joint
from ..kernels import Bandwidth
from ..likelihoods import LikelihoodName
from ..likelihoods import likelihood as make_likelihood
from ..model import MixtureVAE
from ..objectives import Reduction, elbo
from ..posteriors import NormalPosterior
from ..priors import NormalPrior
from .joint import Concentration, dirichlet, joint_objective, labels_of
from .masks import with_dropout
from .networks import NetworkName, Norm, encoders, network_of, sub_decoders
from .recipe import Parts, extends, importance_weighted

Rate = Literal["per_component", "shared"]
RateKL = Literal["sigmoid", "polynomial"]


@importance_weighted
def mvae(
    x_shape: Sequence[int],
    *,
    n_components: int = 4,
    n_latent: int = 50,
    network: NetworkName = "mlp",
    hidden: int = 500,
    channels: Sequence[int] = (32, 64, 128, 256, 256),
    norm: Norm = "group",
    likelihood: LikelihoodName = "bernoulli",
    conditional: bool = False,
    n_classes: int | None = None,
    concentration: Concentration = "free",
    kl_reduction: Reduction = "mean",
    beta_kl: float = 1.0,
    beta_w: float = 1.0,
    beta_dhsic: float = 1.0,
    bandwidth: Bandwidth = "gaussian",
    dhsic_root: bool = False,
) -> Parts:
    """K encoders and K sub-decoders whose features Dirichlet weights blend; one mix-decoder.

    The number of components is fixed here (the papers' "fixed K" rows).

    Args:
        x_shape: shape of one x.
        n_components: number K of encoders and sub-decoders.
        n_latent: size L of each code.
        network: mlp or gated-mlp, or for images conv or gated-conv.
        hidden: width of an mlp's hidden layers.
        channels: of a conv encoder's layers; the mix-decoder mirrors them.
        norm: a conv network's normalisation; batch is the encoders' alone.
        likelihood: p(x | z, w).
        conditional: give every encoder and sub-decoder the class label.
        n_classes: number of classes; by default the data's.
        concentration: Dirichlet parameters. free: softplus, prior 1; normalised: divided by their
            sum, prior 1/K, as in the authors' code.
        kl_reduction: mean of the codes' KLs over components, as printed, or the bound's sum.
        beta_kl: weight of the codes' KL.
        beta_w: weight of the weights' KL; large values (20) keep components alive.
        beta_dhsic: weight of the dependence between the codes.
        bandwidth: dHSIC's kernel: gaussian (closed form), null (median heuristic) or a gamma.
        dhsic_root: take the square root of dHSIC, as the authors' code does.
    """
    p_x = make_likelihood(likelihood, x_shape)
    labels = labels_of(conditional, n_classes, planes=network.endswith("conv"))
    n_labels = labels.n_classes or 0
    net = network_of(network, x_shape, (hidden, hidden), channels, norm, (nn.ELU, nn.Tanh))
    model = MixtureVAE(
        trunk=encoders(net, n_components, n_labels),
        posterior=NormalPosterior(net.n_features, n_latent, n_components),
        weights=dirichlet(net.n_features, n_components, concentration),
        decoder=Decoder(
            branch=sub_decoders(net, n_components, n_latent + n_labels),
            combine=blend,
            head=net.mix_decoder(p_x.n_params),
            likelihood=p_x,
        ),
        prior=NormalPrior(torch.zeros(n_latent)),
        family=Joint(),
        labels=labels,
    )
    objective = joint_objective(
        n_components,
        kl_reduction=kl_reduction,
        beta_kl=beta_kl,
        beta_w=beta_w,
        beta_dhsic=beta_dhsic,
        bandwidth=bandwidth,
        dhsic_root=dhsic_root,
    )
    return Parts(model, objective, elbo)


@extends(mvae)
def mvae_gs(
    x_shape: Sequence[int],
    *,
    rate: Rate = "per_component",
    start_rate: float = 0.1,
    temperature: float = 0.1,
    keep_prior: float = 0.1,
    beta_dropout: float = 1.0,
    **options: Any,
) -> Parts:
    """MVAE whose components concrete masks drop while training: it chooses K (MVAE-GS).

    Args:
        x_shape: shape of one x.
        rate: a dropout rate for each component, which chooses among them, or one that is shared,
            as printed.
        start_rate: the rates to start from.
        temperature: of the concrete masks.
        keep_prior: prior probability of each component to take part; smaller ones drop more. A
            shared rate has the paper's entropy instead.
        beta_dropout: weight of what the rates cost.
    """
    one_of("rate", rate, get_args(Rate))
    parts = mvae(x_shape, **options)
    masks = ConcreteDropout(
        parts.model.n_components,
        rate=start_rate,
        shared=rate == "shared",
        temperature=temperature,
        keep_prior=keep_prior,
    )
    return with_dropout(parts, masks, beta_dropout)


@extends(mvae)
def mvae_gau(
    x_shape: Sequence[int],
    *,
    rate: Rate = "per_component",
    start_rate: float = 0.1,
    rate_kl: RateKL = "sigmoid",
    beta_dropout: float = 1.0,
    **options: Any,
) -> Parts:
    """MVAE whose components Gaussian noise masks while training: it chooses K (MVAE-Gau).

    Args:
        x_shape: shape of one x.
        rate: a dropout rate for each component, which chooses among them, or one that is shared,
            as printed.
        start_rate: the rates to start from; the noise's variance is p / (1 - p).
        rate_kl: approximation of the rates' KL. sigmoid: good at every rate; polynomial: as
            printed, which keeps rates below 1/2, so that no component is ever dropped.
        beta_dropout: weight of the rates' KL.
    """
    one_of("rate", rate, get_args(Rate))
    one_of("rate_kl", rate_kl, get_args(RateKL))
    parts = mvae(x_shape, **options)
    masks = GaussianDropout(
        parts.model.n_components,
        rate=start_rate,
        shared=rate == "shared",
        polynomial=rate_kl == "polynomial",
    )
    return with_dropout(parts, masks, beta_dropout)
