"""``mixvae encode``, ``interpolate``, ``traverse`` and ``cross``: what a run's codes hold."""

from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mixvae import plots
from mixvae.errors import MixvaeError, finite, fits_memory, whole
from mixvae.evaluation import latent_operations as operations
from mixvae.model import MixtureVAE
from mixvae.run import Run
from mixvae.storage.files import write_array, write_arrays

from .parser import Parser
from .runs import Part, Source, file_name, open_run, out_file, parser_of, rows_of

MAX_CELLS = 1500  # images in a picture
ENCODE = """Write the codes of data into a .npz file: codes (N, K, L), the posterior means of every
component; scales, their standard deviations; weights (N, K), how far each component
answers for each image, or each of vade's clusters; index (N,), which row of the data's
file each is, counted from 0; and y (N,), the labels, where there are any. Of a file of
one's own (--data), all rows in their order; --split all is that for any data.

  mixvae encode runs/mvae-digits-001 --split train --out train.npz
  mixvae encode runs/mvae-digits-001 --data own.npy"""
INTERPOLATE = """Go from image to image in straight lines between their codes, in every component at
once. A picture has a row for each pair, between the two images themselves; an array
has the shape (steps, pairs, ...), and with --crossed two of these, (2, steps,
pairs, ...). A conditional model goes between images of one class.

  mixvae interpolate runs/mvae-digits-001 --n 3 --steps 7 --crossed"""
TRAVERSE = """Set one latent of an image's code to values from one end to the other, and decode,
to see what the latent stands for. A picture has a row for each component; an array
has the shape (components, steps, ...).

  mixvae traverse runs/mvae-digits-001 --latent 3 --from -2 --to 2 --steps 5
  mixvae traverse runs/mvae-digits-001 --component 0 --index 7 --together"""
CROSS = """Decode the code of every component by every component alone. Where a code is strange
to the other components' decoders, each has a latent space of its own. In a picture
rows are codes and columns decoders; an array has the shape (n, codes, decoders,
...).

  mixvae cross runs/mvae-digits-001 --n 3"""


def encode(argv: list[str]) -> None:
    """Write the codes of a run's data."""
    from mixvae.evaluation import cluster_probabilities

    parser = parser_of("encode", ENCODE)
    parser.add_options("codes", _encode_options)
    run, source, values = open_run(parser, argv, with_data=True)
    out = out_file(
        run, file_name("codes", ".npz", parser, values, source), values["out"], (".npz",)
    )
    model, (_, split) = run.recipe.model, source.part(values["split"])
    arrays: dict[str, Any] = {
        "codes": operations.codes(model, split.x, split.y),
        "scales": operations.scales(model, split.x, split.y),
        "weights": cluster_probabilities(model, split.x, split.y),
    }
    if split.index is not None:
        arrays["index"] = split.index
    if split.y is not None:
        arrays["y"] = split.y
    write_arrays(out, **{name: array.numpy() for name, array in arrays.items()})
    print(out)


