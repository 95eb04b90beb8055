"""A scikit-learn estimator for deep mixtures: ``fit``, ``predict``, ``transform`` and ``score``."""

from .deep_mixture import DeepMixture

__all__ = ["DeepMixture"]
