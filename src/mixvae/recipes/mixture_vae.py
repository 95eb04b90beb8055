"""The exact mixture: K VAEs, of which one makes each x; no published paper's, and a true bound."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch

from ..decoders import Decoder
from ..dropout import ConcreteDropout
from ..errors import MixvaeError, at_least, one_of
from ..families import ExactMixture
from ..initialization import Split
from ..likelihoods import LikelihoodName
from ..likelihoods import likelihood as make_likelihood
from ..model import MixtureVAE
from ..objectives import Objective, mixture_bound, routed
from ..posteriors import NormalPosterior
from ..priors import NormalPrior
from ..routing import Routing
from ..weights import KnownWeights
from .masks import with_dropout
from .networks import (
    NetworkName,
    Norm,
    decoders,
    decoders_from_one,
    encoders,
    network_of,
    shared_encoder,
)
from .recipe import Parts, extends, importance_weighted


@importance_weighted
def exact_mixture(
    x_shape: Sequence[int],
    *,
    n_components: int = 10,
    n_latent: int = 20,
    network: NetworkName = "mlp",
    hidden: Sequence[int] = (500, 500),
    channels: Sequence[int] = (32, 64, 128, 256, 256),
    norm: Norm = "group",
    shared_layers: bool = True,
    likelihood: LikelihoodName = "bernoulli",
) -> Parts:
    """A mixture of K VAEs, all of which see every x in training.

    Args:
        x_shape: shape of one x.
        n_components: number K of VAEs; 1 is the VAE.
        n_latent: size L of each component's code.
        network: mlp or gated-mlp, or for images conv or gated-conv.
        hidden: widths of an mlp encoder's hidden layers; the decoders mirror them.
        channels: of a conv encoder's layers; the decoders mirror them.
        norm: a conv network's normalisation: group, batch (in the encoders alone) or none.
        shared_layers: one encoder and one decoder for all components, but for the layers next to
            the codes, of which each has its own; false: whole networks of their own.
        likelihood: p(x | z, k).
    """
    p_x = make_likelihood(likelihood, x_shape)
    net = network_of(network, x_shape, hidden, channels, norm)
    if shared_layers:
        trunk = shared_encoder(net, n_components)
        branch, head = decoders_from_one(net, n_components, n_latent, p_x.n_params)
        decoder = Decoder(branch, p_x, head=head)
    else:
        trunk = encoders(net, n_components)
        decoder = Decoder(decoders(net, n_components, n_latent, p_x.n_params), p_x)
    model = MixtureVAE(
        trunk=trunk,
        posterior=NormalPosterior(net.n_features, n_latent, n_components),
        weights=KnownWeights(n_components, learned=True),
        decoder=decoder,
        prior=NormalPrior(torch.zeros(n_latent)),
        family=ExactMixture(),
    )
    return Parts(model, Objective(mixture_bound), mixture_bound)


@extends(exact_mixture)
def mixture_vae(
    x_shape: Sequence[int],
    *,
    start: Literal["split", "random"] = "split",
    start_epochs: int = 24,
    n_active: int = 2,
    keep_prior: float | None = None,
    start_rate: float = 0.1,
    temperature: float = 0.03,
    beta_dropout: float = 1.0,
    **options: Any,
) -> Parts:
    """A mixture of K VAEs with learned proportions, the component's index summed out exactly.

    Args:
        x_shape: shape of one x.
        start: split trains one VAE of these networks first, whose clusters of codes become the
            components; random starts all of them at random, and leaves some without data.
        start_epochs: split: epochs of the one VAE, before those of training.
        n_active: with shared layers: codes that a training step decodes for each x, of components
            that a gate draws with replacement. With 1 the gate keeps to the start's clusters, with
            more it goes on learning; n_components: one code of each, which is slower.
        keep_prior: component dropout, which chooses K: prior probability of each component to take
            part, by which it must be worth log (1 - p) / p nats an x; null drops none. All
            components are then decoded for each x.
        start_rate: the dropout rates to start from.
        temperature: of the concrete masks: the logarithm of one that drops is about 1 / temperature
            nats under 0, and says how much better than the others a component may be, and go.
        beta_dropout: weight of what the rates cost.
    """
    one_of("start", start, ("split", "random"))
    parts = exact_mixture(x_shape, **options)
    model = parts.model
    if start == "split" and model.n_components > 1:

        def single() -> tuple[MixtureVAE, Objective]:
            one = exact_mixture(x_shape, **options | {"n_components": 1})
            return one.model, one.objective

        parts = parts._replace(initialization=Split(start_epochs, single))
    if keep_prior is not None:
        masks = ConcreteDropout(
            model.n_components, rate=start_rate, temperature=temperature, keep_prior=keep_prior
        )
        return with_dropout(parts, masks, beta_dropout)
    if options["shared_layers"] and n_active < model.n_components:
        assert isinstance(model.posterior, NormalPosterior)
        at_least(1, n_active=n_active)
        if n_active == 1 and parts.initialization is None:
            raise MixvaeError(
                f"n_active=1 trains each x by the component that the start gave it to, and "
                f"start='random' gives it to none; use n_active=2 or more ({model.n_components} "
                f"for all), or start='split'."
            )
        model.routing = Routing(model.posterior.n_features, model.n_components, n_active)
        objective = parts.objective
        parts = parts._replace(
            objective=replace(objective, bound=partial(routed, bound=objective.bound))
        )
    return parts
