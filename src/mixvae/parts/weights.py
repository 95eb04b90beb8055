"""Mixing weights: features h (B, K, H) to q(w | x), batch (B,), event (K,)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn
from torch.distributions import Beta, Dirichlet, Distribution, kl_divergence

from mixvae.distributions import (
    Delta,
    Kumaraswamy,
    OuterProduct,
    StickBreaking,
    dirichlet_sticks,
    process_sticks,
)
from mixvae.errors import MixvaeError, at_least
from mixvae.nn import Stacked, full_precision

MIN_CONCENTRATION = 1e-6
STICK_LOGS = (-5.0, 20.0)  # of the parameters of Betas, at most 5e8


class Weights(nn.Module, ABC):
    """Mixing weights of the components; the base class."""

    n_components: int

    @abstractmethod
    def forward(self, h: Float[Tensor, "B K H"]) -> Distribution:
        """q(w | x): batch (B,), event (K,)."""

    @abstractmethod
    def prior(self) -> Distribution | None:
        """p(w), or None where the weights are not random."""

    def shared_kl(self) -> Float[Tensor, ""] | None:
        """KL(q(w) || p(w)) of random weights that all x share, nats; None for other weights."""
        return None

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

    @torch.no_grad()
    def start_from(self, counts: Int64[Tensor, " K"] | Float64[Tensor, " K"]) -> None:
        """Set the probabilities to shares of the data, at least one example each."""
        share = counts / counts.sum()
        self.logits.copy_(share.clamp_min(1 / int(counts.sum())).log())


class SharedStickWeights(Weights):
    r"""Stick-breaking proportions that all x share, random with a posterior of their own.

    The fractions are :math:`v_k \sim Beta(1, α_0)` under p, a Dirichlet process truncated at K
    weights, and :math:`v_k \sim Beta(a_k, b_k)` under q, which is learned. Given which component
    each of the data is from, the exact posterior is of that form (Blei & Jordan, Bayesian Analysis
    2006). Initially the mean weights are 1/K.

    Parameters
    ----------
    n_components
        Number K of components at which the process is truncated.
    concentration
        :math:`α_0`, positive.

    Raises
    ------
    MixvaeError
        For no components, or a concentration that is not positive.

    Examples
    --------
    >>> weights = SharedStickWeights(4)
    >>> weights.generate(1)
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]], grad_fn=<ExpandBackward0>)
    >>> weights.start_from(torch.tensor([6, 3, 0, 1]))
    >>> weights.log_a.detach().exp().round(), weights.log_b.detach().exp().round()
    (tensor([7., 4., 1.]), tensor([5., 2., 2.]))
    """

    alpha: Tensor
    beta: Tensor

    def __init__(self, n_components: int, concentration: float = 1.0) -> None:
        super().__init__()
        self.n_components = n_components
        prior, even = process_sticks(n_components, concentration), dirichlet_sticks(n_components)
        self.register_buffer("alpha", prior.concentration1)
        self.register_buffer("beta", prior.concentration0)
        self.log_a = nn.Parameter(even.concentration1.log())
        self.log_b = nn.Parameter(even.concentration0.log())

    @property
    def posterior(self) -> StickBreaking:
        """q(w), batch (), event (K,)."""
        a, b = (full_precision(t).clamp(*STICK_LOGS).exp() for t in (self.log_a, self.log_b))
        return StickBreaking(Beta(a, b, validate_args=False))

    def forward(self, h: Float[Tensor, "B K H"]) -> Distribution:
        return self.posterior.expand(h.shape[:1])

    def prior(self) -> None:
        """None: the weights are no latent variable of an x; see ``shared_kl``."""
        return

    def shared_kl(self) -> Float[Tensor, ""]:
        prior = StickBreaking(Beta(self.alpha, self.beta, validate_args=False))
        return kl_divergence(self.posterior, prior)

    def generate(self, n: int) -> Float[Tensor, "n K"]:
        """The mean weights, which predict a new x: p(x | w) is linear in w."""
        return self.posterior.mean.expand(n, -1)

    @torch.no_grad()
    def start_from(self, counts: Int64[Tensor, " K"]) -> None:
        """Set q to the exact posterior, given how many of the data each component has."""
        later = counts.flip(0).cumsum(0).flip(0)[1:]
        self.log_a.copy_((self.alpha + counts[:-1]).log())
        self.log_b.copy_((self.beta + later).log())

    @torch.no_grad()
    def set_mean(self, w: Float[Tensor, " K"]) -> None:
        """Change the mean weights to w, up to a factor; a_k + b_k stay as they are."""
        total = self.log_a.exp() + self.log_b.exp()
        left = w.flip(0).cumsum(0).flip(0)
        self.log_a.copy_((total * w[:-1] / left[:-1]).log())
        self.log_b.copy_((total * left[1:] / left[:-1]).log())


class GatingWeights(Weights):
    r"""Mixing weights computed from x, :math:`w_k(x) \propto \exp(a_k^T h_k(x) + c_k)`.

    The gating network of a mixture of experts (Jacobs et al., Neural Computation 1991), as a linear
    layer of each component's features. The weights are not random.

    Parameters
    ----------
    n_features
        Number H of features.
    n_components
        Number K of components.

    Examples
    --------
    >>> GatingWeights(n_features=5, n_components=3)(torch.zeros(4, 3, 5)).mean.shape
    torch.Size([4, 3])
    """

    def __init__(self, n_features: int, n_components: int) -> None:
        super().__init__()
        self.n_components = n_components
        self.net = Stacked(lambda: nn.Linear(n_features, 1), n_components)

    def forward(self, h: Float[Tensor, "B K H"]) -> Distribution:
        return Delta(full_precision(self.net(h)).squeeze(-1).softmax(-1))

    def prior(self) -> None:
        return None

    def generate(self, n: int) -> Float[Tensor, "n K"]:
        """Even weights: without x there are no others, and one prior and decoder need none."""
        parameter = next(self.parameters())
        return parameter.new_full((n, self.n_components), 1 / self.n_components)


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
