"""The variational lossy autoencoder (Chen et al. 2017)."""

from dataclasses import dataclass

from .densities import PriorName
from .options import ImportanceWeighted, PixelOptions
from .registry import register
from .vae import VAE


@register("vlae")
@dataclass(frozen=True, kw_only=True)
class VLAE(ImportanceWeighted, PixelOptions, VAE):
    """The VAE with an autoregressive prior, and a PixelCNN that sees near pixels only (VLAE).

    Chen et al., Variational lossy autoencoder, ICLR 2017.
    """

    prior: PriorName = "maf"
    pixelcnn: bool = True
    """Let each pixel depend on the near pixels before it too, by a gated PixelCNN that reads the
    decoder's output; for images. Without it pixels are independent given the code."""
    pixelcnn_reach: int | None = 3
    """How many rows above and columns to either side a pixel of the PixelCNN sees; what is farther
    away must be in the code. At most pixelcnn_layers + 2, which is null."""
