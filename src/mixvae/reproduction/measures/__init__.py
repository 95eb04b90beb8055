"""What is measured of a trained run of an experiment.

A measure is a function of a :class:`Subject`, with arguments of its own, that returns values for
JSON; ``MEASURES`` names them for the declarations of experiments.
"""

from collections.abc import Callable
from typing import Any

from .codes import pixel_neighbours, representation, separation
from .exchange import exchange
from .images import image_scores
from .metrics import metrics, pruned
from .subject import Subject
from .traversals import traversal

__all__ = ["MEASURES", "Subject"]

MEASURES: dict[str, Callable[..., dict[str, Any]]] = {
    "metrics": metrics,
    "representation": representation,
    "pixel_neighbours": pixel_neighbours,
    "pruned": pruned,
    "exchange": exchange,
    "image_scores": image_scores,
    "separation": separation,
    "traversal": traversal,
}
