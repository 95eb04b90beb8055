"""``mixvae.export.export_run``: a trained run's functions in files that need no mixvae."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from mixvae import __version__
from mixvae.data.mixed_columns import MixedColumns
from mixvae.errors import MixvaeError, is_a, one_of
from mixvae.model import MixtureVAE
from mixvae.parts.factor_analysers import ResidualPosterior
from mixvae.parts.labels import BatchLabels
from mixvae.run import DATA, Run, read_json, write_json
from mixvae.seeding import noise
from mixvae.storage.reading import read_json_object

from .checking import Checked, compare
from .formats import FORMATS, Format, program_of, write_as
from .modules import Decoder, Encoder, Function, Sampler, Value
from .units import ScaledUnits, Units, units_of

SIGNATURE = "export.json"
PARTS: Mapping[str, type[Function]] = {"encoder": Encoder, "decoder": Decoder, "sampler": Sampler}
SIZES = (1, 2, 7)  # of the batches that are compared
EXAMPLE = 3  # rows, with which a program is made


@dataclass(frozen=True)
class Exported:
    """The files of an exported run; ``str`` gives lines for the terminal.

    Attributes
    ----------
    folder
        Where they are.
    signature
        The content of ``export.json``: inputs and outputs with shapes, types and meanings.
    """

    folder: Path
    signature: dict[str, Any]

    def __str__(self) -> str:
        """The files, how far they are from the model, and what is left out."""
        lines = []
        for part in self.signature["functions"].values():
            found = part["compared"]
            said = "not compared" if found is None else Checked(**found)
            lines.append(f"{self.folder / part['file']}: {said}")
        lines += [f"no {name}: {why}" for name, why in self.signature["left_out"].items()]
        if (why := self.signature["not_compared"]) is not None:
            lines.append(why)
        return "\n".join([*lines, str(self.folder / SIGNATURE)])


def export_run(
    run: Run,
    out: str | Path | None = None,
    format: Literal["onnx", "torch"] = "onnx",
    *,
    check: bool = True,
) -> Exported:
    """Write a run's encoder, decoder and sampler as files that run without mixvae.

    The encoder computes codes and responsibilities, the decoder the mean of x, and the sampler new
    x of noise, which is its input. All are in the units of the data as they are stored: scaling
    and standardisation are inside. They take any number of rows.

    Parameters
    ----------
    run
        From :func:`mixvae.load` or :func:`mixvae.fit`.
    out
        The folder; by default export-FORMAT in the run folder. An earlier export there is
        replaced, anything else is not.
    format
        onnx; or torch, a program of torch.export (.pt2), which PyTorch alone reads.
    check
        Compare what was written with the model, for 1, 2 and 7 rows that the model generates.

    Returns
    -------
    Exported
        The folder, and what its ``export.json`` says.

    Raises
    ------
    MixvaeError
        Without the packages of the extra ``export``; where the folder is in use; where neither
        encoder nor decoder can be exported; and where a file computes something else than the
        model.
    """
    is_a(Run, "mixvae.load reads one from its folder", run=run)
    one_of("format", format, FORMATS)
    form = FORMATS[format]
    form.check()
    folder = run.folder / f"export-{format}" if out is None else Path(out)
    described = read_json(run.folder, DATA) if (run.folder / DATA).exists() else {}
    functions, left_out = functions_of(run, described)
    content = head(run, form, described)
    with noise(0), _new_folder(folder) as partial:
        found = {}
        for name, function in functions.items():
            try:
                program = program_of(form, function, examples(functions, name, EXAMPLE))
                path = partial / f"{name}{form.suffix}"
                write_as(form, program, function, path)
            except MixvaeError as error:
                left_out[name] = str(error)
                continue
            checked = compare(form, path, _cases(functions, name), function) if check else None
            found[name] = _described(path, function, checked)
        if not found:
            raise MixvaeError(f"{run.recipe.name} cannot be exported: {left_out['encoder']}.")
        content |= {"functions": found, "left_out": left_out}
        compared = any(part["compared"] for part in found.values())
        content["not_compared"] = None if compared else _why_not(check)
        write_json(partial / SIGNATURE, content)
    return Exported(folder, content)


def functions_of(
    run: Run, described: Mapping[str, Any]
) -> tuple[dict[str, Function], dict[str, str]]:
    """The functions of a run by name, and why others are left out."""
    model, x_shape = deepcopy(run.recipe.model), run.recipe.x_shape
    model.cpu().eval().requires_grad_(False)
    threshold = described.get("binarize") == "threshold"
    units, label = units_of(run.transform, x_shape, threshold=threshold), label_of(model)
    functions, left_out = {}, {}
    for name, kind in PARTS.items():
        if name != "encoder" and model.decoder.likelihood.autoregressive:
            left_out[name] = (
                "a PixelCNN generates a pixel after the other; call model.sample in Python"
            )
            continue
        try:
            functions[name] = kind(model, units, label).eval()
        except MixvaeError as error:
            left_out[name] = str(error)
    return functions, left_out


def label_of(model: MixtureVAE) -> Value | None:
    """The integer that a model reads besides x."""
    n = model.labels.n_classes
    if n is None:
        return None
    if isinstance(model.labels, BatchLabels):
        about = f"number of the row's batch, 0 to {n - 1} in the order of batch_names"
        return Value("batch", about, (), torch.int64)
    return Value("label", f"class of the row, 0 to {n - 1}", (), torch.int64)


@torch.no_grad()
def examples(functions: Mapping[str, Function], name: str, n: int) -> tuple[Tensor, ...]:
    """Inputs of a function: x that the model generates, their codes, or noise."""
    function = functions[name]
    model, units = function.model, function.units
    labels: tuple[Tensor, ...] = ()
    if model.labels.n_classes is not None:
        labels = (torch.arange(n) % model.labels.n_classes,)
    if name == "sampler":
        noise, uniform = (torch.Size([n, *value.shape]) for value in function.own_inputs)
        return torch.randn(noise), torch.rand(uniform), *labels
    if model.decoder.likelihood.autoregressive:
        return torch.rand(n, *units.shape, dtype=units.dtype), *labels
    noisy = not isinstance(units, ScaledUnits)
    x = units.write(model.sample(n, y=labels[0] if labels else None, noise=noisy))
    x = x.to(units.dtype).contiguous()
    if name == "encoder":
        if takes_missing(model):
            x[torch.rand(x.shape) < 0.2] = torch.nan
        return x, *labels
    encoder = functions["encoder"]
    found = dict(zip([v.name for v in encoder.outputs], encoder(x, *labels), strict=True))
    codes = (found[key].contiguous() for key in ("code_mean", "responsibilities"))
    return *codes, *labels


def takes_missing(model: MixtureVAE) -> bool:
    """Whether an exported encoder reads NaN as missing: that of a model trained on such rows."""
    posterior = model.posterior
    return isinstance(posterior, ResidualPosterior) and posterior.has_missing


def head(run: Run, form: Format, described: Mapping[str, Any]) -> dict[str, Any]:
    """What ``export.json`` says of the run and its data."""
    recipe, model, transform = run.recipe, run.recipe.model, run.transform
    content: dict[str, Any] = {
        "format": form.name,
        "mixvae": __version__,
        "recipe": recipe.name,
        "data": described.get("name"),
        "n_components": model.n_components,
        "x": _about_x(units_of(transform, recipe.x_shape), described),
        "missing_values": "NaN" if takes_missing(model) else None,
        "columns": None if transform is None else transform.columns and list(transform.columns),
    }
    if isinstance(transform, MixedColumns):
        names = transform.columns or tuple(map(str, range(len(transform.kinds))))
        each = zip(names, transform.categories, strict=True)
        content["categories"] = {name: list(own) for name, own in each if own}
    if run.batch_names is not None:
        content["batch_names"] = list(run.batch_names)
    return content


def _about_x(units: Units, described: Mapping[str, Any]) -> str:
    if not isinstance(units, ScaledUnits):
        return (
            "all columns as they are stored, constant ones too; categories by their codes, "
            "0, 1, ... in the order of categories; means of truth values are probabilities"
        )
    text = "values as they are stored" if units.scale == 1 else f"values from 0 to {units.scale:g}"
    if len(units.shape) == 3:
        text += ", images with channels first"
    if described.get("binarize") == "threshold":
        text += "; above one half they count as 1, else as 0"
    if described.get("binarize") == "dynamic":
        text += "; the model was trained on pixels of 0 and 1 sampled with these as probabilities"
    return text


def _described(path: Path, function: Function, checked: Checked | None) -> dict[str, Any]:
    return {
        "file": path.name,
        "inputs": [_value(value) for value in function.inputs],
        "outputs": [_value(value) for value in function.outputs],
        "compared": None if checked is None else vars(checked),
    }


def _value(value: Value) -> dict[str, Any]:
    dtype = str(value.dtype).removeprefix("torch.")
    return {
        "name": value.name,
        "shape": ["N", *value.shape],
        "dtype": dtype,
        "about": value.about,
    }


def _cases(functions: Mapping[str, Function], name: str) -> Iterator[tuple[Tensor, ...]]:
    return (examples(functions, name, n) for n in SIZES)


def _why_not(check: bool) -> str:
    if not check:
        return "not compared with the model, as was asked"
    return "not compared with the model: pip install onnxruntime, and export again"


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Context with a temporary folder, which takes the place of ``folder`` in the end."""
    if folder.exists() and not _is_export(folder):
        raise MixvaeError(f"{folder} exists and is no earlier export; give another folder: --out.")
    place = folder.resolve()  # of a link, which stays
    if place == Path.cwd():
        raise MixvaeError(f"an export cannot replace the current folder, {place}; name one in it.")
    partial = place.with_name(f".{place.name}.{os.getpid()}.partial")
    old = place.with_name(f".{place.name}.{os.getpid()}.old")
    try:
        partial.mkdir(parents=True)
        yield partial
        if place.exists():
            place.rename(old)
        partial.rename(place)
    finally:
        for path in (partial, old):
            shutil.rmtree(path, ignore_errors=True)


def _is_export(folder: Path) -> bool:
    """Whether a folder is empty, or holds an export and nothing else."""
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    if not names:
        return True
    try:
        functions = read_json_object(folder / SIGNATURE)["functions"]
        own = {str(part["file"]) for part in functions.values()}
    except (OSError, MixvaeError, LookupError, TypeError, AttributeError):
        return False
    return names <= {SIGNATURE} | own | {f"{name}.data" for name in own}
