"""DBN: deep belief network of two layers, trained greedily (Hinton, Osindero & Teh 2006).

p(v, h) = p(v | h) p(h), where p(h) is an RBM of the first layer's units and p(v | h) the first
RBM's. log p(v) is at least the variational bound with the first RBM's q(h | v); its log Z is
estimated by annealed importance sampling (Salakhutdinov & Murray, ICML 2008, eqs. 20 to 22).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from experiments.rivals.rbm import RBM, draw, fit, log_z_of, samples_of
from experiments.rivals.system import LogPx, System, Trained
from torch import Tensor

from mixvae.data import Dataset

HIDDEN = (500, 1000)
SAMPLES = 50
BOUND = "variational bound, too high by what the estimated log Z is too low"


class DBN(NamedTuple):
    """Two RBMs, the upper one of the lower one's hidden units."""

    lower: RBM
    upper: RBM

    def log_visible(self, v: Tensor, h: Tensor) -> Tensor:
        """log p(v | h) of each row."""
        logits = self.lower.visible(h)
        return (v * logits - F.softplus(logits)).sum(1)

    def bound(self, v: Tensor, log_z: float, n_samples: int = SAMPLES) -> Tensor:
        """Unbiased estimates of the bound on log p(v): samples of h, and the exact entropy of q."""
        logits = self.lower.hidden(v)
        entropy = (F.softplus(logits) - logits.sigmoid() * logits).sum(1)
        total = torch.zeros(len(v), dtype=torch.float64)
        for _ in range(n_samples):
            h = draw(logits)
            total += self.log_visible(v, h) + self.upper.log_unnormalised(h)
        return total / n_samples + entropy - log_z


def train(data: Dataset, epochs: int) -> Trained:
    """The lower RBM for half of the epochs, then the upper one."""
    lower = fit(data, HIDDEN[0], max(1, epochs // 2), lambda x: x.flatten(1))
    above = lambda x: draw(lower.hidden(x.flatten(1)))
    dbn = DBN(lower, fit(data, HIDDEN[1], max(1, epochs - epochs // 2), above))

    def log_px(x: Tensor) -> LogPx:
        log_z = log_z_of(dbn.upper)
        return LogPx(float(dbn.bound(x.flatten(1), log_z.value).mean()), log_z.error, BOUND)

    def sample(n: int) -> Tensor:
        return lower.visible(samples_of(dbn.upper, n)).sigmoid().view(n, *data.x_shape)

    n_parameters = lower.n_parameters + dbn.upper.n_parameters - len(lower.c)
    return Trained(n_parameters, sample=sample, log_px=log_px)


SYSTEM = System(
    "dbn",
    train,
    epochs={"mnist": 160, "omniglot": 160},
    quoted={"mnist": (("gmmpvae/table2", "DBN"),), "omniglot": (("gmmpvae/table3", "DBN"),)},
    binary=True,
    n_images=1000,
)
