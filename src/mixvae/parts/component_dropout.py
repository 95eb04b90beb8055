"""Component dropout: masks that switch components off while training, and rates that learn K.

MVAE, Sections III-C and III-D. A mask joins the weights by (16), see :func:`reweigh`; masks are
kept as logarithms, since a concrete mask at temperature 0.1 underflows.
"""

from abc import ABC, abstractmethod
from math import log

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Dirichlet, Distribution

from mixvae.distributions import Delta, Face
from mixvae.errors import MixvaeError

MIN_WEIGHT = 1e-20  # of a component before its logarithm: 1/w stays in float32's range


def reweigh(w: Float[Tensor, "*b K"], log_mask: Float[Tensor, "*b K"]) -> Float[Tensor, "*b K"]:
    r"""The weights that decode, :math:`b_k = m_k w_k / \sum_j m_j w_j`, MVAE (16).

    Taken as a softmax, so that some component has weight however small all masks are.
    """
    return (w.clamp_min(MIN_WEIGHT).log() + log_mask).softmax(-1)


def without_dropped(w: Distribution, kept: Bool[Tensor, " K"]) -> Distribution:
    """Weights (event (K,)) given that the components outside ``kept`` have none of it.

    What is left of a Dirichlet's draw, shared out anew, is a Dirichlet of the kept components.
    """
    if isinstance(w, Dirichlet):
        return Face(Dirichlet(w.concentration[..., kept], validate_args=False), kept)
    assert isinstance(w, Delta), f"no component dropout is known for {type(w).__name__}"
    log_mask = torch.where(kept, 0.0, -torch.inf).to(w.loc.dtype)
    return Delta(reweigh(w.loc, log_mask.expand_as(w.loc)))


class ComponentDropout(nn.Module, ABC):
    """A mask on the components: drawn for every sample and example while training.

    In evaluation nothing is random: the components that :meth:`kept` names take part, all alike.

    Args:
        n_components: K.
        rate: the dropout rate p to start from, in (0, 1).
        shared: learn one rate for all components, as the paper does, or one for each.

    Raises:
        MixvaeError: for a rate outside (0, 1).
    """

    max_rate = 1.0

    def __init__(self, n_components: int, *, rate: float = 0.1, shared: bool = False) -> None:
        super().__init__()
        if not 0 < rate < self.max_rate:
            raise MixvaeError(
                f"the dropout rate must be between 0 and {self.max_rate:g}, both excluded; "
                f"got {rate}."
            )
        self.n_components, self.shared = n_components, shared
        start = log(rate / (self.max_rate - rate))
        self.logits = nn.Parameter(torch.full(() if shared else (n_components,), start))

    @property
    def rate(self) -> Float[Tensor, " K"]:
        """The probability p of each component to be dropped (Gaussian: tau = p / (1 - p))."""
        return (self.max_rate * self.logits.sigmoid()).expand(self.n_components)

    def forward(self, w: Float[Tensor, "S B K"]) -> Float[Tensor, "S B K"]:
        """The logarithm of a mask for weights w; 0 keeps a component, -inf drops it."""
        return self.draw(w) if self.training else self.fixed(w)

    def fixed(self, w: Float[Tensor, "*b K"]) -> Float[Tensor, "*b K"]:
        """The mask of evaluation, in any mode."""
        return torch.where(self.kept(), 0.0, -torch.inf).to(w.dtype).expand_as(w)

    def kept(self) -> Bool[Tensor, " K"]:
        """The components that evaluation and pruning keep; never none of them."""
        best = F.one_hot(self.logit_rate.argmin(), self.n_components).bool()
        return self.is_kept() | best

    @property
    def logit_rate(self) -> Float[Tensor, " K"]:
        """log p / (1 - p) of each component; in the Gaussian, log tau."""
        return self.rate.logit()

    @abstractmethod
    def draw(self, w: Float[Tensor, "S B K"]) -> Float[Tensor, "S B K"]:
        """The logarithm of a random mask."""

    @abstractmethod
    def is_kept(self) -> Bool[Tensor, " K"]:
        """Whether each component's rate is low enough."""

    @abstractmethod
    def n_selected(self) -> Float[Tensor, ""]:
        """The papers' "selected K": how many masks of one draw are above their threshold, E."""

    @abstractmethod
    def penalty(self) -> Float[Tensor, ""]:
        """What the objective pays for the rates, in nats."""


