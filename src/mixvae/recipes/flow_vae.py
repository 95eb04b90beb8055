"""A VAE with a normalising flow as its prior, its posterior, or both."""

from dataclasses import dataclass
from typing import ClassVar

from .densities import PriorName
from .options import ImportanceWeighted
from .registry import register
from .vae import VAE


@register("flow-vae")
@dataclass(frozen=True, kw_only=True)
class FlowVAE(ImportanceWeighted, VAE):
    """The VAE with a normalising flow as its prior, its posterior, or both."""

    creation_order: ClassVar = ("prior", "posterior", "encoder", "weights", "decoder")

    prior: PriorName = "flow"
