"""How data goes through a model that is judged: in evaluation mode, in even batches."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import at_least
from ..labels import Classes
from ..model import MixtureVAE


@contextmanager
def evaluating(model: nn.Module, seed: int = 0) -> Iterator[None]:
    """Evaluation mode, no gradients, noise of one's own; everything is as it was afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    device = device_of(model)
    try:
        model.eval()
        with torch.no_grad(), torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield
    finally:
        for module, training in modes:
            module.training = training


def batches(
    model: MixtureVAE, x: Float[Tensor, "N *X"], y: Classes | None, batch_size: int
) -> Iterator[tuple[Tensor, Classes | None]]:
    """All of x in order on the model's device, with y if the model is conditional.

    The batches' sizes differ by one at most: no remnant is left, as some statistics of a batch
    (dHSIC) depend on its size.
    """
    at_least(1, batch_size=batch_size)
    n, device = -(-len(x) // batch_size), device_of(model)
    if model.labels.n_classes is None or y is None:
        labels: list[Classes | None] = [None] * n
    else:
        labels = [part.to(device) for part in y.tensor_split(n)]
    for part, its_labels in zip(x.tensor_split(n), labels, strict=True):
        yield part.to(device), its_labels


def responsibilities(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    y: Classes | None = None,
    *,
    batch_size: int = 500,
) -> Float[Tensor, "N K"]:
    """How far each component answers for each x, nothing random; rows sum to one. On the CPU."""
    with evaluating(model):
        each = [
            model.family.responsibilities(model.mean_trace(*batch)).cpu()
            for batch in batches(model, x, y, batch_size)
        ]
    return torch.cat(each)


def device_of(model: nn.Module) -> torch.device:
    """Where the model's parameters are."""
    return next(model.parameters()).device
