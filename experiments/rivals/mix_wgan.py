"""MIX+WGAN: mixture of generators against one of critics (Arora et al., ICML 2017, Section 5).

The payoff is the mean of WGAN's over all pairs of a generator and a critic, by their weights, which
are learned too; each player pays minus the mean log of its weights, so that none vanishes.
"""

from functools import partial

from experiments.rivals import wgan
from experiments.rivals.system import System

NETWORKS = 3  # the paper: 5

SYSTEM = System(
    "mix+wgan",
    partial(wgan.train, n_networks=NETWORKS),
    epochs={"mnist": 7, "omniglot": 7, "frey": 90, "cifar10": 6},
    quoted={"cifar10": (("m-vae/table3", "MIX+Wasserstein GAN"),)},
)
