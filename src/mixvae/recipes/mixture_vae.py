"""The exact mixture: K VAEs, one of which generates each x; it is from no published paper."""

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
from mixvae.parts.flows import ComponentFlowPrior
from mixvae.parts.priors import ComponentMixturePrior
from mixvae.parts.weights import CategoricalWeights, Weights

from .densities import FlowOptions
from .dropout_options import DropoutOptions
from .options import Autoencoder, ComponentOptions, ImportanceWeighted
from .recipe import Shape
from .registry import register


@dataclass(frozen=True, kw_only=True)
class ExactMixtureOptions(ImportanceWeighted, Autoencoder, ComponentOptions):
    """K VAEs, one of which generates each x, started from one VAE and trained sparsely."""

    creation_order: ClassVar = ("encoder", "decoder", "posterior", "weights", "prior")

    n_components: int = 10
    """Number K of VAEs; 1 is the VAE."""
    n_latent: int = 20
    """Size L of each component's code."""
    shared_layers: bool = True
    """Whether all components share an encoder and a decoder, except the layers next to the codes;
    false: each component has networks of its own."""
    start: Literal["split", "random"] = "split"
    """Initialisation. split: pretrain one VAE, whose clusters of codes become the components;
    random: random weights, which leaves some components without data."""
    start_epochs: int = 24
    """Epochs of pretraining, with start split."""
    n_active: int = 2
    """With shared layers: number of codes that a training step decodes for each x, of components
    sampled by a gate with replacement. With 1 the gate is not trained after pretraining; with
    n_components every component is decoded, which is slower."""

    def check(self) -> None:
        super().check()
        if self.gated and self.n_active == 1 and not self.splits:
            raise MixvaeError(
                "n_active=1 needs start='split', as its gate is trained in pretraining alone; use "
                f"n_active=2 or more ({self.n_components} for all), or start='split' "
                "(--n-active 2, or --start split)."
            )

    @property
    def gated(self) -> bool:
        """Whether a gate samples the components that a training step decodes."""
        return self.shared_layers and self.n_active < self.n_components

    def make_encoder(self, x_shape: Shape) -> nn.Module:
        make = shared_encoder if self.shared_layers else encoders
        return make(self.make_network(x_shape), self.n_components)

    def make_decoder(self, x_shape: Shape, likelihood: Likelihood) -> Decoder:
        if not self.shared_layers:
            return super().make_decoder(x_shape, likelihood)
        net, n_params = self.make_network(x_shape), likelihood.n_params
        branch, head = decoders_from_one(net, self.n_components, self.n_latent, n_params)
        return Decoder(branch, likelihood, head=head)

    def make_family(self) -> Family:
        return ExactMixture()

    @property
    def splits(self) -> bool:
        """Whether one VAE is pretrained, and split."""
        return self.start == "split" and self.n_components > 1

    def make_initialization(self, x_shape: Shape) -> Initialization | None:
        def single() -> tuple[MixtureVAE, Objective]:
            return self.single().parts(x_shape)[:2]

        return Split(self.start_epochs, single) if self.splits else None

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


@register("mixture-vae")
@dataclass(frozen=True, kw_only=True)
class MixtureOfVAEs(DropoutOptions, FlowOptions, ExactMixtureOptions):
    """A mixture of K VAEs with learned weights, the component index summed out exactly.

    It is from no published paper; its objective is a lower bound on log p(x).
    """

    prior: Literal["normals", "flow"] = "normals"
    """Prior of each component. normals: a mixture of n_normals; flow: a learned flow of N(0, I),
    one network for all components, which reads the component. The pretrained VAE has N(0, I)."""
    n_normals: int = 1
    """Number M of normals in the prior of each component, which is learned; 1: N(0, I)."""
    keep_prior: float | None = None
    """Component dropout, which chooses K: prior probability p that a component takes part. It is
    kept if it gains log (1 - p) / p nats an example. Null: no dropout. With dropout every component
    is decoded for each x, and the objective in training is not a bound."""
    temperature: float = 0.03
    """Temperature of the concrete masks. A dropped component's log mask is about -1 / temperature
    nats; components that are better than the others by more than that are not dropped."""

    def check(self) -> None:
        super().check()
        if self.prior == "flow" and self.n_normals > 1:
            raise MixvaeError(
                f"n_normals {self.n_normals} is for prior='normals', and the prior is 'flow'; "
                "leave n_normals at 1."
            )

    @property
    def gated(self) -> bool:
        return super().gated and not self.has_masks

    @property
    def has_masks(self) -> bool:
        return self.keep_prior is not None

    def single(self) -> "MixtureOfVAEs":
        return replace(self, n_components=1, prior="normals", n_normals=1, keep_prior=None)

    def make_prior(self, x_shape: Shape) -> nn.Module:
        if self.prior == "flow":
            return ComponentFlowPrior(self.n_components, self.n_latent, **self.flow_sizes)
        if self.n_normals == 1:
            return super().make_prior(x_shape)
        return ComponentMixturePrior(self.n_components, self.n_normals, self.n_latent)

    def without_dropout(self) -> "MixtureOfVAEs":
        """The recipe without masks; training still decodes every component."""
        if self.keep_prior is None:
            return self
        return replace(self, keep_prior=None, n_active=self.n_components)

    def make_weights(self, x_shape: Shape) -> Weights:
        return CategoricalWeights(self.n_components, learned=True)

    def make_dropout(self) -> ComponentDropout | None:
        if self.keep_prior is None:
            return None
        return ConcreteDropout(
            self.n_components,
            rate=self.start_rate,
            temperature=self.temperature,
            keep_prior=self.keep_prior,
        )
