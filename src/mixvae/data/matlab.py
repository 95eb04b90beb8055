"""Arrays out of MATLAB files (version 5, which holds numbers and no code)."""

import zlib
from io import BytesIO
from pathlib import Path

import numpy as np

from mixvae.data.compressed import read_bytes
from mixvae.errors import MixvaeError

HDF5 = b"MATLAB 7.3"  # how files of that version begin


def read_matlab(path: Path, shapes: dict[str, tuple[int | None, ...]]) -> dict[str, np.ndarray]:
    """The named arrays of a .mat file, whose axes are as long as told; None is any length.

    Raises `MixvaeError` for a file that is cut short or of version 7.3, and for arrays that are
    missing or have other shapes.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    content = read_bytes(path)
    if content.startswith(HDF5):
        raise MixvaeError(
            f"{path}: expected a MATLAB file of version 5 to 7, got version 7.3 (HDF5); save it "
            "again with save('-v7')."
        )
    try:
        found = loadmat(BytesIO(content), variable_names=list(shapes))
    except (MatReadError, OSError, ValueError, TypeError, EOFError, zlib.error) as error:
        raise MixvaeError(
            f"{path}: expected a whole MATLAB file, but: {error or 'it ends too early'}; it may be "
            "cut short or damaged: delete it and get it again."
        ) from error
    for name, shape in shapes.items():
        got = found[name].shape if name in found else None
        if got is None or not _fits(got, shape):
            raise MixvaeError(
                f"{path}: expected an array {name} of shape "
                f"({', '.join('N' if n is None else str(n) for n in shape)}), got "
                f"{'none' if got is None else got}; it is another file than the data set's."
            )
    return {name: found[name] for name in shapes}


def _fits(got: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(got) == len(wanted) and all(
        w is None or g == w for g, w in zip(got, wanted, strict=True)
    )
