"""Mixtures; those of diagonal normals have fast densities."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Categorical, Distribution, MixtureSameFamily

from .log_mixture import LogMixture, normalized
from .pairs import flatten_batch, is_diagonal_normal, kl_pairs, loc_and_scale, log_prob_pairs


def mixture(weights: Float[Tensor, "*batch K"], components: Distribution) -> MixtureSameFamily:
    """The mixture whose components are the last batch axis of ``components``."""
    index = Categorical(weights, validate_args=False)
    made = NormalMixture if is_diagonal_normal(components) else MixtureSameFamily
    return made(index, components, validate_args=False)


class NormalMixture(MixtureSameFamily):
    """A mixture of diagonal normals: batch (*batch), event (L,), components batch (*batch, K)."""

    pooled_from: "NormalMixture | None" = None  # what :meth:`pool` was called on

    def log_prob(self, z: Float[Tensor, "*n L"]) -> Float[Tensor, "*n"]:
        n_sample = z.dim() - 1 - len(self.batch_shape)
        rows = z.reshape(-1, *z.shape[n_sample:]).movedim(0, -2)  # (*batch, N, L)
        loc, scale = loc_and_scale(self.component_distribution)
        log_w = self.mixture_distribution.logits
        if torch.is_grad_enabled():
            log_p = LogMixture.apply(rows, loc, scale, log_w)
        else:  # validation and evaluation are precise
            log_p = normalized(log_prob_pairs(rows, loc, scale, log_w))[1]
        return log_p.movedim(-1, 0).reshape(z.shape[:-1])

    def pool(self) -> "NormalMixture":
        """One mixture of all that the batch (C,) holds, each of them with the same weight."""
        weights = self.mixture_distribution.probs.flatten() / len(self.mixture_distribution.probs)
        components = flatten_batch(self.component_distribution)
        pooled = NormalMixture(Categorical(weights, validate_args=False), components)
        pooled.pooled_from = self
        return pooled


def kl_to_mixture(q: Distribution, p: NormalMixture) -> Float[Tensor, "*n"]:
    r"""An upper bound of KL(q || p), in closed form: :math:`-\log\sum_k \pi_k e^{-KL(q \| p_k)}`.

    q is a diagonal normal of any batch and p has batch (). By Jensen's inequality, and exact where
    p's components lie far apart (Hershey & Olsen 2007, Section 7).
    """
    kl = kl_pairs(flatten_batch(q), p.component_distribution)
    bound = -(p.mixture_distribution.logits - kl).logsumexp(-1)
    return bound.reshape(q.batch_shape)
