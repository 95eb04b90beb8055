"""A search through folders that ends soon where there is little to find."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from mixvae.errors import MixvaeError

OTHERS = 100_000  # entries that are not looked for, besides ten to each that is


def bounded(paths: Iterable[Path], folder: Path, suffixes: Collection[str]) -> Iterator[Path]:
    """The ``paths`` below a folder, among which those with one of the ``suffixes`` are looked for.

    Raises `MixvaeError` for the folder of all files, and after ``OTHERS`` paths of another kind
    where less than a tenth are of these: a whole disk is not a data set.
    """
    if folder.resolve() == Path(folder.resolve().anchor):
        raise MixvaeError(f"{folder} holds all files there are; name the folder of the images.")
    others = OTHERS
    for path in paths:
        others += 10 if path.suffix.lower() in suffixes else -1
        if others < 0:
            raise MixvaeError(
                f"{folder}: expected a folder of images ({', '.join(suffixes)}), but most of its "
                f"first {OTHERS:,} files and folders are none; name the folder that holds them."
            )
        yield path
