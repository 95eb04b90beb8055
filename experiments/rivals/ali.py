"""ALI: adversarial network with a learned encoder (Dumoulin et al., ICLR 2017).

The discriminator tells pairs (x, z ~ q(z | x)) from pairs (G(z), z). Reconstructions are G(z) of
one code of q(z | x). The generator is deterministic, networks are DCGAN's, and dropout is in the
discriminator's joint layers alone.
"""

from itertools import chain

import torch
from experiments.rivals.networks import AT_ONCE, LATENT, codes, critic, generator, leaky, sampler
from experiments.rivals.system import System, Trained, batches, count, step
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.optim import Adam

from mixvae.data import Dataset

LR, BETAS = 1e-4, (0.5, 0.999)
FEATURES, DROPOUT = 256, 0.2


class Encoder(nn.Module):
    """Codes of images, drawn from q(z | x), a diagonal normal."""

    def __init__(self, x_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.network = critic(x_shape, 2 * LATENT)

    def forward(self, x: Tensor) -> Tensor:
        loc, log_scale = self.network(x).chunk(2, 1)
        return loc + log_scale.exp() * torch.randn_like(loc)


class Discriminator(nn.Module):
    """Logit that a pair (x, z) is of an image and its code."""

    def __init__(self, x_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.of_x = critic(x_shape, FEATURES)
        self.of_z = nn.Sequential(nn.Linear(LATENT, FEATURES), leaky())
        layers = (nn.Linear(2 * FEATURES, FEATURES), leaky(), nn.Dropout(DROPOUT))
        self.joint = nn.Sequential(leaky(), nn.Dropout(DROPOUT), *layers, nn.Linear(FEATURES, 1))

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return self.joint(torch.cat([self.of_x(x), self.of_z(z)], 1))


def train(data: Dataset, epochs: int) -> Trained:
    """Alternate steps of the discriminator, and of generator and encoder."""
    g, e, d = generator(data.x_shape), Encoder(data.x_shape), Discriminator(data.x_shape)
    of_d = Adam(d.parameters(), LR, BETAS)
    of_both = Adam(chain(g.parameters(), e.parameters()), LR, BETAS)
    for _ in range(epochs):
        for x in batches(data):
            z = codes(len(x))
            fake, code = g(z), e(x)
            step(of_d, (softplus(-d(x, code.detach())) + softplus(d(fake.detach(), z))).mean())
            step(of_both, (softplus(d(x, code)) + softplus(-d(fake, z))).mean())

    @torch.no_grad()
    def reconstruct(x: Tensor) -> Tensor:
        g.eval(), e.eval()
        return torch.cat([g(e(part)) for part in x.split(AT_ONCE)])

    return Trained(count(g, e, d), sample=sampler(g), reconstruct=reconstruct)


SYSTEM = System(
    "ali",
    train,
    epochs={"mnist": 15, "omniglot": 15, "frey": 150, "cifar10": 15},
    quoted={"cifar10": (("m-vae/table3", "ALI"), ("mvae/table1", "ALI"))},
)
