"""A recipe: plain options, and the parts of a model that they make."""

from collections.abc import Mapping
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
from mixvae.parts.labels import NO_LABELS, Labels
from mixvae.parts.weights import CategoricalWeights, Weights

from .values import as_json, checked, hints_of

Shape = tuple[int, ...]
KINDS: Mapping[str, type[nn.Module]] = {"weights": Weights, "decoder": Decoder}  # else any module


class Parts(NamedTuple):
    """What a recipe makes for x of one shape."""

    model: MixtureVAE
    objective: Objective
    initialization: Initialization | None = None  # phases before the model's own training


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A model by plain options; the base class of all recipes.

    A subclass is a frozen keyword-only dataclass. Its fields are options: each has a default, and
    under it a docstring that is its help on the command line. What an option may be is read from
    its annotation: bool, int (at least 1, or what ``field(metadata={"at_least": ...})`` says),
    float (finite), str, Literal, sequences of these, and None, which means that the data decide
    (:meth:`resolve`). A part of the model is made by the method ``make_...`` of its name, so that
    a subclass replaces one part by one method.

    >>> from mixvae.recipes import VAE
    >>> VAE(n_latent=2, hidden=[8]).hidden
    (8,)
    """

    drops_components: ClassVar[bool] = False
    """Whether training may choose among the components, by component dropout."""
    creation_order: ClassVar[tuple[str, ...]] = (
        *("encoder", "posterior", "weights", "decoder", "prior"),
    )
    """The order in which parts draw their first weights, which a seed then gives again."""

    def __post_init__(self) -> None:
        """Check the options' values, and keep them as plain ones."""
        hints = hints_of(type(self))
        for option in fields(self):
            value = checked(option, getattr(self, option.name), hints[option.name])
            object.__setattr__(self, option.name, value)
        self.check()

    @property
    def n_components(self) -> int:
        """K; an option of the recipes that have several."""
        return 1

    def options(self) -> dict[str, Any]:
        """The options and their values, as JSON has them."""
        return {option.name: as_json(getattr(self, option.name)) for option in fields(self)}

    def check(self) -> None:
        """Raise a MixvaeError for options that do not go together; their types are right."""

    def resolve(self, data: Dataset | None = None) -> "Recipe":
        """The same recipe with the options that are None set to what the data decide.

        Without data, to their usual values. An option that is not None stays.
        """
        decided = self.decided_by(data).items()
        return replace(self, **{key: v for key, v in decided if getattr(self, key) is None})

    def decided_by(self, data: Dataset | None) -> dict[str, Any]:
        """What the data, or None, decide of the options that are None; :meth:`resolve` takes it."""
        return {}

    def single(self) -> "Recipe":
        """The same recipe with one component, as pretraining trains it."""
        return self

    def without_dropout(self) -> "Recipe":
        """The recipe without component dropout, as pruning leaves it."""
        return self

    def parts(self, x_shape: Shape) -> Parts:
        """The model and its objective, for x of this shape."""
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
        """The parts of ``creation_order`` by name."""
        made: dict[str, Any] = {}
        for slot in self.creation_order:
            more = (likelihood,) if slot == "decoder" else ()
            part = getattr(self, f"make_{slot}")(x_shape, *more)
            made[slot] = self._is_a(KINDS.get(slot, nn.Module), part, slot)
        return made

    def encoder_features(self, x_shape: Shape) -> int:
        """H, the number of features that the encoder leaves for the posterior."""
        raise self._lacks("encoder_features")

    def make_likelihood(self, x_shape: Shape) -> Likelihood:
        """A decoder's output (*, n_params) to p(x | z)."""
        raise self._lacks("make_likelihood")

    def make_encoder(self, x_shape: Shape) -> nn.Module:
        """x (B, *X) to features (B, K, H)."""
        raise self._lacks("make_encoder")

    def make_posterior(self, x_shape: Shape) -> nn.Module:
        """Features to q(z | x, k), batch (B, K), event (L,)."""
        raise self._lacks("make_posterior")

    def make_weights(self, x_shape: Shape) -> Weights:
        """Features to q(w | x), batch (B,), event (K,)."""
        return CategoricalWeights(self.n_components)

    def make_decoder(self, x_shape: Shape, likelihood: Likelihood) -> Decoder:
        """z (S, B, K, L) and w (S, B, K) to p(x | z, w)."""
        raise self._lacks("make_decoder")

    def make_prior(self, x_shape: Shape) -> nn.Module:
        """``encode`` to p(z | k), batch (K,) or (), event (L,)."""
        raise self._lacks("make_prior")

    def make_family(self) -> Family:
        """Whether there is one code or K."""
        return Joint()

    def make_labels(self) -> Labels:
        """How class labels join x and z."""
        return NO_LABELS

    def make_dropout(self) -> ComponentDropout | None:
        """Masks on the components."""
        return None

    def make_sampler(self, x_shape: Shape) -> ComponentSubset | ComponentGate | None:
        """Which components a training step decodes; None is all of them."""
        return None

    def make_initialization(self, x_shape: Shape) -> Initialization | None:
        """Phases of training that come before the model's own, once."""
        return None

    def make_objective(self) -> Objective:
        """What is maximised, before :meth:`finish_objective`."""
        return Objective(elbo, is_bound=True)

    def finish_objective(self, objective: Objective) -> Objective:
        """The objective with what the shared options of a recipe make of it."""
        return objective

    def _is_a(self, kind: Any, part: Any, slot: str) -> Any:
        if isinstance(part, kind):
            return part
        raise MixvaeError(
            f"{type(self).__name__}.make_{slot} must return a {kind.__module__}.{kind.__name__}; "
            f"it returned {part!r:.60}."
        )

    def _lacks(self, hook: str) -> MixvaeError:
        name = type(self).__name__
        return MixvaeError(
            f"{name} has no {hook}: define it, or begin with a recipe that has it, such as "
            f"class {name}(mixvae.recipes.VAE)."
        )
