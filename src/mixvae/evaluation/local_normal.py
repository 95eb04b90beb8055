"""Normals of full covariance about modes of p(latent | x), as proposals.

A posterior whose dimensions are independent is too narrow where the exact one has correlations, in
all directions but the shortest. What it misses is seen in the curvature of log p(x, latent), which
is taken over distances of the posterior's own scale, so that kinks of ReLU networks are smoothed.
"""

from collections.abc import Callable
from math import log, pi

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

LogJoint = Callable[[Float[Tensor, "n D"], Int64[Tensor, " n"]], Float[Tensor, " n"]]
DISTANCE = 1.0  # posterior scales between the points whose gradients give the curvature
WIDEST = 0.1  # least curvature in units of the posterior's: at most 3.2 times as wide
MAX_ROUNDS = 3  # each at most 3.2 times as wide as the one before
STEPS = (0.0, 0.03, 0.1, 0.25, 0.5, 1.0)  # parts of a step that are tried
MAX_STEPS = 4  # along the gradient, in units of the posterior's scale
ENOUGH = 0.05  # nats: a step that gains less is the last
WIDTHS = (1.0, 1.2, 2.0)  # times the covariance's root


class LocalNormals:
    """Normals about M points, each ``WIDTHS`` times as wide as the curvature says.

    They are numbered point by point, each with all its widths.

    Parameters
    ----------
    component : Tensor
        (M,), whose code each proposes, in an exact mixture.
    mean : Tensor
        (M, D), float64.
    covariance : Tensor
        (M, D, D), float64.

    Raises
    ------
    torch.linalg.LinAlgError
        For a covariance that is not finite or not positive definite.
    """

    def __init__(
        self,
        component: Int64[Tensor, " M"],
        mean: Float64[Tensor, "M D"],
        covariance: Float64[Tensor, "M D D"],
    ) -> None:
        self.component, self.mean = component, mean
        self.root = torch.linalg.cholesky(covariance)
        self._width = torch.tensor(WIDTHS, dtype=mean.dtype, device=mean.device)
        one = torch.eye(mean.shape[1], dtype=mean.dtype, device=mean.device)
        inverse = torch.linalg.solve_triangular(self.root, one, upper=False)
        self._inverse = inverse.flatten(0, 1)  # (M D, D)
        self._shift = (inverse @ mean.unsqueeze(2)).flatten()
        log_det = self.root.diagonal(dim1=1, dim2=2).log().sum(1, keepdim=True)
        self._log_scale = log_det + mean.shape[1] * (self._width.log() + 0.5 * log(2 * pi))

    def components(self) -> Int64[Tensor, " P"]:
        """The component of every width of every normal."""
        return self.component.repeat_interleave(len(WIDTHS))

    def sample(self, index: Int64[Tensor, " n"], dtype: torch.dtype) -> Float[Tensor, "n D"]:
        """A value of each of the proposals that are numbered, in ascending order."""
        index = index.to(self.mean.device)
        noise = torch.randn(len(index), self.mean.shape[1], dtype=dtype, device=index.device)
        noise *= self._width.to(dtype)[index % len(WIDTHS)].unsqueeze(1)
        counts = (index // len(WIDTHS)).bincount(minlength=len(self.mean)).tolist()
        each = zip(self.mean.to(dtype), self.root.to(dtype), noise.split(counts), strict=True)
        return torch.cat([torch.addmm(mean, own, root.T) for mean, root, own in each])

    def log_prob(self, z: Float[Tensor, "n D"]) -> Float64[Tensor, "n P"]:
        """The log density under each width of each normal, nats."""
        away = torch.addmm(self._shift, z.to(self.mean), self._inverse.T, beta=-1)
        distance = away.square_().unflatten(1, self.mean.shape).sum(2).unsqueeze(2)
        return (-0.5 * distance / self._width.square() - self._log_scale).flatten(1)


def local_normals(
    log_joint: LogJoint,
    mean: Float[Tensor, "M D"],
    scale: Float[Tensor, "M D"],
    component: Int64[Tensor, " M"],
    n_codes: int,
) -> LocalNormals | None:
    """The normals about the modes that a few steps of ascent find from the means of posteriors.

    Parameters
    ----------
    log_joint : callable
        log p(x, latent) of n latents of the components that are named, differentiable, nats.
    mean, scale : Tensor
        (M, D), of the posteriors.
    component : Tensor
        (M,), of each.
    n_codes : int
        Latents to evaluate at a time.

    Returns
    -------
    LocalNormals or None
        None where log p or its gradient is not finite, or a curvature is not a covariance's.
    """

    def look(points: Float[Tensor, "M n D"]) -> tuple[Float64[Tensor, "M n"], Tensor]:
        """Values and gradients."""
        index = component.repeat_interleave(points.shape[1])
        found = []
        for z, k in zip(points.flatten(0, 1).split(n_codes), index.split(n_codes), strict=True):
            with torch.enable_grad():
                z = z.detach().requires_grad_()
                value = log_joint(z, k)
                (slope,) = torch.autograd.grad(value.sum(), z)
            found.append(torch.cat([value.detach().unsqueeze(1), slope], 1))
        every = torch.cat(found).double().unflatten(0, points.shape[:2])
        return every[..., 0], every[..., 1:]

    each = torch.arange(len(mean), device=mean.device)
    tried = torch.tensor(STEPS, dtype=mean.dtype, device=mean.device).unsqueeze(1)

    def climb(z: Tensor, slope: Tensor, root: Tensor) -> tuple[Tensor, Tensor, float]:
        """The best points of a step, their gradients, and the most that any of them gained."""
        step = (root @ (root.mT @ slope.unsqueeze(2))).mT.to(z)
        points = z.unsqueeze(1) + tried * step
        values, slopes = look(points)
        best = values.nan_to_num(-torch.inf).argmax(1)
        gain = (values[each, best] - values[:, 0]).max()
        return points[each, best], slopes[each, best], float(gain)

    z, slope = mean, look(mean.unsqueeze(1))[1].squeeze(1)
    root = torch.diag_embed(scale.double())
    for _ in range(MAX_STEPS):
        z, slope, gain = climb(z, slope, root)
        if not gain >= ENOUGH:
            break
    try:
        for _ in range(MAX_ROUNDS):
            step = (DISTANCE * root.mT).to(z)
            points = torch.cat([z.unsqueeze(1) + step, z.unsqueeze(1) - step], 1)
            ahead, behind = (look(points)[1] @ root).chunk(2, 1)
            rows = (behind - ahead) / (2 * DISTANCE)
            values, vectors = torch.linalg.eigh(0.5 * (rows + rows.mT))
            root = root @ (vectors * values.clamp_min(WIDEST).rsqrt().unsqueeze(1))
            if (values < WIDEST).double().mean(1).max() < 0.5:
                break
        z, *_ = climb(z, slope, root)  # a Newton step
        return LocalNormals(component, z.double(), root @ root.mT)
    except torch.linalg.LinAlgError:  # not finite
        return None
