"""Autoregressive likelihood: p(x | z) whose pixels depend on the pixels before them (PixelCNN)."""

from collections.abc import Callable, Sequence
from copy import copy
from math import prod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from mixvae.errors import MixvaeError
from mixvae.nn import full_precision

from . import Likelihood
from .pixelcnn_network import PixelCNN


class Autoregressive(Distribution):
    r"""Autoregressive distribution of images, pixel by pixel in raster order; event (C, H, W).

    .. math:: \log p(x | z) = \sum_i \log p(x_i | x_{<i}, z)

    Parameters
    ----------
    net
        The network.
    conditional
        From the network's outputs to the distribution of pixels given those before.
    context
        The decoder's output for z, batch first: (*B, n_context, H, W).

    References
    ----------
    van den Oord et al. (NeurIPS 2016), eq. 3.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    has_rsample = False

    def __init__(
        self, net: PixelCNN, conditional: Likelihood, context: Float[Tensor, "*B F H W"]
    ) -> None:
        self.net, self.conditional, self.context = net, conditional, context
        super().__init__(context.shape[:-3], torch.Size(conditional.x_shape), validate_args=False)

    def log_prob(self, value: Float[Tensor, "*B C H W"]) -> Float[Tensor, "*S"]:
        """Log probability, nats, summed over the image; all pixels in one pass of the network."""
        batch = torch.broadcast_shapes(value.shape[:-3], self.batch_shape)
        x = value.expand(*batch, *self.event_shape).reshape(-1, *self.event_shape)
        params = self.net(x, self._contexts(batch))
        return self.conditional(params.flatten(1)).log_prob(x).reshape(batch)

    def sample(
        self, sample_shape: Sequence[int] = (), *, progress: bool = False
    ) -> Float[Tensor, "*S C H W"]:
        """Images drawn pixel by pixel; ``progress`` shows a bar over the rows."""
        return self._generate(lambda p: p.sample(), torch.Size(sample_shape), progress)

    @property
    def mean(self) -> Float[Tensor, "*B C H W"]:
        """An image of every pixel's mean given the means before it, without a gradient.

        It is a deterministic function of z, but not E[x | z], which has no closed form. It takes as
        long as a sample.
        """
        return self._generate(lambda p: p.mean, torch.Size(), progress=False)

    def _generate(
        self, choose: Callable[[Distribution], Tensor], shape: torch.Size, progress: bool
    ) -> Tensor:
        """Images pixel by pixel, each value as ``choose`` takes it from its distribution."""
        batch, conditional = shape + self.batch_shape, _single_pixel(self.conditional)
        pixel = lambda outputs: choose(conditional(outputs.flatten(1)))
        x = self.net.generate(self._contexts(batch), pixel, progress=progress)
        return x.reshape(batch + self.event_shape)

    def _contexts(self, batch: torch.Size) -> Float[Tensor, "N F H W"]:
        """The context of every image of a batch, with one batch axis."""
        event = self.context.shape[-3:]
        return self.context.expand(*batch, *event).reshape(-1, *event)


class PixelCNNLikelihood(Likelihood):
    """PixelCNN likelihood: each pixel depends on the pixels before it and on a decoder's output.

    The decoder's output is the context, n_context maps of the size of x; any decoder of
    ``n_params`` outputs can give it.

    Parameters
    ----------
    conditional
        The distribution of a pixel given those before it: a likelihood of images (C, H, W), from
        logits.
    n_context
        Maps of the context.
    n_features
        Feature maps of each layer and stack.
    n_layers
        The first has windows of 7 x 7 pixels, and the others of 3 x 3. Each lets a pixel see one
        row and column more; only z can tell what it does not see.
    reach
        How many rows and columns a pixel sees, at most ``n_layers`` + 2, which is None.

    Raises
    ------
    MixvaeError
        For x that are not images, a likelihood from means, sizes under 1, or a longer reach.

    References
    ----------
    van den Oord et al. (NeurIPS 2016); PixelVAE: Gulrajani et al. (ICLR 2017).
    """

    autoregressive = True

    def __init__(
        self,
        conditional: Likelihood,
        *,
        n_context: int = 4,
        n_features: int = 32,
        n_layers: int = 5,
        reach: int | None = None,
    ) -> None:
        super().__init__(conditional.x_shape)
        if len(self.x_shape) != 3:
            raise MixvaeError(
                "a PixelCNN needs images, of shape (channels, height, width); got x of shape "
                f"{self.x_shape}. Use a likelihood with pixels that are independent given z."
            )
        if conditional.from_mean:
            raise MixvaeError(
                "a PixelCNN returns logits; give it a likelihood with from_mean=False."
            )
        self.term, self.is_density = conditional.term, conditional.is_density
        self.is_discrete = conditional.is_discrete
        self.conditional = conditional
        self.net = PixelCNN(
            self.x_shape[0],
            conditional.n_params // prod(self.x_shape[1:]),
            n_context,
            n_features=n_features,
            n_layers=n_layers,
            reach=reach,
        )

    @property
    def param_shape(self) -> tuple[int, ...]:
        return self.net.n_context, *self.x_shape[1:]

    def forward(self, params: Float[Tensor, "*B D"]) -> Autoregressive:
        return self.pixels(full_precision(params).unflatten(-1, self.param_shape))

    def pixels(self, params: Float[Tensor, "*B F H W"]) -> Autoregressive:
        return Autoregressive(self.net, self.conditional, params)

    def render(self, p: Distribution) -> Tensor:
        """A sample, as the image of successive means is not one that the model generates."""
        assert isinstance(p, Autoregressive)
        return p.sample(progress=True)

    def check(self, x: Tensor) -> None:
        self.conditional.check(x)


def _single_pixel(likelihood: Likelihood) -> Likelihood:
    """The same likelihood, with the same parameters, for images of one pixel."""
    single = copy(likelihood)
    single.x_shape = (likelihood.x_shape[0], 1, 1)
    return single
