"""What commands read: data sets by their options, and runs with the settings they began with."""

import json
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mixvae.data import DATASETS, Binarize, Dataset, Split, Transform, load, load_all
from mixvae.errors import MixvaeError, MixvaeWarning
from mixvae.run import CONFIG, RECIPE, load_transform, read_json
from mixvae.storage.reading import read_yaml

from .parser import Parser

DATA_OPTIONS = ("data", "data_dir", "binarize", "n_val", "data_seed", "image_size", "subset")


def open_data(
    *,
    data: str | None = None,
    data_dir: str | None = None,
    binarize: Binarize = "none",
    n_val: int | None = None,
    data_seed: int = 0,
    image_size: tuple[int, int] | None = None,
    subset: int | None = None,
) -> Dataset:
    """The data that options name.

    Args:
        data: a data set's name (mixvae data lists them), a folder of images, or a .npy or .npz
            file.
        data_dir: where a named set's files are, or are to be put; by default $MIXVAE_DATA, else
            the user's cache.
        binarize: make pixels 0 or 1. dynamic: drawn anew at every step with the grey level as
            probability (validation and test data once); threshold: above one half.
        n_val: how many training images to hold out for validation; by default a tenth, at most
            5,000.
        data_seed: of the splits and of the binarised validation and test images, 0 to 2**64 - 1.
        image_size: height and width that a folder's images are resized to.
        subset: for a quick trial, train on so many images only, and validate on a fifth as many,
            but on 100 at least.
    """
    return _load(
        data=data,
        data_dir=data_dir,
        binarize=binarize,
        n_val=n_val,
        data_seed=data_seed,
        image_size=image_size,
        subset=subset,
    )


def _load(
    *,
    data: str | None = None,
    data_seed: int = 0,
    transform: Transform | None = None,
    **options: Any,
) -> Dataset:
    """`open_data`, where new data for a trained run are read with its ``transform``."""
    if data is None:
        raise MixvaeError(
            f"say which data: --data with one of {', '.join(sorted(DATASETS))}, a folder of "
            "images, or a .npy or .npz file."
        )
    return load(data, seed=data_seed, transform=transform, **options)


def reopen(folder: str | Path, given: Mapping[str, Any]) -> Dataset:
    """The data that a run was trained on, as its config.yaml has it, but for what is given.

    Stored values go through the run's own transform, as they did in training.
    """
    return open_for(folder, data_options(folder, given))


def open_for(folder: str | Path, options: Mapping[str, Any]) -> Dataset:
    """The data that options name, their values read as a run's own were."""
    return _load(**options, transform=load_transform(Path(folder)))


def own_options(folder: Path) -> dict[str, Any]:
    """The data options in a run's config.yaml, checked as those on the line are."""
    kept = as_flags(settings_of(folder), DATA_OPTIONS)
    parser = Parser(f"data of {folder / CONFIG}", "")
    parser.add_options("data", open_data)
    parser.unset(*DATA_OPTIONS)
    try:
        return parser.read(kept)[1]
    except MixvaeError as error:
        raise MixvaeError(f"{folder / CONFIG}: {error}") from error


def data_options(folder: str | Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of :func:`open_data` for a run's own data, but for what is given."""
    options = own_options(Path(folder)) | dict(given)
    if "data" not in options:
        raise MixvaeError(
            f"{folder} was not trained from the command line, so it does not say where its data "
            "are; name them with --data."
        )
    return options


def options_for_other(folder: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options for data that are not the run's own, but for what is given.

    Of the run's own are kept how pixels are binarised and resized, which the model asks for, and
    the folder of named sets. The rest (n_val, data_seed, subset) said how its own were split.
    """
    before, data = own_options(folder), str(given["data"])
    kept = {"binarize", "data_dir"}
    if data not in DATASETS and Path(data).expanduser().is_dir():
        kept.add("image_size")
    return {name: before[name] for name in DATA_OPTIONS if name in kept & before.keys()} | dict(
        given
    )


def open_all(folder: Path, options: Mapping[str, Any]) -> tuple[Split, bool]:
    """All that data options name, in the source's order; and if it has a test split of its own."""
    names = {"data_dir": "data_dir", "binarize": "binarize", "image_size": "image_size"}
    names["data_seed"] = "seed"
    given = {names[k]: v for k, v in options.items() if k in names and v is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixvaeWarning)  # said when the same data were split
        return load_all(options["data"], transform=load_transform(folder), **given)


def settings_of(folder: Path) -> dict[str, Any]:
    """The options that a run was trained with; none if that was not done from the command line."""
    read_json(folder, RECIPE)  # raises where there is no run
    return read_yaml(folder / CONFIG) if (folder / CONFIG).exists() else {}


def as_flags(lines: Mapping[str, Any], only: Collection[str] | None = None) -> list[str]:
    """A file's options, or ``only`` some of them, as the line would have them."""
    return [
        f"--{name}={value if isinstance(value, str) else json.dumps(value, default=str)}"
        for name, value in lines.items()
        if only is None or name in only
    ]


def located(options: Mapping[str, Any]) -> dict[str, Any]:
    """Data options whose paths mean the same from any folder."""
    paths = {
        name: str(Path(path).expanduser().resolve())
        for name in ("data", "data_dir")
        if (path := options.get(name)) is not None and path not in DATASETS
    }
    return dict(options) | paths
