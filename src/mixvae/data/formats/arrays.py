"""Arrays in memory, or in .npy and .npz files."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mixvae.data.conversion import choose_transform, make_split
from mixvae.data.dataset import Binarize, Dataset, Split
from mixvae.data.splits import SPLIT_WORDS, SourceSplits, assemble
from mixvae.data.transform import Transform
from mixvae.errors import MixvaeError

from .numpy_file import NumpyFile

# What an array of an .npz file is called: one of these words, a word for a split (SPLIT_WORDS), or
# both in either order, in any case and however they are joined: X, y_train, testLabels, val.
# Without a word for a split it belongs to train; a word for a split alone means its images.
KEYS = {
    "x": ("x", "image", "images", "img", "imgs", "data"),
    "y": ("y", "label", "labels", "target", "targets"),
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
    ``y`` holds N integers, (N,) or (N, 1). ``val`` and ``test`` are arrays like ``x``, or pairs
    (x, y); without them, ``n_val`` and ``n_test`` images are held out, by default as in `assemble`:
    a fifth for test, then a tenth for validation.

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


def read(path: Path, transform: Transform | None = None) -> SourceSplits:
    """The arrays in a .npy file (x alone) or a .npz file (see ``KEYS`` for their names).

    ``transform`` is as in `from_arrays`. Raises `MixvaeError` for pickled objects, which are never
    loaded, for names that say nothing, and for two names that say the same.
    """
    arrays = NumpyFile(path)
    names = _names(arrays, path)
    given = {what: arrays[name] for what, name in names.items()}
    return _parts(given, path.name, transform)


def _names(arrays: Iterable[str], path: Path) -> dict[str, str]:
    """The names of the arrays that are x, y, x_val, y_val, x_test and y_test, as far as given."""
    spellings, found, strange = _spellings(), dict[str, str](), list[str]()
    for name in arrays:
        what = spellings.get(re.sub(r"[\W_]", "", name.casefold()))
        if what is None:
            strange.append(name)
        elif what in found:
            raise MixvaeError(
                f"{path}: {found[what]} and {name} mean the same thing; keep only one."
            )
        else:
            found[what] = name
    if strange or "x" not in found:
        raise MixvaeError(
            f"{path}: expected an array named {' or '.join(KEYS['x'])}, one named "
            f"{' or '.join(KEYS['y'])} where there are labels, and x_val, y_val, x_test, y_test "
            f"where there are such splits, got {', '.join(strange or found.values()) or 'none'}; "
            "rename or remove what is not used: np.savez(path, x=..., y=...)."
        )
    return found


def _spellings() -> dict[str, str]:
    """All that an array may be called, in small letters without separators, and what it is."""
    found = {word: what for what, words in KEYS.items() for word in words}
    for split, names in SPLIT_WORDS.items():
        ending = "" if split == "train" else f"_{split}"
        for name in names:
            found[name] = f"x{ending}"
            for what, words in KEYS.items():
                for word in words:
                    found[name + word] = found[word + name] = f"{what}{ending}"
    return found


def _parts(given: Mapping[str, Any], where: str, transform: Transform | None) -> SourceSplits:
    """The splits among x, y, x_val, y_val, x_test, y_test; those without an x are left out."""
    how = choose_transform(given["x"], transform, where=f"{where}, train")
    train = make_split(given["x"], given.get("y"), where=f"{where}, train", transform=how)
    others: dict[str, Split | None] = {}
    for part in ("val", "test"):
        x, y = given.get(f"x_{part}"), given.get(f"y_{part}")
        if x is None and y is not None:
            raise MixvaeError(f"{where}: labels y_{part} without images x_{part}; give both.")
        name = f"{where}, {part}"
        others[part] = None if x is None else make_split(x, y, where=name, transform=how)
    return SourceSplits(train, others["val"], others["test"], how)
