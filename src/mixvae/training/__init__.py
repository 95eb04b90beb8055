"""Training on Lightning's Trainer: :func:`fit` a recipe to data, :func:`resume` a run."""

from .fitting import fit, resume

__all__ = ["fit", "resume"]
