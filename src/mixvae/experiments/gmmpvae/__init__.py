"""GMMpVAE: Guo et al., VAE with Optimizing Gaussian Mixture Model Priors, IEEE Access 2020."""

from .figures import FIGURES
from .tables import TABLES

__all__ = ["ITEMS"]

ITEMS = [*TABLES, *FIGURES]
