"""Decoded codes with one latent varied at a time."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.errors import LARGEST, MixvaeError, whole
from mixvae.evaluation import latent_operations as operations
from mixvae.evaluation.batches import check_x, responsibilities
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes

from .components import component_names, most_used, only, surest
from .tiles import check_images, grid

REACH = 3.0  # standard deviations of the prior


def traversals(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    path: str | Path,
    *,
    latent: int = 0,
    values: Sequence[float] | None = None,
    components: Sequence[int] | None = None,
    y: Classes | None = None,
    alone: bool = True,
    index: int = 0,
) -> Path:
    """An example, decoded with one latent of a component's code set to several values.

    Rows are components; their labels give the latent's value for x, and say which component is the
    most responsible for x. A frame marks the value nearest to that of x, where it is in the range.

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
    values : sequence of float, optional
        Values that the latent is set to; by default nine even steps from -3 to 3, or further where
        the code of the first example is.
    components : sequence of int, optional
        Components to vary, counted from 0; by default all, or the 20 that are the most responsible
        for x.
    y : Tensor, shape (N,), optional
        Class labels, which a conditional model needs.
    alone : bool
        Decode by the component alone; otherwise by all components together.
    index : int
        Which of the examples, counted from 0.

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
    check_index(index, len(x))
    names = component_names(model, x, y)
    x, y = x[index : index + 1], None if y is None else y[index : index + 1]
    r = responsibilities(model, x, y)
    components = most_used(r) if components is None else components
    whole(1, n_components=len(components))
    if values is None:
        values = traversal_range(model, x, latent, components=components, y=y)
    rows = [
        torch.cat([x.cpu(), operations.traverse(model, x, k, latent, values, y, alone=alone)[:, 0]])
        for k in components
    ]
    own = operations.codes(model, x, y)[0, :, latent]
    (responsible,) = surest(r)
    labels = [
        f"{names[k]}\nx at {float(own[k]):.2f}" + (", most responsible" if k == responsible else "")
        for k in components
    ]
    near = [_nearest(values, float(own[k])) for k in components]
    framed = [(row, column + 1) for row, column in enumerate(near) if column is not None]
    decoder = "each component alone" if alone else "all components together"
    title = f"One x with latent {latent} set to a value, decoded by {decoder}\nRows: whose code. "
    title += "Columns: the value of the latent. "
    title += "Frame: nearest to the value of x itself. " if framed else ""
    title += only(len(components), len(names)) if len(components) > 1 else ""
    columns = ["x", *(f"{value:.3g}" for value in values)]
    return grid(torch.stack(rows), labels, title, path, columns=columns, framed=framed)


def traversal_range(
    model: MixtureVAE,
    x: Float[Tensor, "N *X"],
    latent: int,
    *,
    components: Sequence[int] | None = None,
    y: Classes | None = None,
    n_steps: int = 9,
) -> list[float]:
    """Even values from -3 to 3, or further where the code of the first example is.

    Parameters
    ----------
    model : MixtureVAE
        Trained model.
    x : Tensor, shape (N, *X)
        Examples.
    latent : int
        Index of the latent dimension, counted from 0.
    components : sequence of int, optional
        Components whose codes are to be in the range; by default all.
    y : Tensor, shape (N,), optional
        Class labels, which a conditional model needs.
    n_steps : int
        Number of values.

    Returns
    -------
    list of float
        The values.
    """
    codes = operations.codes(model, x[:1], None if y is None else y[:1])[0]
    own = codes[:, operations.check_latent(latent, codes.shape[1])]
    own = own if components is None else own[[model.check_component(k) for k in components]]
    reach = max(REACH, float(own.abs().max()))
    return torch.linspace(-reach, reach, n_steps).tolist()


def check_index(index: int, n: int) -> None:
    """Raise `MixvaeError` for the index of an example that there is not."""
    whole(-LARGEST, index=index)
    if not 0 <= index < n:
        raise MixvaeError(f"index must be in 0 ... {n - 1}, the split's examples; got {index}.")


def _nearest(values: Sequence[float], own: float) -> int | None:
    """Index of the value nearest to a code; None if it is outside of their range."""
    distances = [abs(value - own) for value in values]
    inside = min(values) - 1e-6 <= own <= max(values) + 1e-6
    return distances.index(min(distances)) if inside else None
