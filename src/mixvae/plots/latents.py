"""Decoded codes: exchanged between components, and interpolated."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.errors import whole
from mixvae.evaluation import latent_operations as operations
from mixvae.evaluation.batches import check_x, responsibilities
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes

from .components import component_names, most_used, only
from .tiles import blank, check_images, grid

MAX_CROSSED = 12  # components whose codes are exchanged in a picture


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
    component decodes its own code, which is its reconstruction. Of more than 12 components, the 12
    that are the most responsible for these examples are shown.

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
    names = component_names(model, x, y)
    x, y = x[:n], None if y is None else y[:n]
    shown = most_used(responsibilities(model, x, y), MAX_CROSSED)
    decoded = operations.cross_decode(model, x, y)[:, shown][:, :, shown]  # (n, K, K, *X)
    k = len(shown)
    original = blank(decoded, len(x), k, 1, *x.shape[1:])
    original[:, 0, 0] = x
    rows = torch.cat([original, decoded], 2).transpose(0, 1).flatten(1, 2)
    labels = [f"code of\n{names[j]}" for j in shown]
    framed = [(j, i * (k + 1) + 1 + j) for i in range(len(x)) for j in range(k)]
    columns = ["x", *(f"decoder\n{j}" for j in shown)] * len(x)
    title = (
        "Every component's code, decoded by every component alone\nRows: whose code of the x at "
    )
    title += "the left; columns: whose decoder. Frame: a component's code in its own decoder. "
    title += only(k, len(names))
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
    each = range(len(start))
    labels = [f"{name}\npair {i}" if crossed else f"pair {i}" for name in blocks for i in each]
    steps = [f"{a:.3g}" for a in torch.linspace(0, 1, n_steps).tolist()]
    title = "Interpolations between codes, decoded by all components together\nRows: pairs of "
    title += "examples, start and end. Columns: the place on the line between their codes. "
    title += "Below the line every decoder is given the next component's code." if crossed else ""
    columns, ruled = ["start", *steps, "end"], [len(start)] if crossed else []
    return grid(torch.cat(rows), labels, title, path, columns=columns, ruled=ruled)