class ConcreteDropout(ComponentDropout):
    r"""MVAE-GS: :math:`m_k` a binary concrete draw, 1 with probability 1 - p; (22), repaired.

    .. math:: m_k = \sigma\left((\operatorname{logit}(1 - p_k) + g_1 - g_2) / T\right)

    The second log(1 - p) of (22) as printed must be log p. A shared rate pays :math:`-H(p)`, once,
    which draws p to 1/2 (23); a rate for each component pays the KL of its mask to
    Bernoulli(``keep_prior``), which is sparse where that is small.

    Args:
        n_components: K.
        rate: as in :class:`ComponentDropout`.
        shared: as in :class:`ComponentDropout`.
        temperature: T; masks are binary as it goes to 0.
        keep_prior: the prior probability that a component takes part, in (0, 1).
    """

    THRESHOLD = 0.1  # a draw above it counts as selected

    def __init__(
        self,
        n_components: int,
        *,
        rate: float = 0.1,
        shared: bool = False,
        temperature: float = 0.1,
        keep_prior: float = 0.1,
    ) -> None:
        super().__init__(n_components, rate=rate, shared=shared)
        if not temperature > 0:
            raise MixvaeError(f"temperature must be positive, such as 0.1; got {temperature}.")
        if not 0 < keep_prior < 1:
            raise MixvaeError(f"keep_prior must be between 0 and 1; got {keep_prior}.")
        self.temperature, self.keep_prior = temperature, keep_prior

    @property
    def logit_rate(self) -> Float[Tensor, " K"]:
        return self.logits.expand(self.n_components)

    def draw(self, w: Float[Tensor, "S B K"]) -> Float[Tensor, "S B K"]:
        u = torch.rand_like(w).clamp(1e-6, 1 - 1e-6)
        return F.logsigmoid((u.logit() - self.logit_rate) / self.temperature)

    def is_kept(self) -> Bool[Tensor, " K"]:
        return self.logit_rate <= 0

    def n_selected(self) -> Float[Tensor, ""]:
        odds = log(1 / self.THRESHOLD - 1)
        return (odds * self.temperature - self.logit_rate).sigmoid().sum()

    def penalty(self) -> Float[Tensor, ""]:
        log_drop, log_keep = F.logsigmoid(self.logits), F.logsigmoid(-self.logits)
        keep, drop = log_keep.exp(), log_drop.exp()
        if self.shared:
            return keep * log_keep + drop * log_drop  # -H(p)
        log_prior_keep, log_prior_drop = log(self.keep_prior), log(1 - self.keep_prior)
        kl = keep * (log_keep - log_prior_keep) + drop * (log_drop - log_prior_drop)
        return kl.sum()


class GaussianDropout(ComponentDropout):
    r"""MVAE-Gau: :math:`m_k \sim N(1, \tau_k)`, :math:`\tau = p / (1 - p)`, cut off at 0.

    Pays the KL to the log-uniform prior, summed over components (18), in Molchanov et al.'s form
    (2017, eq. 14), good at every rate, or with ``polynomial`` in Kingma et al.'s (2015, appendix),
    which is MVAE (19) and holds for tau up to 1, so that p stays below 1/2.

    Args:
        n_components: K.
        rate: as in :class:`ComponentDropout`; below 1/2 with ``polynomial``.
        shared: as in :class:`ComponentDropout`.
        polynomial: the KL of MVAE (19).
    """

    THRESHOLD = 0.8  # a draw of at least that counts as selected
    MAX_LOG_TAU = 3.0  # noise drowns a component beyond it (Molchanov et al. 2017, Section 4)

    def __init__(
        self,
        n_components: int,
        *,
        rate: float = 0.1,
        shared: bool = False,
        polynomial: bool = False,
    ) -> None:
        if polynomial:
            self.max_rate = 0.5
        super().__init__(n_components, rate=rate, shared=shared)
        self.polynomial = polynomial

    @property
    def logit_rate(self) -> Float[Tensor, " K"]:
        if self.polynomial:
            return super().logit_rate
        return self.logits.expand(self.n_components)

    def draw(self, w: Float[Tensor, "S B K"]) -> Float[Tensor, "S B K"]:
        mask = 1 + (0.5 * self.logit_rate).exp() * torch.randn_like(w)
        return mask.clamp_min(torch.finfo(w.dtype).tiny).log()

    def is_kept(self) -> Bool[Tensor, " K"]:
        return self.logit_rate < self.MAX_LOG_TAU

    def n_selected(self) -> Float[Tensor, ""]:
        deviations = (1 - self.THRESHOLD) * (-0.5 * self.logit_rate).exp()
        return torch.special.ndtr(deviations).sum()

    def penalty(self) -> Float[Tensor, ""]:
        kl = polynomial_kl if self.polynomial else sigmoid_kl
        return kl(self.logit_rate).sum()


def sigmoid_kl(log_tau: Tensor) -> Tensor:
    """KL(N(1, tau) to the log-uniform prior), Molchanov et al. 2017, eq. 14; 0 at infinite tau."""
    k1, k2, k3 = 0.63576, 1.87320, 1.48695
    return k1 * (1 - (k2 + k3 * log_tau).sigmoid()) + 0.5 * F.softplus(-log_tau)


def polynomial_kl(log_tau: Tensor) -> Tensor:
    """The same for tau up to 1, MVAE (19); Kingma et al. 2015. Its constant makes it the former."""
    c, c1, c2, c3 = 0.67, 1.16145124, -1.50204118, 0.58629921
    tau = log_tau.exp()
    return c - 0.5 * log_tau - c1 * tau - c2 * tau.square() - c3 * tau**3
