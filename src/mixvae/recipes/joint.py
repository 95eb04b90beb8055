"""The common base of M-VAE and MVAE: Dirichlet weights and the papers' objective."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from mixvae.objectives import Objective, Reduction, check_weights, dhsic, weighted_elbo
from mixvae.objectives.kernels import Bandwidth, check_bandwidth
from mixvae.parts.weights import DirichletWeights, Weights

from .options import Autoencoder, ComponentOptions, ImportanceWeighted
from .recipe import Shape

Concentration = Literal["free", "normalised"]


@dataclass(frozen=True, kw_only=True)
class JointMixture(ImportanceWeighted, Autoencoder, ComponentOptions):
    """A joint mixture: K codes for each x, Dirichlet weights, and the objective of the papers."""

    concentration: Concentration = "free"
    """Dirichlet parameters. free: softplus, prior 1; normalised: divided by their sum, prior 1/K,
    as in the authors' code."""
    kl_reduction: Reduction = "mean"
    """The codes' KL: the mean over components, as in the papers, or the sum, as in a bound."""
    beta_kl: float = 1.0
    """Weight of the codes' KL."""
    beta_w: float = 1.0
    """Weight of the mixing weights' KL; large values, such as 20, prevent dead components."""
    beta_dhsic: float = 1.0
    """Weight of the penalty on dependence between the codes."""
    bandwidth: Bandwidth = "gaussian"
    """Kernel of dHSIC: gaussian (closed form), null (median heuristic) or a gamma."""
    dhsic_root: bool = False
    """Take the square root of dHSIC, as the authors' code does."""

    def check(self) -> None:
        super().check()
        check_bandwidth(self.bandwidth, "bandwidth")
        betas = {"beta_kl": self.beta_kl, "beta_w": self.beta_w, "beta_dhsic": self.beta_dhsic}
        check_weights(self.kl_reduction, **betas)

    def make_weights(self, x_shape: Shape) -> Weights:
        normalised = self.concentration == "normalised"
        features = self.encoder_features(x_shape)
        return DirichletWeights(features, self.n_components, normalised=normalised)

    def make_objective(self) -> Objective:
        """The papers' objective and, between two components or more, the dHSIC penalty."""
        bound = partial(
            weighted_elbo,
            kl_reduction=self.kl_reduction,
            beta_kl=self.beta_kl,
            beta_w=self.beta_w,
            expected=self.sums_expected_likelihoods,
        )
        gamma, root = self.bandwidth, self.dhsic_root
        penalty = partial(dhsic, weight=self.beta_dhsic, gamma=gamma, root=root)
        return Objective(
            bound,
            {"dhsic": penalty} if self.beta_dhsic and self.n_components > 1 else {},
            is_bound=self.kl_reduction == "sum" and min(self.beta_kl, self.beta_w) >= 1,
        )

    @property
    def sums_expected_likelihoods(self) -> bool:
        """Whether the first term of M-VAE's (8) is the weighted mean of log p(x | z_k)."""
        return False
