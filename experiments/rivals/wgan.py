"""WGAN: adversarial network of a Wasserstein distance, with clipped weights (Arjovsky et al. 2017).

Algorithm 1: five steps of the critic for each of the generator, RMSprop, weights clipped at 0.01.
The step size is ten times the paper's, with which some hundred steps leave samples all alike.
With several networks it is the mixture of `mix_wgan`.
"""

import torch
from experiments.rivals.networks import codes, critic, generator, sampler
from experiments.rivals.system import System, Trained, batches, count, step
from torch import Tensor, nn
from torch.optim import RMSprop

from mixvae.data import Dataset

LR, CLIP, CRITIC_STEPS = 5e-4, 0.01, 5  # the paper: 5e-5


class Mixture(nn.Module):
    """T networks with weights that are a softmax; T = 1 is one network."""

    def __init__(self, networks: list[nn.Sequential]) -> None:
        super().__init__()
        self.networks, self.logits = (
            nn.ModuleList(networks),
            nn.Parameter(torch.zeros(len(networks))),
        )

    @property
    def weights(self) -> Tensor:
        """(T,), adding up to one."""
        return self.logits.softmax(0)

    @property
    def unevenness(self) -> Tensor:
        """Minus the mean log weight, the penalty of Arora et al. (2017)."""
        return -self.logits.log_softmax(0).mean()

    def forward(self, z: Tensor) -> Tensor:
        """Images of codes, each by a network that is drawn by the weights."""
        chosen = torch.multinomial(self.weights, len(z), replacement=True)
        images = torch.stack([network(z) for network in self.networks])
        return images[chosen, torch.arange(len(z))]


def payoff(g: Mixture, d: Mixture, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean critic of data and of generated images, over all pairs of networks and their weights."""
    fake = torch.cat([network(z) for network in g.networks])
    real = torch.stack([network(x).mean() for network in d.networks])
    each = torch.stack([network(fake).view(len(g.networks), -1).mean(1) for network in d.networks])
    return d.weights @ real, d.weights @ each @ g.weights


def train(data: Dataset, epochs: int, n_networks: int = 1) -> Trained:
    """Alternate steps of critics and generators."""
    g = Mixture([generator(data.x_shape) for _ in range(n_networks)])
    d = Mixture([critic(data.x_shape) for _ in range(n_networks)])
    of_g, of_d = (RMSprop(net.parameters(), LR) for net in (g, d))
    done = 0
    for _ in range(epochs):
        for x in batches(data):
            real, fake = payoff(g, d, x, codes(len(x)))
            step(of_d, fake - real + d.unevenness)
            clip(d)
            done += 1
            if done % CRITIC_STEPS == 0:
                step(of_g, g.unevenness - payoff(g, d, x, codes(len(x)))[1])
    details = {"weights": [round(w, 3) for w in g.weights.tolist()]} if n_networks > 1 else {}
    return Trained(count(g, d), sample=sampler(g), details=details)


@torch.no_grad()
def clip(d: Mixture) -> None:
    """Clip the weights of the critics, not those of the mixture."""
    for p in d.networks.parameters():
        p.clamp_(-CLIP, CLIP)


SYSTEM = System(
    "wgan",
    train,
    epochs={"mnist": 38, "omniglot": 38, "frey": 400, "cifar10": 34},
    quoted={"cifar10": (("m-vae/table3", "WGAN"),)},
)
