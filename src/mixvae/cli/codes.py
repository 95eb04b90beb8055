"""``mixvae encode``, ``interpolate``, ``traverse`` and ``cross``: codes, written and decoded."""

from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from mixvae import plots
from mixvae.errors import MixvaeError, finite, fits_memory, whole
from mixvae.evaluation import latent_operations as operations
from mixvae.model import MixtureVAE
from mixvae.plots.components import MAX_COMPONENTS
from mixvae.plots.traversing import check_index, traversal_range
from mixvae.storage.files import write_array, write_arrays

from .result import Result
from .rows import Axes, save_rows, write_columns
from .runs import Opened, SplitOptions, open_with

MAX_CELLS = 1500  # images in a picture


@dataclass(frozen=True, kw_only=True)
class EncodeOptions(SplitOptions):
    """Data to encode."""

    suffixes: ClassVar[tuple[str, ...]] = (".npz", ".csv", ".parquet", ".npy")
    table_suffixes: ClassVar[tuple[str, ...]] = suffixes

    out: str | None = None
    """A .npz, .csv, .parquet or .npy file; by default a .npz in the run folder, named by these
    options."""


@dataclass(frozen=True, kw_only=True)
class InterpolateOptions(SplitOptions):
    """Pairs to interpolate between."""

    n: int = 5
    """Number of pairs: the first example and the second, the third and the fourth, and so on."""
    steps: int = 9
    """Number of points for each pair, the two reconstructions included."""
    crossed: bool = False
    """Show the same lines again, with every component's decoder given the next component's code."""


@dataclass(frozen=True, kw_only=True)
class TraverseOptions(SplitOptions):
    """The latent to vary."""

    component: int | None = None
    """Vary the code of this component, counted from 0; by default of each in turn."""
    latent: int = 0
    """Index of the latent in the code, counted from 0."""
    steps: int = 9
    """Number of values."""
    index: int = 0
    """Index of the example in the split, counted from 0."""
    together: bool = False
    """Decode by the whole mixture, not by the component alone."""
    from_: float | None = None
    """The first value; the codes' prior has standard deviation 1. By default -3, or further if the
    example's own code is, so that the range includes it."""
    to: float | None = None
    """The last value; by default 3, or further if the example's own code is."""


@dataclass(frozen=True, kw_only=True)
class CrossOptions(SplitOptions):
    """Examples whose codes are exchanged."""

    n: int = 2
    """Number of examples, the first of the split."""


def encode(argv: list[str]) -> Result:
    """Write the codes of data into a .npz, .csv, .parquet or .npy file.

    The arrays of a .npz are codes (N, K, L), the posterior means of every component; scales, their
    standard deviations; weights (N, K), the responsibility of each component for each x, or of each
    of the clusters of vade and gmvae; index (N,), the row of each x in the data's file, counted
    from 0; and y (N,), the labels, where there are any. Of a file of one's own (--data), all rows
    in their order; --split all is that for any data.

    A .csv, .parquet or .npy has a row for each x: its row, its cluster (the most probable
    component), weight_K, code_K_L for component K and latent L, and label, where there are any. A
    .npy is a structured array, of which pandas.DataFrame(numpy.load(file)) is a table.

      mixvae encode runs/mvae-digits-001 --split train --out train.npz
      mixvae encode runs/mvae-digits-001 --data own.npy --out codes.parquet
      mixvae encode runs/mfa-vae-wine-001 --split all --out clusters.csv
    """
    from mixvae.evaluation import cluster_probabilities

    opened = open_with(EncodeOptions, encode, argv, name="codes")
    model, split = opened.model, opened.split(opened.options.split)
    read = model.labels.of(split)
    arrays: dict[str, Any] = {
        "codes": operations.codes(model, split.x, read),
        "scales": operations.scales(model, split.x, read),
        "weights": cluster_probabilities(model, split.x, read),
        "index": split.index,
        "y": split.y,
    }
    arrays = {name: a.numpy() for name, a in arrays.items() if a is not None}
    if opened.out.suffix == ".npz":
        write_arrays(opened.out, **arrays)
    else:
        write_columns(opened.out, _columns(arrays, opened.row_numbers(opened.options.split)))
    return opened.result(n=len(split.x))


def _columns(arrays: dict[str, Any], rows: list[int]) -> dict[str, Any]:
    """Codes, weights and clusters as the columns of a table."""
    weights, codes = arrays["weights"], arrays["codes"]
    columns = {"row": rows, "cluster": weights.argmax(1)}
    columns |= {f"weight_{k}": weight for k, weight in enumerate(weights.T)}
    for k, latent in product(*map(range, codes.shape[1:])):
        columns[f"code_{k}_{latent}"] = codes[:, k, latent]
    return columns | ({"label": arrays["y"]} if "y" in arrays else {})


