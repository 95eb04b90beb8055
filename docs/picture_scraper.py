"""Finds the pictures that an example of the gallery wrote."""

import shutil
from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst


def scrape(block: tuple[Any, ...], block_vars: dict[str, Any], gallery: dict[str, Any]) -> str:
    """The new pictures among an example's variables: those that are paths of PNG files."""
    values = block_vars["example_globals"].values()
    shown = block_vars.setdefault("shown", set())
    pictures = [v for v in values if isinstance(v, Path) and v.suffix == ".png"]
    new = [path for path in dict.fromkeys(pictures) if path not in shown]
    shown.update(new)
    copies = [next(block_vars["image_path_iterator"]) for _ in new]
    for path, copy in zip(new, copies, strict=True):
        shutil.copy(path, copy)
    return figure_rst(copies, gallery["src_dir"])
