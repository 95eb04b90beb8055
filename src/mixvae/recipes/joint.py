"""What the joint mixtures M-VAE and MVAE share: Dirichlet weights and the papers' objective."""

from functools import partial
from typing import Literal, get_args

from ..errors import one_of
from ..kernels import Bandwidth, check_bandwidth
from ..objectives import Objective, Reduction, check_weights, dhsic, paper_objective
from ..weights import DirichletWeights

Concentration = Literal["free", "normalised"]


def dirichlet(n_features: int, n_components: int, concentration: Concentration) -> DirichletWeights:
    """q(w | x) and p(w), by the name of their parameterisation."""
    one_of("concentration", concentration, get_args(Concentration))
    return DirichletWeights(n_features, n_components, normalised=concentration == "normalised")


def joint_objective(
    n_components: int,
    *,
    kl_reduction: Reduction,
    beta_kl: float,
    beta_w: float,
    beta_dhsic: float,
    bandwidth: Bandwidth,
    dhsic_root: bool,
    expected: bool = False,
) -> Objective:
    """The papers' objective and, between two components or more, the dHSIC penalty."""
    check_bandwidth(bandwidth, "bandwidth")
    check_weights(kl_reduction, beta_kl=beta_kl, beta_w=beta_w, beta_dhsic=beta_dhsic)
    bound = partial(
        paper_objective,
        kl_reduction=kl_reduction,
        beta_kl=beta_kl,
        beta_w=beta_w,
        expected=expected,
    )
    penalty = partial(dhsic, weight=beta_dhsic, gamma=bandwidth, root=dhsic_root)
    return Objective(bound, {"dhsic": penalty} if beta_dhsic and n_components > 1 else {})
