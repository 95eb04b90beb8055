"""What a model makes: reconstructions and samples, one row under another."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.errors import whole
from mixvae.evaluation.batches import batches, check_model, check_x, device_of, evaluating
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes

from .figures import component_names
from .tiles import grid


def reconstructions(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    path: str | Path,
    *,
    y: Classes | None = None,
    n: int = 12,
) -> Path:
    """The first ``n`` x: originals, every component's own reconstruction, the mixture's.

    Each row's label has its squared error summed over pixels, the mean over these x. A conditional
    model needs ``y``.
    """
    check_x(model, x, y)
    whole(1, n=n)
    with evaluating(model):
        x, y = next(batches(model, x[:n], None if y is None else y[:n], n))
        each = model.reconstruct_each(x, y).transpose(0, 1)
        mixture = model.reconstruct(x, y)
    rows = dict(zip(component_names(model), each, strict=True)) if len(each) > 1 else {}
    rows["mixture" if rows else "reconstruction"] = mixture
    labels = [
        f"{name}\nSSE {float((row - x).square().flatten(1).sum(1).mean()):.2f}"
        for name, row in rows.items()
    ]
    title = "Reconstructions (codes and weights at their means)"
    return grid(torch.stack([x, *rows.values()]), ["original", *labels], title, path)


def samples(model: MixtureVAE, path: str | Path, *, n: int = 12, seed: int = 0) -> Path:
    """``n`` new x, their means, from every component and from the mixture (MVAE, Fig. 17).

    A column is one random input, the same for every component; the mixture has its own. A
    conditional model is asked for its classes in turn, which name the columns.
    """
    check_model(model)
    whole(1, n=n)
    n_classes = model.labels.n_classes
    y = None if n_classes is None else torch.arange(n, device=device_of(model)) % n_classes
    with evaluating(model, seed):
        rows = [*model.sample_each(n, y).unbind(1), model.sample(n, y=y)]
    labels, which = ["", ""], "codes from the prior"
    if len(rows) > 2:
        labels = [*component_names(model), "mixture\n(own codes)"]
        which = "the same codes down a column"
    columns = [] if y is None else [f"class {c}" for c in y.tolist()]
    title = f"Samples (means of p(x | z), {which})"
    return grid(torch.stack(rows), labels, title, path, columns=columns)
