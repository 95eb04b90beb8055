"""Component dropout in a recipe: masks on the model, and what their rates cost."""

from dataclasses import replace
from functools import partial

from ..dropout import ComponentDropout
from ..errors import at_least
from ..objectives import masked
from .recipe import Parts


def with_dropout(parts: Parts, masks: ComponentDropout, weight: float) -> Parts:
    """The same model under masks, its objective less ``weight`` times the cost of their rates."""
    at_least(0, beta_dropout=weight)
    parts.model.dropout = masks
    bound = partial(masked, bound=parts.objective.bound, weight=weight)
    return parts._replace(objective=replace(parts.objective, bound=bound))
