"""Priors of several normals for each component: densities, gradients, start, and log p(x)."""

from dataclasses import replace

import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from cases import Case
from mixvae.distributions import Delta, NormalMixture, components_at, diagonal_normal, log_prob_each
from mixvae.errors import MixvaeError
from mixvae.evaluation import log_likelihood
from mixvae.evaluation.marginal_likelihood.by_component import log_joint
from mixvae.initialization.split import split
from mixvae.parts import ComponentMixturePrior, NormalPrior
from mixvae.pruning import prune
from test_splitting import codes

K, M, L = 3, 4, 2
OWN = Case("mixture-vae", {"n_components": K, "n_latent": L, "n_normals": M, "shared_layers": True})


def spread() -> ComponentMixturePrior:
    """A prior of normals that differ in weight, place and scale."""
    prior = ComponentMixturePrior(K, M, L)
    prior.logits.data, prior.raw_scale.data = torch.randn(K, M), torch.randn(K, M, L)
    return prior


def torchs(p: NormalMixture) -> MixtureSameFamily:
    """The same distribution, of torch's own."""
    loc, scale = p.component_distribution.mean, p.component_distribution.stddev
    logits = p.mixture_distribution.logits
    return MixtureSameFamily(Categorical(logits=logits), Independent(Normal(loc, scale), 1))


@pytest.mark.usefixtures("maths")
def test_densities_and_gradients_of_chosen_components_are_torchs():
    prior, index = spread(), torch.tensor([[0, 2], [1, 1], [2, 0], [0, 0]])
    z = torch.randn(5, 4, 2, L)
    grads = []
    for own in (components_at(prior(Delta), index), torchs(components_at(prior(Delta), index))):
        assert own.batch_shape == (4, 2)
        prior.zero_grad()
        own.log_prob(z).sum().backward()
        grads.append([own.log_prob(z).detach(), *(p.grad.clone() for p in prior.parameters())])
    torch.testing.assert_close(*grads)
    for i, row in enumerate(index):
        for j, k in enumerate(row):
            one = torchs(components_at(prior(Delta), k))
            torch.testing.assert_close(one.log_prob(z[:, i, j]), grads[0][0][:, i, j])


@pytest.mark.usefixtures("maths")
def test_one_code_has_its_density_under_every_component():
    p, z = spread()(Delta).expand((4, K)), torch.randn(5, 4, L)
    with torch.no_grad():
        torch.testing.assert_close(log_prob_each(p, z), torchs(p).log_prob(z.unsqueeze(-2)))


def test_components_at_takes_normals_and_mixtures_of_them_alone():
    loc = torch.arange(6.0).view(3, 2)
    normal = components_at(diagonal_normal(loc, torch.ones(3, 2)), torch.tensor([2, 2, 0]))
    assert torch.equal(normal.mean, loc[[2, 2, 0]])
    with pytest.raises(TypeError, match="Categorical"):
        components_at(Categorical(torch.ones(3)), torch.tensor([0]))


def test_the_split_fits_each_prior_to_the_codes_of_its_own_cluster():
    one = OWN.build(n_components=1, n_normals=1).model
    many = OWN.build(seed=1).model
    z, k = codes()
    z[k == 0, 0] += 3 * torch.randn(1000).sign()  # a cluster of two parts
    split(one, many, z, k, seed=3)
    with torch.no_grad():
        p = many.prior(Delta)
    for i in range(K):
        own = p.component_distribution.mean[i], p.mixture_distribution.probs[i]
        mean = own[1] @ own[0]
        torch.testing.assert_close(mean, torch.zeros(L), atol=1e-3, rtol=0)  # EM keeps moments
        variance = own[1] @ (own[0] ** 2 + p.component_distribution.variance[i])
        torch.testing.assert_close(variance, torch.ones(L), atol=0.06, rtol=0)
    of_parts = GaussianMixture(1).fit(z[k == 0].numpy())
    assert of_parts.covariances_[0, 0, 0] > 5  # whose whitened codes the normals tell apart
    assert float(p.component_distribution.mean[0].detach().norm(dim=1).max()) > 0.7


@pytest.mark.usefixtures("maths")
def test_log_p_of_x_is_the_sum_over_a_grid_of_codes():
    built = OWN.build(seed=2)
    model = built.model.eval()
    for own in (model.prior.loc, model.prior.raw_scale):
        own.data = torch.randn_like(own)
    x = OWN.data(3)
    axis = torch.linspace(-8, 8, 161)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        p_x = model.decode_each(grid.view(-1, 1, 1, L).expand(-1, len(x), K, L))
        each = p_x.log_prob(x.unsqueeze(1))
        log_prior = model.prior(Delta).log_prob(grid.unsqueeze(1).expand(-1, K, L))
        log_pi = model.weights(model.features(x)).mean.log()
        cell = (axis[1] - axis[0]).log() * 2
        exact = [
            (each[:, i] + log_prior + log_pi[i]).flatten().logsumexp(0) + cell for i in range(3)
        ]
    exact = torch.stack(exact)
    found = log_likelihood(model, x, 4000, seed=0)
    torch.testing.assert_close(found.log_prob, exact, atol=0.05, rtol=0)
    by_component = log_joint(model, x, 4000)[1]
    torch.testing.assert_close(by_component.log_prob, exact, atol=0.05, rtol=0)
    annealed = log_likelihood(model, x[:1], method="ais", n_steps=60)
    torch.testing.assert_close(annealed.log_prob, exact[:1], atol=0.15, rtol=0)


@pytest.mark.parametrize("options", [{"n_normals": M}, {"n_normals": 1, "prior": "flow"}])
def test_the_pretrained_vae_has_a_normal_prior(options: dict[str, object]):
    single = replace(OWN.build().recipe, **options).single()
    assert isinstance(single.parts((12,)).model.prior, NormalPrior)


def test_pruning_keeps_the_components_own_priors():
    built = OWN.build()
    small = prune(built, [0, 2])
    torch.testing.assert_close(small.model.prior.loc, built.model.prior.loc[[0, 2]])


def test_too_few_codes_and_no_normals_are_refused():
    with pytest.raises(MixvaeError, match="n_normals 3 or fewer"):
        ComponentMixturePrior(K, M, L).start_from(1, torch.randn(3, L))
    with pytest.raises(MixvaeError, match="n_normals"):
        OWN.build(n_normals=0)
