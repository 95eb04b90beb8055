"""Arrays in memory, or in .npy and .npz files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixvae.data.dataset import Binarize, Dataset
from mixvae.data.numpy_file import NumpyFile
from mixvae.data.pixels import make_split
from mixvae.data.splits import Parts, assemble
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
) -> Dataset:
    """A `Dataset` of NumPy or PyTorch arrays (or lists of them), copied.

    ``x`` is (N, D), (N, H, W), (N, H, W, C) or (N, C, H, W), floats in [0, 1], bool or uint8;
    ``y`` holds N integers. ``val`` and ``test`` are arrays like ``x``, or pairs (x, y); without
    them, ``n_val`` and ``n_test`` images are held out, by default as in `assemble`: a fifth for
    test, then a tenth for validation. Raises `MixvaeError` for whatever cannot be used.
    """
    given = {"x": x, "y": y}
    for part, value in (("val", val), ("test", test)):
        is_pair = isinstance(value, tuple) and len(value) == 2
        given[f"x_{part}"], given[f"y_{part}"] = value if is_pair else (value, None)
    parts = _parts(given, name)
    return assemble(name, parts, binarize=binarize, n_val=n_val, n_test=n_test, seed=seed)


def read(path: Path) -> Parts:
    """The arrays in a .npy file (x alone) or a .npz file (see ``KEYS`` for their names).

    Raises `MixvaeError` for pickled objects, which are never loaded, and for unknown names.
    """
    arrays = NumpyFile(path)
    given = {what: _pick(arrays, names, path) for what, names in KEYS.items()}
    if given["x"] is None:
        raise MixvaeError(
            f"{path}: expected an array named {' or '.join(KEYS['x'])}, got "
            f"{', '.join(arrays) or 'none'}; save it with np.savez(path, x=..., y=...)."
        )
    return _parts(given, path.name)


def _pick(arrays: Mapping[str, Any], names: tuple[str, ...], path: Path) -> Any:
    found = [name for name in names if name in arrays]
    if len(found) > 1:
        raise MixvaeError(f"{path}: {' and '.join(found)} mean the same thing; keep only one.")
    return arrays[found[0]] if found else None


def _parts(given: Mapping[str, Any], where: str) -> Parts:
    """The splits among x, y, x_val, y_val, x_test, y_test; those without an x are left out."""
    train = make_split(given["x"], given["y"], where=f"{where}, train")
    others = []
    for part in ("val", "test"):
        x, y = given[f"x_{part}"], given[f"y_{part}"]
        if x is None and y is not None:
            raise MixvaeError(f"{where}: labels y_{part} without images x_{part}; give both.")
        others.append(None if x is None else make_split(x, y, where=f"{where}, {part}"))
    return Parts(train, *others)
