"""MAE: a VAE whose posteriors of different x differ, and evenly so (Ma, Zhou & Hovy, ICLR 2019)."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from mixvae.errors import at_least
from mixvae.objectives import Objective, diversity, elbo, smoothness

from .registry import register
from .vae import VAE


@register("mae")
@dataclass(frozen=True, kw_only=True)
class MAE(VAE):
    """The VAE with mutual posterior-divergence regularisation (MAE).

    Ma, Zhou & Hovy, ICLR 2019. With eta and gamma 0 it is the VAE.
    """

    posterior: Literal["normal"] = "normal"
    """Posterior: normal, as its penalties are of normals."""
    eta: float = 0.5
    """Weight of diversity, a reward of posteriors that differ between x."""
    gamma: float = 0.1
    """Weight of smoothness, a penalty on divergences that differ between pairs of x."""

    def check(self) -> None:
        super().check()
        at_least(0, eta=self.eta, gamma=self.gamma)

    def make_objective(self) -> Objective:
        penalties = {}
        if self.eta:
            penalties["diversity"] = partial(diversity, weight=self.eta)
        if self.gamma:
            penalties["smoothness"] = partial(smoothness, weight=self.gamma)
        return Objective(elbo, penalties, is_bound=True)
