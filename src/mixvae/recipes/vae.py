"""The VAE (Kingma & Welling 2014) and the models that differ from it by the objective alone."""

from dataclasses import dataclass
from functools import partial

from mixvae.errors import at_least
from mixvae.objectives import Objective, weighted_elbo
from mixvae.objectives import iwae as iwae_bound

from .options import Autoencoder
from .registry import register


@register("vae")
@dataclass(frozen=True, kw_only=True)
class VAE(Autoencoder):
    """The variational autoencoder."""


@register("beta-vae")
@dataclass(frozen=True, kw_only=True)
class BetaVAE(VAE):
    """The VAE with its KL weighed (Higgins et al. 2017). At 1/K, the control of the joint mixtures.

    Below 1, the objective is no bound.
    """

    beta_kl: float = 4.0
    """Weight of the KL."""

    def check(self) -> None:
        super().check()
        at_least(0, beta_kl=self.beta_kl)

    def make_objective(self) -> Objective:
        bound = partial(weighted_elbo, kl_reduction="sum", beta_kl=self.beta_kl)
        return Objective(bound, is_bound=self.beta_kl >= 1)


@register("iwae")
@dataclass(frozen=True, kw_only=True)
class IWAE(VAE):
    """The importance-weighted autoencoder (Burda et al. 2016)."""

    n_samples: int = 5
    """Number S of samples in the bound; 1 is the VAE with a Monte Carlo KL."""

    def make_objective(self) -> Objective:
        return Objective(iwae_bound, n_samples=self.n_samples, is_bound=True)
