"""A recipe: a model and its objective, with the plain values that made them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import Parameter, Signature, getdoc, signature
from re import split
from typing import Any, Literal, NamedTuple

from ..errors import one_of
from ..initialization import Initialization
from ..model import MixtureVAE
from ..objectives import (
    Bound,
    Objective,
    elbo,
    iwae,
    matched,
    miselbo,
    mixture_bound,
    mixture_elbo,
    paper_objective,
    routed,
)

Make = Callable[..., "Parts"]
BOUNDS = (elbo, iwae, miselbo, mixture_bound, mixture_elbo)  # on log p(x), whatever their options
IMPORTANCE_WEIGHTED = """

Args:
    x_shape: shape of one x.
    bound: what is maximised: own, the recipe's objective; iwae, the importance-weighted bound in
        its place, with the same penalties.
    n_samples: samples S.
"""


class Parts(NamedTuple):
    """What a recipe's function returns."""

    model: MixtureVAE
    objective: Objective
    bound: Bound  # a true lower bound on log p(x), if the likelihood is a density
    objective_is_bound: bool | None = None  # None is what is_bound says of it
    initialization: Initialization | None = None  # phases before the model's own training


@dataclass(frozen=True)
class Recipe:
    """A built recipe; ``name``, ``x_shape`` and ``options`` are all it takes to build it again."""

    name: str
    x_shape: tuple[int, ...]
    options: dict[str, Any] = field(repr=False)
    model: MixtureVAE = field(repr=False)
    objective: Objective = field(repr=False)
    bound: Bound | None = field(repr=False)  # None where the likelihood is no density
    objective_is_bound: bool = False  # whether it, too, is known to be one
    initialization: Initialization | None = field(default=None, repr=False)

    @property
    def n_components(self) -> int:
        """K."""
        return self.model.n_components

    @property
    def n_parameters(self) -> int:
        """The number of learned scalars."""
        return sum(p.numel() for p in self.model.parameters())

    def to_dict(self) -> dict[str, Any]:
        """The recipe as JSON-able values."""
        return {"recipe": self.name, "x_shape": list(self.x_shape), "options": self.options}


def is_bound(objective: Objective) -> bool:
    """Whether an objective is known to be a lower bound on log p(x), the likelihood a density.

    It is if it has no penalties, and maximises one of ``BOUNDS``, the matched bound (unless it is
    approximate), or the joint mixtures' with KLs that are summed and weighed by 1 or more.
    """
    made = objective.bound
    function, options = (made.func, made.keywords) if isinstance(made, partial) else (made, {})
    if function is paper_objective:
        weights = (options.get("beta_kl", 1.0), options.get("beta_w", 1.0))
        known = options.get("kl_reduction") == "sum" and min(weights) >= 1
    elif function is routed:
        known = options["bound"] in BOUNDS
    elif function is matched:
        known = options.get("matching") != "variational"
    else:
        known = function in BOUNDS
    return known and not objective.penalties


def extends(base: Make, *, without: Sequence[str] = ()) -> Callable[[Make], Make]:
    """For a recipe that adds options to another's, which it passes on as ``**options``.

    The function's signature and docstring, and so the command line, have those of both, but for
    the options of the other that are named in ``without``.
    """

    def with_options(make: Make) -> Make:
        own = [
            p for p in signature(make).parameters.values() if p.kind is not Parameter.VAR_KEYWORD
        ]
        hidden = {p.name for p in own} | set(without)
        inherited = [p for name, p in signature(base).parameters.items() if name not in hidden]
        make.__signature__ = Signature([*own, *inherited])  # type: ignore[attr-defined]
        described = (getdoc(base) or "").partition("\nArgs:\n")[2]
        entries = split(r"\n(?=    \w)", described)  # an option's first line has four spaces
        kept = [entry for entry in entries if entry.split(":")[0].strip() not in hidden]
        make.__doc__ = f"{getdoc(make)}\n" + "\n".join(kept)
        return make

    return with_options


def importance_weighted(make: Make) -> Make:
    """Give a recipe the options ``bound`` and ``n_samples``, by which it is trained as an IWAE."""

    def made(
        x_shape: Sequence[int],
        *,
        bound: Literal["own", "iwae"] = "own",
        n_samples: int = 1,
        **options: Any,
    ) -> Parts:
        one_of("bound", bound, ("own", "iwae"))
        parts = make(x_shape, **options)
        objective = replace(parts.objective, n_samples=n_samples)
        if bound == "iwae":
            objective = replace(objective, bound=iwae)
            parts = parts._replace(objective_is_bound=None)
        return parts._replace(objective=objective)

    summary = (getdoc(make) or "").partition("\n")[0]
    made.__name__, made.__doc__ = make.__name__, summary + IMPORTANCE_WEIGHTED
    return extends(make)(made)
