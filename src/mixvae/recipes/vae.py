"""The VAE (Kingma & Welling 2014), and the models that differ from it by one choice."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from mixvae.errors import at_least
from mixvae.objectives import Objective, weighted_elbo
from mixvae.objectives import iwae as iwae_bound

from .densities import DensityOptions
from .options import Autoencoder
from .registry import register


@register("vae")
@dataclass(frozen=True, kw_only=True)
class VAE(DensityOptions, Autoencoder):
    """The variational autoencoder.

    Kingma & Welling, Auto-encoding variational Bayes, ICLR 2014.
    """


@register("beta-vae")
@dataclass(frozen=True, kw_only=True)
class BetaVAE(VAE):
    """The VAE with a weighted KL (beta-VAE).

    Higgins et al., ICLR 2017. Below weight 1 the objective is not a bound. With weight 1/K it is
    the baseline of the joint mixtures, whose papers divide the KL by K.
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
    """The importance-weighted autoencoder (IWAE).

    Burda et al., ICLR 2016.
    """

    n_samples: int = 5
    """Number S of samples in the bound; 1 is the VAE with a Monte Carlo KL."""

    def make_objective(self) -> Objective:
        return Objective(iwae_bound, n_samples=self.n_samples, is_bound=True)


@register("cb-vae")
@dataclass(frozen=True, kw_only=True)
class ContinuousBernoulliVAE(VAE):
    """The VAE of grey levels in [0, 1] with the continuous Bernoulli likelihood.

    Loaiza-Ganem & Cunningham, NeurIPS 2019. It is ``vae`` with that likelihood.
    """

    likelihood: Literal["continuous-bernoulli"] = "continuous-bernoulli"
    """Likelihood p(x | z): Bernoulli's formula, normalised over [0, 1]."""
