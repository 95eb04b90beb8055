"""Trained runs for use elsewhere: ONNX, torch.export, the Hugging Face hub, ArviZ."""

from .card import model_card as model_card
from .hub import from_pretrained as from_pretrained
from .hub import push_to_hub as push_to_hub
from .hub import save_pretrained as save_pretrained
from .inference_data import to_arviz as to_arviz
from .running import Exported as Exported
from .running import export_run as export_run

__all__ = [
    "Exported",
    "export_run",
    "from_pretrained",
    "model_card",
    "push_to_hub",
    "save_pretrained",
    "to_arviz",
]
