"""What the commands on a trained run share: how they open it, and what they may write."""

import json
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from mixvae.data import Dataset, Split
from mixvae.errors import MixvaeError, MixvaeWarning
from mixvae.run import DATA, Run, load, read_json

from .inputs import (
    DATA_OPTIONS,
    data_options,
    located,
    open_all,
    open_data,
    open_for,
    options_for_other,
    settings_of,
)
from .parser import Parser
from .pictures import check_path
from .recipe_files import add_recipes, import_recipes

# None is test, or, of other data that have no test split of their own, all.
Part = Literal["train", "val", "test", "all"]


@dataclass(frozen=True)
class Source:
    """A run's data, or others: by their options, whole or split."""

    folder: Path
    options: dict[str, Any]
    is_other: bool
    data: Dataset

    def part(self, name: Part | None) -> tuple[str, Split]:
        """A split as a model sees it, and its name; ``all`` is in the source's order."""
        if name in ("train", "val", "test"):
            return name, self.data.seen(name)
        if name is None and not self.is_other:
            return "test", self.data.test
        whole, has_test = open_all(self.folder, self.options)
        return ("test", self.data.test) if name is None and has_test else ("all", whole)


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
    mend: bool = False,
    keep: Callable[[str], None] | None = None,
) -> tuple[Run, Any, dict[str, Any]]:
    """The run, the source of its data if they are needed, and the other options.

    Warns where the run's own data have changed since training; ``keep`` is called with the warning.
    ``mend``: write figures and pictures of the run that are missing, if its training is over.
    """
    if with_data:
        parser.add_options("data; by default the run's own", open_data, skip={"subset"})
        parser.unset(*(name for name in DATA_OPTIONS if name != "subset"))
    words, values = parser.read(argv, 1)
    del values["recipes"]
    if not words:
        raise MixvaeError(f"name a run folder, such as runs/m-vae-digits-001: {parser.usage}.")
    import_recipes(argv)
    folder = Path(words[0])
    given = {name: values.pop(name) for name in DATA_OPTIONS if name in values}
    if not with_data:
        return load(folder), None, values
    source = _source(folder, given)
    if mend and not source.is_other:
        _mend(folder, source.data)
    run = load(folder)
    if not source.is_other and (changed := changes(run, source.data)):
        warnings.warn(changed, MixvaeWarning, stacklevel=2)
        if keep is not None:
            keep(changed)
    if source.data.x_shape != run.recipe.x_shape:
        raise MixvaeError(
            f"the run {folder} was trained on x of shape {run.recipe.x_shape}; {source.data.name} "
            f"has {source.data.x_shape}."
        )
    return run, source, values


def _source(folder: Path, given: Mapping[str, Any]) -> Source:
    own = settings_of(folder).get("data")
    is_other = "data" in given and own not in (given["data"], located(given)["data"])
    options = (options_for_other if is_other else data_options)(folder, given)
    return Source(folder, options, is_other, open_for(folder, options))


def _mend(folder: Path, data: Dataset) -> None:
    from mixvae.training.missing import write_missing

    if write_missing(folder, data, pictures=settings_of(folder).get("pictures", True)):
        print(f"what was missing of the run {folder} has been written", file=sys.stderr)


def changes(run: Run, data: Dataset) -> str:
    """That data are not those the run was trained on, and how they differ; "" if they are."""
    if not (run.folder / DATA).exists():
        return ""
    found = data.differences(read_json(run.folder, DATA))
    return f"the data are not those the run was trained on: {found}" if found else ""


def rows_of(run: Run, source: Source, name: Part | None) -> tuple[Tensor, Tensor | None]:
    """A split's x, and their classes if the model is conditional."""
    _, chosen = source.part(name)
    return chosen.x, None if run.recipe.model.labels.n_classes is None else chosen.y


def out_file(
    run: Run, default: str, out: str | None, suffixes: tuple[str, ...] = (".png", ".npy")
) -> Path:
    """The file that was asked for, or one in the run folder, after a look at what cannot work."""
    path = run.folder / default if out is None else Path(out)
    check_path(path, suffixes)
    return path


def file_name(
    command: str,
    suffix: str,
    parser: Parser,
    values: Mapping[str, Any],
    source: Source | None = None,
) -> str:
    """A default name that says every option but the defaults: one name, one picture.

    Other data are in it by their name and, as two files may share one, a digest of their options.
    """
    defaults = parser.get_defaults().as_dict()
    words = [command]
    for name, value in values.items():
        if name != "out" and value != defaults.get(name):
            words.append(name.replace("_", "-"))
            words += [] if value is True else [str(value)]
    if source is not None and source.is_other:
        told = json.dumps(located(source.options), sort_keys=True, default=str)
        digest = blake2b(told.encode(), digest_size=3).hexdigest()
        words += ["data", Path(source.data.name).stem, digest]
    return "-".join(words) + suffix
