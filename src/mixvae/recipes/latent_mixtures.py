"""Mixtures by broken sticks in latent space: DLGMM and DLDPMM (Nalisnick et al. 2016), SB-VAE."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.distributions import Beta, Distribution

from ..decoders import Decoder
from ..distributions import (
    Kumaraswamy,
    OuterProduct,
    StickBreaking,
    dirichlet_sticks,
    process_sticks,
)
from ..errors import MixvaeError, one_of
from ..families import Joint, MixturePosterior
from ..likelihoods import LikelihoodName
from ..likelihoods import likelihood as make_likelihood
from ..model import MixtureVAE
from ..objectives import Bound, Form, Objective, Terms, elbo, mixture_elbo
from ..posteriors import NormalPosterior, PairPosterior, StickPosterior
from ..priors import ChainPrior, NormalPrior, StickPrior
from ..trace import Scale, Trace
from ..weights import KnownWeights, PairWeights, StickWeights
from .hvae import level
from .networks import NetworkName, Norm, network_of, shared_decoder, shared_encoder
from .recipe import Parts, extends, importance_weighted

StickKL = Literal["quadrature", "series"]
STICKS: dict[str, Callable[[int, float], Beta]] = {
    "dirichlet": dirichlet_sticks,
    "process": process_sticks,
}


@importance_weighted
def dlgmm(
    x_shape: Sequence[int],
    *,
    n_components: int = 3,
    n_latent: int = 25,
    n_layers: int = 1,
    concentration: float = 1.0,
    prior_means: Sequence[float] | None = None,
    sticks: Literal["dirichlet", "process"] = "dirichlet",
    form: Form = "mixture",
    stick_kl: StickKL = "quadrature",
    network: NetworkName = "mlp",
    hidden: Sequence[int] = (500, 500),
    channels: Sequence[int] = (32, 64, 128, 256, 256),
    norm: Norm = "group",
    likelihood: LikelihoodName = "bernoulli",
) -> Parts:
    """A normal mixture in latent space, its weights from broken sticks (DLGMM).

    Args:
        x_shape: shape of one x.
        n_components: number K of components.
        n_latent: size L of the code, or of each of two.
        n_layers: 2 for a code under the code, a mixture again: K^2 components, all decoded. Layers
            between the codes have the widths of ``hidden``.
        concentration: of the weights' prior.
        prior_means: the components' prior means, K numbers, each for all dimensions of the code
            (of two, the upper one), such as -1.5 -0.75 0 0.75 1.5; by default 0.
        sticks: the weights' prior: a symmetric Dirichlet, or a process cut off at K (DLDPMM).
        form: of the bound. mixture: codes against the whole posterior and prior; index: each
            against its own component; paper: as printed. All are bounds, the first the tightest.
        stick_kl: the sticks' KL: by quadrature, or by the series that the papers cut off.
        network: mlp or gated-mlp, or for images conv or gated-conv.
        hidden: widths of an mlp encoder's hidden layers; the decoder mirrors them.
        channels: of a conv encoder's layers; the decoder mirrors them.
        norm: a conv network's normalisation: group, batch (in the encoder alone) or none.
        likelihood: p(x | z).
    """
    one_of("sticks", sticks, STICKS)
    one_of("form", form, get_args(Form))
    one_of("stick_kl", stick_kl, get_args(StickKL))
    if n_layers not in (1, 2):
        raise MixvaeError(f"n_layers must be 1 or 2; got {n_layers}.")
    p_x = make_likelihood(likelihood, x_shape)
    net = network_of(network, x_shape, hidden, channels, norm)
    p_sticks = STICKS[sticks](n_components, concentration)
    series, means = stick_kl == "series", _means(prior_means, n_components, n_latent)
    q_sticks = lambda: StickWeights(net.n_features, n_components, p_sticks, series=series)
    trunk = shared_encoder(net, n_components**n_layers)
    posterior: nn.Module = NormalPosterior(net.n_features, n_latent, n_components)
    weights = q_sticks() if n_layers == 1 else PairWeights(q_sticks(), q_sticks())
    prior: nn.Module = NormalPrior(means)
    if n_layers == 2:
        under = partial(level, network, n_latent=n_latent)
        below = under(net.n_features + n_latent, hidden[-1:], n_components=n_components)
        posterior = PairPosterior(posterior, below, n_components)
        of_pairs = means if prior_means is None else means.repeat_interleave(n_components, 0)
        prior = ChainPrior(NormalPrior(of_pairs), under(n_latent, hidden))
    model = MixtureVAE(
        trunk=trunk,
        posterior=posterior,
        weights=weights,
        decoder=Decoder(shared_decoder(net, n_layers * n_latent, p_x.n_params), p_x),
        prior=prior,
        family=MixturePosterior(),
    )
    bound, objective = partial(by_quadrature, bound=mixture_elbo), partial(mixture_elbo, form=form)
    return Parts(model, Objective(objective), bound, stick_kl == "quadrature")


@extends(dlgmm, without=("sticks",))
def dldpmm(x_shape: Sequence[int], *, n_components: int = 10, **options: Any) -> Parts:
    """A Dirichlet process mixture in latent space, cut off at K components (DLDPMM).

    Args:
        x_shape: shape of one x.
        n_components: number K of components that the process is cut off at.
    """
    return dlgmm(x_shape, sticks="process", n_components=n_components, **options)


@importance_weighted
def sb_vae(
    x_shape: Sequence[int],
    *,
    n_latent: int = 50,
    concentration: float = 5.0,
    stick_kl: StickKL = "quadrature",
    network: NetworkName = "mlp",
    hidden: Sequence[int] = (500, 500),
    channels: Sequence[int] = (32, 64, 128, 256, 256),
    norm: Norm = "group",
    likelihood: LikelihoodName = "bernoulli",
) -> Parts:
    """The stick-breaking VAE: the code is the weights of a broken stick (Nalisnick & Smyth 2017).

    Args:
        x_shape: shape of one x.
        n_latent: number L of weights, the last of which takes the rest.
        concentration: of the prior, GEM; larger ones break off smaller pieces.
        stick_kl: the sticks' KL: by quadrature, or by the series that the papers cut off.
        network: mlp or gated-mlp, or for images conv or gated-conv.
        hidden: widths of an mlp encoder's hidden layers; the decoder mirrors them.
        channels: of a conv encoder's layers; the decoder mirrors them.
        norm: a conv network's normalisation: group, batch (in the encoder alone) or none.
        likelihood: p(x | z).
    """
    one_of("stick_kl", stick_kl, get_args(StickKL))
    p_x = make_likelihood(likelihood, x_shape)
    net = network_of(network, x_shape, hidden, channels, norm)
    posterior = StickPosterior(net.n_features, n_latent, 1, series=stick_kl == "series")
    model = MixtureVAE(
        trunk=shared_encoder(net, 1),
        posterior=posterior,
        weights=KnownWeights(1),
        decoder=Decoder(shared_decoder(net, n_latent, p_x.n_params), p_x),
        prior=StickPrior(n_latent, concentration),
        family=Joint(),
    )
    bound = partial(by_quadrature, bound=elbo)
    return Parts(model, Objective(elbo), bound, stick_kl == "quadrature")


def by_quadrature(t: Trace, kl_scale: Scale = 1.0, *, bound: Bound) -> Terms:
    """A bound whose sticks' KL is no series: that one may be nats below it, and no bound."""
    return bound(replace(t, q_z=_exact(t.q_z), q_w=_exact(t.q_w)), kl_scale)


def _exact(q: Distribution) -> Distribution:
    if isinstance(q, StickBreaking) and isinstance(q.sticks, Kumaraswamy):
        sticks = Kumaraswamy(q.sticks.a, q.sticks.b, validate_args=False)
        return StickBreaking(sticks)
    if isinstance(q, OuterProduct):
        return OuterProduct(_exact(q.rows), _exact(q.columns))
    return q


def _means(means: Sequence[float] | None, n_components: int, n_latent: int) -> Tensor:
    """The prior's means, (L,) for one prior or (K, L) for one each."""
    if means is None:
        return torch.zeros(n_latent)
    if len(means) != n_components:
        raise MixvaeError(
            f"prior_means must be {n_components} numbers, as there are so many components; got "
            f"{list(means)}."
        )
    return torch.tensor(means, dtype=torch.get_default_dtype()).unsqueeze(1).repeat(1, n_latent)
