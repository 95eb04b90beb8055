"""What the commands on a trained run share: opening it, its data, and naming output files."""

import json
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from inspect import getdoc
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

from torch import Tensor

from mixvae.data import DATASETS, Dataset, Split, all_of
from mixvae.data.dataset import is_table
from mixvae.data.formats import table_file
from mixvae.data.splits import SourceSplits
from mixvae.errors import MixvaeError, MixvaeWarning
from mixvae.model import MixtureVAE
from mixvae.run import (
    DATA,
    Run,
    load,
    load_batch_names,
    load_class_names,
    load_transform,
    read_json,
)

from .inputs import DATA_OPTIONS, DataOptions, data_options, located, settings_of
from .parser import Parser, taken
from .pictures import check_path
from .recipe_files import add_recipes, import_recipes
from .result import Result
from .rows import check_writer

Part = Literal["train", "val", "test", "all"]


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """The output file of a command; the first suffix is that of the default name."""

    suffixes: ClassVar[tuple[str, ...]] = (".png", ".npy")
    table_suffixes: ClassVar[tuple[str, ...]] = (".csv", ".npy")

    out: str | None = None
    """A .png or .npy file, or .csv or .npy of a table; by default a picture or a .csv in the run
    folder, named by these options."""


@dataclass(frozen=True, kw_only=True)
class SplitOptions(OutputOptions):
    """A split of the data, and the output file."""

    split: Part | None = None
    """Split of the data; all is every row in the file's order. By default test, or all of other
    data that have no test split of their own."""


T = TypeVar("T", bound=OutputOptions)


@dataclass(frozen=True)
class Source:
    """The data of a command: those that the run was trained on, or others."""

    options: DataOptions
    is_other: bool
    parts: SourceSplits
    data: Dataset

    def part(self, name: Part | None) -> tuple[str, Split]:
        """A split as a model sees it, and its name; ``all`` is in the source's order."""
        found = self.part_name(name)
        if found == "all":
            return found, all_of(self.parts, binarize=self.data.binarize, seed=self.data.seed)
        return found, self.data.test if name is None else self.data.seen(found)

    def part_name(self, name: Part | None) -> Part:
        """The split that is meant: test by default, or all of other data without a test split."""
        return name or ("all" if self.is_other and self.parts.test is None else "test")

    def changes(self, folder: Path) -> str:
        """How the data differ from those a run was trained on; "" if not, or if they are others."""
        if self.is_other or not (folder / DATA).exists():
            return ""
        found = self.data.differences(read_json(folder, DATA))
        return f"the data are not those the run was trained on: {found}" if found else ""


@dataclass(frozen=True)
class Opened(Generic[T]):
    """A trained run with the data, options and output file of the command on it."""

    run: Run
    source: Source | None
    options: T
    out: Path

    @property
    def model(self) -> MixtureVAE:
        return self.run.recipe.model

    @property
    def is_table(self) -> bool:
        """Whether x are rows of a table, which are written in the data's units."""
        return of_table(self.run)

    def split(self, name: Part | None) -> Split:
        """A split of the data as a model sees it."""
        assert self.source is not None, "a command without data"
        return self.source.part(name)[1]

    def row_numbers(self, name: Part | None) -> list[int]:
        """The row of each example of a split in the data's file, counted from 0."""
        split = self.split(name)
        return list(range(len(split))) if split.index is None else split.index.tolist()

    def result(self, **values: Any) -> Result:
        """The result of the command: its file, and of which run, data and split it is."""
        about: dict[str, Any] = {"run": self.run.folder}
        if self.source is not None:
            split = self.source.part_name(getattr(self.options, "split", None))
            about |= {"data": self.source.data.name, "split": split}
        return Result(values=about | values, files=[self.out])

    def rows(self, name: Part | None) -> tuple[Tensor, Tensor | None]:
        """A split's x, and the labels that the model reads: of a conditional one their classes."""
        split = self.split(name)
        return split.x, self.model.labels.of(split)


def of_table(run: Run) -> bool:
    """Whether a run is of rows of a table."""
    return is_table(run.recipe.x_shape, run.transform)


