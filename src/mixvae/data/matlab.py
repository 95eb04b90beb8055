"""Arrays out of MATLAB files (version 5, which holds numbers and no code)."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from mixvae.data.compressed import read_bytes
from mixvae.errors import MixvaeError

HDF5 = b"MATLAB 7.3"  # how files of that version begin


def read_matlab(path: Path, shapes: dict[str, tuple[int | None, ...]]) -> dict[str, np.ndarray]:
    """The named arrays of a .mat file, whose axes are as long as told; None is any length.

    Raises `MixvaeError` for a file that is cut short, damaged or of version 7.3, and for arrays
    that are missing, have other shapes, or are sparse or of no real numbers.
    """
    from scipy.io import loadmat

    content = read_bytes(path)
    if content.startswith(HDF5):
        raise MixvaeError(
            f"{path}: expected a MATLAB file of version 5 to 7, got version 7.3 (HDF5); save it "
            "again with save('-v7')."
        )
    try:
        found = loadmat(BytesIO(content), variable_names=list(shapes))
    except Exception as error:  # of any kind: SciPy trusts the sizes and types that it reads
        raise MixvaeError(
            f"{path}: expected a whole MATLAB file, but: {error or 'it ends too early'}; it may be "
            "cut short or damaged: delete it and get it again."
        ) from error
    for name, shape in shapes.items():
        if not _fits(found.get(name), shape):
            raise MixvaeError(
                f"{path}: expected an array {name} of numbers, of shape "
                f"({', '.join('N' if n is None else str(n) for n in shape)}), got "
                f"{_what(found.get(name))}; it is another file than the data set's."
            )
    return {name: found[name] for name in shapes}


def _fits(got: Any, wanted: tuple[int | None, ...]) -> bool:
    """Whether it is an array of real numbers, with axes as wanted."""
    if not isinstance(got, np.ndarray) or got.dtype.kind not in "buif" or got.ndim != len(wanted):
        return False
    return all(w in (None, g) for g, w in zip(got.shape, wanted, strict=True))


def _what(got: Any) -> str:
    """It, in words."""
    if got is None:
        return "none"
    kind = got.dtype if isinstance(got, np.ndarray) else "a sparse matrix"
    return f"{got.shape} ({kind})"
