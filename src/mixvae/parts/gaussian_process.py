"""The variational Gaussian process: posteriors whose mean is a random function of noise."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from mixvae.distributions import diagonal_normal
from mixvae.distributions.pairs import loc_and_scale, to_float64
from mixvae.errors import at_least
from mixvae.nn import MLP, Linear, full_precision

from .posteriors import ConditionalNormal

MIN_NOISE = 1e-4  # variance, which also keeps the covariance of equal points invertible
START = -2.0  # of what softplus makes the variances, 0.13: the posterior starts near a normal


class GaussianProcess:
    r"""L Gaussian processes f of one kernel, given noisy values at M points; computed in float64.

    .. math:: k(\xi, \xi') = v \exp\Big(-\tfrac12 \sum_c \omega_c (\xi_c - \xi'_c)^2\Big)

    Parameters
    ----------
    points
        The points s, (\*n, M, C).
    values
        The values t at them, (\*n, M, L).
    variance
        v, the variance of f without values.
    precision
        The inverse squared lengths :math:`\omega`, (C,).
    noise
        Variance of the values' noise.

    References
    ----------
    Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), Algorithm 2.1.
    """

    def __init__(
        self,
        points: Float[Tensor, "*n M C"],
        values: Float[Tensor, "*n M L"],
        variance: Float[Tensor, ""],
        precision: Float[Tensor, " C"],
        noise: Float[Tensor, ""],
    ) -> None:
        self.points, self.variance = to_float64(points), to_float64(variance)
        self.precision = to_float64(precision)
        covariance = self._kernel(self.points.unsqueeze(-2), self.points.unsqueeze(-3))
        identity = torch.eye(points.shape[-2], dtype=covariance.dtype, device=covariance.device)
        self.root = torch.linalg.cholesky(covariance + to_float64(noise) * identity)
        self.values = torch.linalg.solve_triangular(self.root, to_float64(values), upper=False)

    def at(self, xi: Float[Tensor, "*m C"]) -> tuple[Float[Tensor, "*m L"], Float[Tensor, "*m"]]:
        r"""Mean and variance of :math:`f(\xi)`, which is the same for all L.

        Parameters
        ----------
        xi
            Points; the axes before the last broadcast with those of ``points`` before M.
        """
        k = self._kernel(to_float64(xi).unsqueeze(-2), self.points).unsqueeze(-1)
        k = torch.linalg.solve_triangular(self.root, k, upper=False)
        mean, known = (k * self.values).sum(-2), k.square().sum((-2, -1))
        return mean.to(xi.dtype), (self.variance - known).clamp_min(0).to(xi.dtype)

    def _kernel(self, a: Tensor, b: Tensor) -> Tensor:
        return self.variance * (-0.5 * ((a - b).square() * self.precision).sum(-1)).exp()


class WarpedNormal(Distribution):
    r"""A normal shifted by a Gaussian process of noise, which knows its own samples' density only.

    .. math:: \xi \sim \mathcal N(0, I), \quad f \sim GP \text{ given } (s, t), \quad
              z \sim \mathcal N(\mu + f(\xi), \sigma^2)

    The log density of a sample is :math:`\log q(\xi) + \log q(z | \xi) - \log r(\xi | z)`, with
    :math:`f(\xi)` integrated out in closed form. Whatever the density r is, the mean of
    :math:`p(z) / q(z)` over samples is then 1 for every density p, so that bounds and importance
    sampling with it are valid; the bound is the tighter, the closer r is to the exact posterior of
    :math:`\xi`. ``mean`` is that given :math:`\xi = 0`.

    Parameters
    ----------
    normal
        The diagonal normal :math:`\mathcal N(\mu, \sigma^2)`, batch (\*batch), event (L,).
    process
        f, of points (\*batch, M, L).
    reverse
        Features and code, (\*n, H + L), to r, batch (\*n), event (L,).
    h
        The features, (\*batch, H).
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own protocol
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self, normal: Distribution, process: GaussianProcess, reverse: ConditionalNormal, h: Tensor
    ) -> None:
        self.normal, self.process, self.reverse, self.h = normal, process, reverse, h
        super().__init__(normal.batch_shape, normal.event_shape, validate_args=False)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.rsample_and_log_prob(sample_shape)[0]

    def rsample_and_log_prob(
        self, sample_shape: Sequence[int] = ()
    ) -> tuple[Float[Tensor, "*n L"], Float[Tensor, "*n"]]:
        """A sample, and its log density relative to that of the reverse model, nats.

        Parameters
        ----------
        sample_shape
            Leading axes of the sample.
        """
        xi = self._noise.sample(torch.Size(sample_shape))
        z = self.given(xi).rsample()
        return z, self._log_ratio(z, xi)

    def mean_and_log_prob(self) -> tuple[Float[Tensor, "*n L"], Float[Tensor, "*n"]]:
        """``mean``, and what is the log density of a sample where the noise is 0."""
        xi = self._noise.mean
        z = self.given(xi).mean
        return z, self._log_ratio(z, xi)

    @property
    def mean(self) -> Tensor:
        return self.given(self._noise.mean).mean

    @property
    def _noise(self) -> Distribution:
        loc, _ = loc_and_scale(self.normal)
        return diagonal_normal(torch.zeros_like(loc), torch.ones_like(loc))

    def _log_ratio(self, z: Float[Tensor, "*n L"], xi: Float[Tensor, "*n L"]) -> Tensor:
        given = self.given(xi).log_prob(z)
        return self._noise.log_prob(xi) + given - self.reversed(z).log_prob(xi)

    def given(self, xi: Float[Tensor, "*n L"]) -> Distribution:
        r""":math:`q(z | \xi)`, with :math:`f(\xi)` integrated out.

        Parameters
        ----------
        xi
            Noise.
        """
        loc, scale = loc_and_scale(self.normal)
        mean, variance = self.process.at(xi)
        return diagonal_normal(loc + mean, (scale.square() + variance.unsqueeze(-1)).sqrt())

    def reversed(self, z: Float[Tensor, "*n L"]) -> Distribution:
        r""":math:`r(\xi | z)`.

        Parameters
        ----------
        z
            Codes.
        """
        h = self.h.expand(*z.shape[:-1], -1)
        return self.reverse(torch.cat([h, z], -1))


