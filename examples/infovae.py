"""InfoVAE with an MMD penalty (Zhao, Song & Ermon, AAAI 2019), as a recipe of one's own.

    log p(x | z) - (1 - alpha) KL(q(z | x) || p(z)) - (alpha + lambda - 1) MMD(q(z), p(z))

is maximised. alpha = 0, lambda = 1 is the VAE; alpha = 1 is the MMD-VAE, without the KL. With
alpha > 0 it need not be a bound on log p(x). With alpha <= 0 it is at most the ELBO, but is called
a bound only without the MMD, as no objective with a penalty is. The ELBO is reported beside it.
The package's own recipe ``info-vae`` has the same objective, and a choice of kernels.

    mixvae train examples/infovae.py:InfoVAE --data digits --alpha 0.5 --lambda-mmd 20
    mixvae evaluate runs/own-info-vae-digits-001 --recipes examples/infovae.py:InfoVAE

In Python: ``from infovae import InfoVAE; run = mixvae.fit(InfoVAE(alpha=0.5), data, max_epochs=5)``
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

import mixvae
from mixvae.objectives import Objective, weighted_elbo
from mixvae.objectives.kernels import rbf
from mixvae.trace import Trace


def mmd(z: Tensor, other: Tensor) -> Tensor:
    """Squared MMD of two samples (B, L), kernel exp(-d^2 / 2L): the V-statistic, at least 0."""
    n = len(z)
    gram = rbf(torch.cat([z, other]), 1 / (2 * z.shape[-1]))  # (2B, 2B)
    return gram[:n, :n].mean() + gram[n:, n:].mean() - 2 * gram[:n, n:].mean()


def mmd_penalty(t: Trace, *, weight: float) -> Tensor:
    """Minus ``weight`` times the MMD between a batch's codes and as many draws of the prior."""
    z = t.z[0, :, 0]  # (S, B, K, L): the first sample of the only component
    return -weight * mmd(z, t.p_z.sample(z.shape[:1]).reshape(z.shape))


@mixvae.register("own-info-vae")
@dataclass(frozen=True, kw_only=True)
class InfoVAE(mixvae.recipes.VAE):
    """A VAE with a lower weight of the KL, and an MMD between all codes and the prior."""

    alpha: float = 0.0
    """At most 1: the KL's weight is 1 - alpha."""
    lambda_mmd: float = 10.0
    """Lambda of the paper, at least 1 - alpha: the MMD's weight is alpha + lambda - 1."""

    def check(self) -> None:
        super().check()
        if self.alpha > 1 or self.alpha + self.lambda_mmd < 1:
            raise mixvae.MixvaeError("alpha must be at most 1, and alpha + lambda_mmd at least 1.")

    def make_objective(self) -> Objective:
        weight = self.alpha + self.lambda_mmd - 1
        penalties = {"mmd": partial(mmd_penalty, weight=weight)} if weight else {}
        bound = partial(weighted_elbo, beta_kl=1 - self.alpha)
        return Objective(bound, penalties, is_bound=self.alpha <= 0)  # with penalties never
