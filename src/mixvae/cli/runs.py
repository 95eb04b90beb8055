"""What the commands on a trained run share: how they open it, and what they may write."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from ..data import Dataset, SplitName
from ..errors import MixvaeError, MixvaeWarning
from ..run import DATA, Run, load, read_json
from .inputs import DATA_OPTIONS, open_data, reopen
from .parser import Parser
from .pictures import check_path
from .recipe_files import add_recipes, import_recipes


def parser_of(command: str, about: str) -> Parser:
    """The parser of a command whose one word is a run folder."""
    parser = Parser(f"mixvae {command} RUN [OPTIONS]", about)
    add_recipes(parser)
    return parser


def open_run(
    parser: Parser,
    argv: list[str],
    *,
    with_data: bool = False,
    keep: Callable[[str], None] | None = None,
) -> tuple[Run, Any, dict[str, Any]]:
    """The run, its data if they are needed, and the other options.

    Warns where the run's own data have changed since training; ``keep`` is called with the warning.
    """
    if with_data:
        parser.add_options("data; by default the run's own", open_data, skip={"subset"})
        parser.unset(*(name for name in DATA_OPTIONS if name != "subset"))
    words, values = parser.read(argv, 1)
    del values["recipes"]
    if not words:
        raise MixvaeError(f"name a run folder, such as runs/m-vae-digits-001: {parser.usage}.")
    import_recipes(argv)
    run = load(words[0])
    given = {name: values.pop(name) for name in DATA_OPTIONS if name in values}
    if "data" in given:
        given["subset"] = None  # the subset was of the run's own data
    data = reopen(run.folder, given) if with_data else None
    if data is not None and data.x_shape != run.recipe.x_shape:
        raise MixvaeError(
            f"the run {run.folder} was trained on x of shape {run.recipe.x_shape}; {data.name} has "
            f"{data.x_shape}."
        )
    if data is not None and "data" not in given and (changed := changes(run, data)):
        warnings.warn(changed, MixvaeWarning, stacklevel=2)
        if keep is not None:
            keep(changed)
    return run, data, values


def changes(run: Run, data: Dataset) -> str:
    """That data are not those the run was trained on, and how they differ; "" if they are."""
    if not (run.folder / DATA).exists():
        return ""
    found = data.differences(read_json(run.folder, DATA))
    return f"the data are not those the run was trained on: {found}" if found else ""


def rows_of(run: Run, data: Dataset, split: SplitName) -> tuple[Tensor, Tensor | None]:
    """A split's x, and their classes if the model is conditional."""
    chosen = data.seen(split)
    return chosen.x, None if run.recipe.model.labels.n_classes is None else chosen.y


def out_file(
    run: Run, default: str, out: str | None, suffixes: tuple[str, ...] = (".png", ".npy")
) -> Path:
    """The file that was asked for, or one in the run folder, after a look at what cannot work."""
    path = run.folder / default if out is None else Path(out)
    check_path(path, suffixes)
    return path
