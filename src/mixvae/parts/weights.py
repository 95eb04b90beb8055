"""Mixing weights: features h (B, K, H) to q(w | x), batch (B,), event (K,)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

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
    """Mixing weights of the components; the base class."""

    n_components: int

    @abstractmethod
    def forward(self, h: Float[Tensor, "B K H"]) -> Distribution:
        """q(w | x): batch (B,), event (K,)."""

    @abstractmethod
    def prior(self) -> Distribution | None:
        """p(w), or None where the weights are not random."""

    def generate(self, n: int) -> Float[Tensor, "n K"]:
        """Mixing weights for n generated examples: samples from the prior."""
        prior = self.prior()
        assert prior is not None
        return prior.sample((n,))


class CategoricalWeights(Weights):
    r"""Component probabilities :math:`\pi` that do not depend on x, learned or fixed.

    With K = 1 this is the VAE's single component.

    Parameters
    ----------
    n_components
        Number K of components.
    learned
        Whether the probabilities are trained.
    probs
        K positive probabilities, initial ones if they are trained; by default 1/K each.

    Examples
    --------
    >>> CategoricalWeights(4).generate(1)
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """

    logits: Tensor

    def __init__(
        self, n_components: int, *, learned: bool = False, probs: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.n_components = n_components
        logits = torch.zeros(n_components) if probs is None else torch.tensor(probs).log()
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
    r"""Dirichlet mixing weights: q(w | x) = Dirichlet(a(x)), p(w) = Dirichlet(:math:`b_0`).

    M-VAE (Ye & Bors, IPTA 2020, eq. 2), MVAE (TNNLS 2021, eq. 14). a is softplus + 1e-6 of a linear
    layer of each component's features.

    Parameters
    ----------
    n_features
        Number H of features.
    n_components
        Number K of components.
    normalised
        Whether to divide a by its sum, as in the authors' code; samples are then nearly one-hot.
    prior_concentration
        :math:`b_0`, positive. None: 1, or 1/K with ``normalised``.
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


class StickWeights(Weights):
    r"""Stick-breaking mixing weights, of K - 1 fractions :math:`v_k \sim Kumaraswamy(a_k, b_k)`.

    DLGMM (Nalisnick et al. 2016). log a_k and log b_k are a linear layer of component k's features;
    the last component takes what remains. In the prior the fractions have Beta distributions.

    Parameters
    ----------
    n_features
        Number H of features.
    n_components
        Number K of components; a single one has weight 1.
    prior
        Prior of the fractions, batch (K - 1,), such as
        :func:`~mixvae.distributions.dirichlet_sticks`.
    series
        Whether to take the KL from the papers' truncated series, instead of by quadrature.

    Raises
    ------
    MixvaeError
        For no components, or a prior with another number of fractions.
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


class TwoLayerWeights(Weights):
    """Stick-breaking mixing weights of two levels: their products, in row-major order.

    The features of the pairs are all the same, so that each level reads the first of them.

    Parameters
    ----------
    above
        Mixing weights of the upper level.
    below
        Mixing weights of the lower level.
    """

    def __init__(self, above: StickWeights, below: StickWeights) -> None:
        super().__init__()
        self.above, self.below = above, below
        self.n_components = above.n_components * below.n_components

    def forward(self, h: Float[Tensor, "B P H"]) -> Distribution:
        above = self.above(h[:, : self.above.n_components])
        below = self.below(h[:, : self.below.n_components])
        return OuterProduct(above, below)

    def prior(self) -> Distribution:
        return OuterProduct(self.above.prior(), self.below.prior())
