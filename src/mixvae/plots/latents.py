"""Decoded codes: exchanged between components, interpolated, and one latent varied at a time."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.errors import whole
from mixvae.evaluation import latent_operations as operations
from mixvae.evaluation.batches import check_x
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes

from .figures import component_names
from .tiles import blank, check_images, grid


def crossed(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    path: str | Path,
    *,
    y: Classes | None = None,
    n: int = 2,
) -> Path:
    """Every component's code of the first ``n`` examples, decoded by every component alone.

    Each example is followed by its block: rows are codes, columns decoders. A frame marks where a
    component decodes its own code, which is its reconstruction.

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

    References
    ----------
    Ye and Bors, TNNLS 2021, Fig. 3 (MVAE).
    """
    check_x(model, x, y)
    check_images(model)
    whole(1, n=n)
    x, y = x[:n], None if y is None else y[:n]
    decoded = operations.cross_decode(model, x, y)  # (n, K, K, *X)
    k = decoded.shape[1]
    original = blank(decoded, len(x), k, 1, *x.shape[1:])
    original[:, 0, 0] = x
    rows = torch.cat([original, decoded], 2).transpose(0, 1).flatten(1, 2)
    labels = [f"code of\n{name}" for name in component_names(model)]
    framed = [(j, i * (k + 1) + 1 + j) for i in range(len(x)) for j in range(k)]
    columns = ["x", *(f"decoder\n{j}" for j in range(k))] * len(x)
    title = "Every component's code, decoded by every component alone"
    return grid(rows, labels, title, path, columns=columns, framed=framed)


def interpolations(
    model: MixtureVAE,
    start: Float[Tensor, "P *X"],
    end: Float[Tensor, "P *X"],
    path: str | Path,
    *,
    y: Classes | None = None,
    n_steps: int = 9,
    crossed: bool = False,
) -> Path:
    """Decoded straight lines between the codes of pairs of examples, between the originals.

    Parameters
    ----------
    model : MixtureVAE
        Trained model; it stays on its device and in its mode.
    start, end : Tensor, shape (P, *X)
        First and last example of each pair.
    path : str or Path
        PNG file to write.
    y : Tensor, shape (P,), optional
        Class label of each pair, which a conditional model needs.
    n_steps : int
        Number of decoded points on a line, both ends included.
    crossed : bool
        Show the same lines again below, with every decoder given the next component's code.

    Returns
    -------
    Path
        The written file.

    References
    ----------
    Ye and Bors, TNNLS 2021, Figs. 6 and 7 (MVAE).
    """
    check_x(model, start, y)
    check_images(model)
    check_x(model, end, y)
    blocks = {"own codes": 0} | ({"exchanged": 1} if crossed else {})
    rows = []
    for shift in blocks.values():
        decoded = operations.interpolate(model, start, end, n_steps, shift=shift, y=y)
        rows.append(torch.stack([start.cpu(), *decoded, end.cpu()], 1))
    labels = [name for name in blocks for _ in start] if crossed else [""] * len(start)
    steps = [f"{a:.3g}" for a in torch.linspace(0, 1, n_steps).tolist()]
    title = "Interpolations between codes, decoded by all components together"
    columns, ruled = ["start", *steps, "end"], [len(start)] if crossed else []
    return grid(torch.cat(rows), labels, title, path, columns=columns, ruled=ruled)


def traversals(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    path: str | Path,
    *,
    latent: int = 0,
    values: Sequence[float] = (-3, -2.25, -1.5, -0.75, 0, 0.75, 1.5, 2.25, 3),
    components: Sequence[int] | None = None,
    y: Classes | None = None,
    alone: bool = True,
) -> Path:
    """The first example, decoded with one latent of a component's code set to several values.

    Rows are components; their labels give the latent's value for x.

    Parameters
    ----------
    model : MixtureVAE
        Trained model; it stays on its device and in its mode.
    x : Tensor, shape (N, *X)
        Examples with values in [0, 1].
    path : str or Path
        PNG file to write.
    latent : int
        Index of the latent dimension, counted from 0.
    values : sequence of float
        Values that the latent is set to.
    components : sequence of int, optional
        Components to vary, counted from 0; by default all.
    y : Tensor, shape (N,), optional
        Class labels, which a conditional model needs.
    alone : bool
        Decode by the component alone; otherwise by all components together.

    Returns
    -------
    Path
        The written file.

    References
    ----------
    Ye and Bors, TNNLS 2021, Figs. 8 to 10 (MVAE).
    """
    check_x(model, x, y)
    check_images(model)
    x, y = x[:1], None if y is None else y[:1]
    own = operations.codes(model, x, y)[0]
    components = range(len(own)) if components is None else components
    names = component_names(model)
    rows = [
        torch.cat([x.cpu(), operations.traverse(model, x, k, latent, values, y, alone=alone)[:, 0]])
        for k in components
    ]
    labels = [f"{names[k]}\nx at {float(own[k, latent]):.2f}" for k in components]
    decoder = "each component alone" if alone else "all components together"
    title = f"One x with latent {latent} set to a value, decoded by {decoder}"
    columns = ["x", *(f"{value:.3g}" for value in values)]
    return grid(torch.stack(rows), labels, title, path, columns=columns)