def parser_of(command: Callable[[list[str]], Result | None], more: str = "") -> Parser:
    """The parser of a command on a run; its help is the docstring of the command's function."""
    parser = Parser(f"mixvae {command.__name__} RUN [OPTIONS]", f"{getdoc(command)}{more}")
    add_recipes(parser)
    return parser


def open_with(
    kind: type[T],
    command: Callable[[list[str]], Result | None],
    argv: list[str],
    *,
    name: str | None = None,
    with_data: bool = True,
) -> Opened[T]:
    """The run, data and options of a command, and where its output goes.

    ``name`` begins the default file name; by default it is the command's.
    """
    parser = parser_of(command)
    parser.add_options("options of the command", kind)
    run, source, values = open_run(parser, argv, with_data=with_data)
    options = taken(kind, values)
    default = file_name(name or command.__name__, vars(options), vars(kind()), source)
    suffixes = kind.table_suffixes if of_table(run) else kind.suffixes
    out = run.folder / f"{default}{suffixes[0]}" if options.out is None else Path(options.out)
    check_path(out, suffixes)
    check_writer(out)
    return Opened(run, source, options, out)


def open_run(
    parser: Parser, argv: list[str], *, with_data: bool = True, mend: bool = False
) -> tuple[Run, Source | None, dict[str, Any]]:
    """The run, the source of its data if they are needed, and the other options.

    Warns where the run's own data have changed since training. ``mend`` writes metrics and pictures
    that are missing of a run whose training is over.
    """
    if with_data:
        parser.add_options("data; by default the run's own", DataOptions, skip={"subset"})
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
    source = source_of(folder, given)
    if mend and not source.is_other:
        _mend(folder, source.data)
    run = load(folder)
    if changed := source.changes(folder):
        warnings.warn(changed, MixvaeWarning, stacklevel=2)
    if source.data.x_shape != run.recipe.x_shape:
        raise MixvaeError(
            f"the run {folder} was trained on x of shape {run.recipe.x_shape}; {source.data.name} "
            f"has {source.data.x_shape}."
        )
    return run, source, values


def source_of(folder: Path, given: Mapping[str, Any]) -> Source:
    """The run's own data, or others if ``given`` names them.

    Others are binarised and resized as the run's own, have labels and batches in columns of the
    same names, and are looked for in the same folder of named sets; the rest of the run's options
    (n_val, data_seed, subset) describe how its own were split.
    """
    own, kept = settings_of(folder).get("data"), set(DATA_OPTIONS)
    is_other = "data" in given and own not in (given["data"], located(given)["data"])
    if is_other:
        kept = {"binarize", "data_dir"}
        if given["data"] not in DATASETS:
            path = Path(given["data"]).expanduser()
            kept |= {"image_size"} if path.is_dir() else set()
            kept |= {"label_column", "batch_column"} if table_file.is_table(path) else set()
    options = data_options(folder, given, kept)
    read = options.read(load_transform(folder), load_batch_names(folder), load_class_names(folder))
    return Source(options, is_other, *read)


def _mend(folder: Path, data: Dataset) -> None:
    from mixvae.training.missing import write_missing

    if write_missing(folder, data, pictures=settings_of(folder).get("pictures", True)):
        print(f"what was missing of the run {folder} has been written", file=sys.stderr)


def file_name(
    command: str, values: Mapping[str, Any], defaults: Mapping[str, Any], source: Source | None
) -> str:
    """A default file name with every option that is not at its default.

    Other data are named too, with a digest of their options, as two files may share a name.
    """
    words = [command]
    for name, value in values.items():
        if name != "out" and value != defaults[name]:
            words.append(name.strip("_").replace("_", "-"))
            words += [] if value is True else [str(value)]
    if source is not None and source.is_other:
        text = json.dumps(located(asdict(source.options)), sort_keys=True, default=str)
        digest = blake2b(text.encode(), digest_size=3).hexdigest()
        words += ["data", Path(source.data.name).stem, digest]
    return "-".join(words)
