"""Training: :func:`fit`, :func:`resume`, :func:`select`, and callbacks with their state."""

from .callbacks import Callback
from .checkpoints import TrainingState
from .fitting import fit, resume
from .means import NonFiniteError
from .selecting import select

__all__ = ["Callback", "NonFiniteError", "TrainingState", "fit", "resume", "select"]
