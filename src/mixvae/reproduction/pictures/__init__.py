"""Pictures of an experiment's results.

A picture is a function of the :class:`Results`, a path, and arguments of its own, that writes a PNG
file and returns whether it did; ``PICTURES`` names them for the declarations of experiments.
"""

from collections.abc import Callable
from pathlib import Path

from ..results import Results
from .codes import codes, codes_of_class
from .components import dependence, exchanged, mismatched, samples_by_component
from .curves import against, histories, histories_by_row
from .embedding import embedding
from .grouped import differences, lines
from .images import compared, component_samples, reconstructions
from .latents import interpolations, traversals
from .likelihood import histograms

PICTURES: dict[str, Callable[..., bool]] = {
    "reconstructions": reconstructions,
    "compared": compared,
    "codes": codes,
    "codes_of_class": codes_of_class,
    "against": against,
    "histories": histories,
    "lines": lines,
    "differences": differences,
    "embedding": embedding,
    "component_samples": component_samples,
    "histograms": histograms,
    "histories_by_row": histories_by_row,
    "interpolations": interpolations,
    "traversals": traversals,
    "mismatched": mismatched,
    "exchanged": exchanged,
    "samples_by_component": samples_by_component,
    "dependence": dependence,
}


def draw(results: Results, folder: Path, stem: str) -> list[str]:
    """Draw an item's pictures into a folder; return the names of the files."""
    written = []
    for ending, picture in results.item.pictures.items():
        name = f"{stem}{'-' if ending else ''}{ending}.png"
        if PICTURES[picture.draw](results, folder / name, **picture.arguments):
            written.append(name)
    return written
