"""Stick-breaking: the mixtures DLGMM and DLDPMM (Nalisnick et al. 2016), and the SB-VAE (2017)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import nn
from torch.distributions import Beta

from mixvae.distributions import dirichlet_sticks, process_sticks
from mixvae.errors import MixvaeError
from mixvae.families import Family, MixturePosterior
from mixvae.likelihoods import Likelihood
from mixvae.objectives import Form, Objective, mixture_elbo, weighted_elbo
from mixvae.parts.posteriors import StickPosterior, TwoLayerPosterior
from mixvae.parts.priors import HierarchicalPrior, NormalPrior, StickPrior
from mixvae.parts.weights import StickWeights, TwoLayerWeights, Weights

from .options import ComponentOptions, ImportanceWeighted, OneNetwork
from .recipe import Recipe, Shape
from .registry import register


@dataclass(frozen=True, kw_only=True)
class StickOptions(Recipe):
    """Stick-breaking weights."""

    concentration: float = 1.0
    """Concentration of the weights' prior."""
    stick_kl: Literal["quadrature", "series"] = "quadrature"
    """Computation of the fractions' KL: by quadrature, or by the papers' truncated series."""


@dataclass(frozen=True, kw_only=True)
class StickMixture(StickOptions, ImportanceWeighted, OneNetwork, ComponentOptions):
    """A mixture of normals in latent space, with stick-breaking weights."""

    n_latent: int = 25
    """Size L of the code, or of each of two."""
    n_layers: int = 1
    """Number of levels of codes. With 2, each level is a mixture of K components, and all K^2 pairs
    are decoded. Layers between the codes have the widths of ``hidden``."""
    prior_means: Sequence[float] | None = None
    """Prior means of the components, K numbers such as -1.5 -0.75 0 0.75 1.5, each for all
    dimensions of the code (of two, the upper one). By default 0."""
    form: Form = "mixture"
    """Form of the bound. mixture: codes under the whole posterior and prior; index: each code under
    its own component; paper: as in the paper. All are bounds, the first the tightest."""

    @property
    def creation_order(self) -> tuple[str, ...]:  # type: ignore[override]
        lower = ("lower_posterior", "lower_prior") if self.n_layers == 2 else ()
        return ("encoder", "posterior", "weights", *lower, "prior", "decoder")

    @property
    def decoder_inputs(self) -> int:
        return self.n_layers * self.n_latent

    @property
    def encoder_copies(self) -> int:
        return self.n_components**self.n_layers

    def check(self) -> None:
        super().check()
        if self.n_layers not in (1, 2):
            raise MixvaeError(f"n_layers must be 1 or 2; got {self.n_layers}.")

    def with_components(self, keep: Sequence[int]) -> Recipe:
        if self.n_layers == 2:
            raise MixvaeError(
                "components of two levels (n_layers=2) cannot be removed; train a recipe of fewer."
            )
        means = self.prior_means and [self.prior_means[k] for k in keep]
        return replace(self, n_components=len(keep), prior_means=means)

    def make_slots(self, x_shape: Shape, likelihood: Likelihood) -> Mapping[str, Any]:
        slots = super().make_slots(x_shape, likelihood)
        if self.n_layers == 1:
            return slots
        pairs = TwoLayerPosterior(slots["posterior"], slots["lower_posterior"], self.n_components)
        prior = HierarchicalPrior(slots["prior"], slots["lower_prior"])
        return {**slots, "posterior": pairs, "prior": prior}

    def prior_fractions(self) -> Beta:
        """Prior of the stick-breaking fractions, batch (K - 1,)."""
        return dirichlet_sticks(self.n_components, self.concentration)

    def make_weights(self, x_shape: Shape) -> Weights:
        series, features = self.stick_kl == "series", self.encoder_features(x_shape)
        fractions = self.prior_fractions()
        weights = lambda: StickWeights(features, self.n_components, fractions, series=series)
        return weights() if self.n_layers == 1 else TwoLayerWeights(weights(), weights())

    def make_lower_posterior(self, x_shape: Shape) -> nn.Module:
        """Features and the upper code to the lower one's mixture."""
        n_inputs = self.encoder_features(x_shape) + self.n_latent
        return self.conditional_normal(n_inputs, self.hidden[-1:], self.n_latent, self.n_components)

    def make_prior(self, x_shape: Shape) -> nn.Module:
        """Prior of the code, or of the upper one of two."""
        means = self.prior_means
        if means is None:
            return NormalPrior(torch.zeros(self.n_latent))
        if len(means) != self.n_components:
            raise MixvaeError(
                f"prior_means must be {self.n_components} numbers, one for each component; got "
                f"{list(means)}."
            )
        copies = self.encoder_copies // self.n_components  # of two levels, row-major pairs
        loc = torch.tensor(means, dtype=torch.get_default_dtype()).repeat_interleave(copies)
        return NormalPrior(loc.unsqueeze(1).repeat(1, self.n_latent))

    def make_lower_prior(self, x_shape: Shape) -> nn.Module:
        """The upper code to the lower one's prior."""
        return self.conditional_normal(self.n_latent, self.hidden, self.n_latent)

    def make_family(self) -> Family:
        return MixturePosterior()

    def make_objective(self) -> Objective:
        bound = partial(mixture_elbo, form=self.form)
        return Objective(bound, is_bound=self.stick_kl == "quadrature")


@register("dlgmm")
@dataclass(frozen=True, kw_only=True)
class DLGMM(StickMixture):
    """A mixture of normals in latent space, with stick-breaking weights (DLGMM).

    Nalisnick et al., NIPS 2016 workshop on Bayesian deep learning.
    """

    n_components: int = 3
    sticks: Literal["dirichlet", "process"] = "dirichlet"
    """Prior of the weights: a symmetric Dirichlet, or a Dirichlet process truncated at K
    (DLDPMM)."""

    def prior_fractions(self) -> Beta:
        prior = dirichlet_sticks if self.sticks == "dirichlet" else process_sticks
        return prior(self.n_components, self.concentration)


@register("dldpmm")
@dataclass(frozen=True, kw_only=True)
class DLDPMM(StickMixture):
    """A Dirichlet process mixture in latent space, truncated at K components (DLDPMM).

    Nalisnick et al., NIPS 2016 workshop on Bayesian deep learning.
    """

    n_components: int = 10
    """Number K of components at which the process is truncated."""

    def prior_fractions(self) -> Beta:
        return process_sticks(self.n_components, self.concentration)


@register("sb-vae")
@dataclass(frozen=True, kw_only=True)
class StickBreakingVAE(StickOptions, ImportanceWeighted, OneNetwork):
    """The stick-breaking VAE, whose code is stick-breaking weights (SB-VAE).

    Nalisnick & Smyth, ICLR 2017.
    """

    creation_order: ClassVar = ("posterior", "encoder", "weights", "decoder", "prior")

    n_latent: int = 50
    """Number L of weights, the last of which takes what remains."""
    concentration: float = 5.0
    """Concentration of the prior, GEM; larger values give smaller weights."""

    def make_posterior(self, x_shape: Shape) -> nn.Module:
        features, series = self.encoder_features(x_shape), self.stick_kl == "series"
        return StickPosterior(features, self.n_latent, 1, series=series)

    def make_prior(self, x_shape: Shape) -> nn.Module:
        return StickPrior(self.n_latent, self.concentration)

    def make_objective(self) -> Objective:
        bound = partial(weighted_elbo, kl_reduction="sum")
        return Objective(bound, is_bound=self.stick_kl == "quadrature")
