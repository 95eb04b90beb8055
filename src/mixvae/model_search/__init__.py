"""Search among the options of a recipe, by held-out figures; the choice of K."""

from .choice import Chosen, Estimate
from .existing import Counts, choose_run
from .result import Search
from .searching import resume_search, search
from .space import Choice, Range

__all__ = [
    "Choice",
    "Chosen",
    "Counts",
    "Estimate",
    "Range",
    "Search",
    "choose_run",
    "resume_search",
    "search",
]
