"""Deep mixtures of variational autoencoders for PyTorch.

Names are imported when used: ``import mixvae`` costs little. Only several processes need Lightning.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import data as data
    from . import distributions as distributions
    from . import evaluation as evaluation
    from . import export as export
    from . import families as families
    from . import initialization as initialization
    from . import likelihoods as likelihoods
    from . import model as model
    from . import model_search as model_search
    from . import nn as nn
    from . import objectives as objectives
    from . import parts as parts
    from . import plots as plots
    from . import recipes as recipes
    from . import training as training
    from .comparison import compare as compare
    from .errors import MixvaeError as MixvaeError
    from .errors import MixvaeWarning as MixvaeWarning
    from .estimator import DeepMixture as DeepMixture
    from .export import from_pretrained as from_pretrained
    from .model_search import search as search
    from .pruning import prune as prune
    from .recipes import Recipe as Recipe
    from .recipes import build as build
    from .recipes import list_recipes as list_recipes
    from .recipes import register as register
    from .report.page import write_report as write_report
    from .reproduction import reproduce as reproduce
    from .run import Run as Run
    from .run import load as load
    from .training import fit as fit
    from .training import resume as resume
    from .training import select as select

try:
    __version__ = version("mixvae")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"

_HOMES = {
    "MixvaeError": "errors",
    "MixvaeWarning": "errors",
    "compare": "comparison",
    "DeepMixture": "estimator",
    "from_pretrained": "export",
    "Recipe": "recipes",
    "build": "recipes",
    "list_recipes": "recipes",
    "register": "recipes",
    "prune": "pruning",
    "search": "model_search",
    "reproduce": "reproduction",
    "write_report": "report.page",
    "Run": "run",
    "load": "run",
    "fit": "training",
    "resume": "training",
    "select": "training",
}
_MODULES = (
    *("data", "distributions", "evaluation", "experiments", "export", "families"),
    *("initialization", "likelihoods", "model", "model_search", "nn", "objectives", "parts"),
    *("plots", "recipes", "training"),
)

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, *_MODULES])
