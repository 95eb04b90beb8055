"""The exact mixture: K VAEs, of which one makes each x; no published paper's, and a true bound."""

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal

from torch import nn

from mixvae.errors import MixvaeError
from mixvae.families import ExactMixture, Family
from mixvae.initialization import Initialization, Split
from mixvae.likelihoods import Likelihood
from mixvae.model import MixtureVAE
from mixvae.nn.networks import decoders_from_one, encoders, shared_encoder
from mixvae.objectives import Objective, mixture_bound, routed
from mixvae.parts.component_dropout import ComponentDropout, ConcreteDropout
from mixvae.parts.component_sampler import ComponentGate
from mixvae.parts.decoders import Decoder
from mixvae.parts.weights import CategoricalWeights, Weights

from .masks import DropoutOptions
from .options import Autoencoder, ComponentOptions, ImportanceWeighted
from .recipe import Shape
from .registry import register


@register("mixture-vae")
@dataclass(frozen=True, kw_only=True)
class MixtureOfVAEs(DropoutOptions, ImportanceWeighted, Autoencoder, ComponentOptions):
    """A mixture of K VAEs with learned proportions, the component's index summed out exactly."""

    creation_order: ClassVar = ("encoder", "decoder", "posterior", "weights", "prior")

    n_components: int = 10
    """Number K of VAEs; 1 is the VAE."""
    n_latent: int = 20
    """Size L of each component's code."""
    shared_layers: bool = True
    """One encoder and one decoder for all components, but for the layers next to the codes, of
    which each has its own; false: whole networks of their own."""
    start: Literal["split", "random"] = "split"
    """How training starts. split: from one VAE of these networks, whose clusters of codes become
    the components; random: all of them at random, which leaves some without data."""
    start_epochs: int = 24
    """Epochs of the one VAE, before those of training, with start split."""
    n_active: int = 2
    """With shared layers: codes that a training step decodes for each x, of components that a gate
    draws with replacement. With 1 the gate learns nothing after the start, with more it goes on;
    n_components: one code of each, which is slower."""
    keep_prior: float | None = None
    """Component dropout, which chooses K: prior probability of each component to take part, by
    which it must be worth log (1 - p) / p nats an x; null drops none. All components are then
    decoded for each x, and the objective is no bound in training."""
    temperature: float = 0.03
    """Temperature of the concrete masks: the logarithm of one that drops is about 1 / temperature
    nats under 0, and says how much better than the others a component may be, and go."""

    def check(self) -> None:
        super().check()
        if self.gated and self.n_active == 1 and not self.splits:
            raise MixvaeError(
                "n_active=1 trains each x by one component, chosen by a gate that learns only from a "
                "start, and start='random' gives it to none; use n_active=2 or more "
                f"({self.n_components} for all), or start='split' (on the command line --n-active "
                "2, or --start split)."
            )

    @property
    def gated(self) -> bool:
        """Whether a gate chooses a few components for a training step."""
        sparse = self.shared_layers and self.n_active < self.n_components
        return sparse and not self.has_masks

    @property
    def has_masks(self) -> bool:
        return self.keep_prior is not None

    def single(self) -> "MixtureOfVAEs":
        return replace(self, n_components=1, keep_prior=None)

    def without_dropout(self) -> "MixtureOfVAEs":
        """The same without masks, and as then without a gate."""
        if self.keep_prior is None:
            return self
        return replace(self, keep_prior=None, n_active=self.n_components)

    def make_encoder(self, x_shape: Shape) -> nn.Module:
        make = shared_encoder if self.shared_layers else encoders
        return make(self.make_network(x_shape), self.n_components)

    def make_decoder(self, x_shape: Shape, likelihood: Likelihood) -> Decoder:
        if not self.shared_layers:
            return super().make_decoder(x_shape, likelihood)
        net, n_params = self.make_network(x_shape), likelihood.n_params
        branch, head = decoders_from_one(net, self.n_components, self.n_latent, n_params)
        return Decoder(branch, likelihood, head=head)

    def make_weights(self, x_shape: Shape) -> Weights:
        return CategoricalWeights(self.n_components, learned=True)

    def make_family(self) -> Family:
        return ExactMixture()

    @property
    def splits(self) -> bool:
        """Whether one VAE is trained first, and split."""
        return self.start == "split" and self.n_components > 1

    def make_initialization(self, x_shape: Shape) -> Initialization | None:
        def single() -> tuple[MixtureVAE, Objective]:
            one = self.single().parts(x_shape)
            return one.model, one.objective

        return Split(self.start_epochs, single) if self.splits else None

    def make_dropout(self) -> ComponentDropout | None:
        if self.keep_prior is None:
            return None
        return ConcreteDropout(
            self.n_components,
            rate=self.start_rate,
            temperature=self.temperature,
            keep_prior=self.keep_prior,
        )

    def make_sampler(self, x_shape: Shape) -> ComponentGate | None:
        if not self.gated:
            return None
        return ComponentGate(self.encoder_features(x_shape), self.n_components, self.n_active)

    def make_objective(self) -> Objective:
        return Objective(mixture_bound, is_bound=True)

    def finish_objective(self, objective: Objective) -> Objective:
        objective = super().finish_objective(objective)
        if not self.gated:
            return objective
        return replace(objective, bound=partial(routed, bound=objective.bound))
