"""Reconstructions and samples of a model, as rows of images."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.errors import whole
from mixvae.evaluation.batches import (
    batches,
    check_model,
    check_x,
    device_of,
    evaluating,
    responsibilities,
)
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes

from .components import MAX_COMPONENTS, component_names, most_used, only, surest
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

    A frame marks the component that is the most responsible for an example. Each row's label gives
    the squared error summed over pixels, averaged over these examples, and says whether the
    component is dropped, dead or collapsed, the latter two as measured on x. Of more than 20
    components, the 20 that are the most responsible for these examples are shown.

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
    names = component_names(model, x, y)
    x, y = x[:n], None if y is None else y[:n]
    r = responsibilities(model, x, y)
    shown = most_used(r)
    with evaluating(model):
        x, y = next(batches(model, x, y, n))
        alone = model.reconstruct_each(x, y)[:, shown].transpose(0, 1)
        mixture = model.reconstruct(x, y)
    several = len(names) > 1
    rows = {names[k]: row for k, row in zip(shown, alone, strict=True)} if several else {}
    rows["mixture" if several else names[0].replace("component 0", "reconstruction")] = mixture
    labels = [
        f"{name}\nSSE {float((row - x).square().flatten(1).sum(1).mean()):.2f}"
        for name, row in rows.items()
    ]
    title = "Reconstructions (codes and weights at their means)\nColumns: examples. "
    if several:
        title += "Rows: each component alone, then the mixture, with the mean squared error (SSE). "
        title += f"Frame: the most responsible component. {only(len(shown), len(names))}"
    else:
        title += "Rows: the examples, and their reconstructions with the mean squared error (SSE)."
    place = {k: row + 1 for row, k in enumerate(shown)}
    framed = [(place[k], i) for i, k in enumerate(surest(r)) if k is not None]
    return grid(torch.stack([x, *rows.values()]), ["original", *labels], title, path, framed=framed)


def samples(model: MixtureVAE, path: str | Path, *, n: int = 12, seed: int = 0) -> Path:
    """Samples of every component and of the mixture, shown as means of p(x | z).

    The components of one column share their random input; the mixture has its own. The columns of a
    conditional model go through its classes in turn. Of more than 20 components, the first 20 that
    component dropout keeps are shown.

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
    n_classes, names = model.labels.n_classes, component_names(model)
    y = None if n_classes is None else torch.arange(n, device=device_of(model)) % n_classes
    shown = sorted((~model.kept).int().argsort(stable=True)[:MAX_COMPONENTS].tolist())
    with evaluating(model, seed):
        rows = [*model.sample_each(n, y)[:, shown].unbind(1), model.sample(n, y=y)]
    labels = ["", ""]
    title = "Samples (means of p(x | z))\n"
    if len(rows) > 2:
        labels = [*(names[k] for k in shown), "mixture\n(own codes)"]
        title += "Rows: each component alone, then the mixture. Columns: the components of one "
        title += "column decode the same random input."
        title += "" if len(shown) == len(names) else f" {len(shown)} of {len(names)} components."
    else:
        title += "Each image has a code of its own from the prior."
    columns = [] if y is None else [f"class {c}" for c in y.tolist()]
    return grid(torch.stack(rows), labels, title, path, columns=columns)