def interpolate(argv: list[str]) -> Result:
    """Decode straight lines between the codes of two examples, in every component at once.

    A picture has a row for each pair, between the two images themselves; an array has the shape
    (steps, pairs, ...), and with --crossed two of these, (2, steps, pairs, ...). A table's .csv has
    step, pair and, with --crossed, crossed (0 or 1) as columns before its own. A conditional model
    goes between examples of one class.

      mixvae interpolate runs/mvae-digits-001 --n 3 --steps 7 --crossed
    """
    opened = open_with(InterpolateOptions, interpolate, argv)
    options, model, out = opened.options, opened.model, opened.out
    steps, crossed = options.steps, options.crossed
    whole(2, steps=steps)
    whole(1, n=options.n)
    x, y = opened.rows(options.split)
    n_lines = min(options.n, len(x) // 2) * (1 + crossed)
    _check_size(model, n_lines, steps)
    _check_cells(out, n_lines * (steps + 2))
    start, end, y = operations.pairs(model, x, y, n=options.n)
    if not len(start):
        raise MixvaeError("the data have no two examples to go between, or none of one class.")
    if out.suffix == ".png":
        plots.interpolations(model, start, end, out, y=y, n_steps=steps, crossed=crossed)
    else:
        lines = [
            operations.interpolate(model, start, end, steps, shift=shift, y=y)
            for shift in range(1 + crossed)
        ]
        axes: Axes = {"step": range(steps), "pair": range(len(start))}
        axes = {"crossed": range(2), **axes} if crossed else axes
        _write(opened, torch.stack(lines) if crossed else lines[0], axes)
    return opened.result(n=len(start), steps=steps)


def traverse(argv: list[str]) -> Result:
    """Set one latent of an example's code to several values and decode, to see what it stands for.

    A picture has a row for each component, of at most 20, and a frame at the value nearest to that
    of the example; an array has the shape (components, steps, ...). A table's .csv has the
    component and the latent's value as columns before its own.

      mixvae traverse runs/mvae-digits-001 --latent 3 --from -2 --to 2 --steps 5
      mixvae traverse runs/mvae-digits-001 --component 0 --index 7 --together
    """
    opened = open_with(TraverseOptions, traverse, argv)
    options, model, out = opened.options, opened.model, opened.out
    latent, alone = options.latent, not options.together
    whole(1, steps=options.steps)
    given = {"from": options.from_, "to": options.to}
    finite(**{name: value for name, value in given.items() if value is not None})
    k, i = options.component, options.index
    components = range(model.n_components) if k is None else [k]
    _check_size(model, 1, options.steps)
    _check_cells(out, min(len(components), MAX_COMPONENTS) * (options.steps + 1))
    all_x, all_y = opened.rows(options.split)
    check_index(i, len(all_x))
    x, y = all_x[i : i + 1], None if all_y is None else all_y[i : i + 1]
    reach = traversal_range(model, x, latent, components=components, y=y, n_steps=2)
    ends = [end if v is None else v for end, v in zip(reach, given.values(), strict=True)]
    values = torch.linspace(ends[0], ends[1], options.steps).tolist()
    if out.suffix == ".png":
        plots.traversals(
            model,
            all_x,
            out,
            latent=latent,
            values=values,
            components=None if k is None else [k],
            y=all_y,
            alone=alone,
            index=i,
        )
    else:
        rows = [
            operations.traverse(model, x, k, latent, values, y, alone=alone) for k in components
        ]
        _write(opened, torch.stack(rows).squeeze(2), {"component": components, "value": values})
    return opened.result(components=list(components), latent=latent, values_decoded=values)


def cross(argv: list[str]) -> Result:
    """Decode the code of every component by every component alone.

    Where the decoders of the other components cannot read a code, each component has a latent space
    of its own. In a picture rows are codes and columns decoders; an array has the shape (n, codes,
    decoders, ...). A table's .csv has the row in the data's file, the code and the decoder as
    columns before its own.

      mixvae cross runs/mvae-digits-001 --n 3
    """
    opened = open_with(CrossOptions, cross, argv)
    model, n, out = opened.model, opened.options.n, opened.out
    whole(1, n=n)
    x, y = opened.rows(opened.options.split)
    if n > 1:  # one x is shown, however many components there are
        _check_cells(out, min(n, len(x)) * model.n_components**2)
    if out.suffix == ".png":
        plots.crossed(model, x, out, y=y, n=n)
    else:
        y = None if y is None else y[:n]
        decoded = operations.cross_decode(model, x[:n], y)
        each = range(model.n_components)
        rows = opened.row_numbers(opened.options.split)[:n]
        _write(opened, decoded, {"row": rows, "code": each, "decoder": each})
    return opened.result(n=min(n, len(x)))


def _write(opened: Opened[Any], decoded: Tensor, axes: Axes) -> None:
    """Write what codes were decoded to: an array, or rows of a table in the data's units."""
    if opened.is_table:
        save_rows(opened.out, decoded, opened.run.transform, axes)
    else:
        write_array(opened.out, decoded.numpy())


def _check_size(model: MixtureVAE, n: int, steps: int) -> None:
    """Refuse more examples than memory holds."""
    sizes = (n, steps, model.n_components, *model.decoder.likelihood.x_shape)
    fits_memory(4 * prod(sizes), f"steps {steps}")


def _check_cells(out: Path, n: int) -> None:
    """Refuse more images than a picture shows, which would take minutes to draw."""
    if out.suffix == ".png" and n > MAX_CELLS:
        raise MixvaeError(
            f"a picture has at most {MAX_CELLS:,} images, and this one would have {n:,}; ask for "
            "fewer, or write an array: --out FILE.npy"
        )
