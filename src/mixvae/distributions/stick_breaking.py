r"""Stick-breaking distributions: weights on the simplex from independent fractions."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import (
    Beta,
    Dirichlet,
    Distribution,
    constraints,
    kl_divergence,
    register_kl,
)

from mixvae.errors import MixvaeError, at_least

from .kumaraswamy import Kumaraswamy, Logs
from .log_space import floor, log_beta
from .outer import OuterProduct

Sticks = Kumaraswamy | Beta


class StickBreaking(Distribution):
    r"""Stick-breaking distribution of K weights from K - 1 independent fractions, event (K,).

    Each fraction v_k is broken off what is left of a stick of length 1:

    .. math:: w_k = v_k \prod_{j<k} (1 - v_j), \qquad w_K = \prod_{j<K} (1 - v_j)

    ``log_prob`` is the density of the first K - 1 weights, as that of PyTorch's Dirichlet. It
    treats weights that underflowed to 0 as the smallest positive ones, so that it stays finite.

    Parameters
    ----------
    sticks
        Distribution of the fractions v, batch (*B, K - 1), event (): mixvae's Kumaraswamy or
        PyTorch's Beta.

    Raises
    ------
    MixvaeError
        For a distribution of another class.

    References
    ----------
    Nalisnick & Smyth (ICLR 2017), Section 2.

    Examples
    --------
    >>> from torch.distributions import Beta, Dirichlet
    >>> w = StickBreaking(dirichlet_sticks(3))
    >>> w.mean
    tensor([0.3333, 0.3333, 0.3333])
    >>> point = torch.tensor([0.2, 0.3, 0.5])
    >>> w.log_prob(point), Dirichlet(torch.ones(3)).log_prob(point)
    (tensor(0.6931), tensor(0.6931))
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own protocol
    support = constraints.simplex
    has_rsample = True

    def __init__(self, sticks: Sticks) -> None:
        if not isinstance(sticks, Sticks):  # torch's own Kumaraswamy would be taken for a Beta
            raise MixvaeError(
                "sticks must be mixvae's Kumaraswamy or torch's Beta; got "
                f"{type(sticks).__module__}.{type(sticks).__name__}."
            )
        *batch, n_sticks = sticks.batch_shape
        self.sticks = sticks
        super().__init__(torch.Size(batch), torch.Size([n_sticks + 1]), validate_args=False)

    def expand(
        self, batch_shape: Sequence[int], _instance: Distribution | None = None
    ) -> "StickBreaking":
        sticks = torch.Size(batch_shape) + self.sticks.batch_shape[-1:]
        return StickBreaking(self.sticks.expand(sticks))

    @property
    def mean(self) -> Tensor:
        return break_off(*_log_means(self.sticks)).exp()

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return break_off(*_draw(self.sticks, torch.Size(sample_shape))).exp()

    def log_prob(self, value: Tensor) -> Tensor:
        log_left = value.clamp_min(floor(value)).flip(-1).cumsum(-1).flip(-1).log()
        log_w = value[..., :-1].clamp_min(floor(value)).log()
        logit = log_w - log_left[..., 1:]  # of v_k: w_k against what is left, without cancellation
        density = _log_density(self.sticks, F.logsigmoid(logit), F.logsigmoid(-logit))
        return (density - log_left[..., :-1]).sum(-1)  # dv_k/dw_k = 1 / (w_k + ... + w_K)


@register_kl(StickBreaking, StickBreaking)
def kl_stick_breaking(q: StickBreaking, p: StickBreaking) -> Tensor:
    """KL(q || p) in nats: the sum of the fractions' KLs.

    Raises
    ------
    MixvaeError
        Where q and p have different numbers of weights.
    """
    if q.event_shape != p.event_shape:
        raise MixvaeError(
            f"the KL needs two distributions of the same number of weights; got "
            f"{q.event_shape[0]} and {p.event_shape[0]}. Give both the same number of sticks."
        )
    return kl_divergence(q.sticks, p.sticks).sum(-1)


