"""What the joint mixtures M-VAE and MVAE share: Dirichlet weights and the papers' objective."""

from functools import partial
from typing import Literal, get_args

from ..errors import MixvaeError, at_least, one_of
from ..kernels import Bandwidth, check_bandwidth
from ..labels import NO_LABELS, Labels, OneHot
from ..objectives import Objective, Reduction, check_weights, dhsic, paper_objective
from ..weights import DirichletWeights

Concentration = Literal["free", "normalised"]


def dirichlet(n_features: int, n_components: int, concentration: Concentration) -> DirichletWeights:
    """q(w | x) and p(w), by the name of their parameterisation."""
    one_of("concentration", concentration, get_args(Concentration))
    return DirichletWeights(n_features, n_components, normalised=concentration == "normalised")


def labels_of(conditional: bool, n_classes: int | None, *, planes: bool) -> Labels:
    """How a model that may be conditional takes class labels."""
    if not conditional:
        return NO_LABELS
    if n_classes is None:
        raise MixvaeError(
            "conditional needs n_classes, the number of classes; data with labels give it: "
            "build the recipe for a Dataset that has some."
        )
    at_least(1, n_classes=n_classes)
    return OneHot(n_classes, planes=planes)


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
