"""Reconstructions and samples of a model, as rows of images."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.errors import whole
from mixvae.evaluation.batches import batches, check_model, check_x, device_of, evaluating
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes

from .figures import component_names
from .tiles import check_images, grid


def reconstructions(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    path: str | Path,
    *,
    y: Classes | None = None,
    n: int = 12,
) -> Path:
    """The first ``n`` examples, reconstructed by every component and by the mixture.

    Each row's label gives the squared error summed over pixels, averaged over these examples.

    Parameters
    ----------
    model : MixtureVAE
        Trained model; it stays on its device and in its mode.
    x : Tensor, shape (N, *X)
        Examples with values in [0, 1].
    path : str or Path
        PNG file to write.
    y : Tensor, shape (N,), optional
        Class labels, which a conditional model needs.
    n : int
        Number of examples.

    Returns
    -------
    Path
        The written file.

    Raises
    ------
    MixvaeError
        If x or y does not fit the model or is no image, or ``n`` is below 1.
    """
    check_x(model, x, y)
    whole(1, n=n)
    check_images(model)
    with evaluating(model):
        x, y = next(batches(model, x[:n], None if y is None else y[:n], n))
        alone = model.reconstruct_each(x, y).transpose(0, 1)
        mixture = model.reconstruct(x, y)
    rows = dict(zip(component_names(model), alone, strict=True)) if len(alone) > 1 else {}
    rows["mixture" if rows else "reconstruction"] = mixture
    labels = [
        f"{name}\nSSE {float((row - x).square().flatten(1).sum(1).mean()):.2f}"
        for name, row in rows.items()
    ]
    title = "Reconstructions (codes and weights at their means)"
    return grid(torch.stack([x, *rows.values()]), ["original", *labels], title, path)


def samples(model: MixtureVAE, path: str | Path, *, n: int = 12, seed: int = 0) -> Path:
    """Samples of every component and of the mixture, shown as means of p(x | z).

    The components of one column share their random input; the mixture has its own. The columns of a
    conditional model go through its classes in turn.

    Parameters
    ----------
    model : MixtureVAE
        Trained model; it stays on its device and in its mode.
    path : str or Path
        PNG file to write.
    n : int
        Number of samples in a row.
    seed : int
        Seed of the noise.

    Returns
    -------
    Path
        The written file.

    References
    ----------
    Ye and Bors, TNNLS 2021, Fig. 17 (MVAE).
    """
    check_model(model)
    whole(1, n=n)
    check_images(model)
    n_classes = model.labels.n_classes
    y = None if n_classes is None else torch.arange(n, device=device_of(model)) % n_classes
    with evaluating(model, seed):
        rows = [*model.sample_each(n, y).unbind(1), model.sample(n, y=y)]
    labels, codes = ["", ""], "codes from the prior"
    if len(rows) > 2:
        labels = [*component_names(model), "mixture\n(own codes)"]
        codes = "the same codes in a column"
    columns = [] if y is None else [f"class {c}" for c in y.tolist()]
    title = f"Samples (means of p(x | z), {codes})"
    return grid(torch.stack(rows), labels, title, path, columns=columns)
