"""Recipe, the base class: plain options, and methods that make the parts of a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, NamedTuple

from torch import nn

from mixvae.data.dataset import Dataset
from mixvae.errors import MixvaeError
from mixvae.families import Family, Joint
from mixvae.initialization import Initialization
from mixvae.likelihoods import Likelihood
from mixvae.model import MixtureVAE
from mixvae.objectives import Objective, elbo
from mixvae.parts.component_dropout import ComponentDropout
from mixvae.parts.component_sampler import ComponentGate, ComponentSubset
from mixvae.parts.decoders import Decoder
from mixvae.parts.exemplars import ExemplarPrior
from mixvae.parts.labels import NO_LABELS, Labels
from mixvae.parts.priors import VampPrior
from mixvae.parts.weights import CategoricalWeights, Weights

from .values import as_json, checked, hints_of, listed

Shape = tuple[int, ...]
CLASSES: Mapping[str, type[nn.Module]] = {"weights": Weights, "decoder": Decoder}  # of some slots


class Parts(NamedTuple):
    """What a recipe makes for x of one shape.

    Parameters
    ----------
    model
        The model, with its initial weights.
    objective
        What training maximises.
    initialization
        Phases of training before the model's own, or None.
    """

    model: MixtureVAE
    objective: Objective
    initialization: Initialization | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A model, its objective and its initialisation, given by plain options; the base class.

    A subclass is a frozen keyword-only dataclass. Its fields are options: each has a default, and
    under it a docstring that is its help on the command line. Values are checked against the
    field's annotation: bool, int (at least 1, or ``field(metadata={"at_least": ...})``), float
    (finite), str, Literal, sequences of these, and None, which stands for a value that depends on
    the data (:meth:`resolve`). Each part of the model is made by a method ``make_...``, so that a
    subclass replaces a part by one method.

    Raises
    ------
    MixvaeError
        For a value that its annotation does not allow, or options that do not go together.

    Examples
    --------
    >>> from mixvae.recipes import VAE
    >>> VAE(n_latent=2, hidden=[8]).hidden
    (8,)
    """

    drops_components: ClassVar[bool] = False
    """Whether the recipe has component dropout, by which training chooses K."""
    creation_order: ClassVar[tuple[str, ...]] = (
        *("encoder", "posterior", "weights", "decoder", "prior"),
    )
    """The order in which the parts sample their initial weights, which a seed reproduces."""

    def __post_init__(self) -> None:
        """Check the options' values, and convert them to plain ones."""
        hints = hints_of(type(self))
        for option in fields(self):
            hint = hints[option.name]
            value = checked(option, listed(getattr(self, option.name), hint), hint)
            object.__setattr__(self, option.name, value)
        self.check()

    @property
    def n_components(self) -> int:
        """K; an option of the recipes with several components."""
        return 1

    def options(self) -> dict[str, Any]:
        """The options and their values, as in JSON."""
        return {option.name: as_json(getattr(self, option.name)) for option in fields(self)}

    def check(self) -> None:
        """Raise a MixvaeError for options that do not go together; their types are checked."""

    def resolve(self, data: Dataset | None = None) -> "Recipe":
        """The recipe with each option that is None replaced by a value for the data.

        Parameters
        ----------
        data
            The data, or None for the values without data.
        """
        decided = self.decided_by(data).items()
        return replace(self, **{key: v for key, v in decided if getattr(self, key) is None})

    def decided_by(self, data: Dataset | None) -> dict[str, Any]:
        """Values for the data, or without data, of options that may be None, by name."""
        return {}

    def start_from(self, model: MixtureVAE, data: Dataset) -> None:
        """Set first weights that depend on data; by default, pseudo-inputs and exemplars.

        Parameters
        ----------
        model
            As :meth:`parts` made it.
        data
            The data that it is built for.
        """
        for part in model.modules():
            if isinstance(part, VampPrior) and part.from_data:
                part.start_from(data.train.x)
            if isinstance(part, ExemplarPrior):
                part.start_from(data.seen("train").x)

    def single(self) -> "Recipe":
        """The recipe with one component, for pretraining."""
        return self

    def with_components(self, keep: Sequence[int]) -> "Recipe":
        """The recipe of these components alone, counted from 0, for pruning."""
        return replace(self, **{"n_components": len(keep)})

    def without_dropout(self) -> "Recipe":
        """The recipe without component dropout, for pruning."""
        return self

    def parts(self, x_shape: Shape) -> Parts:
        """The model, its objective and its initialisation, for x of this shape."""
        likelihood = self._is_a(Likelihood, self.make_likelihood(x_shape), "likelihood")
        slots = self.make_slots(x_shape, likelihood)
        model = MixtureVAE(
            trunk=slots["encoder"],
            posterior=slots["posterior"],
            weights=slots["weights"],
            decoder=slots["decoder"],
            prior=slots["prior"],
            family=self._is_a(Family, self.make_family(), "family"),
            dropout=self.make_dropout(),
            labels=self.make_labels(),
            sampler=self.make_sampler(x_shape),
        )
        objective = self._is_a(Objective, self.make_objective(), "objective")
        return Parts(model, self.finish_objective(objective), self.make_initialization(x_shape))

    def make_slots(self, x_shape: Shape, likelihood: Likelihood) -> Mapping[str, Any]:
        """The parts of ``creation_order`` by name, the encoder as one of the likelihood's data."""
        slots: dict[str, Any] = {}
        for slot in self.creation_order:
            arguments = (x_shape, likelihood) if slot == "decoder" else (x_shape,)
            part = getattr(self, f"make_{slot}")(*arguments)
            slots[slot] = self._is_a(CLASSES.get(slot, nn.Module), part, slot)
        return {**slots, "encoder": likelihood.reading(slots["encoder"])}

    def encoder_features(self, x_shape: Shape) -> int:
        """H, the number of the encoder's features."""
        raise self._lacks("encoder_features")

    def make_likelihood(self, x_shape: Shape) -> Likelihood:
        """The likelihood: a decoder's output (*, n_params) to p(x | z)."""
        raise self._lacks("make_likelihood")

    def make_encoder(self, x_shape: Shape) -> nn.Module:
        """The encoder: x (B, *X) to features (B, K, H)."""
        raise self._lacks("make_encoder")

    def make_posterior(self, x_shape: Shape) -> nn.Module:
        """The posterior: features to q(z | x, k), batch (B, K), event (L,)."""
        raise self._lacks("make_posterior")

    def make_weights(self, x_shape: Shape) -> Weights:
        """The mixing weights: features to q(w | x), batch (B,), event (K,)."""
        return CategoricalWeights(self.n_components)

    def make_decoder(self, x_shape: Shape, likelihood: Likelihood) -> Decoder:
        """The decoder: z (S, B, K, L) and w (S, B, K) to p(x | z, w)."""
        raise self._lacks("make_decoder")

    def make_prior(self, x_shape: Shape) -> nn.Module:
        """The prior: ``encode`` to p(z | k), batch (K,) or (), event (L,)."""
        raise self._lacks("make_prior")

    def make_family(self) -> Family:
        """The family: how the model's latent variables are structured."""
        return Joint()

    def make_labels(self) -> Labels:
        """How class labels are appended to x and z."""
        return NO_LABELS

    def make_dropout(self) -> ComponentDropout | None:
        """Component dropout, or None."""
        return None

    def make_sampler(self, x_shape: Shape) -> ComponentSubset | ComponentGate | None:
        """What chooses the components that a training step decodes; None: it decodes all."""
        return None

    def make_initialization(self, x_shape: Shape) -> Initialization | None:
        """Phases of training before the model's own, or None."""
        return None

    def make_objective(self) -> Objective:
        """The objective, before :meth:`finish_objective`."""
        return Objective(elbo, is_bound=True)

    def finish_objective(self, objective: Objective) -> Objective:
        """The objective as modified by groups of shared options, such as dropout's."""
        return objective

    def _is_a(self, kind: Any, part: Any, slot: str) -> Any:
        """The part, if it is an instance of ``kind``; else raise."""
        if isinstance(part, kind):
            return part
        raise MixvaeError(
            f"{type(self).__name__}.make_{slot} must return a {kind.__module__}.{kind.__name__}; "
            f"it returned {part!r:.60}."
        )

    def _lacks(self, hook: str) -> MixvaeError:
        """The error for a method that the recipe must define."""
        name = type(self).__name__
        return MixvaeError(
            f"{name} has no {hook}: define it, or begin with a recipe that has it, such as "
            f"class {name}(mixvae.recipes.VAE)."
        )
