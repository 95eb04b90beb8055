"""BEGAN: adversarial network whose discriminator is an autoencoder (Berthelot et al. 2017).

The discriminator's loss is L(x) - k L(G(z)), the generator's L(G(z)), where L is the autoencoder's
mean absolute error, and k keeps L(G(z)) near gamma L(x). ELUs without batch norm, as in the paper;
transposed convolutions in place of its nearest-neighbour upsampling.
"""

from experiments.rivals.networks import LATENT, codes, critic, generator, sampler
from experiments.rivals.system import System, Trained, batches, count, step
from torch import nn
from torch.optim import Adam

from mixvae.data import Dataset

LR, BETAS = 1e-4, (0.5, 0.999)
GAMMA, LAMBDA = 0.5, 1e-3


def train(data: Dataset, epochs: int) -> Trained:
    """Steps of discriminator and generator, and of k."""
    how = {"norm": False, "act": nn.ELU}
    g = generator(data.x_shape, **how)
    d = nn.Sequential(critic(data.x_shape, LATENT, **how), generator(data.x_shape, **how))
    for network in (g, *d):
        for layer in network:
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()  # without batch norm DCGAN's first weights are too small
    of_g, of_d = (Adam(net.parameters(), LR, BETAS) for net in (g, d))
    loss = lambda x: (d(x) - x).abs().mean()
    k = measure = 0.0
    for _ in range(epochs):
        for x in batches(data):
            real, made = loss(x), loss(g(codes(len(x))).detach())
            step(of_d, real - k * made)
            fooled = loss(g(codes(len(x))))
            step(of_g, fooled)
            gap = GAMMA * real.item() - fooled.item()
            k = min(max(k + LAMBDA * gap, 0.0), 1.0)
            measure = real.item() + abs(gap)
    details = {"k": round(k, 4), "convergence": round(measure, 4)}
    return Trained(count(g, d), sample=sampler(g), details=details)


SYSTEM = System(
    "began",
    train,
    epochs={"mnist": 16, "omniglot": 16, "frey": 200, "cifar10": 14},
    quoted={"cifar10": (("mvae/table1", "BEGAN"),)},
)
