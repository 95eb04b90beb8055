"""The model: one forward pass that every recipe shares."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution

from .decoders import Decoder
from .distributions import mixture
from .errors import MixvaeError
from .trace import Family, Trace
from .weights import Weights


class MixtureVAE(nn.Module):
    """A deep mixture VAE: small modules that return distributions, and a family.

    Args:
        trunk: x (B, *X) to features h (B, K, H).
        posterior: h to q(z | x, k), batch (B, K), event (L,).
        weights: h to q(w | x), batch (B,), event (K,).
        decoder: z (S, B, K, L) and w (S, B, K) to p(x | z, w).
        prior: ``encode`` to p(z | k), batch (K,) or (), event (L,).
        family: whether there is one code or K.
    """

    def __init__(
        self,
        *,
        trunk: nn.Module,
        posterior: nn.Module,
        weights: Weights,
        decoder: Decoder,
        prior: nn.Module,
        family: Family,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.posterior = posterior
        self.weights = weights
        self.decoder = decoder
        self.prior = prior
        self.family = family

    def forward(self, x: Float[Tensor, "B *X"], n_samples: int = 1) -> Trace:
        """Infer, sample ``n_samples`` codes and weights, and decode them."""
        q_z, q_w = self.infer(x)
        return self._trace(x, q_z, q_w, q_z.rsample((n_samples,)), q_w.rsample((n_samples,)))

    def infer(self, x: Float[Tensor, "B *X"]) -> tuple[Distribution, Distribution]:
        """q(z | x, k), batch (B, K), and q(w | x), batch (B,)."""
        h = self.trunk(x)
        return self.posterior(h), self.weights(h)

    def encode(self, x: Float[Tensor, "B *X"]) -> Distribution:
        """The aggregated posterior q(z | x) = sum_k w_k q(z | x, k), batch (B,), event (L,)."""
        q_z, q_w = self.infer(x)
        return mixture(q_w.mean, q_z)

    def mean_trace(self, x: Float[Tensor, "B *X"]) -> Trace:
        """The pass with codes and weights at their means: S = 1, nothing random."""
        q_z, q_w = self.infer(x)
        return self._trace(x, q_z, q_w, q_z.mean.unsqueeze(0), q_w.mean.unsqueeze(0))

    def reconstruct(self, x: Float[Tensor, "B *X"]) -> Float[Tensor, "B *X"]:
        """The mixture's deterministic reconstruction."""
        t = self.mean_trace(x)
        return self.family.mean(t).squeeze(0)

    def reconstruct_each(self, x: Float[Tensor, "B *X"]) -> Float[Tensor, "B K *X"]:
        """Every component's reconstruction by itself: all the weight on one."""
        q_z, _ = self.infer(x)
        return self.decoder.each(q_z.mean.unsqueeze(0)).mean.squeeze(0)

    def sample(self, n: int, component: int | None = None) -> Float[Tensor, "n *X"]:
        """Means of n new x: from the whole mixture, or from one component (counted from 0).

        Raises:
            MixvaeError: for a component that does not exist.
        """
        w = self.weights.generate(n)
        if component is not None and not 0 <= component < w.shape[1]:
            raise MixvaeError(
                f"component must be in 0 ... {w.shape[1] - 1}, as the model has {w.shape[1]}; "
                f"got {component}."
            )
        prior = self.prior(self.encode)
        z = prior.expand((1, *w.shape)).sample()
        if component is not None:
            return self.decoder.each(z).mean[0, :, component]
        means = self.decoder(z, w.unsqueeze(0)).mean[0]  # (n, K or 1, *X)
        if means.shape[1] == 1:
            return means.squeeze(1)
        index = Categorical(w, validate_args=False).sample()
        return means[torch.arange(n, device=w.device), index]

    def _trace(
        self, x: Tensor, q_z: Distribution, q_w: Distribution, z: Tensor, w: Tensor
    ) -> Trace:
        return Trace(
            x=x,
            z=z,
            w=w,
            q_z=q_z,
            p_z=self.prior(self.encode),
            q_w=q_w,
            p_w=self.weights.prior(),
            p_x=self.decoder(z, w),
            family=self.family,
            lik_name=self.decoder.likelihood.term,
        )
