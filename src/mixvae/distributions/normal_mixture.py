"""Mixture distributions; those of diagonal normals have fast densities."""

from collections.abc import Sequence
from functools import singledispatch

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.distributions import Categorical, Distribution, MixtureSameFamily, kl_divergence

from .log_mixture import LogMixture, normalized
from .pairs import (
    diagonal_normal,
    flatten_batch,
    is_diagonal_normal,
    kl_pairs,
    loc_and_scale,
    log_prob_pairs,
)


def mixture(weights: Float[Tensor, "*batch K"], components: Distribution) -> MixtureSameFamily:
    """Mixture distribution whose components are the last batch axis of ``components``.

    Parameters
    ----------
    weights
        Mixing weights, (*batch, K); rows sum to one.
    components
        Distributions, batch (*batch, K), of any event.

    Returns
    -------
    mixture
        Batch (*batch); a :class:`NormalMixture` where the components are diagonal normals.

    Examples
    --------
    >>> from mixvae.distributions import diagonal_normal
    >>> normals = diagonal_normal(torch.tensor([[-1.0], [1.0]]), torch.ones(2, 1))  # K = 2, L = 1
    >>> p = mixture(torch.tensor([0.5, 0.5]), normals)
    >>> p.event_shape, p.log_prob(torch.zeros(1))
    (torch.Size([1]), tensor(-1.4189))
    """
    index = Categorical(weights, validate_args=False)
    kind = NormalMixture if is_diagonal_normal(components) else MixtureSameFamily
    return kind(index, components, validate_args=False)


@singledispatch
def components_at(p: Distribution, index: Int64[Tensor, "*n"]) -> Distribution:
    """The distributions of a batch (K,) that are numbered, batch (*n).

    Parameters
    ----------
    p : Distribution
        Diagonal normals, mixtures of them, or flows of components.
    index : Tensor
        Their numbers.

    Raises
    ------
    TypeError
        For other distributions.
    """
    if not is_diagonal_normal(p):
        raise TypeError(
            f"expected diagonal normals, mixtures of them or flows; got {type(p).__name__}"
        )
    return diagonal_normal(*(t[index] for t in loc_and_scale(p)))


class NormalMixture(MixtureSameFamily):
    """Mixture of K diagonal normals: batch (*batch), event (L,).

    Its constructor is that of PyTorch's ``MixtureSameFamily``; see also :func:`mixture`. Where
    there are several z for each mixture, ``log_prob`` is one matrix product: where gradients are
    recorded it computes in the type of its input and is differentiable once; otherwise it computes
    in float64.
    """

    pooled_from: "NormalMixture | None" = None  # the mixture that :meth:`pool` was called on

    def log_prob(self, z: Float[Tensor, "*n L"]) -> Float[Tensor, "*n"]:
        n_sample = z.dim() - 1 - len(self.batch_shape)
        if not n_sample:  # a mixture for each z: no pairs
            return super().log_prob(z)
        rows = z.reshape(-1, *z.shape[n_sample:]).movedim(0, -2)  # (*batch, N, L)
        loc, scale = loc_and_scale(self.component_distribution)
        log_w = self.mixture_distribution.logits
        if torch.is_grad_enabled():
            log_p = LogMixture.apply(rows, loc, scale, log_w)
        else:  # in float64: validation and evaluation
            log_p = normalized(log_prob_pairs(rows, loc, scale, log_w))[1]
        return log_p.movedim(-1, 0).reshape(z.shape[:-1])

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Samples of the components that are picked alone, where torch's has one of each."""
        index = self.mixture_distribution.sample(torch.Size(sample_shape))[..., None, None]
        loc, scale = loc_and_scale(self.component_distribution)
        shape = (*index.shape[:-2], *loc.shape[-2:])
        index = index.expand(*index.shape[:-1], loc.shape[-1])
        own = [t.expand(shape).gather(-2, index).squeeze(-2) for t in (loc, scale)]
        return torch.addcmul(own[0], own[1], torch.randn_like(own[0]))

    def pool(self) -> "NormalMixture":
        """The mixture, with equal weights, of the C mixtures in the batch (C,)."""
        weights = self.mixture_distribution.probs.flatten() / len(self.mixture_distribution.probs)
        components = flatten_batch(self.component_distribution)
        pooled = NormalMixture(Categorical(weights, validate_args=False), components)
        pooled.pooled_from = self
        return pooled


@components_at.register
def _(p: NormalMixture, index: Tensor) -> Distribution:
    own = Categorical(logits=p.mixture_distribution.logits[index], validate_args=False)
    normals = components_at(p.component_distribution, index)
    return NormalMixture(own, normals, validate_args=False)


def kl_to_mixture(q: Distribution, p: NormalMixture) -> Float[Tensor, "*n"]:
    r"""Upper bound of KL(q || p), in closed form: :math:`-\log\sum_k \pi_k e^{-KL(q \| p_k)}`.

    It holds by Jensen's inequality, and is exact in the limit where p's components lie far apart.

    Parameters
    ----------
    q
        A diagonal normal, batch (*n), event (L,).
    p
        A mixture of batch (), or one for each of q's batch.

    Returns
    -------
    bound
        Nats, (*n).

    References
    ----------
    Hershey & Olsen (ICASSP 2007), Section 7.
    """
    if p.batch_shape:
        one = diagonal_normal(*(t.unsqueeze(-2) for t in loc_and_scale(q)))
        kl = kl_divergence(one, p.component_distribution)
        return -(p.mixture_distribution.logits - kl).logsumexp(-1)
    kl = kl_pairs(flatten_batch(q), p.component_distribution)
    bound = -(p.mixture_distribution.logits - kl).logsumexp(-1)
    return bound.reshape(q.batch_shape)
