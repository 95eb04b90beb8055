"""What each component of an exact mixture says of a row, in float64: for tables."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from jaxtyping import Float64, Int64
from torch import Generator, Tensor
from torch.distributions import Distribution

from mixvae.data.rows import TensorOrRows, parts_of
from mixvae.distributions.pairs import loc_and_scale
from mixvae.likelihoods import ColumnLikelihood
from mixvae.likelihoods.columns import OF_CATEGORIES
from mixvae.model import MixtureVAE
from mixvae.parts.labels import Classes
from mixvae.seeding import Noise

N_CODES = 2048  # of a component, over which its moments are averaged
ROWS = 500  # at a time


class Components:
    """The components of an exact mixture with normal codes, in float64.

    Parameters
    ----------
    model
        The model, which is copied.
    """

    def __init__(self, model: MixtureVAE) -> None:
        self.model = deepcopy(model).cpu().double().eval()
        with torch.no_grad():
            prior = self.model.prior(self.model.encode).expand((model.n_components,))
            self.loc, self.scale = loc_and_scale(prior)
            self.weights: Float64[Tensor, " K"] = self.model.weights.generate(1)[0].double()

    @torch.no_grad()
    def codes(
        self, x: TensorOrRows, k: Int64[Tensor, " N"], batch: Classes | None = None
    ) -> Float64[Tensor, "N L"]:
        """The posterior mean of the code of each x, under component k."""
        found, batches = [], [None] * len(k) if batch is None else batch.split(ROWS)
        for part, of, own in zip(parts_of(x, ROWS), k.split(ROWS), batches, strict=False):
            means = self.model.infer(part.double(), own)[0].mean
            found.append(means[torch.arange(len(part)), of])
        return torch.cat(found)

    def decode(
        self, z: Float64[Tensor, "N L"], k: Int64[Tensor, " N"], batch: Classes | None = None
    ) -> Float64[Tensor, "N *X"]:
        """The mean of x given a code, under component k."""
        return self._by_component(z, k, lambda p: p.mean, batch)

    def sample(
        self, n: int, seed: int, batch: Classes | None = None
    ) -> tuple[Float64[Tensor, "N *X"], Int64[Tensor, " N"]]:
        """New x with the likelihood's noise, and the component of each."""
        with Noise(seed):
            k = torch.multinomial(self.weights, n, replacement=True)
            z = self.loc[k] + self.scale[k] * torch.randn(n, self.loc.shape[1], dtype=torch.float64)
            return self._by_component(z, k, lambda p: p.sample(), batch), k

    def moments(self) -> tuple[Float64[Tensor, "K *X"], Float64[Tensor, "K D"]]:
        """Mean of x under each component, and the mean of its noise's variance, flattened.

        Of categories the most probable code, and NaN. With batches, means over these, which count
        alike.
        """
        found = [self._moments(k)[:2] for k in range(len(self.weights))]
        means, noise = zip(*found, strict=True)
        return torch.stack(means), torch.stack(noise)

    def covariance(self) -> Float64[Tensor, "K D D"]:
        r"""Covariance of x under each component, :math:`Cov_z E[x|z] + E_z Cov[x|z]`.

        The codes' own mean and covariance are made those of the prior exactly, so that a component
        that is linear in the code has its exact covariance. It is NaN for categories. With batches
        it is the mean of the covariances in each.
        """
        found = []
        for k in range(len(self.weights)):
            _, noise, each = self._moments(k)  # each (batches, codes, *X)
            rest = (each - each.mean(1, keepdim=True)).flatten(0, 1).flatten(1)
            rest[:, self.categories] = torch.nan
            found.append(rest.T @ rest / len(rest) + noise.diag())
        return torch.stack(found)

    def _moments(self, k: int) -> tuple[Tensor, Tensor, Tensor]:
        """The mean of x, the mean variance of its noise, and the means given batch and code."""
        n, n_latent = max(N_CODES, 4 * self.loc.shape[1]), self.loc.shape[1]
        generator = Generator().manual_seed(0)
        z = torch.randn(n, n_latent, generator=generator, dtype=torch.float64)
        z = z - z.mean(0)
        root = torch.linalg.cholesky(z.T @ z / n)
        z = torch.linalg.solve_triangular(root, z.T, upper=False).T
        n_batches = self.model.labels.n_classes or 1
        of = torch.full((n_batches * n,), k)
        batch = torch.arange(n_batches).repeat_interleave(n) if n_batches > 1 else None

        def mean_and_variance(p: Distribution) -> Tensor:
            return torch.stack([p.mean, p.variance], -1)

        z = (self.loc[k] + self.scale[k] * z).repeat(n_batches, 1)
        mean, variance = self._by_component(z, of, mean_and_variance, batch).unbind(-1)
        typical = mean.mean(0)
        if columns := self.categories:
            probs = self._by_component(z, of, lambda p: p.base_dist.probs, batch)
            probs = probs[:, columns].mean(0)
            typical[columns] = probs.argmax(-1).to(typical)
        return typical, variance.mean(0).flatten(), mean.unflatten(0, (n_batches, n))

    @property
    def categories(self) -> list[int]:
        """The columns whose values are codes of categories."""
        likelihood = self.model.decoder.likelihood
        if not isinstance(likelihood, ColumnLikelihood):
            return []
        return likelihood.kinds.those(*OF_CATEGORIES)

    @torch.no_grad()
    def _by_component(
        self, z: Tensor, k: Tensor, value: Callable[[Any], Tensor], batch: Classes | None = None
    ) -> Tensor:
        """A function of p(x | z, k) of each code, of shape (1, N, 1, ...) for N codes."""
        found: Tensor | None = None
        for own in k.unique().tolist():
            rows = (k == own).nonzero().squeeze(1)
            y = None if batch is None else batch[rows]
            codes = self.model.labels.condition_z(z[rows][None, :, None], y)
            values = value(self.model.decoder.of_component(codes, own))[0, :, 0]
            found = values.new_empty(len(z), *values.shape[1:]) if found is None else found
            found[rows] = values
        assert found is not None
        return found
