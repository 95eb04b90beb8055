"""Data sets as the command line names them, and the settings that a run was started with."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mixvae.data import DATASETS, Binarize, Dataset, Kinds, Standardize, read_source
from mixvae.data.batch_labels import BatchName
from mixvae.data.classes import ClassName
from mixvae.data.splits import SourceSplits, assemble
from mixvae.data.transform_record import AnyTransform
from mixvae.errors import MixvaeError
from mixvae.run import CONFIG, RECIPE, read_json
from mixvae.storage.reading import read_yaml

from .parser import Parser


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """The data that options name."""

    data: str | None = None
    """Name of a data set (mixvae data lists them), a folder of images, a .npy or .npz file, or a
    table (.csv, .tsv, .parquet)."""
    data_dir: str | None = None
    """Folder of a named data set's files, or to download them to; by default $MIXVAE_DATA, else the
    user's cache."""
    binarize: Binarize = "none"
    """Make pixels 0 or 1. dynamic: sampled at every step with the grey level as probability
    (validation and test data once); threshold: above one half."""
    n_val: int | None = None
    """Number of training examples to hold out for validation; by default a tenth, at most 5,000."""
    data_seed: int = 0
    """Seed of the splits and of the binarised validation and test data, 0 to 2**64 - 1."""
    image_size: tuple[int, int] | None = None
    """Height and width that a folder's images are resized to."""
    standardize: Standardize = "auto"
    """Standardise the columns of a table by its training rows; auto: where floats, or integers
    other than uint8, go outside [0, 1]."""
    kinds: Sequence[str] | None = None
    """For a table with counts or categories, the likelihoods of its columns: auto, by their types,
    so that text is categories; one for all columns, such as poisson; or COLUMN=LIKELIHOOD, such as
    age=normal, the others by their types."""
    label_column: str | None = None
    """Column of a table's file that is the class."""
    batch_column: str | None = None
    """Column of a table's file that names each row's technical batch (donor, site), for mfa-vae."""
    subset: int | None = None
    """For a quick trial, train on this number of examples only, and validate on a fifth as many,
    but at least 100."""

    def read(
        self,
        transform: AnyTransform | None = None,
        batch_names: Sequence[BatchName] | None = None,
        class_names: Sequence[ClassName] | None = None,
    ) -> tuple[SourceSplits, Dataset]:
        """The source as it is stored, and split; ``transform`` and names are a trained run's."""
        if self.data is None:
            raise MixvaeError(
                f"say which data: --data with one of {', '.join(sorted(DATASETS))}, a folder of "
                "images, a .npy or .npz file, or a table (.csv, .tsv, .parquet)."
            )
        name, parts = read_source(
            self.data,
            data_dir=self.data_dir,
            binarize=self.binarize,
            n_val=self.n_val,
            seed=self.data_seed,
            image_size=self.image_size,
            standardize=self.standardize,
            kinds=kinds_of(self.kinds),
            label_column=self.label_column,
            transform=transform,
            batch_column=self.batch_column,
            batch_names=batch_names,
            class_names=class_names,
        )
        data = assemble(name, parts, binarize=self.binarize, n_val=self.n_val, seed=self.data_seed)
        return parts, data if self.subset is None else data.subset(self.subset)


def kinds_of(words: Sequence[str] | None) -> Kinds | None:
    """The likelihoods of columns in words of the command line: one, or COLUMN=LIKELIHOOD."""
    if not words:
        return None
    if len(words) == 1 and "=" not in words[0]:
        return words[0]
    pairs = [word.rpartition("=") for word in words if word != "auto"]
    wrong = [kind for column, _, kind in pairs if not column]
    if wrong:
        raise MixvaeError(f"--kinds takes one likelihood, or COLUMN=LIKELIHOOD; got {wrong[0]}.")
    return {column: kind for column, _, kind in pairs}


DATA_OPTIONS = tuple(field.name for field in fields(DataOptions))


def data_options(
    folder: Path, given: Mapping[str, Any], kept: Collection[str] = DATA_OPTIONS
) -> DataOptions:
    """The ``kept`` data options of a run's config.yaml, with those given in their place."""
    parser = Parser(f"data of {folder / CONFIG}", "")
    parser.add_options("data", DataOptions)
    parser.unset(*DATA_OPTIONS)
    try:
        own = parser.read(as_flags(settings_of(folder), DATA_OPTIONS))[1]
    except MixvaeError as error:
        raise MixvaeError(f"{folder / CONFIG}: {error}") from error
    options = {name: value for name, value in own.items() if name in kept} | dict(given)
    if "data" not in options:
        raise MixvaeError(
            f"{folder} was not trained from the command line, so it does not say where its data "
            "are; name them with --data."
        )
    return DataOptions(**options)


def settings_of(folder: Path) -> dict[str, Any]:
    """The options that a run was trained with; none if it was not trained from the command line."""
    read_json(folder, RECIPE)  # raises where there is no run
    return read_yaml(folder / CONFIG) if (folder / CONFIG).exists() else {}


def as_flags(lines: Mapping[str, Any], only: Collection[str] | None = None) -> list[str]:
    """Options of a file, all or ``only`` some, as flags of the command line."""
    return [
        f"--{name}={value if isinstance(value, str) else json.dumps(value, default=str)}"
        for name, value in lines.items()
        if only is None or name in only
    ]


def located(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options whose data paths are absolute, so that they do not depend on the folder."""
    paths = {
        name: str(Path(path).expanduser().resolve())
        for name in ("data", "data_dir")
        if (path := options.get(name)) is not None and path not in DATASETS
    }
    return dict(options) | paths
