"""Linear-Gaussian models: densities in closed form, and traces made by hand, without networks."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from mixvae.distributions import Delta
from mixvae.families import ExactMixture, Joint
from mixvae.trace import Trace

NOISE = 0.7


class LinearGaussian:
    """K maps x = A_k z + c_k + noise from a code z ~ N(0, I), with proportions pi."""

    def __init__(self, n_components: int = 3, n_latent: int = 2, n_pixels: int = 4) -> None:
        self.a = torch.randn(n_components, n_pixels, n_latent)
        self.c = torch.randn(n_components, n_pixels)
        self.pi = (0.5 * torch.randn(n_components)).softmax(0)

    def data(self, n: int = 5) -> Tensor:
        """Draws of x, the components in turn."""
        k = torch.arange(n) % len(self.pi)
        z = torch.randn(n, self.a.shape[-1])
        return (self.a[k] @ z[..., None])[..., 0] + self.c[k] + NOISE * torch.randn(n, 4)

    @property
    def prior(self) -> Distribution:
        return MultivariateNormal(torch.zeros(self.a.shape[-1]), torch.eye(self.a.shape[-1]))

    def log_evidence_each(self, x: Tensor) -> Tensor:
        """log p_k(x), (B, K)."""
        covariance = self.a @ self.a.mT + NOISE**2 * torch.eye(4)
        return MultivariateNormal(self.c, covariance).log_prob(x[:, None])

    def log_evidence(self, x: Tensor) -> Tensor:
        """Of the exact mixture: log sum_k pi_k p_k(x)."""
        return (self.log_evidence_each(x) + self.pi.log()).logsumexp(-1)

    def posterior(self, x: Tensor, widen: float = 1.0) -> MultivariateNormal:
        """The exact p(z | x, k), its covariance times ``widen``."""
        precision = torch.eye(self.a.shape[-1]) + self.a.mT @ self.a / NOISE**2
        covariance = torch.linalg.inv(precision)
        residual = (x[:, None] - self.c)[..., None]
        loc = (covariance @ self.a.mT @ residual)[..., 0] / NOISE**2
        return MultivariateNormal(loc, (widen * covariance).expand(len(x), -1, -1, -1))

    def outputs(self, z: Tensor) -> Tensor:
        """The mean of x under each component, (S, B, K, 4)."""
        return (self.a @ z[..., None])[..., 0] + self.c

    def mixture_trace(self, x: Tensor, q: MultivariateNormal, z: Tensor) -> Trace:
        """One component makes x."""
        w = self.pi.expand(len(x), -1)
        return Trace(
            x=x,
            z=z,
            w=w.expand(len(z), *w.shape),
            b=w.expand(len(z), *w.shape),
            q_z=q,
            p_z=self.prior,
            q_w=Delta(w),
            p_w=None,
            p_x=Independent(Normal(self.outputs(z), NOISE), 1),
            family=ExactMixture(),
        )

    def joint_trace(
        self,
        x: Tensor,
        q: MultivariateNormal,
        z: Tensor,
        w: Tensor,
        q_w: Distribution,
        p_w: Distribution | None,
        *,
        blend: bool,
    ) -> Trace:
        """K codes at once, their outputs blended by w or kept apart."""
        means = self.outputs(z)
        if blend:
            means = (w[..., None] * means).sum(2, keepdim=True)
        return Trace(
            x=x,
            z=z,
            w=w,
            b=w,
            q_z=q,
            p_z=self.prior,
            q_w=q_w,
            p_w=p_w,
            p_x=Independent(Normal(means, NOISE), 1),
            family=Joint(),
        )


def sigma_points(q: MultivariateNormal) -> Tensor:
    """2KL equally weighted codes (2KL, B, K, L), over which any quadratic has its exact mean.

    The K codes are independent, so the points lie along the axes of all K at once.
    """
    B, K, L = q.loc.shape
    axes = (K * L) ** 0.5 * torch.eye(K * L).reshape(K * L, 1, K, L, 1)
    steps = (q.scale_tril @ axes).squeeze(-1).expand(-1, B, -1, -1)
    return torch.cat([q.loc + steps, q.loc - steps])
