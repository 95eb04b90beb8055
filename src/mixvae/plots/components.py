"""The components as pictures name them: with their state, and the most used ones where many."""

from jaxtyping import Float
from torch import Tensor

from mixvae.evaluation.health import component_health
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes

MIN_ROWS = 50  # fewer do not tell whether a component is dead or collapsed
MAX_ROWS = 2000
MAX_COMPONENTS = 20  # in a picture that has a row or a panel for each


def component_names(
    model: MixtureVAE, x: Float[Tensor, "N *X"] | None = None, y: Classes | None = None
) -> list[str]:
    """Names of the components, with the state of each that is dropped, dead or collapsed.

    Whether one is dead or collapsed is measured on x, of 50 rows or more.
    """
    state = {k: "dropped" for k in (~model.kept).nonzero().flatten().tolist()}
    if x is not None and len(x) >= MIN_ROWS:
        health = component_health(model, x[:MAX_ROWS], None if y is None else y[:MAX_ROWS])
        state |= dict.fromkeys(health.dead, "dead") | dict.fromkeys(health.collapsed, "collapsed")
    return [
        f"component {k}" + (f" ({state[k]})" if k in state else "")
        for k in range(model.n_components)
    ]


def most_used(r: Float[Tensor, "N K"], n: int = MAX_COMPONENTS) -> list[int]:
    """The n components of the largest mean responsibility, in the order of their numbers."""
    return sorted(r.mean(0).argsort(descending=True, stable=True)[:n].tolist())


def only(n: int, n_components: int) -> str:
    """What a title says where only the n most used components are shown; else nothing."""
    more = f"The {n} of {n_components} components with the largest responsibilities are shown."
    return more if n < n_components else ""


def surest(r: Float[Tensor, "N K"]) -> list[int | None]:
    """The most responsible component of each row; None where several are."""
    if r.shape[1] < 2:
        return [None] * len(r)
    top = r.topk(2)
    clear = top.values[:, 0] - top.values[:, 1] > 1e-3
    found = zip(top.indices[:, 0].tolist(), clear.tolist(), strict=True)
    return [k if is_clear else None for k, is_clear in found]
