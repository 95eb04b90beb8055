"""DRAW: a VAE that infers and decodes its code in steps (Gregor et al. 2015)."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from mixvae.distributions.sequential import SequentialNormal, SequentialSamples
from mixvae.likelihoods import Likelihood
from mixvae.nn import Linear, Shared
from mixvae.parts.decoders import Decoder
from mixvae.parts.draw import Canvas, DrawPosterior
from mixvae.parts.gaussian_process import GaussianProcessPosterior
from mixvae.parts.posteriors import ConditionalNormal
from mixvae.parts.priors import NormalPrior

from .options import ImportanceWeighted, LatentOptions, LikelihoodOptions
from .recipe import Shape
from .registry import register


@register("draw")
@dataclass(frozen=True, kw_only=True)
class DRAW(ImportanceWeighted, LikelihoodOptions, LatentOptions):
    """A VAE whose networks are recurrent: the decoder writes to a canvas in steps (DRAW).

    Gregor, Danihelka, Graves, Rezende & Wierstra, ICML 2015, without attention.
    """

    creation_order: ClassVar = ("encoder", "weights", "decoder", "posterior", "prior")

    n_steps: int = 10
    """Number T of steps; the code has L numbers for each."""
    n_latent: int = 10
    """Size L of each step's code."""
    width: int = 256
    """Size of the state of the encoder's LSTM, and of the decoder's."""
    posterior: Literal["normal", "gaussian-process"] = "normal"
    """Posterior of each step's code: normal; or gaussian-process, a normal whose mean is a random
    function of noise (VGP: Tran, Ranganath & Blei, ICLR 2016)."""
    n_data: int = 10
    """With gaussian-process: number of points at which the function's values are inferred."""

    def encoder_features(self, x_shape: Shape) -> int:
        return prod(x_shape)

    def make_slots(self, x_shape: Shape, likelihood: Likelihood) -> Mapping[str, Any]:
        slots = super().make_slots(x_shape, likelihood)
        slots["posterior"].read_canvas(slots["decoder"].branch.net, likelihood)
        return slots

    def make_encoder(self, x_shape: Shape) -> nn.Module:
        """x itself, flattened; the posterior has the encoder."""
        return nn.Sequential(nn.Flatten(), nn.Unflatten(1, (1, -1)))

    def make_posterior(self, x_shape: Shape) -> DrawPosterior:
        """The encoder's LSTM, which will read the decoder's state and canvas."""
        sizes = (self.n_steps, self.n_latent, prod(x_shape), self.width)
        head = ConditionalNormal(Linear(self.width, 2 * self.n_latent), self.n_latent)
        if self.posterior == "normal":
            return DrawPosterior(*sizes, head, SequentialNormal)
        warped = GaussianProcessPosterior(head, self.width, self.n_latent, self.n_data)
        return DrawPosterior(*sizes, warped, SequentialSamples)

    def make_decoder(self, x_shape: Shape, likelihood: Likelihood) -> Decoder:
        canvas = Canvas(self.n_steps, self.n_latent, self.width, likelihood.n_params)
        return Decoder(Shared(canvas), likelihood)

    def make_prior(self, x_shape: Shape) -> nn.Module:
        return NormalPrior(torch.zeros(self.n_steps * self.n_latent))
