"""Whole models made of linear maps, whose p(x) has a closed form."""

from collections.abc import Sequence
from math import log

import torch
from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Dirichlet,
    Distribution,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)

from mixvae.families import ExactMixture, Joint, MixturePosterior
from mixvae.likelihoods import GaussianLikelihood
from mixvae.model import MixtureVAE
from mixvae.nn import Stacked
from mixvae.parts.decoders import Decoder, weighted_sum
from mixvae.parts.priors import NormalPrior
from mixvae.parts.weights import CategoricalWeights, Weights

DATA = 2 * torch.randn(7, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


class Repeat(nn.Module):
    """x (B, D) to h (B, K, D)."""

    def __init__(self, n_components: int) -> None:
        super().__init__()
        self.n_components = n_components

    def forward(self, x: Tensor) -> Tensor:
        return x.unsqueeze(1).expand(-1, self.n_components, -1)


class LinearPosterior(nn.Module):
    """N(slope_k h + offset_k, diag scale_k^2)."""

    def __init__(self, slope: Tensor, offset: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.slope, self.offset, self.scale = map(nn.Parameter, (slope, offset, scale))

    def forward(self, h: Tensor, some: Tensor | None = None) -> Distribution:
        loc = torch.einsum("kld,bkd->bkl", self.slope, h) + self.offset
        scale = self.scale.expand_as(loc)
        if some is not None:
            loc, scale = (v[torch.arange(len(h)).unsqueeze(1), some] for v in (loc, scale))
        return Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)


class ConstantWeights(Weights):
    """q(w | x) is one Dirichlet whatever x, and p(w) is another, by default uniform."""

    def __init__(self, *concentration: float, prior: Sequence[float] = ()) -> None:
        super().__init__()
        self.n_components = len(concentration)
        self.concentration = torch.tensor(concentration, dtype=torch.float64)
        one = torch.ones_like(self.concentration)
        self.of_prior = torch.tensor(prior, dtype=torch.float64) if prior else one

    def forward(self, h: Tensor) -> Distribution:
        return Dirichlet(self.concentration.expand(len(h), -1), validate_args=False)

    def prior(self) -> Distribution:
        return Dirichlet(self.of_prior, validate_args=False)

    def generate(self, n: int) -> Tensor:
        return self.prior().sample((n,))


def stacked(slope: Tensor, offset: Tensor) -> Stacked:
    """K linear layers of given weights (K, O, I) and biases (K, O), in their type."""
    net = Stacked(lambda: nn.Linear(slope.shape[2], slope.shape[1]), len(slope)).to(slope.dtype)
    with torch.no_grad():
        net.body.weight.copy_(slope)
        net.body.bias.copy_(offset)
    return net


class Maps:
    """x = W_k z + b_k + noise, z ~ N(0, I), the columns of W_k orthogonal; in float64.

    The posterior p(z | x, k) is then a diagonal normal: LinearPosterior(slope, offset, scale).
    """

    noise = 0.5

    def __init__(self, n_components: int, *, shared: bool = False) -> None:
        self.n = n_components
        generator = torch.Generator().manual_seed(1)
        random = torch.randn(self.n, 4, 2, generator=generator, dtype=torch.float64)
        self.W = torch.linalg.qr(random).Q * torch.tensor([1.5, 0.7])
        self.b = torch.randn(self.n, 4, generator=generator, dtype=torch.float64)
        if shared:
            self.W, self.b = self.W[:1].expand_as(self.W), self.b[:1].expand_as(self.b)
        variance = 1 / (1 + self.W.square().sum(1) / self.noise**2)  # (K, L)
        self.slope = variance.unsqueeze(-1) * self.W.mT / self.noise**2
        self.offset = -(self.slope @ self.b.unsqueeze(-1)).squeeze(-1)
        self.scale = variance.sqrt()

    def evidence(self, w: Tensor) -> MultivariateNormal:
        """p(x | w) where weights (*n, K) blend the outputs."""
        each = torch.einsum("...k,kdl->...kdl", w, self.W)
        covariance = torch.einsum("...kdl,...kel->...de", each, each) + self.covariance
        return MultivariateNormal(w @ self.b, covariance)

    @property
    def covariance(self) -> Tensor:
        """Of the noise."""
        return self.noise**2 * torch.eye(4, dtype=torch.float64)

    def each(self, means: Tensor | None = None) -> MultivariateNormal:
        """p(x | k) of every component; ``means`` (K, L) are those of their priors, else 0."""
        means = torch.zeros_like(self.offset) if means is None else means
        loc = self.b + (self.W @ means.unsqueeze(-1)).squeeze(-1)
        return MultivariateNormal(loc, self.W @ self.W.mT + self.covariance)

    def exact(self, wrong: float = 0.0) -> tuple[MixtureVAE, Distribution]:
        """An exact mixture whose posterior is right unless ``wrong``, and its p(x)."""
        q = LinearPosterior(self.slope, self.offset + wrong, self.scale * (1 + wrong))
        p_x = MixtureSameFamily(Categorical(torch.ones(self.n, dtype=torch.float64)), self.each())
        return self._model(q, CategoricalWeights(self.n), ExactMixture()), p_x

    def posterior(
        self, wrong: float = 0.0, weights: Weights | None = None
    ) -> tuple[MixtureVAE, Distribution]:
        """One map, ``shared``, and a mixture posterior: right, or each component ``wrong`` twice.

        The prior is p(z), so that p(x) is that of the map whatever the weights.
        """
        apart = wrong * torch.arange(self.n).unsqueeze(1)
        q = LinearPosterior(self.slope, self.offset + apart, self.scale * (1 + apart / 2))
        p_x = MultivariateNormal(self.b[0], self.W[0] @ self.W[0].mT + self.covariance)
        weights = CategoricalWeights(self.n) if weights is None else weights
        return self._model(q, weights, MixturePosterior()), p_x

    def joint(self, weights: Weights) -> MixtureVAE:
        """Outputs blended. The K codes depend on each other given x: q is the prior."""
        zeros = torch.zeros_like(self.offset)
        q = LinearPosterior(torch.zeros_like(self.slope), zeros, torch.ones_like(zeros))
        return self._model(q, weights, Joint(), weighted_sum)

    def _model(self, q: nn.Module, weights: Weights, family, *combine) -> MixtureVAE:
        likelihood = GaussianLikelihood((4,), from_mean=True, scale=self.noise)
        likelihood.log_scale = torch.tensor(log(self.noise), dtype=torch.float64)
        return MixtureVAE(
            trunk=Repeat(self.n),
            posterior=q,
            weights=weights,
            decoder=Decoder(stacked(self.W, self.b), likelihood, *combine),
            prior=NormalPrior(torch.zeros(2, dtype=torch.float64)),
            family=family,
        ).double()
