"""Plots of a model and its training, written as PNG files.

They need no display and leave matplotlib's global state unchanged. Components are counted from 0.
"""

from .column_marginals import marginals, pairs
from .component_counts import ComponentCount, component_counts
from .component_profiles import profiles
from .dependence import dependence
from .history import curves
from .images import reconstructions, samples
from .latents import crossed, interpolations
from .likelihood import log_likelihood
from .responsibilities import weights
from .scatter import codes
from .traversing import traversals

__all__ = [
    "ComponentCount",
    "codes",
    "component_counts",
    "crossed",
    "curves",
    "dependence",
    "interpolations",
    "log_likelihood",
    "marginals",
    "pairs",
    "profiles",
    "reconstructions",
    "samples",
    "traversals",
    "weights",
]
