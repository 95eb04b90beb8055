"""What sub-decoders make of the codes of other encoders."""

from typing import Any

import torch
from torch import Tensor

from mixvae.evaluation.batches import spaced
from mixvae.evaluation.latent_operations import cross_decode, interpolate

from .subject import Subject


def exchange(subject: Subject, *, n_test: int = 2000) -> dict[str, Any]:
    """Squared errors of reconstructions whose codes are exchanged between components.

    ``sse`` has a row for each encoder and a column for each sub-decoder, alone; ``matched`` and
    ``mismatched`` are the means of its diagonal and of the rest. ``mixture`` and
    ``mixture_exchanged`` are errors of all components together, with their own codes and with each
    other's (MVAE (34) and (36)). Codes are posterior means, and dropped components are left out.
    """
    model = subject.run.recipe.model
    kept = model.kept.nonzero().flatten()
    some = spaced(subject.data.test, n_test)
    x, y = some.x, some.y
    errors: dict[str, list[Tensor]] = {"alone": [], "own": [], "exchanged": []}
    for rows in torch.arange(len(x)).split(100):
        part, labels = x[rows], None if y is None else y[rows]
        decoded = cross_decode(model, part, labels)
        errors["alone"].append(_sse(decoded, part[:, None, None], 3))
        for name, shift in (("own", 0), ("exchanged", 1)):
            decoded = interpolate(model, part, part, 2, shift=shift, y=labels)[0]
            errors[name].append(_sse(decoded, part, 1))
    sse = torch.cat(errors["alone"]).mean(0)[kept][:, kept]
    off = ~torch.eye(len(sse), dtype=torch.bool)
    return {
        "sse": sse.tolist(),
        "matched": float(sse.diagonal().mean()),
        "mismatched": float(sse[off].mean()) if len(sse) > 1 else None,
        "mixture": float(torch.cat(errors["own"]).mean()),
        "mixture_exchanged": float(torch.cat(errors["exchanged"]).mean()),
        "components": kept.tolist(),
    }


def _sse(images: Tensor, x: Tensor, axis: int) -> Tensor:
    """Squared error in float64, summed over the axes of an image, which begin at ``axis``."""
    return (images.double() - x).square().flatten(axis).sum(axis)
