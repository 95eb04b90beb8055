"""Initialisation (pretraining): the phases of a run before a model's own training."""

from .autoencoder import Autoencoder
from .phase import Initialization, Phase
from .split import Split

__all__ = ["Autoencoder", "Initialization", "Phase", "Split"]