class GaussianProcessPosterior(nn.Module):
    r"""The variational Gaussian process (VGP): features (\*n, H) to :class:`WarpedNormal`.

    The points s and values t, the paper's variational data, are a linear layer of the features;
    the kernel is the same for all. The reverse model is a normal of independent dimensions, by a
    network that reads features and code. The paper's has f beside :math:`\xi`; its best r(f | ...)
    is known, and integrating f out is the paper's bound with it.

    Parameters
    ----------
    normal
        Features to the normal that the process shifts.
    n_features
        Number H of features.
    n_latent
        Size L of the code, and of the noise.
    n_data
        Number M of points and values.

    Raises
    ------
    MixvaeError
        For fewer than one point.

    References
    ----------
    Tran, Ranganath & Blei (ICLR 2016), Sections 2.2 and 3.
    """

    def __init__(
        self, normal: ConditionalNormal, n_features: int, n_latent: int, n_data: int
    ) -> None:
        super().__init__()
        at_least(1, n_latent=n_latent, n_data=n_data)
        self.normal, self.n_data, self.n_latent = normal, n_data, n_latent
        self.data = Linear(n_features, 2 * n_data * n_latent)
        nn.init.normal_(self.data.bias[: n_data * n_latent].data)  # points start spread out
        self.variances = nn.Parameter(torch.full((2,), START))
        self.precision = nn.Parameter(torch.zeros(n_latent))
        net = MLP(n_features + n_latent, 2 * n_latent, (n_features,))
        self.reverse = ConditionalNormal(net, n_latent)

    def forward(self, h: Float[Tensor, "*n H"]) -> Distribution:
        h = full_precision(h)
        with torch.autocast(h.device.type, enabled=False):
            points, values = self.data(h).unflatten(-1, (2, self.n_data, -1)).unbind(-3)
            variance, noise = F.softplus(self.variances) + MIN_NOISE
            process = GaussianProcess(points, values, variance, F.softplus(self.precision), noise)
            return WarpedNormal(self.normal(h), process, self.reverse, h)
