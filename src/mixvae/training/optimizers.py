"""Optimizers and learning-rate schedules, by name or as functions of the user's own."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from math import cos, pi
from typing import Any, Literal

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from mixvae.errors import MixvaeError, unknown

OptimizerName = Literal["adam", "adamw", "sgd"]
ScheduleName = Literal["constant", "cosine", "linear"]
MakeOptimizer = Callable[..., Optimizer]  # (parameters, lr) -> optimizer
Schedule = Callable[[int, int], float]  # (steps taken, steps in all) -> factor of lr


def half_cosine(step: int, n_steps: float) -> float:
    """The factor of the learning rate after a step: from 1 to 0 along half a cosine."""
    return 0.5 * (1 + cos(pi * min(1.0, step / n_steps)))


def linear(step: int, n_steps: float) -> float:
    """The factor of the learning rate after a step: from 1 to 0 along a straight line."""
    return 1 - min(1.0, step / n_steps)


OPTIMIZERS: Mapping[str, MakeOptimizer] = {
    "adam": Adam,
    "adamw": AdamW,
    "sgd": partial(SGD, momentum=0.9),
}
FUSED = {"adam", "adamw"}  # whose step can be one kernel
SCHEDULES: Mapping[str, Schedule] = {
    "constant": lambda step, n_steps: 1.0,
    "cosine": half_cosine,
    "linear": linear,
}


def name_of(choice: str | Callable[..., Any]) -> str:
    """A name as it is; of a function or class its qualified name, of a partial also its options."""
    if isinstance(choice, str):
        return choice
    if isinstance(choice, partial):
        given = [*map(repr, choice.args), *(f"{k}={v!r}" for k, v in choice.keywords.items())]
        return f"{name_of(choice.func)}({', '.join(given)})"
    found = choice if hasattr(choice, "__qualname__") else type(choice)
    return f"{found.__module__}.{found.__qualname__}"


def functions_of(
    optimizer: str, own_optimizer: Any, lr_schedule: str, own_schedule: Any
) -> tuple[MakeOptimizer, Schedule]:
    """The functions of these names: known ones, or a user's own, which must have that name.

    Raises
    ------
    MixvaeError
        For a name that is not known, and on resuming for a function that is missing or another's.
    """
    make = _function("optimizer", optimizer, own_optimizer, OPTIMIZERS)
    return make, _function("lr_schedule", lr_schedule, own_schedule, SCHEDULES)


def _function(what: str, name: str, given: Any, known: Mapping[str, Any]) -> Any:
    if given is not None and name_of(given) != name:
        raise MixvaeError(
            f"the run was started with {what}={name}; resuming it with {name_of(given)} would be "
            f"another run. Give {name}."
        )
    if callable(given):
        return given
    if name in known:
        return known[name]
    if "." in name:
        raise MixvaeError(
            f"the run was started with {what}={name}, a function that is not stored: give the "
            f"same one again, mixvae.resume(..., {what}=...)."
        )
    raise unknown(what, name, known)


def make_optimizer(
    make: MakeOptimizer, name: str, parameters: Iterable[nn.Parameter], lr: float, *, fused: bool
) -> Optimizer:
    """The optimizer of some parameters, whose groups remember the rate that schedules scale."""
    options = {"fused": True} if fused and name in FUSED else {}
    optimizer = make(parameters, lr=lr, **options)
    if not isinstance(optimizer, Optimizer):
        raise MixvaeError(
            f"optimizer must give a torch.optim.Optimizer when called as optimizer(parameters, "
            f"lr=...); {name} gave a {type(optimizer).__name__}."
        )
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])
    return optimizer


def set_rate(optimizer: Optimizer, factor: float) -> None:
    """Scale each group's own learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
