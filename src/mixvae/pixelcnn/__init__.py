"""A gated PixelCNN as the likelihood: p(x | z), one pixel after another."""

from .likelihood import Autoregressive, PixelCNNLikelihood
from .network import PixelCNN

__all__ = ["Autoregressive", "PixelCNN", "PixelCNNLikelihood"]
