"""Arrays in memory, or in .npy and .npz files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from mixvae.data.dataset import Binarize, Dataset, Split
from mixvae.data.pixels import choose_transform, make_split
from mixvae.data.splits import Parts, assemble
from mixvae.data.transform import Transform
from mixvae.errors import MixvaeError

# What the arrays of an .npz file may be called, by what they are.
KEYS = {
    "x": ("x", "x_train", "images", "train_images", "data"),
    "y": ("y", "y_train", "labels", "train_labels", "target", "targets"),
    "x_val": ("x_val", "x_valid", "val_images"),
    "y_val": ("y_val", "y_valid", "val_labels"),
    "x_test": ("x_test", "test_images"),
    "y_test": ("y_test", "test_labels"),
}


def from_arrays(
    x: Any,
    y: Any = None,
    *,
    val: Any = None,
    test: Any = None,
    name: str = "arrays",
    binarize: Binarize = "none",
    n_val: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    transform: Transform | None = None,
) -> Dataset:
    """A `Dataset` of NumPy or PyTorch arrays (or lists of them), copied.

    ``x`` is (N, D), (N, H, W), (N, H, W, C) or (N, C, H, W), floats in [0, 1], bool or uint8;
    ``y`` holds N integers. ``val`` and ``test`` are arrays like ``x``, or pairs (x, y); without
    them, ``n_val`` and ``n_test`` images are held out, by default as in `assemble`: a fifth for
    test, then a tenth for validation.

    Whether integers are divided by 255 is decided once, on ``x``: where it is uint8 and not only 0
    and 1; a `MixvaeWarning` says where that leaves it near black. Give a trained model's
    ``transform`` (`Dataset.transform`) with data for that model. Raises `MixvaeError` for whatever
    cannot be used.
    """
    given = {"x": x, "y": y}
    for part, value in (("val", val), ("test", test)):
        is_pair = isinstance(value, tuple) and len(value) == 2
        given[f"x_{part}"], given[f"y_{part}"] = value if is_pair else (value, None)
    parts = _parts(given, name, transform)
    return assemble(name, parts, binarize=binarize, n_val=n_val, n_test=n_test, seed=seed)


def read(path: Path, transform: Transform | None = None) -> Parts:
    """The arrays in a .npy file (x alone) or a .npz file (see ``KEYS`` for their names).

    ``transform`` is as in `from_arrays`. Raises `MixvaeError` for pickled objects, which are never
    loaded, and for unknown names.
    """
    try:
        with path.open("rb") as file:  # np.load leaves a file that it opens and refuses open
            loaded = np.load(file, allow_pickle=False)
            arrays = {"x": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except (ValueError, OSError, EOFError, BadZipFile) as error:
        raise MixvaeError(
            f"{path}: expected a .npy or .npz file of plain numbers, but {error or 'it is empty'}. "
            "Arrays of Python objects are not loaded, as they can run code: save each as one "
            "array of uint8, or of floats in [0, 1]."
        ) from error
    given = {what: _pick(arrays, names, path) for what, names in KEYS.items()}
    if given["x"] is None:
        raise MixvaeError(
            f"{path}: expected an array named {' or '.join(KEYS['x'])}, got "
            f"{', '.join(arrays) or 'none'}; save it with np.savez(path, x=..., y=...)."
        )
    return _parts(given, path.name, transform)


def _pick(arrays: Mapping[str, np.ndarray], names: tuple[str, ...], path: Path) -> Any:
    found = [name for name in names if name in arrays]
    if len(found) > 1:
        raise MixvaeError(f"{path}: {' and '.join(found)} mean the same thing; keep only one.")
    return arrays[found[0]] if found else None


def _parts(given: Mapping[str, Any], where: str, transform: Transform | None) -> Parts:
    """The splits among x, y, x_val, y_val, x_test, y_test; those without an x are left out."""
    how = choose_transform(given["x"], transform, where=f"{where}, train")
    train = make_split(given["x"], given["y"], where=f"{where}, train", transform=how)
    others: dict[str, Split | None] = {}
    for part in ("val", "test"):
        x, y = given[f"x_{part}"], given[f"y_{part}"]
        if x is None and y is not None:
            raise MixvaeError(f"{where}: labels y_{part} without images x_{part}; give both.")
        name = f"{where}, {part}"
        others[part] = None if x is None else make_split(x, y, where=name, transform=how)
    return Parts(train, others["val"], others["test"], how)
