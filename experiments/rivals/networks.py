"""Networks of the adversarial systems, after DCGAN's: strided convolutions, no dense hidden layer.

Radford, Metz & Chintala (ICLR 2016). Images are halved while both sides are even and above 4.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from experiments.rivals.system import Sampler
from torch import Tensor, nn

WIDTH, LATENT = 32, 64
AT_ONCE = 500  # images
Activation = Callable[[], nn.Module]


def leaky() -> nn.Module:
    """DCGAN's activation in discriminators."""
    return nn.LeakyReLU(0.2)


def smallest(x_shape: Sequence[int]) -> tuple[int, int, int]:
    """Height and width after all halvings, and their number."""
    (_, height, width), n = x_shape, 0
    while height % 2 == width % 2 == 0 and min(height, width) > 4:
        height, width, n = height // 2, width // 2, n + 1
    return height, width, n


def generator(
    x_shape: Sequence[int], n_latent: int = LATENT, *, norm: bool = True, act: Activation = nn.ReLU
) -> nn.Sequential:
    """From codes (B, n_latent) to images in [0, 1]."""
    height, width, n = smallest(x_shape)
    sizes = [*(WIDTH * 2**i for i in reversed(range(n))), x_shape[0]]
    layers: list[nn.Module] = [nn.Linear(n_latent, sizes[0] * height * width, bias=not norm)]
    layers.append(nn.Unflatten(1, (sizes[0], height, width)))
    for n_in, n_out in pairwise(sizes):
        layers += [nn.BatchNorm2d(n_in)] * norm + [act()]
        layers.append(nn.ConvTranspose2d(n_in, n_out, 4, 2, 1))
    return start(nn.Sequential(*layers, nn.Sigmoid()))


def critic(
    x_shape: Sequence[int], n_outputs: int = 1, *, norm: bool = True, act: Activation = leaky
) -> nn.Sequential:
    """From images in [0, 1] to outputs (B, n_outputs); the first layer has no batch norm."""
    height, width, n = smallest(x_shape)
    sizes = [x_shape[0], *(WIDTH * 2**i for i in range(n))]
    layers: list[nn.Module] = [Centred()]
    for n_in, n_out in pairwise(sizes):
        layers.append(nn.Conv2d(n_in, n_out, 4, 2, 1))
        layers += [nn.BatchNorm2d(n_out)] * (norm and len(layers) > 2) + [act()]
    layers += [nn.Flatten(), nn.Linear(sizes[-1] * height * width, n_outputs)]
    return start(nn.Sequential(*layers))


class Centred(nn.Module):
    """Images in [-1, 1], of those in [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x - 1


def start(network: nn.Sequential) -> nn.Sequential:
    """DCGAN's first weights, normal with a standard deviation of 0.02."""
    for layer in network:
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=0.02)
    return network


def codes(n: int) -> Tensor:
    """Codes from the standard normal prior."""
    return torch.randn(n, LATENT)


def sampler(network: nn.Module) -> Sampler:
    """Images of a generator in evaluation mode."""

    @torch.no_grad()
    def sample(n: int) -> Tensor:
        network.eval()
        return torch.cat([network(part) for part in codes(n).split(AT_ONCE)])

    return sample
