"""Pictures of an experiment's results.

A picture is a function of the :class:`Results`, a path, and arguments of its own, that writes a PNG
file and returns whether it did; ``PICTURES`` names them for the declarations of experiments.
"""

from collections.abc import Callable
from pathlib import Path

from ..results import Results
from .codes import codes
from .curves import against, histories
from .embedding import embedding
from .grouped import differences, lines
from .images import compared, component_samples, reconstructions
from .likelihood import histograms

PICTURES: dict[str, Callable[..., bool]] = {
    "reconstructions": reconstructions,
    "compared": compared,
    "codes": codes,
    "against": against,
    "histories": histories,
    "lines": lines,
    "differences": differences,
    "embedding": embedding,
    "component_samples": component_samples,
    "histograms": histograms,
}


def draw(results: Results, folder: Path, stem: str) -> list[str]:
    """Draw an item's pictures into a folder; return the names of the files."""
    written = []
    for ending, picture in results.item.pictures.items():
        name = f"{stem}{'-' if ending else ''}{ending}.png"
        if PICTURES[picture.draw](results, folder / name, **picture.arguments):
            written.append(name)
    return written
