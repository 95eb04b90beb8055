"""A VAE with a normalising flow as its prior, its posterior, or both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import nn

from mixvae.parts.flows import FlowPosterior, FlowPrior

from .options import ImportanceWeighted
from .recipe import Shape
from .registry import register
from .vae import VAE

Density = Literal["flow", "normal"]


@register("flow-vae")
@dataclass(frozen=True, kw_only=True)
class FlowVAE(ImportanceWeighted, VAE):
    """The VAE with a normalising flow as its prior, its posterior, or both."""

    creation_order: ClassVar = ("prior", "posterior", "encoder", "weights", "decoder")

    prior: Density = "flow"
    """Prior: a learned flow, or normal, N(0, I)."""
    posterior: Density = "normal"
    """Posterior: normal, or flow, which transforms that normal and reads the encoder's features."""
    n_transforms: int = 4
    """Number of coupling layers of a flow (RealNVP)."""
    flow_hidden: Sequence[int] = (64, 64)
    """Widths of a coupling layer's network."""

    def make_prior(self, x_shape: Shape) -> nn.Module:
        if self.prior == "normal":
            return super().make_prior(x_shape)
        return FlowPrior(self.n_latent, **self._layers)

    def make_posterior(self, x_shape: Shape) -> nn.Module:
        normal = super().make_posterior(x_shape)
        if self.posterior == "normal":
            return normal
        features = self.encoder_features(x_shape)
        return FlowPosterior(normal, features, self.n_latent, **self._layers)

    @property
    def _layers(self) -> dict[str, Any]:
        return {"n_transforms": self.n_transforms, "hidden": self.flow_hidden}
