"""The time and memory that a run will take, estimated before it starts."""

import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mixvae.data.rows import TensorOrRows
from mixvae.initialization import Phase
from mixvae.objectives import Terms
from mixvae.recipes.building import BuiltRecipe
from mixvae.seeding import noise

MIB = 2**20
STEPS = 5  # that are timed


@dataclass(frozen=True)
class Estimate:
    """An estimate of a run: time in seconds, memory in bytes."""

    n_parameters: int
    seconds_per_epoch: float
    epochs: int
    weights: int  # with gradients and Adam's two moments
    activations: int  # kept for the backward pass of one batch
    data: int
    before: tuple[tuple[str, int, float], ...] = ()  # phases: name, epochs, seconds an epoch

    def __str__(self) -> str:
        total = self.seconds_per_epoch * self.epochs
        parts = [f"{_time(s * n)} for {n} of the phase {name}" for name, n, s in self.before]
        before = f", after {' and '.join(parts)}" if parts else ""
        return (
            f"{self.n_parameters:,} parameters; about {_time(self.seconds_per_epoch)} an epoch, "
            f"{_time(total)} for {self.epochs}{before}; memory: {self.weights / MIB:.1f} MiB of "
            f"weights and optimizer, {self.activations / MIB:.1f} MiB of activations, "
            f"{self.data / MIB:.1f} MiB of data"
        )


def estimate(
    recipe: BuiltRecipe,
    x: TensorOrRows,
    y: Tensor | None = None,
    *,
    batch_size: int,
    epochs: int,
    bf16: bool = False,
    device: str | torch.device = "cpu",
    steps: int = STEPS,
    before: Sequence[Phase] = (),
) -> Estimate:
    """Time a few training steps on a copy of the model, and count what they keep.

    Parameters
    ----------
    recipe
        The recipe to be trained; it is left as it is.
    x
        The training data, (N, *X).
    y
        Their classes, (N,), for a conditional model.
    batch_size
        Rows of a batch.
    epochs
        Passes over the data.
    bf16
        Whether steps are under bfloat16 autocast.
    device
        Where to run.
    steps
        Steps that are timed, after two that are not.
    before
        Phases that come first.

    Returns
    -------
    Estimate
        Times and memory.
    """
    batch, n_batches = x[:batch_size], len(x) // batch_size
    options = (bf16, torch.device(device), steps)
    seconds, weights, activations = _measured(recipe.model, recipe.objective, batch, y, *options)
    phases = []
    for p in before:
        took, _, _ = _measured(p.module, p.objective, batch, p.labels(), *options)
        phases.append((p.name, p.epochs, took * n_batches * p.passes))
    own = (recipe.n_parameters, seconds * n_batches, epochs, 4 * weights, activations, x.nbytes)
    return Estimate(*own, tuple(phases))


def _measured(
    module: nn.Module,
    objective: Callable[..., Terms],
    x: Tensor,
    y: Tensor | None,
    bf16: bool,
    device: torch.device,
    steps: int,
) -> tuple[float, int, int]:
    """Seconds a step of a copy, bytes of its weights, and of what is kept for its backward pass."""
    module = deepcopy(module).to(device).train()
    x, y = x.clone().to(device), None if y is None else y[: len(x)].to(device)
    weights = {p.untyped_storage().data_ptr(): p.nbytes for p in module.parameters()}
    optimizer = torch.optim.Adam(module.parameters(), fused=True)
    kept: dict[int, int] = {}

    def keep(t: Tensor) -> Tensor:
        storage = t.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return t

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = -torch.stack(list(objective(module, x, 1.0, y).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # wait for the device

    with noise(0, device):
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            step()
        step()
        started = time.perf_counter()
        for _ in range(steps):
            step()
    return (time.perf_counter() - started) / steps, sum(weights.values()), sum(kept.values())


def _time(seconds: float) -> str:
    if seconds >= 100 * 60:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
