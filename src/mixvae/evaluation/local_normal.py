"""A normal of full covariance about the mode of p(latent | x), as a proposal.

A posterior whose dimensions are independent is too narrow where the exact one has correlations, in
all directions but the shortest. What it misses is seen in the curvature of log p(x, latent), which
is taken over distances of the posterior's own scale, so that kinks of ReLU networks are smoothed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import log, pi

import torch
from jaxtyping import Float, Float64
from torch import Tensor

LogJoint = Callable[[Float[Tensor, "n D"]], Float[Tensor, " n"]]
DISTANCE = 1.0  # posterior scales between the points whose gradients give the curvature
WIDEST = 0.1  # least curvature in units of the posterior's: at most 3.2 times as wide
MAX_ROUNDS = 3  # each at most 3.2 times as wide as the one before
STEPS = (0.0, 0.03, 0.1, 0.25, 0.5, 1.0)  # parts of a Newton step that are tried
MAX_STEPS = 8
ENOUGH = 0.05  # nats: a step that gains less is the last
WIDTHS = (1.0, 1.2, 2.0)  # times the covariance's root


@dataclass(frozen=True)
class LocalNormal:
    """Normals about one point, each ``WIDTHS`` times as wide as the curvature says."""

    component: int  # whose code it proposes, in an exact mixture
    mean: Float64[Tensor, " D"]
    root: Float64[Tensor, "D D"]  # Cholesky factor of the covariance

    def sample(self, width: int, n: int) -> Float64[Tensor, "n D"]:
        noise = torch.randn(n, len(self.mean), dtype=self.mean.dtype, device=self.mean.device)
        return self.mean + WIDTHS[width] * noise @ self.root.T

    def log_prob(self, z: Float[Tensor, "n D"]) -> Float64[Tensor, "n W"]:
        """The log density under each width, nats."""
        away = torch.linalg.solve_triangular(self.root, (z - self.mean).T, upper=False)
        distance = away.square().sum(0).unsqueeze(1)
        width = torch.tensor(WIDTHS, dtype=z.dtype, device=z.device)
        log_scale = self.root.diagonal().log().sum() + len(self.mean) * (width.log() + _HALF_LOG)
        return -0.5 * distance / width.square() - log_scale


_HALF_LOG = 0.5 * log(2 * pi)


def local_normal(
    log_joint: LogJoint,
    mean: Float[Tensor, " D"],
    scale: Float[Tensor, " D"],
    component: int,
    n_codes: int,
) -> LocalNormal | None:
    """The normal about the mode that a few Newton steps find from a posterior's mean.

    Parameters
    ----------
    log_joint : callable
        log p(x, latent) of n latents, differentiable, nats.
    mean, scale : Tensor
        (D,), of the posterior.
    component : int
        Handed on to the result.
    n_codes : int
        Latents to evaluate at a time.

    Returns
    -------
    LocalNormal or None
        None where log p or its gradient is not finite, or the curvature is not a covariance's.
    """

    def slopes(z: Float[Tensor, "n D"]) -> Float64[Tensor, "n D"]:
        """Gradients."""
        found = []
        for block in z.split(n_codes):
            with torch.enable_grad():
                point = block.detach().requires_grad_()
                found.append(torch.autograd.grad(log_joint(point).sum(), point)[0])
        return torch.cat(found).double()

    def root_of_covariance(z: Float[Tensor, " D"]) -> Float64[Tensor, "D D"]:
        """What the curvature at z says, over distances of the posterior's scale.

        Where most directions are wider than it may say, the posterior is far too narrow, and the
        curvature is taken again over the distances that it gave.
        """
        root = torch.diag(scale.double())
        for _ in range(MAX_ROUNDS):
            step = (DISTANCE * root.T).to(z)
            ahead, behind = (slopes(torch.cat([z + step, z - step])) @ root).chunk(2)
            rows = (behind - ahead) / (2 * DISTANCE)
            values, vectors = torch.linalg.eigh(0.5 * (rows + rows.T))
            root = root @ (vectors / values.clamp_min(WIDEST).sqrt())
            if (values < WIDEST).double().mean() < 0.5:
                break
        return root

    z, tried = mean, torch.tensor(STEPS, dtype=mean.dtype, device=mean.device).unsqueeze(1)
    try:
        root = root_of_covariance(z)
        for _ in range(MAX_STEPS):
            step = root @ (root.T @ slopes(z.unsqueeze(0))[0])
            points = z + tried * step.to(z)
            values = log_joint(points)
            best = int(values.nan_to_num(-torch.inf).argmax())
            z = points[best]
            if not values[best] - values[0] >= ENOUGH:
                break
        root = root_of_covariance(z)
        root = torch.linalg.cholesky(root @ root.T)
    except torch.linalg.LinAlgError:  # not finite
        return None
    return LocalNormal(component, z.double(), root)
