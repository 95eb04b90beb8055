"""Component weights: features h (B, K, H) in, q(w | x) out. Batch (B,), event (K,)."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Beta, Dirichlet, Distribution

from mixvae.distributions import Delta, Kumaraswamy, OuterProduct, StickBreaking
from mixvae.errors import MixvaeError, at_least
from mixvae.nn import Stacked, full_precision

MIN_CONCENTRATION = 1e-6


class Weights(nn.Module, ABC):
    """How much each component counts."""

    n_components: int

    @abstractmethod
    def forward(self, h: Float[Tensor, "B K H"]) -> Distribution:
        """q(w | x): batch (B,), event (K,)."""

    @abstractmethod
    def prior(self) -> Distribution | None:
        """p(w), or None where the weights are not random."""

    @abstractmethod
    def generate(self, n: int) -> Float[Tensor, "n K"]:
        """Weights to sample new data with."""


class CategoricalWeights(Weights):
    r"""Weights that do not depend on x: :math:`\pi`, learned or uniform.

    With K = 1 this is the plain VAE's single component.
    """

    logits: Tensor

    def __init__(self, n_components: int, *, learned: bool = False) -> None:
        super().__init__()
        self.n_components = n_components
        logits = torch.zeros(n_components)
        if learned:
            self.logits = nn.Parameter(logits)
        else:
            self.register_buffer("logits", logits)

    def forward(self, h: Float[Tensor, "B K H"]) -> Distribution:
        return Delta(self.logits.softmax(0).expand(h.shape[0], -1))

    def prior(self) -> None:
        return None

    def generate(self, n: int) -> Float[Tensor, "n K"]:
        return self.logits.softmax(0).expand(n, -1)


class DirichletWeights(Weights):
    r"""q(w | x) = Dirichlet(a(x)) and p(w) = Dirichlet(:math:`b_0`); M-VAE (2), MVAE (14).

    a = softplus + 1e-6 is ``free``; ``normalised`` divides it by its sum, as the authors' code
    does, so that draws are nearly one-hot. :math:`b_0` is 1, or 1/K when normalised.
    """

    b0: Tensor

    def __init__(
        self,
        n_features: int,
        n_components: int,
        *,
        normalised: bool = False,
        prior_concentration: float | None = None,
    ) -> None:
        super().__init__()
        self.n_components = n_components
        self.net = Stacked(lambda: nn.Linear(n_features, 1), n_components)
        self.normalised = normalised
        default = 1 / n_components if normalised else 1.0
        b0 = default if prior_concentration is None else prior_concentration
        self.register_buffer("b0", torch.full((n_components,), b0))

    def forward(self, h: Float[Tensor, "B K H"]) -> Distribution:
        a = F.softplus(full_precision(self.net(h)).squeeze(-1)) + MIN_CONCENTRATION
        if self.normalised:
            a = a / a.sum(-1, keepdim=True)
        return Dirichlet(a, validate_args=False)

    def prior(self) -> Distribution:
        return Dirichlet(self.b0, validate_args=False)

    def generate(self, n: int) -> Float[Tensor, "n K"]:
        return self.prior().sample((n,))


class StickWeights(Weights):
    r"""q(w | x) of K - 1 sticks :math:`v_k \sim Kumaraswamy(a_k(x), b_k(x))`, Betas in p(w).

    a and b are exponentials (Nalisnick et al. 2016); stick k reads the features of component k,
    and the last component takes what is left.

    Args:
        n_features: H.
        n_components: K; alone, a component has weight 1.
        prior: the sticks, batch (K - 1,): ``dirichlet_sticks`` or ``process_sticks``.
        series: take the KL from the published series.

    Raises:
        MixvaeError: for fewer than one component, or a prior with another number of sticks.
    """

    alpha: Tensor
    beta: Tensor

    def __init__(
        self, n_features: int, n_components: int, prior: Beta, *, series: bool = False
    ) -> None:
        super().__init__()
        at_least(1, n_components=n_components)
        if prior.batch_shape != (n_components - 1,):
            raise MixvaeError(
                f"the prior of {n_components} weights needs a batch of {n_components - 1} sticks; "
                f"got {tuple(prior.batch_shape)}. Give both the same number of components."
            )
        self.n_components, self.series = n_components, series
        if n_components > 1:
            self.net = Stacked(lambda: nn.Linear(n_features, 2), n_components - 1)
        self.register_buffer("alpha", prior.concentration1.clone())
        self.register_buffer("beta", prior.concentration0.clone())

    def forward(self, h: Float[Tensor, "B K H"]) -> Distribution:
        logs = self.net(h[:, :-1]) if self.n_components > 1 else h.new_zeros(h.shape[0], 0, 2)
        log_a, log_b = full_precision(logs).unbind(-1)
        return StickBreaking(Kumaraswamy.from_logs(log_a, log_b, series=self.series))

    def prior(self) -> Distribution:
        return StickBreaking(Beta(self.alpha, self.beta, validate_args=False))

    def generate(self, n: int) -> Float[Tensor, "n K"]:
        return self.prior().sample((n,))


class TwoLayerWeights(Weights):
    """Sticks for each of two levels: the weights of all pairs of their components, row by row.

    The pairs' features are all the same, so that each level reads as many as it has components.
    """

    def __init__(self, above: StickWeights, below: StickWeights) -> None:
        super().__init__()
        self.above, self.below = above, below
        self.n_components = above.n_components * below.n_components

    def forward(self, h: Float[Tensor, "B P H"]) -> Distribution:
        rows, columns = (each(h[:, : each.n_components]) for each in (self.above, self.below))
        return OuterProduct(rows, columns)

    def prior(self) -> Distribution:
        return OuterProduct(self.above.prior(), self.below.prior())

    def generate(self, n: int) -> Float[Tensor, "n P"]:
        return self.prior().sample((n,))
