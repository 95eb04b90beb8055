"""What happens to a model before the first step of its own training: phases that come first."""

from .autoencoder import Autoencoder
from .phase import Initialization, Phase
from .split import Split

__all__ = ["Autoencoder", "Initialization", "Phase", "Split"]
