"""Options of component dropout: the masks' initial rates and the weight of their cost."""

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from mixvae.errors import at_least
from mixvae.objectives import Objective, masked

from .recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class DropoutOptions(Recipe):
    """Component dropout, by which training chooses the number of components."""

    drops_components: ClassVar = True

    start_rate: float = 0.1
    """Initial dropout rates."""
    beta_dropout: float = 1.0
    """Weight of the rates' KL."""

    def check(self) -> None:
        super().check()
        at_least(0, beta_dropout=self.beta_dropout)

    @property
    def has_masks(self) -> bool:
        """Whether components are dropped at all."""
        return True

    def finish_objective(self, objective: Objective) -> Objective:
        objective = super().finish_objective(objective)
        if not self.has_masks:
            return objective
        bound = partial(masked, bound=objective.bound, weight=self.beta_dropout)
        return replace(objective, bound=bound, is_bound=False)
