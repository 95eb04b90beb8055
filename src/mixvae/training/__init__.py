"""Training on Lightning's Trainer: :func:`fit`, :func:`resume`, :func:`select`."""

from .fitting import fit, resume
from .selecting import select

__all__ = ["fit", "resume", "select"]