def dirichlet_sticks(n_weights: int, concentration: float = 1.0) -> Beta:
    r"""Fractions whose stick-breaking weights are Dirichlet(α, ..., α): the prior of DLGMM.

    .. math:: v_k \sim Beta(α, (K - k) α)

    Parameters
    ----------
    n_weights
        K.
    concentration
        α, positive.

    Returns
    -------
    sticks
        Batch (K - 1,), event (); for :class:`StickBreaking`.

    Raises
    ------
    MixvaeError
        For fewer than one weight, or an α that is not positive.
    """
    _check(n_weights, concentration)
    alpha = torch.full((n_weights - 1,), float(concentration))
    return Beta(alpha, alpha * torch.arange(n_weights - 1, 0, -1), validate_args=False)


def process_sticks(n_weights: int, concentration: float = 1.0) -> Beta:
    r"""Fractions of a Dirichlet process truncated to K weights: :math:`v_k \sim Beta(1, α_0)`.

    The last weight is what remains. It is the prior of DLDPMM, and the GEM(α_0) of SB-VAE.

    Parameters
    ----------
    n_weights
        K.
    concentration
        α_0, positive.

    Returns
    -------
    sticks
        Batch (K - 1,), event (); for :class:`StickBreaking`.

    Raises
    ------
    MixvaeError
        For fewer than one weight, or an α_0 that is not positive.

    Examples
    --------
    >>> StickBreaking(process_sticks(4)).mean
    tensor([0.5000, 0.2500, 0.1250, 0.1250])
    """
    _check(n_weights, concentration)
    one = torch.ones(n_weights - 1)
    return Beta(one, concentration * one, validate_args=False)


def break_off(log_v: Tensor, log1m_v: Tensor) -> Tensor:
    """Log weights (*, K) from the fractions' logarithms log v and log(1 - v), each (*, K - 1)."""
    left = F.pad(log1m_v.cumsum(-1), (1, 0))
    return left + F.pad(log_v, (0, 1))


def _check(n_weights: int, concentration: float) -> None:
    """Raise a MixvaeError for fewer than one weight, or a concentration that is not positive."""
    at_least(1, n_weights=n_weights)
    if not concentration > 0:
        raise MixvaeError(f"concentration must be positive, such as 1; got {concentration}.")


def _draw(sticks: Sticks, shape: torch.Size) -> Logs:
    """log v and log(1 - v) of a sample."""
    if isinstance(sticks, Kumaraswamy):
        return sticks.rsample_logs(shape)
    # A Beta is a Dirichlet of two weights, whose sample has 1 - v to full precision too.
    both = Dirichlet(_parameters(sticks), validate_args=False).rsample(shape)
    log_v, log1m_v = both.log().unbind(-1)
    return log_v, log1m_v


def _log_means(sticks: Sticks) -> Logs:
    """log E[v] and log E[1 - v]."""
    if isinstance(sticks, Kumaraswamy):
        return sticks.log_means()
    both = _parameters(sticks)
    log_mean, log1m_mean = (both / both.sum(-1, keepdim=True)).log().unbind(-1)
    return log_mean, log1m_mean


def _log_density(sticks: Sticks, log_v: Tensor, log1m_v: Tensor) -> Tensor:
    """Log density of v, from log v and log(1 - v)."""
    if isinstance(sticks, Kumaraswamy):
        return sticks.log_prob_of_logs(log_v, log1m_v)
    alpha, beta = sticks.concentration1, sticks.concentration0
    return (alpha - 1) * log_v + (beta - 1) * log1m_v - log_beta(alpha, beta)


def _parameters(sticks: Beta) -> Tensor:
    """Both concentrations of a Beta, (*, 2)."""
    return torch.stack((sticks.concentration1, sticks.concentration0), -1)


def by_quadrature(q: Distribution) -> Distribution:
    """The same distribution, with the KL of stick-breaking weights by quadrature.

    The published series may be nats too low, so that a bound may not be computed with it.

    Parameters
    ----------
    q
        Any distribution. Kumaraswamy stick-breaking weights with ``series``, also in an
        :class:`OuterProduct`, are replaced; others are returned as they are.
    """
    if isinstance(q, StickBreaking) and isinstance(q.sticks, Kumaraswamy) and q.sticks.series:
        return StickBreaking(Kumaraswamy(q.sticks.a, q.sticks.b, validate_args=False))
    if isinstance(q, OuterProduct):
        rows, columns = by_quadrature(q.rows), by_quadrature(q.columns)
        return q if rows is q.rows and columns is q.columns else OuterProduct(rows, columns)
    return q
