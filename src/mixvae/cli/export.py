"""``mixvae export``: a run's functions in files that need no mixvae."""

from dataclasses import dataclass
from inspect import getdoc
from pathlib import Path
from typing import Literal

from mixvae.errors import MixvaeError
from mixvae.run import load

from .parser import Parser, taken
from .recipe_files import add_recipes, import_recipes
from .result import Result


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What is written, and where."""

    format: Literal["onnx", "torch"] = "onnx"
    """onnx, or torch for a program of torch.export (.pt2), which PyTorch alone reads."""
    out: str | None = None
    """The folder; by default export-FORMAT in the run folder. An earlier export is replaced."""
    check: bool = True
    """Compare what was written with the model, for batches of 1, 2 and 7 rows."""


def export(argv: list[str]) -> Result:
    """Write a run's encoder, decoder and sampler as files that run without mixvae.

    The encoder computes codes and responsibilities, the decoder the mean of x, and the sampler new
    x of noise, which is its input. Inputs and outputs are in the units of the data: scaling and
    standardisation are inside. Any number of rows can be given. export.json has the names, shapes
    and meanings of all inputs and outputs.

      mixvae export runs/mixture-vae-digits-001
      mixvae export runs/mfa-vae-wine-001 --format torch --out served/wine
    """
    from mixvae.export import export_run

    parser = Parser("mixvae export RUN [OPTIONS]", f"{getdoc(export)}")
    add_recipes(parser)
    parser.add_options("options of the command", ExportOptions)
    words, values = parser.read(argv, 1)
    if not words:
        raise MixvaeError(f"name a run folder, such as runs/m-vae-digits-001: {parser.usage}.")
    import_recipes(argv)
    options = taken(ExportOptions, values)
    run = load(Path(words[0]))
    found = export_run(run, options.out, options.format, check=options.check)
    values = {"run": run.folder, "export": found.folder, "signature": found.signature}
    return Result(text=f"{found}", values=values, brief=f"{found.folder}")
