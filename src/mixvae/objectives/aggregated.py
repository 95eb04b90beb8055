"""Distances of the aggregated posterior from the prior, and objectives with them.

The aggregated posterior is q(z) = E_x q(z | x), of which the codes of a batch are a sample. The
distances are statistics of the batch: they depend on its size.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from mixvae.families import Joint
from mixvae.nn import full_precision
from mixvae.trace import Scale, Trace

from .kernels import check_rows
from .objective import Terms

Kernel = Callable[[Tensor], Tensor]  # points (N, L) to their Gram matrix (N, N)


def mmd(
    z: Float[Tensor, "B L"],
    other: Float[Tensor, "B L"],
    kernel: Kernel,
    *,
    unbiased: bool = False,
) -> Float[Tensor, ""]:
    r"""Squared maximum mean discrepancy (MMD) of two samples of one size.

    .. math:: \overline{k(z_i, z_j)} + \overline{k(z'_i, z'_j)} - 2\, \overline{k(z_i, z'_j)}

    Parameters
    ----------
    z, other
        The samples, (B, L).
    kernel
        Points (N, L) to their Gram matrix (N, N), such as ``partial(rbf, gamma=0.5)``.
    unbiased
        Leave i = j out of the first two means (U-statistic). Its expectation is that of the
        population, and it can be negative. By default these pairs are in (V-statistic): it is never
        negative, and too large by a term in 1/B.

    Returns
    -------
    statistic
        A scalar without a unit.

    Raises
    ------
    MixvaeError
        For fewer than two rows.

    References
    ----------
    Gretton, Borgwardt, Rasch, Schölkopf & Smola, A kernel two-sample test, JMLR 2012, eqs. 3 and 5.

    Examples
    --------
    >>> from mixvae.objectives.kernels import rbf
    >>> near, far = torch.tensor([[0.0], [1.0]]), torch.tensor([[9.0], [10.0]])
    >>> kernel = lambda x: rbf(x, gamma=1.0)
    >>> round(mmd(near, far, kernel).item(), 3)  # 2 (1 + 1/e) / 2
    1.368
    >>> round(mmd(near, far, kernel, unbiased=True).item(), 3)  # 2/e
    0.736
    """
    n = len(z)
    check_rows(n, "mmd")
    gram = kernel(torch.cat([z, other]))
    within = gram[:n, :n] + gram[n:, n:]
    if unbiased:
        within = (within - within.diagonal().diag()) * n / (n - 1)
    return within.mean() - 2 * gram[:n, n:].mean()


def squared_w2(z: Float[Tensor, "B L"]) -> Float[Tensor, ""]:
    r"""Squared 2-Wasserstein distance of N(0, I) from the normal fitted to codes.

    With the codes' mean m and covariance S (divided by B - 1), and the square roots
    :math:`s_l` of the eigenvalues of S,

    .. math:: W_2^2 = |m|^2 + \mathrm{tr}(S + I - 2 S^{1/2}) = |m|^2 + \sum_l (s_l - 1)^2.

    The :math:`s_l` are the singular values of the centred codes over :math:`\sqrt{B - 1}`. Their
    gradient is bounded where S is singular too, which it is for B <= L. Then at least L - B + 1 of
    them are 0, and the distance is at least that number.

    Parameters
    ----------
    z
        Codes (B, L).

    Returns
    -------
    distance
        A scalar. For codes from N(0, I) it is about L (L + 5) / (4 B), not 0.

    Raises
    ------
    MixvaeError
        For fewer than two rows.

    References
    ----------
    Dowson & Landau, The Fréchet distance between multivariate normal distributions, 1982.
    Zhang et al., Wasserstein-Wasserstein auto-encoders, 2019.

    Examples
    --------
    >>> z = torch.tensor([[3.0, 1.0], [3.0, -1.0], [4.0, 0.0], [2.0, 0.0]])  # S = 2/3 I
    >>> round(squared_w2(z).item(), 4)  # 9 + 2 (sqrt(2/3) - 1)²
    9.0673
    """
    check_rows(len(z), "squared_w2")
    with torch.autocast(z.device.type, enabled=False):
        z = full_precision(z)
        mean = z.mean(0)
        roots = torch.linalg.svdvals((z - mean) / (len(z) - 1) ** 0.5)
        n_zero = z.shape[1] - len(roots)  # B < L: the other singular values, each 1 away from 1
        return mean.square().sum() + (roots - 1).square().sum() + n_zero


def reconstruction(t: Trace, kl_scale: Scale = 1.0) -> Terms:
    """The expected log-likelihood alone: minus a Wasserstein autoencoder's reconstruction cost.

    Parameters
    ----------
    t
        A trace of a joint mixture.
    kl_scale
        Not used, as there is no KL.

    Returns
    -------
    terms
        The likelihood, (B,), nats. It is not a bound on log p(x).

    References
    ----------
    Tolstikhin et al. (ICLR 2018), eq. 4.
    """
    return {t.lik_name: Joint().log_lik(t).mean(0)}


def mmd_penalty(
    t: Trace, *, weight: float, kernel: Kernel, unbiased: bool = False
) -> Float[Tensor, ""]:
    """Penalty on the distance of a batch's codes from the prior: minus weighted MMD.

    The MMD is between the codes and as many new samples of the prior, and its mean is taken over
    samples and components.

    Parameters
    ----------
    t
        A trace of at least two rows.
    weight
        Weight of the MMD.
    kernel, unbiased
        As in :func:`mmd`.

    Returns
    -------
    penalty
        A scalar.

    Raises
    ------
    MixvaeError
        For fewer than two rows.

    References
    ----------
    Zhao, Song & Ermon (AAAI 2019). Tolstikhin et al. (ICLR 2018), Algorithm 2.
    """
    prior = t.p_z.expand(t.z.shape[:3]).sample()
    pairs = zip(_samples(t.z), _samples(prior), strict=True)
    statistics = [mmd(z, other, kernel, unbiased=unbiased) for z, other in pairs]
    return -weight * torch.stack(statistics).mean()


def w2_penalty(t: Trace, *, weight: float) -> Float[Tensor, ""]:
    """Penalty on the distance of a batch's codes from N(0, I): minus weighted squared W2.

    Its mean is taken over samples and components.

    Parameters
    ----------
    t
        A trace of at least two rows, whose prior is N(0, I).
    weight
        Weight of :func:`squared_w2`.

    Returns
    -------
    penalty
        A scalar, at most 0.

    Raises
    ------
    MixvaeError
        For fewer than two rows.

    References
    ----------
    Zhang et al., Wasserstein-Wasserstein auto-encoders, 2019.
    """
    return -weight * torch.stack([squared_w2(z) for z in _samples(t.z)]).mean()


def _samples(z: Float[Tensor, "S B K L"]) -> Float[Tensor, "N B L"]:
    """The codes of a batch, for each sample and component."""
    return z.transpose(1, 2).flatten(0, 1)
