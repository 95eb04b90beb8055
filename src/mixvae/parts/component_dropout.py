"""Component dropout: random masks on the mixing weights during training, with learned rates.

Ye & Bors, TNNLS 2021 (MVAE), Sections III-C and III-D. :func:`reweigh` applies a mask to the mixing
weights, eq. (16). Masks are kept as logarithms, since a concrete mask at temperature 0.1
underflows.
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

MIN_WEIGHT = 1e-20  # lower limit of a weight before its logarithm; 1/w stays in float32's range


def reweigh(w: Float[Tensor, "*b K"], log_mask: Float[Tensor, "*b K"]) -> Float[Tensor, "*b K"]:
    r"""Masked mixing weights, :math:`b_k = m_k w_k / \sum_j m_j w_j`, MVAE (16).

    Computed as a softmax, so that the weights sum to one however small all masks are.

    Parameters
    ----------
    w
        Mixing weights, (\*b, K).
    log_mask
        Logarithms of the masks, (\*b, K); -inf drops a component.

    Returns
    -------
        The weights that the decoder uses, (\*b, K).

    Examples
    --------
    >>> w = torch.tensor([0.5, 0.3, 0.2])
    >>> reweigh(w, torch.tensor([0.0, 0.0, -torch.inf]))
    tensor([0.6250, 0.3750, 0.0000])
    """
    return (w.clamp_min(MIN_WEIGHT).log() + log_mask).softmax(-1)


def without_dropped(w: Distribution, kept: Bool[Tensor, " K"]) -> Distribution:
    """The distribution of the mixing weights when only the ``kept`` components have weight.

    A Dirichlet's weights, restricted to the kept components and renormalised, are a Dirichlet.

    Parameters
    ----------
    w
        A Dirichlet or a :class:`~mixvae.distributions.Delta` over weights, event (K,).
    kept
        The components that keep their weight, (K,).

    Returns
    -------
        A distribution of the same batch and event shape.
    """
    if isinstance(w, Dirichlet):
        return Face(Dirichlet(w.concentration[..., kept], validate_args=False), kept)
    assert isinstance(w, Delta), f"no component dropout exists for {type(w).__name__}"
    log_mask = torch.where(kept, 0.0, -torch.inf).to(w.loc.dtype)
    return Delta(reweigh(w.loc, log_mask.expand_as(w.loc)))


class ComponentDropout(nn.Module, ABC):
    """Random masks on the components; the base class of the two kinds.

    In training a mask is sampled for every sample and example. In evaluation it is fixed: 1 for the
    components that :meth:`kept` names, and 0 for the others.

    Parameters
    ----------
    n_components
        Number K of components.
    rate
        Initial dropout rate p, in (0, 1).
    shared
        Whether to learn one rate for all components, as in the paper, or one for each.

    Raises
    ------
    MixvaeError
        For a rate outside (0, 1).
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
        initial = log(rate / (self.max_rate - rate))
        self.logits = nn.Parameter(torch.full(() if shared else (n_components,), initial))

    @property
    def rate(self) -> Float[Tensor, " K"]:
        """Each component's probability p of being dropped (Gaussian: tau = p / (1 - p))."""
        return (self.max_rate * self.logits.sigmoid()).expand(self.n_components)

    def forward(self, w: Float[Tensor, "S B K"]) -> Float[Tensor, "S B K"]:
        """The logarithm of a mask for mixing weights w; 0 keeps a component, -inf drops it."""
        return self.draw(w) if self.training else self.fixed(w)

    def fixed(self, w: Float[Tensor, "*b K"]) -> Float[Tensor, "*b K"]:
        """The logarithm of the evaluation mask, in training mode too."""
        return torch.where(self.kept(), 0.0, -torch.inf).to(w.dtype).expand_as(w)

    def kept(self) -> Bool[Tensor, " K"]:
        """Which components evaluation and pruning keep; always at least one."""
        best = F.one_hot(self.logit_rate.argmin(), self.n_components).bool()
        return self.is_kept() | best

    @property
    def logit_rate(self) -> Float[Tensor, " K"]:
        """log p / (1 - p) of each component; for Gaussian masks, log tau."""
        if self.max_rate < 1:
            return self.rate.logit()
        return self.logits.expand(self.n_components)

    @abstractmethod
    def draw(self, w: Float[Tensor, "S B K"]) -> Float[Tensor, "S B K"]:
        """The logarithm of a random mask."""

    @abstractmethod
    def is_kept(self) -> Bool[Tensor, " K"]:
        """Whether each component's rate is low enough to keep it."""

    @abstractmethod
    def n_selected(self) -> Float[Tensor, ""]:
        """The papers' "selected K": the expected number of sampled masks above the threshold."""

    @abstractmethod
    def penalty(self) -> Float[Tensor, ""]:
        """The KL term of the rates, or its substitute, which the objective subtracts; nats."""


class ConcreteDropout(ComponentDropout):
    r"""Binary concrete masks (MVAE-GS), close to 1 with probability 1 - p; MVAE (22), corrected.

    .. math:: m_k = \sigma\left((\operatorname{logit}(1 - p_k) + g_1 - g_2) / T\right)

    The second log(1 - p) of (22) as printed must be log p. The penalty of a shared rate is
    :math:`-H(p)`, counted once, which pulls p towards 1/2 (23). With a rate for each component it
    is the KL of the masks to Bernoulli(``keep_prior``), which drops more components the smaller
    ``keep_prior`` is.

    Parameters
    ----------
    n_components
        Number K of components.
    rate
        Initial dropout rate p, in (0, 1).
    shared
        Whether to learn one rate for all components, or one for each.
    temperature
        Temperature T, positive; masks become binary as it goes to 0.
    keep_prior
        Prior probability that a component takes part, in (0, 1).

    Raises
    ------
    MixvaeError
        For a value outside its range.

    Examples
    --------
    >>> dropout = ConcreteDropout(3).eval()
    >>> dropout.kept()
    tensor([True, True, True])
    """

    THRESHOLD = 0.1  # a sampled mask above it counts as selected

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
    r"""Gaussian masks (MVAE-Gau): :math:`m_k \sim N(1, \tau_k)`, cut off at 0, tau = p / (1 - p).

    The penalty is the KL to the log-uniform prior, summed over components (18). It is approximated
    as in Molchanov et al. (2017, eq. 14), valid at every rate, or with ``polynomial`` as in Kingma
    et al. (2015, appendix), which is MVAE (19) and holds for tau up to 1, so that p is below 1/2.

    Parameters
    ----------
    n_components
        Number K of components.
    rate
        Initial dropout rate p, in (0, 1); below 1/2 with ``polynomial``.
    shared
        Whether to learn one rate for all components, or one for each.
    polynomial
        Whether to take the KL approximation of MVAE (19).

    Raises
    ------
    MixvaeError
        For a rate outside its range.
    """

    THRESHOLD = 0.8  # a sampled mask of at least that counts as selected
    MAX_LOG_TAU = 3.0  # above it, noise hides a component (Molchanov et al. 2017, Section 4)

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
    """The same KL for tau up to 1, MVAE (19); Kingma et al. 2015. The constant matches the two."""
    c, c1, c2, c3 = 0.67, 1.16145124, -1.50204118, 0.58629921
    tau = log_tau.exp()
    return c - 0.5 * log_tau - c1 * tau - c2 * tau.square() - c3 * tau**3
