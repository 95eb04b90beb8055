"""Divergences between the posteriors of the pairs of a batch, and penalties on them (MAE)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from mixvae.distributions import diagonal_normal, kl_pairs
from mixvae.distributions.pairs import is_diagonal_normal, loc_and_scale, to_float64
from mixvae.errors import MixvaeError
from mixvae.trace import Trace

from .kernels import check_rows


def mean_mutual_kl(q: Distribution) -> Float[Tensor, "*b L"]:
    r"""Mean KL between the posteriors of two different rows, by latent dimension.

    .. math:: m_l = \frac{1}{B (B - 1)} \sum_{i \ne j} KL\big(q(z_l|x_i) \| q(z_l|x_j)\big)

    Each pair is counted in both directions, so that it is the mean of half the symmetrised KL. As a
    KL of normals is a sum of products, the mean over pairs takes means over rows alone.

    Parameters
    ----------
    q
        Diagonal normals, batch (*b, B), event (L,).

    Returns
    -------
    means
        (*b, L), nats.

    Raises
    ------
    MixvaeError
        For fewer than two rows, or other distributions.

    References
    ----------
    Ma, Zhou & Hovy (ICLR 2019); `_postKL` of the authors' code.

    Examples
    --------
    >>> q = diagonal_normal(torch.tensor([[0.0, 5.0], [2.0, 5.0]]), torch.ones(2, 2))
    >>> mean_mutual_kl(q)
    tensor([2., 0.])
    """
    loc, scale = (to_float64(p) for p in _parameters(q))
    n, centred = loc.shape[-2], loc - loc.mean(-2, keepdim=True)
    precision, second = scale.square().reciprocal(), scale.square() + centred.square()
    every = second.mean(-2) * precision.mean(-2) + (centred.square() * precision).mean(-2) - 1
    return (0.5 * n / (n - 1) * every).to(q.mean.dtype)  # KL(q_i, q_i) = 0, and centred means too


def std_mutual_kl(q: Distribution) -> Float[Tensor, "*b"]:
    r"""Standard deviation of the KL between the posteriors of two different rows, over pairs.

    Of :math:`KL(q(z|x_i) \| q(z|x_j))` over the B (B - 1) ordered pairs, divided by one less.

    Parameters
    ----------
    q
        Diagonal normals, batch (*b, B), event (L,).

    Returns
    -------
    deviations
        (*b,), nats.

    Raises
    ------
    MixvaeError
        For fewer than two rows, or other distributions.

    References
    ----------
    Ma, Zhou & Hovy (ICLR 2019); `_postKL` of the authors' code.
    """
    loc, scale = _parameters(q)
    n = loc.shape[-2]
    normals = diagonal_normal(to_float64(loc), to_float64(scale))  # squares overflow float32
    kl = kl_pairs(normals, normals)
    i, j = torch.triu_indices(n, n, offset=1, device=loc.device)
    kl = torch.cat([kl[..., i, j], kl[..., j, i]], -1)
    variance = (kl - kl.mean(-1, keepdim=True)).square().sum(-1) / (n * (n - 1) - 1)
    return (variance + 1e-12).sqrt().to(loc.dtype)  # finite slope where all KLs are equal


def diversity(t: Trace, *, weight: float) -> Float[Tensor, ""]:
    r"""MAE's reward of posteriors that differ, :math:`\eta \sum_l \log \sigma(m_l / \eta)`.

    It is at most 0, which it nears in the dimensions whose :func:`mean_mutual_kl` is several eta.

    Parameters
    ----------
    t
        A trace of at least two rows.
    weight
        The factor eta, positive.

    Returns
    -------
    penalty
        A scalar; with several components their mean.

    Raises
    ------
    MixvaeError
        For fewer than two rows, or posteriors that are not diagonal normals.

    References
    ----------
    Ma, Zhou & Hovy (ICLR 2019); `MAE.loss` of the authors' code.
    """
    means = mean_mutual_kl(_by_component(t.q_z))  # (K, L)
    return weight * F.logsigmoid(means / weight).sum(-1).mean()


def smoothness(t: Trace, *, weight: float) -> Float[Tensor, ""]:
    """MAE's penalty on posteriors whose distances differ: minus weighted :func:`std_mutual_kl`.

    Parameters
    ----------
    t
        A trace of at least two rows.
    weight
        The factor gamma.

    Returns
    -------
    penalty
        A scalar, at most 0; with several components their mean.

    Raises
    ------
    MixvaeError
        For fewer than two rows, or posteriors that are not diagonal normals.

    References
    ----------
    Ma, Zhou & Hovy (ICLR 2019); `MAE.loss` of the authors' code.
    """
    return -weight * std_mutual_kl(_by_component(t.q_z)).mean()


def _parameters(q: Distribution) -> tuple[Tensor, Tensor]:
    """Means and standard deviations (*b, B, L), of at least two rows."""
    if not is_diagonal_normal(q):
        raise MixvaeError(
            f"mutual divergences need posteriors that are diagonal normals; got {type(q).__name__}."
        )
    loc, scale = loc_and_scale(q)
    check_rows(loc.shape[-2], "the mutual divergence")
    return loc, scale


def _by_component(q: Distribution) -> Distribution:
    """q(z | x, k) with batch (K, B) in place of (B, K)."""
    if not is_diagonal_normal(q):
        return q
    loc, scale = loc_and_scale(q)
    return diagonal_normal(loc.transpose(0, 1), scale.transpose(0, 1))
