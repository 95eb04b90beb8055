"""What codes hold: exchanged between components, between two x, and one latent at a time."""

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
from .tiles import blank, grid


def crossed(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    path: str | Path,
    *,
    y: Classes | None = None,
    n: int = 2,
) -> Path:
    """What every sub-decoder makes of every encoder's code of the first ``n`` x (MVAE, Fig. 3).

    Each x is followed by its block: rows are encoders, columns sub-decoders. Where they belong
    together, in the frames, is the component's reconstruction.
    """
    check_x(model, x, y)
    whole(1, n=n)
    x, y = x[:n], None if y is None else y[:n]
    made = operations.cross_decode(model, x, y)  # (n, K, K, *X)
    k = made.shape[1]
    original = blank(made, len(x), k, 1, *x.shape[1:])
    original[:, 0, 0] = x
    rows = torch.cat([original, made], 2).transpose(0, 1).flatten(1, 2)
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
    """From each start to its end through the codes, between the originals (MVAE, Figs 6 and 7).

    With ``crossed``, the same below with every sub-decoder fed with the next encoder's codes,
    which are strange to it where the codes are independent.
    """
    check_x(model, start, y)
    check_x(model, end, y)
    blocks = {"own codes": 0} | ({"exchanged": 1} if crossed else {})
    rows = []
    for shift in blocks.values():
        made = operations.interpolate(model, start, end, n_steps, shift=shift, y=y)
        rows.append(torch.stack([start.cpu(), *made, end.cpu()], 1))
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
    """The first x with one latent of each component set to each value (MVAE, Figs 8-10).

    Rows are components, all of them by default, whose labels have the latent's value for x;
    decoded by the component alone, or, with ``alone`` false, by all together.
    """
    check_x(model, x, y)
    x, y = x[:1], None if y is None else y[:1]
    own = operations.codes(model, x, y)[0]
    which, names = range(len(own)) if components is None else components, component_names(model)
    rows = [
        torch.cat([x.cpu(), operations.traverse(model, x, k, latent, values, y, alone=alone)[:, 0]])
        for k in which
    ]
    labels = [f"{names[k]}\nx at {float(own[k, latent]):.2f}" for k in which]
    how = "each component alone" if alone else "all components together"
    title = f"One x with latent {latent} set to a value, decoded by {how}"
    columns = ["x", *(f"{value:.3g}" for value in values)]
    return grid(torch.stack(rows), labels, title, path, columns=columns)
