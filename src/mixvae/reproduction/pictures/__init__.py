"""Pictures of an experiment's results.

A picture is a function of the :class:`Results`, a path, and arguments of its own, that writes a PNG
file and returns whether it did; ``PICTURES`` names them for the declarations of experiments.
"""

from collections.abc import Callable
from pathlib import Path

from mixvae.experiments.item import Scale
from mixvae.plots.figures import noted

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


def draw(results: Results, folder: Path, stem: str, scale: Scale) -> list[str]:
    """Draw an item's pictures into a folder; return the names of the files.

    Their titles, which are the paper's, say at which scale ours were made.
    """
    note = "" if scale == "paper" else f"{results.item.name} at the {scale} scale"
    note += ": scikit-learn's digits, two epochs" if scale == "quick" else ""
    written = []
    for ending, picture in results.item.pictures.items():
        name = f"{stem}{'-' if ending else ''}{ending}.png"
        with noted(note):
            if PICTURES[picture.draw](results, folder / name, **picture.arguments):
                written.append(name)
    return written
