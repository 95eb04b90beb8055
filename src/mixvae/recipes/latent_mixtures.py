"""Mixtures by broken sticks in latent space: DLGMM and DLDPMM (Nalisnick et al. 2016), SB-VAE."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Beta

from mixvae.distributions import dirichlet_sticks, process_sticks
from mixvae.errors import MixvaeError
from mixvae.families import Family, MixturePosterior
from mixvae.likelihoods import Likelihood
from mixvae.objectives import Form, Objective, mixture_elbo, weighted_elbo
from mixvae.parts.posteriors import StickPosterior, TwoLayerPosterior
from mixvae.parts.priors import HierarchicalPrior, NormalPrior, StickPrior
from mixvae.parts.weights import StickWeights, TwoLayerWeights, Weights

from .levels import level
from .options import ComponentOptions, ImportanceWeighted, OneNetwork
from .recipe import Recipe, Shape
from .registry import register

StickKL = Literal["quadrature", "series"]
Sticks = Literal["dirichlet", "process"]
STICKS: Mapping[Sticks, Callable[[int, float], Beta]] = {
    "dirichlet": dirichlet_sticks,
    "process": process_sticks,
}


@dataclass(frozen=True, kw_only=True)
class StickOptions(Recipe):
    """Broken sticks."""

    concentration: float = 1.0
    """Concentration of the weights' prior."""
    stick_kl: StickKL = "quadrature"
    """How the sticks' KL is taken: by quadrature, or by the series that the papers cut off."""


@dataclass(frozen=True, kw_only=True)
class StickMixture(StickOptions, ImportanceWeighted, OneNetwork, ComponentOptions):
    """A normal mixture in latent space, its weights from broken sticks."""

    n_latent: int = 25
    """Size L of the code, or of each of two."""
    n_layers: int = 1
    """Levels of codes: 2 for a code under the code, a mixture again, of K^2 components, all
    decoded. Layers between the codes have the widths of ``hidden``."""
    prior_means: Sequence[float] | None = None
    """Prior means of the components, K numbers, each for all dimensions of the code (of two, the
    upper one), such as -1.5 -0.75 0 0.75 1.5; by default 0."""
    form: Form = "mixture"
    """Form of the bound. mixture: codes against the whole posterior and prior; index: each against
    its own component; paper: as printed. All are bounds, the first the tightest."""

    @property
    def creation_order(self) -> tuple[str, ...]:  # type: ignore[override]
        lower = ("lower_posterior", "lower_prior") if self.n_layers == 2 else ()
        return ("encoder", "posterior", "weights", *lower, "prior", "decoder")

    @property
    def stick_prior(self) -> Sticks:
        """Name of the weights' prior."""
        return "dirichlet"

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

    def make_slots(self, x_shape: Shape, likelihood: Likelihood) -> Mapping[str, Any]:
        slots = super().make_slots(x_shape, likelihood)
        if self.n_layers == 1:
            return slots
        pairs = TwoLayerPosterior(slots["posterior"], slots["lower_posterior"], self.n_components)
        prior = HierarchicalPrior(slots["prior"], slots["lower_prior"])
        return {**slots, "posterior": pairs, "prior": prior}

    def make_weights(self, x_shape: Shape) -> Weights:
        p_sticks = STICKS[self.stick_prior](self.n_components, self.concentration)
        series, features = self.stick_kl == "series", self.encoder_features(x_shape)
        q_sticks = lambda: StickWeights(features, self.n_components, p_sticks, series=series)
        return q_sticks() if self.n_layers == 1 else TwoLayerWeights(q_sticks(), q_sticks())

    def make_lower_posterior(self, x_shape: Shape) -> nn.Module:
        """Features and the upper code to the lower one's mixture."""
        n_inputs = self.encoder_features(x_shape) + self.n_latent
        return self._level(n_inputs, self.hidden[-1:], n_components=self.n_components)

    def make_prior(self, x_shape: Shape) -> nn.Module:
        """Prior of the code, or of the upper one of two."""
        means = self._means()
        pairs = self.n_layers == 2 and self.prior_means is not None
        return NormalPrior(means.repeat_interleave(self.n_components, 0) if pairs else means)

    def make_lower_prior(self, x_shape: Shape) -> nn.Module:
        """The upper code to the lower one's prior."""
        return self._level(self.n_latent, self.hidden)

    def make_family(self) -> Family:
        return MixturePosterior()

    def make_objective(self) -> Objective:
        bound = partial(mixture_elbo, form=self.form)
        return Objective(bound, is_bound=self.stick_kl == "quadrature")

    def _level(self, n_inputs: int, hidden: Sequence[int], n_components: int | None = None) -> Any:
        return level(self.network, n_inputs, hidden, self.n_latent, n_components)

    def _means(self) -> Tensor:
        """The prior's means, (L,) for one prior or (K, L) for one each."""
        means, n_components = self.prior_means, self.n_components
        if means is None:
            return torch.zeros(self.n_latent)
        if len(means) != n_components:
            raise MixvaeError(
                f"prior_means must be {n_components} numbers, as there are so many components; got "
                f"{list(means)}."
            )
        each = torch.tensor(means, dtype=torch.get_default_dtype())
        return each.unsqueeze(1).repeat(1, self.n_latent)


@register("dlgmm")
@dataclass(frozen=True, kw_only=True)
class DLGMM(StickMixture):
    """A normal mixture in latent space, its weights from broken sticks (DLGMM)."""

    n_components: int = 3
    sticks: Sticks = "dirichlet"
    """Prior of the weights: a symmetric Dirichlet, or a process cut off at K (DLDPMM)."""

    @property
    def stick_prior(self) -> Sticks:
        return self.sticks


@register("dldpmm")
@dataclass(frozen=True, kw_only=True)
class DLDPMM(StickMixture):
    """A Dirichlet process mixture in latent space, cut off at K components (DLDPMM)."""

    n_components: int = 10
    """Number K of components that the process is cut off at."""

    @property
    def stick_prior(self) -> Sticks:
        return "process"


@register("sb-vae")
@dataclass(frozen=True, kw_only=True)
class StickBreakingVAE(StickOptions, ImportanceWeighted, OneNetwork):
    """The stick-breaking VAE: the code is a broken stick's weights (Nalisnick & Smyth 2017)."""

    creation_order: ClassVar = ("posterior", "encoder", "weights", "decoder", "prior")

    n_latent: int = 50
    """Number L of weights, the last of which takes the rest."""
    concentration: float = 5.0
    """Concentration of the prior, GEM; larger ones break off smaller pieces."""

    def make_posterior(self, x_shape: Shape) -> nn.Module:
        features, series = self.encoder_features(x_shape), self.stick_kl == "series"
        return StickPosterior(features, self.n_latent, 1, series=series)

    def make_prior(self, x_shape: Shape) -> nn.Module:
        return StickPrior(self.n_latent, self.concentration)

    def make_objective(self) -> Objective:
        bound = partial(weighted_elbo, kl_reduction="sum")
        return Objective(bound, is_bound=self.stick_kl == "quadrature")
