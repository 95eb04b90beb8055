"""What a run will take, told before it starts."""

import time
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from ..recipes.building import BuiltRecipe

MIB = 2**20


@dataclass(frozen=True)
class Estimate:
    """Time in seconds, memory in bytes."""

    n_parameters: int
    seconds_per_epoch: float
    epochs: int
    weights: int  # with gradients and Adam's two moments
    activations: int  # kept for the backward pass of one batch
    data: int

    def __str__(self) -> str:
        total = self.seconds_per_epoch * self.epochs
        return (
            f"{self.n_parameters:,} parameters; about {_time(self.seconds_per_epoch)} an epoch, "
            f"{_time(total)} for {self.epochs}; memory: {self.weights / MIB:.1f} MiB of weights "
            f"and optimizer, {self.activations / MIB:.1f} MiB of activations, "
            f"{self.data / MIB:.1f} MiB of data"
        )


def estimate(
    recipe: BuiltRecipe,
    x: Tensor,
    y: Tensor | None = None,
    *,
    batch_size: int,
    epochs: int,
    bf16: bool = False,
    device: str | torch.device = "cpu",
    steps: int = 5,
) -> Estimate:
    """Time a few training steps on a copy of the model, and count what they keep.

    Args:
        recipe: what is to be trained; it is left as it is.
        x: (N, *X), the training data.
        y: (N,), their classes, for a conditional model.
        batch_size: rows a step.
        epochs: passes over the data.
        bf16: under bfloat16 autocast.
        device: where to run.
        steps: steps that are timed, after two that are not.
    """
    model = deepcopy(recipe.model).to(device)
    batch = x[:batch_size].clone().to(device)
    labels = None if y is None else y[:batch_size].to(device)
    weights = {p.untyped_storage().data_ptr(): p.nbytes for p in model.parameters()}
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    kept: dict[int, int] = {}

    def keep(t: Tensor) -> Tensor:
        storage = t.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return t

    def step() -> None:
        cast = torch.autocast(batch.device.type, torch.bfloat16) if bf16 else nullcontext()
        with cast:
            loss = -torch.stack(list(recipe.objective(model, batch, y=labels).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # wait for the device

    with torch.random.fork_rng():
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            step()
        step()
        started = time.perf_counter()
        for _ in range(steps):
            step()
        seconds = (time.perf_counter() - started) / steps
    return Estimate(
        n_parameters=recipe.n_parameters,
        seconds_per_epoch=seconds * (len(x) // batch_size),
        epochs=epochs,
        weights=4 * sum(weights.values()),
        activations=sum(kept.values()),
        data=x.nbytes,
    )


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
