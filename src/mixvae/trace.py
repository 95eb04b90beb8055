"""What one forward pass leaves behind, and the question that divides the models."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from .distributions import NormalMixture, kl_to_mixture


@dataclass(frozen=True)
class Trace:
    """One Monte Carlo pass: all that an objective may look at.

    S samples, B rows, K components, L latent dimensions, X the shape of one x. Log densities are
    in nats, summed over the event.
    """

    x: Float[Tensor, "B *X"]
    z: Float[Tensor, "S B K L"]
    w: Float[Tensor, "S B K"]  # rows sum to one
    b: Float[Tensor, "S B K"]  # what decodes: w, after component dropout where there is any
    q_z: Distribution  # q(z | x, k), batch (B, K)
    p_z: Distribution  # p(z | k),    batch (K,) or ()
    q_w: Distribution  # q(w | x),    batch (B,), event (K,)
    p_w: Distribution | None  # p(w), None where w is not random
    p_x: Distribution  # p(x | z, w), batch (S, B, K), or (S, B, 1) after blending
    family: "Family"
    lik_name: str = "log_lik"  # what log_lik is called: a density, or a score that is none
    kl_mask: Float[Tensor, ""] | None = None  # what component dropout's rates cost
    decode: Callable[[Tensor, Tensor], Distribution] | None = None  # p(x | z, w) of other codes

    @property
    def blended(self) -> bool:
        """Whether the decoder merged the components into one output."""
        return self.p_x.batch_shape[-1] < self.z.shape[2]

    @property
    def log_lik(self) -> Float[Tensor, "S B _K"]:
        """log p(x | z, w) of every output of the decoder: K of them, or 1 after blending."""
        return self.p_x.log_prob(self.x.unsqueeze(1))

    @property
    def log_prior(self) -> Float[Tensor, "S B K"]:
        """log p(z_k | k)."""
        return self.p_z.log_prob(self.z)

    @property
    def log_q(self) -> Float[Tensor, "S B K"]:
        """log q(z_k | x, k): each code under the component that drew it."""
        return self.q_z.log_prob(self.z)

    @property
    def log_w(self) -> Float[Tensor, "S B K"]:
        """log w, of a draw that underflowed to 0 too."""
        return self.w.clamp_min(torch.finfo(self.w.dtype).tiny).log()

    @property
    def kl(self) -> Float[Tensor, "B K"]:
        """KL(q(z | x, k) || p(z | k)), nats: in closed form where there is one.

        Under a mixture of normals it is a closed-form upper bound; else the mean over samples.
        """
        if isinstance(self.p_z, NormalMixture):
            return kl_to_mixture(self.q_z, self.p_z)
        try:
            return kl_divergence(self.q_z, self.p_z)
        except NotImplementedError:
            return (self.log_q - self.log_prior).mean(0)

    @property
    def log_weight(self) -> Float[Tensor, "S B"]:
        """The family's whole log importance weight: its exponential's mean is p(x)."""
        return self.family.log_weight(self)


class Family(ABC):
    """Is there one code or K codes? It decides what the latent is, and so every density of it."""

    @abstractmethod
    def log_weight(self, t: Trace, kl_scale: float = 1.0) -> Float[Tensor, "S B"]:
        """log p(x, latent) - log q(latent | x), its prior part times ``kl_scale``."""

    @abstractmethod
    def responsibilities(self, t: Trace) -> Float[Tensor, "B K"]:
        """How far each component answers for x. Rows sum to one."""

    @abstractmethod
    def charge(self, t: Trace) -> Float[Tensor, "B K"]:
        """How far x is charged each component's KL: the weights of its mean over the data."""

    @abstractmethod
    def mean(self, t: Trace) -> Float[Tensor, "S B *X"]:
        """The mean of x given the codes, the components brought together."""
