"""Pictures of a model, as PNG files: each function takes data and a path, and returns the path.

They use matplotlib's objects alone: no display is needed and no global state is left behind.
Components are counted from 0.
"""

from .dependence import dependence
from .history import curves
from .images import reconstructions, samples
from .latents import crossed, interpolations, traversals
from .likelihood import log_likelihood
from .responsibilities import weights
from .scatter import codes

__all__ = [
    "codes",
    "crossed",
    "curves",
    "dependence",
    "interpolations",
    "log_likelihood",
    "reconstructions",
    "samples",
    "traversals",
    "weights",
]