def interpolate(argv: list[str]) -> None:
    """Go from image to image through the codes."""
    parser = parser_of("interpolate", INTERPOLATE)
    parser.add_options("interpolations", _interpolate_options)
    run, source, values = open_run(parser, argv, with_data=True)
    out = _picture(run, "interpolate", parser, values, source)
    model, steps, crossed = run.recipe.model, values["steps"], values["crossed"]
    whole(2, steps=steps)
    whole(1, n=values["n"])
    n = min(values["n"], len(source.data.train) // 2) * (1 + crossed)
    _check_size(model, n, steps)
    _check_cells(out, n * (steps + 2))
    x, y = rows_of(run, source, values["split"])
    start, end, y = operations.pairs(model, x, y, n=values["n"])
    if not len(start):
        raise MixvaeError("the data have no two images to go between, or none of one class.")
    if out.suffix == ".png":
        plots.interpolations(model, start, end, out, y=y, n_steps=steps, crossed=crossed)
    else:
        each = [
            operations.interpolate(model, start, end, steps, shift=shift, y=y)
            for shift in range(1 + crossed)
        ]
        write_array(out, (torch.stack(each) if crossed else each[0]).numpy())
    print(out)


def traverse(argv: list[str]) -> None:
    """Vary one latent of an image's code."""
    parser = parser_of("traverse", TRAVERSE)
    group = parser.add_options("traversal", _traverse_options)
    for name, default, end in (("--from", -3.0, "first"), ("--to", 3.0, "last")):
        text = f"the {end} value; the codes' prior has standard deviation 1."
        group.add_argument(name, type=float, default=default, metavar="float", help=text)
    run, source, values = open_run(parser, argv, with_data=True)
    model, component, latent = run.recipe.model, values["component"], values["latent"]
    out = _picture(run, "traverse", parser, values, source)
    whole(1, steps=values["steps"])
    finite(**{"from": values["from"], "to": values["to"]})
    _check_size(model, 1, values["steps"])
    _check_cells(out, model.n_components * (values["steps"] + 1))
    x, y = _one(*rows_of(run, source, values["split"]), values["index"])
    which = range(model.n_components) if component is None else [component]
    at = torch.linspace(values["from"], values["to"], values["steps"]).tolist()
    alone = not values["together"]
    if out.suffix == ".png":
        how = {"latent": latent, "values": at, "components": which, "alone": alone}
        plots.traversals(model, x, out, y=y, **how)
    else:
        each = [operations.traverse(model, x, k, latent, at, y, alone=alone) for k in which]
        write_array(out, torch.stack(each).squeeze(2).numpy())
    print(out)


def cross(argv: list[str]) -> None:
    """Decode the code of every component by every component alone."""
    parser = parser_of("cross", CROSS)
    parser.add_options("images", _cross_options)
    run, source, values = open_run(parser, argv, with_data=True)
    out, n = _picture(run, "cross", parser, values, source), values["n"]
    whole(1, n=n)
    if n > 1:  # one x is shown, however many components there are
        _check_cells(out, min(n, len(source.data.train)) * run.recipe.n_components**2)
    x, y = rows_of(run, source, values["split"])
    if out.suffix == ".png":
        plots.crossed(run.recipe.model, x, out, y=y, n=n)
    else:
        y = None if y is None else y[:n]
        write_array(out, operations.cross_decode(run.recipe.model, x[:n], y).numpy())
    print(out)


def _picture(
    run: Run, command: str, parser: Parser, values: dict[str, Any], source: Source
) -> Path:
    return out_file(run, file_name(command, ".png", parser, values, source), values["out"])


def _check_size(model: MixtureVAE, n: int, steps: int) -> None:
    """Refuse more images than memory holds."""
    sizes = (n, steps, model.n_components, *model.decoder.likelihood.x_shape)
    fits_memory(4 * prod(sizes), f"steps {steps}")


def _check_cells(out: Path, n: int) -> None:
    """Refuse more images than a picture shows, which would take minutes to draw."""
    if out.suffix == ".png" and n > MAX_CELLS:
        raise MixvaeError(
            f"a picture has at most {MAX_CELLS:,} images, and this one would have {n:,}; ask for "
            "fewer, or write an array: --out FILE.npy"
        )


def _one(x: Tensor, y: Tensor | None, index: int) -> tuple[Tensor, Tensor | None]:
    if not 0 <= index < len(x):
        raise MixvaeError(f"index must be in 0 ... {len(x) - 1}, the split's images; got {index}.")
    return x[index : index + 1], None if y is None else y[index : index + 1]


def _encode_options(*, split: Part | None = None, out: str | None = None) -> None:
    """What to encode.

    Args:
        split: which split of the data; all is every row in the file's order. By default test, or,
            of other data without a test split of their own, all.
        out: a .npz file; by default one in the run folder, named by these options.
    """


def _interpolate_options(
    *,
    n: int = 5,
    steps: int = 9,
    crossed: bool = False,
    split: Part | None = None,
    out: str | None = None,
) -> None:
    """Between what to interpolate, and how.

    Args:
        n: how many pairs: the first image and the second, the third and the fourth, and so on.
        steps: how many images to make for each pair, the two reconstructions included.
        crossed: the same again with every component's decoder fed with the next component's code.
        split: which split of the data; all is every row in the file's order. By default test, or,
            of other data without a test split of their own, all.
        out: a .png or .npy file; by default a picture in the run folder, named by
            these options.
    """


def _traverse_options(
    *,
    component: int | None = None,
    latent: int = 0,
    steps: int = 9,
    index: int = 0,
    together: bool = False,
    split: Part | None = None,
    out: str | None = None,
) -> None:
    """What to vary.

    Args:
        component: vary the code of this component, counted from 0; by default of each in turn.
        latent: which latent of the code, counted from 0.
        steps: how many values.
        index: whose code: which image of the split, counted from 0.
        together: decode by the whole mixture, not by the component alone.
        split: which split of the data; all is every row in the file's order. By default test, or,
            of other data without a test split of their own, all.
        out: a .png or .npy file; by default a picture in the run folder, named by
            these options.
    """


def _cross_options(*, n: int = 2, split: Part | None = None, out: str | None = None) -> None:
    """Whose codes to exchange.

    Args:
        n: the first so many images.
        split: which split of the data; all is every row in the file's order. By default test, or,
            of other data without a test split of their own, all.
        out: a .png or .npy file; by default a picture in the run folder, named by
            these options.
    """
