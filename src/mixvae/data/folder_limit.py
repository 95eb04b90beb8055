"""A bound on the search for files, where there is little of the kind to find."""

from collections.abc import Collection
from pathlib import Path

from mixvae.errors import MixvaeError

OTHERS = 100_000  # files and folders that are not looked for, besides ten to each that is


class FolderLimit:
    """Counts what a search through a folder meets: a whole disk is not a data set.

    Raises `MixvaeError` for the folder of all files, and after ``OTHERS`` files and folders where
    less than a tenth have one of the ``suffixes``.
    """

    def __init__(self, folder: Path, suffixes: Collection[str]) -> None:
        self.folder, self.suffixes, self.left = folder, suffixes, OTHERS
        if folder.resolve() == Path(folder.resolve().anchor):
            raise MixvaeError(f"{folder} holds all files there are; name the folder of the images.")

    def count(self, path: Path) -> None:
        """One more file or folder."""
        self.left += 10 if path.suffix.lower() in self.suffixes else -1
        if self.left < 0:
            raise MixvaeError(
                f"{self.folder}: expected a folder of images ({', '.join(self.suffixes)}), but "
                f"{OTHERS:,} files and folders in it are none; name the folder that holds them."
            )
