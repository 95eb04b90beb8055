"""MVAE: K encoders and sub-decoders under one mix-decoder (Ye & Bors, TNNLS 2021)."""

from collections.abc import Sequence

import torch
from torch import nn

from ..decoders import Decoder, blend
from ..families import Joint
from ..kernels import Bandwidth
from ..likelihoods import LikelihoodName
from ..likelihoods import likelihood as make_likelihood
from ..model import MixtureVAE
from ..nn import MLP, Stacked
from ..objectives import Reduction, elbo
from ..posteriors import NormalPosterior
from ..priors import NormalPrior
from .joint import Concentration, dirichlet, joint_objective
from .networks import encoders
from .recipe import Parts


def mvae(
    x_shape: Sequence[int],
    *,
    n_components: int = 4,
    n_latent: int = 50,
    hidden: int = 500,
    likelihood: LikelihoodName = "bernoulli",
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
        hidden: width of every hidden layer.
        likelihood: p(x | z, w).
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

    def sub_decoder() -> nn.Module:
        return nn.Sequential(MLP(n_latent, hidden), nn.Tanh())

    model = MixtureVAE(
        trunk=encoders(x_shape, n_components, (hidden, hidden), (nn.ELU, nn.Tanh)),
        posterior=NormalPosterior(hidden, n_latent, n_components),
        weights=dirichlet(hidden, n_components, concentration),
        decoder=Decoder(
            branch=Stacked(sub_decoder, n_components),
            combine=blend,
            head=MLP(hidden, p_x.n_params, (hidden,), nn.ELU),
            likelihood=p_x,
        ),
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
    )
    return Parts(model, objective, elbo)
