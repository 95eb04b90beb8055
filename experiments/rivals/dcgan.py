"""DCGAN: generative adversarial network of strided convolutions (Radford et al., ICLR 2016).

The paper's loss (that of the generator non-saturating), optimizer and batch norm; fewer
feature maps.
"""

from experiments.rivals.networks import codes, critic, generator, sampler
from experiments.rivals.system import System, Trained, batches, count, step
from torch.nn.functional import softplus
from torch.optim import Adam

from mixvae.data import Dataset

LR, BETAS = 2e-4, (0.5, 0.999)


def train(data: Dataset, epochs: int) -> Trained:
    """Alternate steps of discriminator and generator."""
    g, d = generator(data.x_shape), critic(data.x_shape)
    of_g, of_d = (Adam(net.parameters(), LR, BETAS) for net in (g, d))
    for _ in range(epochs):
        for x in batches(data):
            fake = g(codes(len(x)))
            step(of_d, (softplus(-d(x)) + softplus(d(fake.detach()))).mean())
            step(of_g, softplus(-d(fake)).mean())
    return Trained(count(g, d), sample=sampler(g))


SYSTEM = System(
    "dcgan",
    train,
    epochs={"mnist": 12, "omniglot": 12, "frey": 180, "cifar10": 15},
    quoted={"cifar10": (("m-vae/table3", "DCGAN"), ("mvae/table1", "DCGAN"))},
)
