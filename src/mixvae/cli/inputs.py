"""What commands read: data sets by their options, and runs with the settings they began with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..data import DATASETS, Binarize, Dataset, load
from ..errors import MixvaeError
from ..run import CONFIG, RECIPE, read_json

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
        data_seed: of the splits and of the binarised validation and test images.
        image_size: height and width that a folder's images are resized to.
        subset: train on the first so many images only, for a quick trial.
    """
    if data is None:
        raise MixvaeError(
            f"say which data: --data with one of {', '.join(sorted(DATASETS))}, a folder of "
            "images, or a .npy or .npz file."
        )
    loaded = load(
        data,
        data_dir=data_dir,
        binarize=binarize,
        n_val=n_val,
        seed=data_seed,
        image_size=image_size,
    )
    return loaded if subset is None else loaded.subset(subset)


def reopen(folder: str | Path, given: Mapping[str, Any]) -> Dataset:
    """The data that a run was trained on, as its config.yaml has it, but for what is given."""
    settings = settings_of(Path(folder))
    options = {name: settings[name] for name in DATA_OPTIONS if name in settings} | dict(given)
    if "data" not in options:
        raise MixvaeError(
            f"{folder} was not trained from the command line, so it does not say where its data "
            "are; name them with --data."
        )
    return open_data(**options)


def settings_of(folder: Path) -> dict[str, Any]:
    """The options that a run was trained with; none if that was not done from the command line."""
    read_json(folder, RECIPE)  # raises where there is no run
    return read_yaml(folder / CONFIG) if (folder / CONFIG).exists() else {}


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file of options."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MixvaeError(f"{path}: no such file.") from None
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise MixvaeError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise MixvaeError(
            f"{path} must hold options, one a line, such as 'n_components: 4'; it holds "
            f"{content!r:.60}."
        )
    return content


def located(options: Mapping[str, Any]) -> dict[str, Any]:
    """Data options whose paths mean the same from any folder."""
    paths = {
        name: str(Path(path).expanduser().resolve())
        for name in ("data", "data_dir")
        if (path := options.get(name)) is not None and path not in DATASETS
    }
    return dict(options) | paths
