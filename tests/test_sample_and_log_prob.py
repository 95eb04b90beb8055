"""Posteriors that know the density of the codes that they draw, and of no others."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

import mixvae
from cases import IMAGE, K
from mixvae.distributions import diagonal_normal
from mixvae.evaluation import component_health, log_likelihood
from mixvae.families import ExactMixture, Joint
from mixvae.objectives import elbo, iwae
from mixvae.parts.posteriors import NormalPosterior
from mixvae.recipes import VAE, build

pytestmark = pytest.mark.usefixtures("own_recipes", "unchecked")


class OneWay(Distribution):
    """A base distribution whose density is known of its own draws alone."""

    arg_constraints = {}  # noqa: RUF012 - torch's own protocol
    has_rsample = True

    def __init__(self, base: Distribution) -> None:
        self.base = base
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.base.mean

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.rsample_and_log_prob(sample_shape)[0]

    def rsample_and_log_prob(self, sample_shape: Sequence[int] = ()) -> tuple[Tensor, Tensor]:
        z = self.base.rsample(torch.Size(sample_shape))
        return z, self.base.log_prob(z)

    def log_prob(self, value: Tensor) -> Tensor:
        raise AssertionError("the density of a code that came from elsewhere")


class Planar(OneWay):
    r"""A planar flow, :math:`z = u + s \tanh(a \cdot u + b)` (Rezende & Mohamed 2015, (10))."""

    def __init__(self, base: Distribution, s: Tensor, a: Tensor, b: Tensor) -> None:
        super().__init__(base)
        self.s, self.a, self.b = s, a, b

    def rsample_and_log_prob(self, sample_shape: Sequence[int] = ()) -> tuple[Tensor, Tensor]:
        u = self.base.rsample(torch.Size(sample_shape))
        height = (u @ self.a + self.b).tanh()
        slope = 1 + (self.a @ self.s) * (1 - height.square())
        return u + height.unsqueeze(-1) * self.s, self.base.log_prob(u) - slope.abs().log()


class PlanarPosterior(NormalPosterior):
    def __init__(self, n_features: int, n_latent: int, n_components: int) -> None:
        super().__init__(n_features, n_latent, n_components)
        self.s, self.a = (nn.Parameter(torch.full((n_latent,), 0.5)) for _ in range(2))
        self.b = nn.Parameter(torch.tensor(0.3))

    def forward(self, h: Tensor, some: Any = None) -> Distribution:
        return Planar(super().forward(h, some), self.s, self.a, self.b)


class OneWayPosterior(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *args: Any) -> Distribution:
        return OneWay(self.inner(*args))


def twins(name: str, **options: Any) -> tuple[Any, Any, Tensor]:
    """One model twice, whose second posterior knows no density but of its own draws."""
    plain, one_way = (build(name, IMAGE, n_latent=2, seed=0, **options).model for _ in range(2))
    one_way.posterior = OneWayPosterior(one_way.posterior)
    return plain, one_way, (torch.rand(5, *IMAGE) > 0.5).float()


@pytest.mark.parametrize("name", ["vae", "m-vae", "mvae"])
def test_a_bound_takes_the_density_of_the_draw_that_came_with_it(name: str) -> None:
    options = {} if name == "vae" else {"n_components": K}
    plain, one_way, x = twins(name, **options)
    assert isinstance(plain.family, Joint)
    traces = []
    for model in (plain, one_way):
        torch.manual_seed(1)
        traces.append(model(x, 4))
    assert torch.equal(traces[0].log_weight, traces[1].log_weight)
    assert torch.equal(iwae(traces[0])["iwae"], iwae(traces[1])["iwae"])
    sampled = (traces[0].log_q - traces[0].log_prior).mean(0)  # without a closed form
    torch.testing.assert_close(traces[1].kl, sampled)


@pytest.mark.parametrize("n_active", [2, K])
def test_an_exact_mixture_does_too(n_active: int) -> None:
    options = {"n_components": K, "start": "random", "n_active": n_active}
    plain, one_way, x = twins("mixture-vae", **options)
    assert isinstance(plain.family, ExactMixture)
    found = []
    for model in (plain.train(), one_way.train()):
        torch.manual_seed(1)
        terms = elbo(model(x, 2))
        found.append(torch.stack(list(terms.values())))
    assert torch.equal(*found)


def test_log_likelihood_of_such_a_posterior_is_that_of_the_density() -> None:
    plain, one_way, x = twins("vae")
    found, expected = (log_likelihood(model, x, 4000) for model in (one_way, plain))
    error = (found.standard_error.square() + expected.standard_error.square()).sqrt()
    assert ((found.log_prob - expected.log_prob) / error).abs().max() < 4
    assert error.max() < 0.05


def test_component_health_takes_its_kl_from_draws() -> None:
    plain, one_way, x = twins("vae")
    health, expected = component_health(one_way, x), component_health(plain, x)
    torch.testing.assert_close(health.kl, expected.kl, atol=1.0, rtol=0.3)
    assert torch.equal(health.active_units, expected.active_units)


def test_a_planar_posterior_is_trained_saved_and_evaluated(tmp_path: Any) -> None:
    @mixvae.register("planar-vae")
    @dataclass(frozen=True, kw_only=True)
    class PlanarVAE(VAE):
        """A VAE whose posterior is a planar flow."""

        def make_posterior(self, x_shape: tuple[int, ...]) -> nn.Module:
            return PlanarPosterior(self.encoder_features(x_shape), self.n_latent, 1)

    data = mixvae.data.load("digits").subset(128)
    how = {"max_epochs": 2, "progress": False, "pictures": False, "batch_size": 32}
    run = mixvae.fit(PlanarVAE(n_latent=2, hidden=(8,)), data, out=tmp_path / "run", **how)
    assert run.history[-1]["val/objective"] > run.history[0]["val/objective"]
    assert isfinite(run.metrics["bounds"]["elbo"])
    assert isfinite(run.metrics["health"]["kl"][0])
    model = mixvae.load(tmp_path / "run").recipe.model
    x = data.test.x[:4]
    assert torch.equal(model.reconstruct(x), run.recipe.model.reconstruct(x))


def test_the_density_of_a_planar_draw_is_normalised() -> None:
    """By change of variables: E_q[p(z) / q(z)] = 1 for any density p."""
    torch.manual_seed(0)
    base = diagonal_normal(torch.zeros(2), torch.ones(2))
    q = Planar(base, torch.tensor([0.5, 0.2]), torch.tensor([0.7, 0.4]), torch.tensor(0.3))
    z, log_q = q.rsample_and_log_prob((20_000,))
    ratio = (diagonal_normal(torch.zeros(2), torch.full((2,), 0.8)).log_prob(z) - log_q).exp()
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / len(z) ** 0.5
