"""p(x | z) with pixels that depend on those before them, as a distribution and in a decoder."""

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
    r"""Images whose pixels are drawn in raster order (van den Oord et al. 2016, (3)).

    .. math:: \log p(x | z) = \sum_i \log p(x_i | x_{<i}, z)

    Args:
        net: the network.
        conditional: the network's outputs to the distribution of pixels given those before.
        context: what z says, batch first: (*B, n_context, H, W).
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    has_rsample = False

    def __init__(
        self, net: PixelCNN, conditional: Likelihood, context: Float[Tensor, "*B F H W"]
    ) -> None:
        self.net, self.conditional, self.context = net, conditional, context
        super().__init__(context.shape[:-3], torch.Size(conditional.x_shape), validate_args=False)

    def log_prob(self, value: Float[Tensor, "*B C H W"]) -> Float[Tensor, "*S"]:
        """Nats, summed over the image; all pixels in one pass of the network."""
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
        """Every pixel's mean given the means before it: one pass as long as a draw, no gradient.

        It is not E[x | z], of which there is no closed form, but an image that z alone decides.
        """
        return self._generate(lambda p: p.mean, torch.Size(), progress=False)

    def _generate(
        self, choose: Callable[[Distribution], Tensor], shape: torch.Size, progress: bool
    ) -> Tensor:
        batch, one = shape + self.batch_shape, _of_a_pixel(self.conditional)
        pixel = lambda outputs: choose(one(outputs.flatten(1)))
        x = self.net.generate(self._contexts(batch), pixel, progress=progress)
        return x.reshape(batch + self.event_shape)

    def _contexts(self, batch: torch.Size) -> Float[Tensor, "N F H W"]:
        event = self.context.shape[-3:]
        return self.context.expand(*batch, *event).reshape(-1, *event)


class PixelCNNLikelihood(Likelihood):
    """Pixels that read those before them: a decoder's output is the context of a PixelCNN.

    Any decoder of ``n_params`` outputs makes the context, n_context maps of the size of x.

    Args:
        conditional: the distribution of the pixels, of images (C, H, W); from logits.
        n_context: maps that the decoder makes of z.
        n_features: feature maps of each layer and stack.
        n_layers: of 7 x 7 pixels the first, and of 3 x 3 the others. Each lets a pixel see one row
            and column more; what it does not see, z must say.

    Raises:
        MixvaeError: for x that are no images, a likelihood of means, or sizes under 1.
    """

    autoregressive = True  # samples and means take a step for each pixel

    def __init__(
        self,
        conditional: Likelihood,
        *,
        n_context: int = 4,
        n_features: int = 32,
        n_layers: int = 5,
    ) -> None:
        super().__init__(conditional.x_shape)
        if len(self.x_shape) != 3:
            raise MixvaeError(
                "a PixelCNN needs images, of shape (channels, height, width); got x of shape "
                f"{self.x_shape}. Use a likelihood of pixels that are independent given z."
            )
        if conditional.from_mean:
            raise MixvaeError(
                "a PixelCNN gives logits, and its likelihood takes means; make the likelihood with "
                "from_mean=False."
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
        )

    @property
    def param_shape(self) -> tuple[int, ...]:
        return self.net.n_context, *self.x_shape[1:]

    def forward(self, params: Float[Tensor, "*B D"]) -> Autoregressive:
        return self.pixels(full_precision(params).unflatten(-1, self.param_shape))

    def pixels(self, params: Float[Tensor, "*B F H W"]) -> Autoregressive:
        return Autoregressive(self.net, self.conditional, params)

    def render(self, p: Distribution) -> Tensor:
        """A draw: the means along one another are no x that the model would make."""
        assert isinstance(p, Autoregressive)
        return p.sample(progress=True)

    def check(self, x: Tensor) -> None:
        self.conditional.check(x)


def _of_a_pixel(likelihood: Likelihood) -> Likelihood:
    """The same likelihood, with the same parameters, of images of one pixel."""
    one = copy(likelihood)
    one.x_shape = (likelihood.x_shape[0], 1, 1)
    return one
